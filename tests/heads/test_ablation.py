"""--ablate: any command's model runs without the heads, results say so, and afterwards the model has them again."""

import json

import pytest
import torch

from headroles import InputError
from headroles.heads.ablate import ablating
from headroles.heads.ablation import (
    Ablation,
    ablating_loaded,
    check_whole_cuts,
    current_ablation,
    cut_heads,
    intact,
    record_ablation,
)
from headroles.models.load import load
from headroles.roles.role_map import RoleMap

QUICK = ("--probes", "shapes", "--null-draws", 20, "--bootstraps", 2, "--texts-per-head", 4)


@torch.no_grad()
def test_models_loaded_inside_lack_the_heads_and_get_them_back(clip_folder):
    pixels = torch.randn(2, 3, 32, 32)
    whole = load(str(clip_folder), "cpu")
    with ablating(whole, [(2, 0), (2, 1), (2, 2), (2, 3), (1, 1)], "zero"):
        expected = whole(pixels)
    with ablating_loaded(Ablation("L2.*,L1.H1", "zero")):
        cut = load(str(clip_folder), "cpu")
        assert torch.equal(cut(pixels), expected)
        assert record_ablation({"a": 1}) == {"a": 1, "ablation": current_ablation()}
        with intact():
            assert torch.equal(load(str(clip_folder), "cpu")(pixels), whole(pixels))
            assert current_ablation() is None
    assert torch.equal(cut(pixels), whole(pixels)) and not torch.equal(expected, whole(pixels))
    assert current_ablation() is None and record_ablation({"a": 1}) == {"a": 1}


@torch.no_grad()
def test_directions_are_cut_of_loaded_models_and_leave_their_head_a_voice(clip_folder):
    pixels, parts = torch.randn(2, 3, 32, 32), "L2.H1.D0-2,L1.H1"
    whole = load(str(clip_folder), "cpu")
    with ablating(whole, parts, "zero"):
        expected = whole(pixels)
    with ablating_loaded(Ablation(parts, "zero")):
        assert torch.equal(load(str(clip_folder), "cpu")(pixels), expected)
        assert cut_heads(3, 4) == ((1, 1),) and current_ablation()["heads"] == parts
        with pytest.raises(InputError, match="cut whole heads"):
            check_whole_cuts("weights are read")
    assert not torch.equal(expected, whole(pixels))


@torch.no_grad()
def test_everything_is_back_after_an_error(clip_folder):
    with pytest.raises(RuntimeError, match="stop"), ablating_loaded(Ablation("L0.H0", "zero")):
        cut = load(str(clip_folder), "cpu")
        raise RuntimeError("stop")
    assert not any(point.has_hooks() for point in cut.hook_dict.values())
    assert current_ablation() is None


@pytest.mark.parametrize("mode", ["mean", "resample"])
@torch.no_grad()
def test_means_come_from_scenes_or_a_folder(clip_folder, color_folder, mode):
    pixels = torch.randn(2, 3, 32, 32)
    found = []
    for images in ("shapes", str(color_folder), str(color_folder)):
        with ablating_loaded(Ablation("L1.H1", mode, images=images, count=20)):
            found.append(load(str(clip_folder), "cpu")(pixels))
    assert torch.equal(found[1], found[2]) and not torch.equal(found[0], found[1])
    with pytest.raises(InputError, match="ablate-images"), ablating_loaded(Ablation("L1.H1", mode)):
        load(str(clip_folder), "cpu")


def test_score_describes_the_cut_model_and_says_so(run, clip_folder, color_folder, tmp_path):
    score = ("score", "--model", clip_folder, "--images", color_folder, "--layers", "all", *QUICK)
    assert run(*score, "--output", tmp_path / "whole")[0] == 0
    code, _, errors = run(*score, "--output", tmp_path / "cut", "--ablate", "L1.H2")
    assert code == 0, errors
    whole, cut = (RoleMap.load(tmp_path / name / "role_map.json") for name in ("whole", "cut"))
    assert "ablation" not in whole.settings
    recorded = cut.settings["ablation"]
    assert (recorded["heads"], recorded["mode"], recorded["effect"]) == ("L1.H2", "mean", "total")
    assert cut["L2.H0"].variance != whole["L2.H0"].variance
    code, _, errors = run(*score, "--output", tmp_path / "zero", "--ablate", "L1.H2", "--ablate-mode", "zero")
    assert code == 0, errors
    assert RoleMap.load(tmp_path / "zero" / "role_map.json")["L1.H2"].variance == 0
    assert cut["L1.H2"].variance < 0.05 * whole["L1.H2"].variance


@pytest.mark.slow
def test_adapt_is_trained_tested_and_resumed_without_the_heads(run, clip_folder, color_folder, tmp_path):
    score = ("score", "--model", clip_folder, "--images", color_folder, *QUICK, "--output", tmp_path)
    assert run(*score)[0] == 0
    job = ("adapt", "--model", clip_folder, "--task", color_folder, "--role-map", tmp_path / "role_map.json",
           "--shots", 4, "--epochs", 2, "--batch", 8, "--retention", "none")  # fmt: skip
    cut = ("--ablate", "L2.*", "--ablate-images", color_folder)
    code, _, errors = run(*job, *cut, "--output", tmp_path / "cut")
    assert code == 0, errors
    assert json.loads((tmp_path / "cut" / "adapter_config.json").read_text())["ablation"]["heads"] == "L2.*"
    rows = json.loads((tmp_path / "cut" / "metrics.json").read_text())["rows"]
    code, text, errors = run("evaluate", tmp_path / "cut", "--json", *cut)
    assert code == 0 and json.loads(text)["rows"] == rows
    said = ("task ", "model ")  # Before work.
    assert all(line.startswith(said) for line in errors.splitlines()), errors
    code, text, errors = run("evaluate", tmp_path / "cut", "--json")
    assert code == 0 and json.loads(text)["rows"] and "--ablate L2.*" in errors
    code, _, errors = run(*job, "--output", tmp_path / "cut", "--resume")
    assert code == 2 and "ablation" in errors
    image = next((color_folder / "test").rglob("*.png"))
    whole, without = (run("predict", tmp_path / "cut", image, "--json", *more)[1] for more in ((), cut))
    assert json.loads(whole) != json.loads(without)
    direct = (*cut, "--ablate-effect", "direct")
    code, _, errors = run(*job, *direct, "--output", tmp_path / "direct")
    assert code == 0, errors
    code, _, errors = run(*job, *direct, "--cache-views", 1, "--output", tmp_path / "views")
    assert code == 2 and "--cache-views" in errors


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--ablate", "L9.H0"), "no such layer"),
        (("--ablate", "color"), "is no head"),
        (("--ablate", "L0.H0", "--ablate-mode", "cut"), "ablate-mode must be one of"),
        (("--ablate", "L0.H0", "--ablate-effect", "half"), "ablate-effect must be one of"),
        (("--ablate", "L0.H0", "--ablate-images", "nowhere"), "no folder"),
        (("--ablate-mode", "zero"), "needs --ablate HEADS"),
    ],
)
def test_what_does_not_fit_is_one_line(run, clip_folder, color_folder, tmp_path, options, word):
    code, _, errors = run(
        "score", "--model", clip_folder, "--images", color_folder, *options, "--output", tmp_path / "o"
    )
    assert code == 2 and word in errors and errors.count("\n") == 1
    assert not (tmp_path / "o").exists()
