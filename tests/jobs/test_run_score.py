"""One process, several, shards, and a pass that was killed and resumed: always the same role map."""

import json
import time

import numpy as np
import pytest
import torch
from PIL import Image

from headroles import HeadMoments, RoleMap
from headroles.passes.state import PassState

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes")]

QUICK = ("--null-draws", "50", "--bootstraps", "5", "--texts-per-head", "6", "--device", "cpu", "--batch", "4")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """41 pictures, two of them broken, so that no number of processes divides them."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(41):
        path = folder / f"{number:02}.png"
        if number in (3, 22):
            path.write_bytes(b"no")
        else:
            Image.fromarray(rng.integers(0, 255, (40, 36, 3), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture(scope="module")
def job(clip_folder, photos):
    return ("score", "--model", clip_folder, "--images", photos, *QUICK)


@pytest.fixture
def single(run, job, tmp_path):
    """The results of one process."""
    code, _, errors = run(*job, "--output", tmp_path / "single")
    assert code == 0 and "left out 2 broken image files: 03.png, 22.png" in errors
    return tmp_path / "single"


def assert_equal_results(one, other) -> None:
    assert RoleMap.load(one / "role_map.json") == RoleMap.load(other / "role_map.json")
    a, b = (HeadMoments.load(folder / "moments.safetensors") for folder in (one, other))
    for name, sum_ in a.sums().items():
        torch.testing.assert_close(b.sums()[name], sum_, rtol=1e-12, atol=1e-12)


def test_processes_equal_one(start, single, job, tmp_path):
    _, finish = start(3, *job, "--output", tmp_path / "several")
    (code, text, errors), *others = finish()
    assert code == 0, errors
    assert text.count("next: headroles plot") == 1 and errors.count("left out 2") == 1
    assert all(other == (0, "", "") for other in others)
    assert_equal_results(single, tmp_path / "several")


@pytest.mark.slow
def test_merged_shards_equal_one_run(run, start, single, job, tmp_path):
    for shard in (1, 3, 4):
        code, text, _ = run(*job, "--output", tmp_path / "shards", "--shard", f"{shard}/4")
        assert code == 0 and f"wrote {tmp_path}/shards/shard-{shard}-of-4.safetensors" in text
    assert start(2, *job, "--output", tmp_path / "shards", "--shard", "2/4")[1]()[0][0] == 0
    code, text, errors = run("merge", tmp_path / "shards", "--output", tmp_path / "merged")
    assert code == 0 and "left out 2 broken image files: 03.png, 22.png" in errors
    assert_equal_results(single, tmp_path / "merged")
    assert not (tmp_path / "shards" / "unfinished").exists()


def test_shards_that_make_no_whole_are_refused(run, job, photos, tmp_path):
    out = tmp_path / "shards"
    for shard in ("1/3", "2/3"):
        assert run(*job, "--output", out, "--shard", shard)[0] == 0
    other = tmp_path / "other"
    assert run(*job, "--output", other, "--shard", "3/3", "--layers", "all")[0] == 0
    assert run(*job, "--output", tmp_path / "few", "--count", "20", "--shard", "3/3")[0] == 0
    alien = tmp_path / "alien"
    assert run("score", "--count", "20", *QUICK, "--output", alien, "--shard", "3/3")[0] == 0
    (tmp_path / "notes.safetensors").write_text("no shard")
    mistakes = {
        (out,): "1 of 3 shards are missing, 3",
        (out, out / "shard-1-of-3.safetensors"): "are both shard 1",
        (out, other): "differ in layers: all and deep",
        (out, tmp_path / "few"): "differ in the images",
        (out, alien): "differ in the model's weights",
        (out, tmp_path / "none"): "no file",
        (tmp_path,): "no shard in folder",
        (tmp_path / "notes.safetensors",): "cannot read",
    }
    for shards, expected in mistakes.items():
        code, _, errors = run("merge", *shards, "--output", tmp_path / "merged")
        assert code == 2 and expected in errors and errors.count("\n") == 1, errors
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_and_resumed_equals_never_killed(start, job, tmp_path, processes):
    own = (*job, "--save-every", "0")
    assert all(code == 0 for code, _, _ in start(processes, *own, "--output", tmp_path / "whole")[1]())
    out = tmp_path / "killed"
    group, finish = start(processes, *own, "--output", out)
    states = [PassState(out, process=number, processes=processes).path for number in range(processes)]
    while group[-1].poll() is None and not states[-1].exists():
        time.sleep(0.001)
    group[-1].kill()
    group[-1].wait()
    for process in group:
        process.kill()  # as a launcher does when one has died
    finish()
    assert not (out / "role_map.json").exists() and states[-1].exists()
    code, _, errors = start(1, *own, "--output", out)[1]()[0]
    assert code == 2 and "holds an unfinished pass; --resume it" in errors
    results = start(processes, *own, "--output", out, "--resume")[1]()
    assert [code for code, _, _ in results] == [0] * processes, results
    names = sorted(path.name for path in out.iterdir())
    assert names == ["moments.safetensors", "role_map.csv", "role_map.json", "run.yaml"]
    for path in out.iterdir():
        assert path.read_bytes() == (tmp_path / "whole" / path.name).read_bytes(), path.name


def test_a_mistake_of_one_process_ends_all_with_one_line(start, job, tmp_path):
    for wrong, expected in (
        (("--strict",), "cannot be read"),
        (("--colour", "red"), "No such option"),
    ):
        results = start(2, *job, "--output", tmp_path / "o", *wrong)[1]()
        assert [code for code, _, _ in results] == [2, 2], results
        lines = "".join(error for _, _, error in results).splitlines()
        mistakes = [line for line in lines if not line.startswith("images: ")]  # What is said before work.
        assert len(mistakes) == 1 and expected in mistakes[0], lines
        assert len(lines) - len(mistakes) <= 1, lines
    assert not (tmp_path / "o").exists()


def test_a_resumed_pass_must_be_the_same(run, job, tmp_path):
    out = tmp_path / "o"
    state = PassState(out, process=0, processes=1)
    shapes = {"count": (32,), "first": (32, 1, 4, 8), "second": (32, 1, 4, 8, 8)}
    sums = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}
    from headroles.passes.state import Seen

    state.save(sums, Seen(), {"images": "others"})
    code, _, errors = run(*job, "--output", out, "--resume")
    mistakes = [line for line in errors.splitlines() if not line.startswith("images: ")]  # What is said before work.
    assert code == 2 and "was begun with other batch (None, now 4)" in errors and len(mistakes) == 1
    kept = state.path.read_bytes()
    for torn in (b"cut", kept[:-9] + bytes([kept[-9] ^ 1]) + kept[-8:], kept.replace(b"others", b"Others")):
        state.path.write_bytes(torn)
        assert "is damaged" in run(*job, "--output", out, "--resume")[2]
    state.path.rename(state.path.with_name("pass-1-of-2.safetensors"))
    assert "was begun with 2 processes, now 1" in run(*job, "--output", out, "--resume")[2]
    assert "exclude each other" in run(*job, "--output", out, "--resume", "--overwrite")[2]
    assert run(*job, "--output", out, "--overwrite")[0] == 0
    assert not (out / "unfinished").exists()


def test_half_precision_picks_nearly_the_same_texts(run, job, single, tmp_path):
    assert run(*job, "--precision", "bf16", "--output", tmp_path / "half")[0] == 0
    full, half = (RoleMap.load(folder / "role_map.json") for folder in (single, tmp_path / "half"))
    assert half.settings["precision"] == "bf16"
    same = [a.texts[0].text == b.texts[0].text for a, b in zip(full, half, strict=True)]
    assert np.mean(same) >= 0.75
    variances = [[head.variance for head in each] for each in (full, half)]
    np.testing.assert_allclose(*variances, rtol=0.1)
    code, _, errors = run(*job, "--precision", "fp16", "--output", tmp_path / "o")
    assert code == 2 and "fp16 needs a GPU" in errors


def test_what_acts_is_recorded(run, job, tmp_path):
    code, _, errors = run(*job, "--texts-per-head", "50", "--output", tmp_path / "o")
    assert code == 0 and "texts per head: 8, as many as a head is wide (50 asked for)" in errors
    assert json.loads((tmp_path / "o" / "role_map.json").read_text())["settings"]["texts_per_head"] == 8


def test_a_run_that_was_killed_while_its_files_took_their_places_goes_on(run, job, tmp_path, monkeypatch):
    out = tmp_path / "o"
    with monkeypatch.context() as patch:
        patch.setattr(PassState, "remove", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run(*job, "--output", out, "--save-every", "0")[0] == 130
    whole = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    (out / "role_map.json").unlink()  # The last one to take its place.
    code, _, errors = run(*job, "--output", out, "--save-every", "0", "--resume")
    assert code == 0, errors
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole
