"""Commands that write: one at a time, the old result or the new one, and after Ctrl-C a word on how to go on."""

import errno
import shlex
from pathlib import Path

import pytest

from headroles.files.lock import locked

QUICK = ("--null-draws", 20, "--bootstraps", 2, "--texts-per-head", 4, "--batch", 16, "--device", "cpu")


@pytest.fixture(scope="module")
def score(clip_folder):
    return ("score", "--model", clip_folder, "--images", "shapes", "--probes", "shapes", "--count", 48, *QUICK)


@pytest.fixture(scope="module")
def scored(score, tmp_path_factory):
    """A role map's folder."""
    from headroles.jobs.score import score as make

    folder = tmp_path_factory.mktemp("map")
    quick = {"null_draws": 20, "bootstraps": 2, "texts_per_head": 4}
    make(str(score[2]), "shapes", "shapes", count=48, roles_by="quantile", **quick).save(folder / "role_map.json")
    return folder


@pytest.fixture(scope="module")
def shards(clip_folder, tmp_path_factory):
    """Both halves of a scoring, in one folder."""
    from headroles.jobs.run_score import run_job
    from headroles.jobs.score_job import ScoreJob

    folder = tmp_path_factory.mktemp("shards")
    settings = {"null_draws": 20, "bootstraps": 2, "texts_per_head": 4}
    for shard in ("1/2", "2/2"):
        run_job(ScoreJob(str(clip_folder), count=48, probes="shapes", settings=settings, batch=16, shard=shard), folder)
    return folder


@pytest.fixture
def commands(score, scored, shards, clip_folder, color_folder):
    """Command -> its arguments, what it makes, and the file that is written last."""
    own = ("--task", color_folder, "--role-map", scored / "role_map.json", "--shots", 4, "--epochs", 2, "--batch", 8)
    drawn = ("--images", "shapes", "--count", 48, "--draws", 20, "--bootstraps", 20, "--model", clip_folder)
    return {
        "score": (score, "role map", "role_map.csv"),
        "adapt": (("adapt", "--model", clip_folder, *own), "adapter", "metrics.csv"),
        "validate": (("validate", scored / "role_map.json", *drawn), "validation", "validation.csv"),
        "merge": (("merge", shards), "role map", "role_map.csv"),
    }


def contents(folder) -> dict:
    """Every file and folder below a folder."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


ALL = ["score", "adapt", "validate", "merge"]


@pytest.mark.parametrize("name", ALL)
def test_a_second_command_is_refused_at_once(run, commands, name, tmp_path):
    arguments, result, _ = commands[name]
    with locked(tmp_path / "out", result):
        code, _, errors = run(*arguments, "--output", tmp_path / "out")
    assert code == 2 and f"is writing the {result} in {tmp_path / 'out'}; wait for it" in errors
    assert errors.count("\n") == 1 and not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", ["validate", "merge"])
def test_the_lock_of_a_killed_command_is_no_hindrance(run, commands, name, tmp_path):
    arguments, result, _ = commands[name]
    lock = tmp_path / "out" / f".{result.replace(' ', '-')}.lock"
    lock.parent.mkdir()
    lock.write_text('{"pid": 1, "host": "gone", "command": "headroles"}')
    code, _, errors = run(*arguments, "--output", tmp_path / "out")
    assert code == 0 and not lock.exists(), errors


@pytest.mark.parametrize("name", ALL)
def test_a_failed_overwrite_leaves_the_old_result_whole_and_names_the_file(run, commands, name, tmp_path, monkeypatch):
    arguments, _, last = commands[name]
    out = tmp_path / "out"
    assert run(*arguments, "--output", out)[0] == 0
    before, write = contents(out), Path.write_bytes

    def fill(path, content):
        if path.name == f"{last}.partial":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fill)
    other = {"score": ("--seed", 5), "adapt": ("--seeds", 5), "validate": ("--seed", 5), "merge": ()}[name]
    code, _, errors = run(*arguments, *other, "--output", out, "--overwrite")
    assert code == 2 and errors.splitlines()[-1].endswith(f"{last}: No space left on device")
    left = {path: content for path, content in contents(out).items() if not path.startswith("unfinished")}
    assert left == before


def stop(*_, **__) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_says_how_to_go_on_and_that_works(run, commands, tmp_path, monkeypatch):
    arguments, *_ = commands["adapt"]
    whole, out = tmp_path / "whole", tmp_path / "own photos"
    assert run(*arguments, "--output", whole)[0] == 0
    with monkeypatch.context() as patch:
        patch.setattr("headroles.adapt.jobs.seed_run.measure", stop)
        code, _, errors = run(*arguments, "--output", out)
    assert code == 130 and f"stopped: what is done is kept in {out / 'unfinished'}; go on with: headroles" in errors
    name, *again = shlex.split(errors.rpartition("go on with: ")[2])
    assert name == "headroles" and again[-1] == "--resume" and str(out) in again
    assert run(*again)[0] == 0 and contents(out) == contents(whole)


@pytest.mark.parametrize(
    ("name", "place"),
    [("score", "headroles.jobs.run_score._fold"), ("adapt", "headroles.adapt.training.train._Training.run_epoch")],
)
def test_a_stop_before_anything_is_kept_leaves_nothing(run, commands, name, place, tmp_path, monkeypatch):
    monkeypatch.setattr(place, stop)
    code, _, errors = run(*commands[name][0], "--output", tmp_path / "new" / "out")
    assert code == 130 and "stopped: nothing was written" in errors
    assert not list(tmp_path.iterdir())


def test_what_is_to_be_typed_next_is_quoted(run, commands, tmp_path):
    code, text, errors = run(*commands["score"][0], "--output", tmp_path / "own photos")
    assert code == 0, errors
    assert f"next: headroles plot '{tmp_path / 'own photos' / 'role_map.json'}'" in text


def test_a_pass_with_other_settings_names_them_without_hashes(run, score, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("headroles.jobs.run_score.join_pass", stop)
        assert run(*score, "--save-every", 0, "--output", out)[0] == 130
    assert (out / "unfinished").is_dir()
    cases = {
        ("--count", "40"): "begun with other count (48, now 40)",
        ("--seed", "3"): "begun with other images (their names, order or number: --images, --count",
        ("--layers", "1"): "begun with other layers (",
    }
    for more, expected in cases.items():
        code, _, errors = run(*score, *more, "--output", out, "--resume")
        assert code == 2 and expected in errors, errors
        assert not any(len(word.strip("(),;")) >= 40 and word.isalnum() for word in errors.split())
    assert run(*score, "--output", out, "--resume")[0] == 0


def test_a_training_with_other_settings_names_them_without_hashes(run, commands, tmp_path, monkeypatch):
    arguments, *_ = commands["adapt"]
    with monkeypatch.context() as patch:
        patch.setattr("headroles.adapt.jobs.seed_run.measure", stop)
        assert run(*arguments, "--output", tmp_path / "out")[0] == 130
    cases = {("--shots", "3"): "begun with shots 4, got 3", ("--protocol", "base-to-novel"): "begun with classes ["}
    for more, expected in cases.items():
        code, _, errors = run(*arguments, *more, "--output", tmp_path / "out", "--resume")
        assert code == 2 and expected in errors, errors


def test_a_task_spelled_otherwise_is_the_same_when_resumed(run, commands, color_folder, tmp_path, monkeypatch):
    arguments, *_ = commands["adapt"]
    with monkeypatch.context() as patch:
        patch.setattr("headroles.adapt.jobs.seed_run.measure", stop)
        assert run(*arguments, "--output", tmp_path / "out")[0] == 130
    monkeypatch.chdir(color_folder.parent)
    spelled = [f"./{color_folder.name}/" if word == color_folder else word for word in arguments]
    for _ in range(2):
        code, _, errors = run(*spelled, "--output", tmp_path / "out", "--resume")
        assert code == 0, errors
