"""The same images many times in a row say no more than once: intervals stay as wide, by blocks or by groups."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from headroles import RoleMap
from headroles.causal.validate import validate
from headroles.images.labelled import Concept, LabelledImages
from headroles.jobs.score import score

TIMES, IMAGES = 32, 72
CONCEPTS = tuple(
    Concept(name, values, tuple((f"a {value} item",) for value in values))
    for name, values in {"color": ("red", "blue"), "shape": ("round", "square"), "texture": ("dotted", "plain")}.items()
)
CUTS = {"contiguous": None, "groups": np.repeat(range(IMAGES), TIMES).tolist()}


class Copies:
    """Random images that follow their labels, each so many times in a row."""

    def __init__(self, codes, times):
        drawn = torch.Generator().manual_seed(0)
        means = torch.randn(3, 2, 3, 32, 32, generator=drawn)
        self.pixels = torch.randn(len(codes), 3, 32, 32, generator=drawn)
        for column, each in enumerate(codes.T):
            self.pixels += means[column, each] * (1, 0.7, 0.5)[column]
        self.times = times

    def __len__(self):
        return len(self.pixels) * self.times

    def __getitem__(self, number):
        return number, self.pixels[number // self.times]

    def name(self, number):
        return f"{number}"

    def fingerprint(self):
        return f"copies {self.times}"


@pytest.fixture(scope="module")
def labelled():
    codes = np.random.default_rng(0).integers(0, 2, (IMAGES, 3))
    return {
        times: LabelledImages("made", Copies(codes, times), CONCEPTS, codes.repeat(times, 0)) for times in (1, TIMES)
    }


def entropy_width(role_map):
    return np.mean([head.interval[1] - head.interval[0] for head in role_map])


def check_ratios(width, labelled, settings, blocks_by):
    """Of intervals' width on the copies to that on the originals; `width` gives a result and its mean width."""
    _, once = width(labelled[1], None)
    assert once > 0
    for name, groups in CUTS.items():
        found, many = width(labelled[TIMES], groups)
        assert 0.8 <= many / once <= 1.25, (name, many / once)
        assert settings(found)["blocks_by"] == (blocks_by if groups is None else "groups: given")


@pytest.mark.parametrize("by", ["texts", "images"])
def test_copies_leave_intervals_of_score_as_wide(model, labelled, by):
    def width(images, groups):
        options = {"null_draws": 20} if by == "texts" else {"by": "images"}
        opened = images.images if by == "texts" else images
        found = score(model, opened, groups=groups, layers="all", bootstraps=100, batch=256, **options)
        return found, entropy_width(found)

    check_ratios(width, labelled, lambda found: found.settings, "contiguous")


def test_copies_leave_intervals_of_validate_as_wide(model, labelled):
    role_map = score(
        model, labelled[1], by="images", layers="all", roles_by="quantile", low=0.4, high=0.6, bootstraps=2
    )

    def width(images, groups):
        how = {"draws": 20, "bootstraps": 200, "allow_overlap": True}
        found = validate(role_map, model, images, groups=groups, batch=256, **how)
        margins = [cost.margin for test in found.tests for cost in test.costs.values()]
        return found, np.mean([each.high - each.low for each in margins])

    check_ratios(width, labelled, lambda found: found.settings, "contiguous")


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Nine films of four frames, and a table of them."""
    folder, rng = tmp_path_factory.mktemp("films"), np.random.default_rng(0)
    rows = ["path,film"]
    for film in range(9):
        (folder / f"{film}").mkdir()
        for frame in range(4):
            pixels = rng.integers(0, 255, (36, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{film}/{frame}.png")
            rows.append(f"{film}/{frame}.png,film {film}")
    (folder / "films.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("groups", [(), ("--groups", "film")])
def test_shards_give_the_bytes_of_one_run_wherever_they_are_cut(run, clip_folder, films, tmp_path, groups):
    for batch in (4, 7):  # The batch moves where a shard ends.
        job = ("score", "--model", clip_folder, "--images", films / "films.csv", *groups, "--batch", batch,
               "--null-draws", 20, "--bootstraps", 5, "--texts-per-head", 6)  # fmt: skip
        for shard in ("1/3", "2/3", "3/3"):
            assert run(*job, "--shard", shard, "--output", tmp_path / f"shards-{batch}")[0] == 0
        assert run("merge", tmp_path / f"shards-{batch}", "--output", tmp_path / f"merged-{batch}")[0] == 0
    assert run(*job, "--output", tmp_path / "whole")[0] == 0
    maps = [(tmp_path / name / "role_map.json").read_bytes() for name in ("whole", "merged-4", "merged-7")]
    assert maps[0] == maps[1] == maps[2]
    settings = json.loads(maps[0])["settings"]
    assert (settings["blocks"], settings["blocks_by"]) == ((9, "groups: film") if groups else (32, "contiguous"))


def test_few_groups_are_warned_of_and_others_do_not_resume(run, clip_folder, films, tmp_path):
    job = ("score", "--model", clip_folder, "--images", films, "--null-draws", 20, "--bootstraps", 5)
    code, _, errors = run(*job, "--groups", "folder", "--output", tmp_path / "few")
    assert code == 0 and "groups: 9 by folder; under 10, intervals and stability are rough" in errors
    assert RoleMap.load(tmp_path / "few").settings["blocks_by"] == "groups: folder"
    code, _, errors = run(*job, "--groups", "film", "--output", tmp_path / "none")
    assert code == 2 and errors.count("\n") == 1 and "groups: a folder of image files has no column 'film'" in errors
    assert not (tmp_path / "none").exists()
    one = ("--shard", "1/2", "--output", tmp_path / "mixed")
    assert run(*job, *one)[0] == 0
    assert run(*job, "--groups", "folder", "--shard", "2/2", "--output", tmp_path / "mixed")[0] == 0
    code, _, errors = run("merge", tmp_path / "mixed", "--output", tmp_path / "merged")
    assert code == 2 and "differ in blocks_by: groups: folder and contiguous" in errors
