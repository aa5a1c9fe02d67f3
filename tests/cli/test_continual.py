"""`headroles adapt --tasks` and `headroles merge-adapters`: one line for what does not go together."""

import pytest


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--continual", "merged"], "--continual goes with --tasks; give several tasks"),
        (["--tasks", "shapes:tiny"], "tasks must be two or more different ones, got shapes:tiny"),
        (["--tasks", "shapes:tiny,shapes:color", "--protocol", "few-shot"], "--protocol does not go with --tasks"),
        (["--tasks", "shapes:tiny,shapes:color", "--task", "shapes:tiny"], "--task does not go with --tasks: give one"),
        (["--tasks", "shapes:tiny,shapes:color", "--continual", "zip"], "continual must be some of sequential"),
        (["--tasks", "shapes:tiny,shapes:color", "--method", "skip-tuning"], "train one a task: continual separate"),
        (["--tasks", "shapes:tiny,nowhere"], "tasks: there is no nowhere"),
    ],
)
def test_wrong_tasks_are_one_line(run, tmp_path, options, expected):
    code, out, error = run("adapt", *options, "--output", tmp_path / "out")
    assert code == 2 and not out and expected in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_wrong_adapters_are_one_line(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text("{}")
    for arguments, expected in (
        (["one"], "expected two or more to merge"),
        (["gone", "two"], "gone is no adapter folder"),
        (["one", "two", "--weights", "a,b"], "--weights must be numbers such as 1,1,2"),
    ):
        code, out, error = run("merge-adapters", *arguments, "--output", tmp_path / "out")
        assert code == 2 and not out and expected in error and error.count("\n") == 1
    code, out, error = run("merge-adapters", "one", "two", "--output", tmp_path / "one")
    assert code == 2 and not out and "is one of the adapters that are merged" in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
