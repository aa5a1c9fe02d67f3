"""Names, folders and files: what they stand for, and what is said where nothing fits."""

import json
from pathlib import Path

import pytest
import torch

from headroles import InputError
from headroles.models.checkpoints.checkpoint import find_checkpoint
from headroles.models.known_models import KNOWN, find_known, join_activation, split_activation


def test_names_of_models():
    assert find_known("ViT-B-16:laion2b_s34b_b88k").hub_id == "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"
    # The suffix may be left out; the activation is checked against the checkpoint all the same.
    assert find_known("ViT-B-16:dfn2b") is find_known("ViT-B-16-quickgelu:dfn2b")
    assert find_known("ViT-B-16-quickgelu:openai").activation == "quick_gelu"
    assert find_known("photos/ViT-B-16") is None and find_known("nobody:nothing") is None
    assert len({model.name for model in KNOWN}) == len(KNOWN)
    with pytest.raises(InputError, match="no weights 'laion9b' of ViT-B-16; known: datacomp_l_s1b_b8k, "):
        find_known("ViT-B-16:laion9b")
    with pytest.raises(InputError, match="was trained with GELU; give it without -quickgelu"):
        find_known("ViT-B-16-quickgelu:laion2b_s34b_b88k")


def test_an_activation_is_part_of_the_name():
    assert split_activation("a.pt:gelu") == ("a.pt", "gelu") == split_activation("a.pt", "gelu")
    assert split_activation("ViT-B-16:openai:quick_gelu") == ("ViT-B-16:openai", "quick_gelu")
    assert join_activation("a.pt", None) == "a.pt" and join_activation("a.pt:gelu", None) == "a.pt:gelu"
    with pytest.raises(InputError, match="quick_gelu contradicts the end of"):
        join_activation("a.pt:gelu", "quick_gelu")


def test_layouts_are_told_by_their_files(formats, tensors, clip_folder, tmp_path):
    assert find_checkpoint(str(clip_folder)).layout == "transformers"
    assert find_checkpoint(str(Path(clip_folder) / "model.safetensors")).folder == Path(clip_folder)
    folder = formats.write_open_clip(tmp_path / "m", tensors)
    # timm's repositories keep a config.json of their own beside OpenCLIP's.
    (folder / "config.json").write_text(json.dumps({"architecture": "vit_base_patch16_clip_224"}))
    assert find_checkpoint(str(folder)).layout == "OpenCLIP"
    assert find_checkpoint(str(folder / "open_clip_model.safetensors")).layout == "OpenCLIP"
    torch.save(tensors, tmp_path / "tiny.pth")
    assert find_checkpoint(str(tmp_path / "tiny.pth")).layout == "OpenAI"


def test_nothing_that_fits_is_one_line(run, formats, tensors, tmp_path):
    for name in ("empty", "pt", "weightless", "hf", "untyped"):
        (tmp_path / name).mkdir()
    torch.save(tensors, tmp_path / "pt" / "tiny.pt")
    (tmp_path / "weightless" / "open_clip_config.json").write_text("{}")
    (tmp_path / "hf" / "config.json").write_text('{"model_type": "clip"}')
    (tmp_path / "untyped" / "config.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("x")
    mistakes = {
        tmp_path / "empty": "has no config.json and no open_clip_config.json",
        tmp_path / "pt": f"give the file itself: {tmp_path / 'pt' / 'tiny.pt'}",
        tmp_path / "weightless": "has no weights; expected open_clip_model.safetensors",
        tmp_path / "hf": "has no weights; expected model.safetensors",
        tmp_path / "untyped": "names no model_type",
        tmp_path / "notes.txt": "is no weights file",
        tmp_path / "none.pt": "no model named",
        "nowhere/tiny.pt": "no model named",
        "ViT-B-16:nothing": "no weights 'nothing' of ViT-B-16",
        "toaster": "no model named toaster",
    }
    for name, expected in mistakes.items():
        code, _, errors = run("doctor", name)
        assert code == 2 and expected in errors and errors.count("\n") == 1, errors


def test_transformers_folders_are_checked_tensor_by_tensor(run, clip_folder, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(clip_folder, tmp_path / "m")
    weights = tmp_path / "m" / "model.safetensors"
    whole = load_file(weights)
    damages = {
        "missing keys, such as visual_projection.weight": {"visual_projection.weight": None},
        "unknown keys, such as vision_model.extra": {"vision_model.extra": torch.ones(2)},
        "logit_scale ((2,), expected ())": {"logit_scale": torch.ones(2)},
    }
    for expected, change in damages.items():
        changed = {name: tensor for name, tensor in {**whole, **change}.items() if tensor is not None}
        save_file(changed, weights, metadata={"format": "pt"})
        code, _, errors = run("doctor", tmp_path / "m")
        assert code == 2 and expected in errors and errors.count("\n") == 1, errors
