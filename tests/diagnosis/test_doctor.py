"""The doctor reports what the model is, finds a decomposition that is wrong, and says what works."""

import dataclasses
import json

import pytest
import torch

from headroles import InputError, load
from headroles.diagnosis import doctor
from headroles.diagnosis.diagnosis import Diagnosis
from headroles.heads.contributions import image_contributions
from headroles.images.sources.find import find_source
from headroles.models.hooked_clip import HookedCLIP


def test_all_facts_of_a_healthy_model(run, clip_folder, color_folder):
    code, text, errors = run("doctor", clip_folder, "--images", color_folder / "train", "--batch", "2", "--json")
    assert code == 0 and errors == ""
    found = json.loads(text)
    assert found["weights_hash"] == load(str(clip_folder), "cpu").weights_hash()
    assert (found["family"], found["origin"]["layout"], found["dtype"]) == ("clip", "transformers", "float32")
    assert (found["image_size"], found["patch_size"], found["context"]) == (32, 8, 32)
    assert found["vision"] == {
        "layers": 3, "heads": 4, "head_width": 8, "width": 32, "embed": 24, "activation": "quick_gelu", "eps": 1e-5,
    }  # fmt: skip
    checks = {(row["tower"], row["inputs"], row["dtype"]) for row in found["exactness"]}
    images, texts = ("images of train", "random pixels"), ("random tokens", "probe texts")
    assert checks == {
        (tower, inputs, dtype)
        for tower, given in (("image", images), ("text", texts))
        for inputs in given
        for dtype in ("float32", "float64")
    }
    assert all(row["passed"] and row["error"] <= row["bound"] for row in found["exactness"]) and found["passed"]
    assert found["cost"]["batch"] == 2 and found["cost"]["plain"] > 0 < found["cost"]["scoring_bytes"]
    assert all(row["ready"] for row in found["commands"])


def test_a_failing_decomposition_is_named_and_exits_with_1(run, clip_folder, monkeypatch):
    def forgetful(model, pixels):
        parts = image_contributions(model, pixels)
        return dataclasses.replace(parts, heads=parts.heads.index_fill(2, torch.tensor([2]), 0))

    monkeypatch.setattr(doctor, "image_contributions", forgetful)
    code, text, errors = run("doctor", clip_folder, "--batch", "2")
    assert code == 1 and "FAILED  random pixels" in text
    assert "failed: image tower, random pixels, float32: error" in errors and "text tower" not in errors
    assert "no: the parts of its embeddings do not sum to the embeddings" in text


def test_weights_that_are_no_numbers_fail(run, make_clip, tmp_path):
    clip = make_clip()
    with torch.no_grad():
        clip.visual_projection.weight[0, 0] = torch.nan
    clip.save_pretrained(tmp_path)
    code, text, _ = run("doctor", tmp_path, "--batch", "2", "--json")
    assert code == 1 and json.loads(text)["exactness"][0]["error"] is None


def test_a_model_without_tokenizer_is_fine_and_says_what_does_not_work(run, make_clip, tmp_path):
    make_clip().save_pretrained(tmp_path)
    code, text, _ = run("doctor", tmp_path, "--batch", "2")
    assert code == 0 and "tokenizer      none found" in text and "random tokens" in text and "probe texts" not in text
    assert text.count("no: no tokenizer; put tokenizer.json") == 6 and "class vectors from images alone" in text


def test_a_diagnosis_is_saved_read_and_shown(clip_folder, tmp_path):
    found = doctor.doctor(clip_folder, batch=2)
    assert found.ok and found.to_frame()["error_float32"].between(0, 1e-5).all() and len(found.to_frame()) == 1
    found.save(tmp_path / "diagnosis.json")
    assert Diagnosis.load(tmp_path) == found
    assert found._repr_html_().count("<tr>") == 1 + len(found.exactness) + len(found.commands)
    broken = dataclasses.replace(found.exactness[0], error=float("nan"))
    failed = dataclasses.replace(found, exactness=(broken, *found.exactness[1:]))
    again = Diagnosis.from_dict(failed.to_dict())
    assert not failed.ok and not again.ok and again.to_json() == failed.to_json() and "NOT EXACT" in repr(again)
    with pytest.raises(InputError, match="is no diagnosis"):
        Diagnosis.from_dict({"schema_version": 1})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_loaded_model_is_examined_and_left_as_it_was(model, dtype):
    model.clip.to(dtype)
    before = model.weights_hash()
    found = doctor.doctor(model, batch=2)
    assert found.ok and found.origin.container == "in memory" and found.dtype == str(dtype).removeprefix("torch.")
    assert model.weights_hash() == before and model.dtype == dtype
    wide = {"float64"} if dtype == torch.float64 else {"float32", "float64"}
    assert {check.dtype for check in found.exactness} == wide
    assert {check.inputs for check in found.exactness if check.tower == "image"} == {"random pixels"}


def test_the_model_ends_as_it_came(model):
    model.processor = lambda image: torch.zeros(3, 32, 32)
    before, tokenizer = model.weights_hash(), model.tokenizer
    list(doctor._check_exactness(model, find_source("shapes", count=2)))
    assert model.weights_hash() == before and model.dtype == torch.float32 and model.tokenizer is tokenizer


def test_a_model_without_text_tower_is_examined_on_its_images(make_clip, monkeypatch):
    """The towers' interface alone is used, so that a vision model goes through with what it has."""
    clip = make_clip()
    model = HookedCLIP(clip, "vision", None, lambda image: torch.zeros(3, 32, 32))
    model.text = None
    found = list(doctor._check_exactness(model, find_source("shapes", count=2)))
    assert {check.tower for check in found} == {"image"} and all(check.passed for check in found)
    assert doctor._configs(model)[1] is None
    rows = doctor._check_commands(model, True)
    assert {row.command for row in rows if row.ready} == {"score with image probes", "retrieve", "debias"}
    assert {row.why for row in rows if not row.ready} == {"the model has no text tower"}


@pytest.mark.parametrize(
    ("device", "expected"),
    [("tpu", "'tpu' cannot be used here (no such kind of device)"), ("meta", "this PyTorch cannot compute on it")],
)
def test_device_mistakes_are_short(run, device, expected):
    code, _, errors = run("doctor", "--device", device)
    assert code == 2 and expected in errors and len(errors) < 120


def test_images_that_cannot_be_read_are_said(run, clip_folder, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no")
    for images, expected in ((tmp_path, "no image of"), (tmp_path / "none", "none")):
        code, _, errors = run("doctor", clip_folder, "--images", images)
        assert code == 2 and expected in errors and errors.count("\n") == 1, errors
