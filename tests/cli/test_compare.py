"""headroles compare: a kill costs nothing but time, two processes share a grid, mistakes are one line."""

import time

import pytest

from headroles.adapt import compare

GRID = ("--methods", "tip-adapter,coop", "--seeds", "1-2", "--protocol", "few-shot", "--shots", "2")
QUICK = ("--set", "epochs=3", "--set", "batch=8", "--retention", "none")


def test_two_processes_of_which_one_is_killed_give_the_bytes_of_one(start, clip_folder, color_folder, tmp_path):
    job = ("compare", "--model", clip_folder, "--tasks", color_folder, *GRID, *QUICK, "--device", "cpu")
    out, whole = tmp_path / "killed", tmp_path / "whole"
    (first,), _ = start(1, *job, "--output", out)
    _, finish = start(1, *job, "--output", out)
    while first.poll() is None and not list(out.glob("cells/coop/*/*/unfinished/checkpoint.safetensors")):
        time.sleep(0.002)
    first.kill()
    ((code, text, errors),) = finish()
    assert code == 0 and "few-shot: minus zero-shot, 1 task x 2 seeds" in text, errors
    options = {"protocol": "few-shot", "shots": 2, "epochs": 3, "batch": 8, "retention": (), "device": "cpu"}
    compare(str(clip_folder), str(color_folder), ("tip-adapter", "coop"), seeds=(1, 2), output=whole, **options)
    assert "methods: tip-adapter,coop\n" in (out / "run.yaml").read_text()
    assert (out / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()


TINY = ("--tasks", "shapes:tiny", "--output", "out")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--methods", "lora", *TINY), "method must be one of dear, zero-shot, coop"),
        (("--methods", "coop,coop", *TINY), "coop is there twice; name them apart, as OTHER=coop"),
        (("--methods", "none", *TINY), "methods: the grid is empty"),
        (("--methods", "coop", "--tasks", "none", "--output", "out"), "tasks: the grid is empty"),
        (("--methods", "coop", "--tasks", "shapes:tiny"), "--output is missing"),
        (("--methods", "coop+roles", *TINY), "coop has no use for a role map"),
        (("--methods", "linear-probe", *TINY), "linear-probe is refused: method: linear-probe knows the classes"),
        (("--methods", "maple", "--set", "maple:depth=40", *TINY), "maple is refused: depth"),
        (("--methods", "coop", "--set", "context=3", *TINY), "context is no setting of the training"),
        (("--methods", "coop", "--set", "copo:context=3", *TINY), "copo is not compared; did you mean coop?"),
        (("--methods", "coop", "--shard", "3/2", *TINY), "shard must be i/n with i from 1 to n"),
        (("--methods", "coop", "--reference", "dear", *TINY), "reference must be one of coop, zero-shot, got 'dear'"),
        (("--methods", "coop", "--format", "word", *TINY), "format must be one of text, markdown"),
        (("nowhere",), "nowhere holds no comparison"),
        (("nowhere", "--methods", "coop"), "--methods: a FOLDER is only put together and printed"),
    ],
)
def test_a_wrong_grid_is_one_line(run, tmp_path, monkeypatch, options, expected):
    monkeypatch.chdir(tmp_path)
    code, out, error = run("compare", *options)
    assert (code, out) == (2, "") and expected in error and error.count("\n") == 1, error
    assert not list(tmp_path.iterdir())


def test_a_comparison_is_asked_for_by_a_file(run, tmp_path):
    (tmp_path / "grid.yaml").write_text(f"methods: [coop, deer]\ntasks: shapes:tiny\noutput: {tmp_path / 'out'}\n")
    code, _, error = run("compare", "--config", tmp_path / "grid.yaml")
    assert code == 2 and "method must be one of dear" in error and error.count("\n") == 1
    (tmp_path / "grid.yaml").write_text(f"methods: [coop]\ntasks: none\noutput: {tmp_path / 'out'}\n")
    assert "tasks: the grid is empty" in run("compare", "--config", tmp_path / "grid.yaml")[2]
