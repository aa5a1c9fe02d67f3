"""`--config`: options from a file, which say what typed options say; and run.yaml, which makes a run again."""

import pytest


@pytest.fixture(scope="module")
def words(clip_folder, color_folder) -> tuple:
    """A job of a second: few-shot CoOp."""
    return ("adapt", "--model", clip_folder, "--task", color_folder, "--method", "coop", "--shots", 4)


@pytest.fixture
def config(tmp_path):
    """Writes a file: config("epochs: 3") -> its path."""

    def write(text: str):
        (tmp_path / "mine.yaml").write_text(text)
        return tmp_path / "mine.yaml"

    return write


def contents(folder) -> dict:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_leaves_a_file_that_makes_it_again_to_the_byte(run, words, config, tmp_path):
    given = config("epochs: 1\nbatch: 8\nlr: 1e-3\nset: {context: 2, init: a}\nseeds: [1, 2]\n")
    first, again = tmp_path / "first", tmp_path / "again"
    assert run(*words, "--config", given, "--lr", "5e-3", "--set", "context=1", "--output", first)[0] == 0
    text = (first / "run.yaml").read_text()
    for line in ("command: adapt", "lr: 0.005", "  init: a", "  context: '1'", "seeds: 1,2"):
        assert f"\n{line}\n" in text, text
    assert run("adapt", "--config", first, "--output", again)[0] == 0
    here = contents(again)
    assert here == contents(first)
    code, out, _ = run("adapt", "--config", again / "run.yaml", "--resume")
    assert code == 0 and "epoch" not in out and contents(again) == here


def test_an_unfinished_run_keeps_the_file_too(run, words, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    more = ("--epochs", 2, "--output", tmp_path / "out")
    monkeypatch.setattr("headroles.adapt.jobs.seed_run.measure", stop)
    code, _, errors = run(*words, *more)
    assert code == 130, errors
    assert "go on with: headroles adapt " in errors and not (tmp_path / "out" / "run.yaml").exists()
    monkeypatch.undo()
    code, out, errors = run("adapt", "--config", tmp_path / "out", "--resume")
    assert code == 0 and "epoch" not in out and (tmp_path / "out" / "run.yaml").is_file(), errors


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epoch: 3", "has epoch, which is no option of headroles adapt; did you mean epochs?"),
        ("epochs: 3.5", "has a wrong epochs: '3.5' is not a valid integer"),
        ("strict: maybe", "has a wrong strict: 'maybe' is not a valid boolean"),
        ("epochs: {a: 1}", "has a wrong epochs: expected a value, or a list of values"),
        ("epochs: 3\nepochs: 4", "has epochs twice; give it once"),
        ("train_norm: true\ntrain-norm: false", "has train-norm twice; give it once"),
        ("set: {lr: 1, lr: 2}", "has lr twice; give it once"),
        ("command: score", "is for headroles score, not for headroles adapt"),
        ("precision: no\nshots: few", "--shots must be a number from 1, or all, got 'few'"),
        ("- epochs", "holds no options; expected lines such as epochs: 20"),
        ("", "holds no options"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_wrong_file_is_one_line(run, config, tmp_path, text, expected):
    code, out, error = run("adapt", "--config", config(text), "--output", tmp_path / "out")
    assert code == 2 and not out and expected in error and error.count("\n") == 1, error
    assert not (tmp_path / "out").exists()


def test_a_file_of_ones_own_is_never_replaced(run, words, tmp_path):
    (tmp_path / "run.yaml").write_text("epochs: 1\n")
    code, _, error = run(*words, "--config", tmp_path / "run.yaml", "--output", tmp_path, "--overwrite")
    assert code == 2 and "run.yaml was not written by headroles and is not replaced; rename it" in error
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]


def test_a_name_that_has_moved_since_does_not_stand_in_the_way_of_a_typed_one(run, config):
    given = config("model: gone/elsewhere/model\nrole-map: gone/role_map.json\n")
    code, _, error = run("adapt", "--config", given, "--model", "shaps", "--role-map", given)
    assert code == 2 and "no model named shaps" in error and "gone" not in error
    assert "role map: no file gone" in run("adapt", "--config", given, "--model", "shapes")[2]
