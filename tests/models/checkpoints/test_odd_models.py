"""Odd but real model folders and files: read right, or refused in one line that names what is wrong and the remedy."""

import json
import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, CLIPVisionConfig, CLIPVisionModel

from headroles import InputError, load
from headroles.heads.contributions import image_contributions


@pytest.fixture
def folder(clip_folder, tmp_path):
    """A copy of a CLIP's folder, to be changed."""
    return shutil.copytree(clip_folder, tmp_path / "m")


def change(path, **settings) -> None:
    """Settings of a JSON file; a name with a dot lies in an object."""
    content = json.loads(path.read_text())
    for name, value in settings.items():
        place, _, key = name.rpartition("__")
        (content[place] if place else content)[key] = value
    path.write_text(json.dumps(content))


CONFIGS = {
    "heads that do not divide": (
        {"vision_config__num_attention_heads": 5},
        "(32) is not a multiple of the number of attention heads (5)",
    ),
    "a text for a number": ({"vision_config__hidden_size": "32"}, "hidden_size"),
    "a text for layers": ({"text_config__num_hidden_layers": "3"}, "num_hidden_layers"),
    "no heads": ({"vision_config__num_attention_heads": 0}, "num_attention_heads is 0, expected a whole number"),
    "an endless tower": ({"vision_config__num_hidden_layers": 2**40}, "num_hidden_layers is 1099511627776"),
    "an unknown activation": ({"text_config__hidden_act": "swoosh"}, "hidden_act is 'swoosh', expected an activation"),
    "gray images": ({"vision_config__num_channels": 1}, "num_channels is 1, expected 3"),
    "eps that is none": ({"vision_config__layer_norm_eps": float("nan")}, "layer_norm_eps is nan, expected a small"),
    "eps of millions": ({"text_config__layer_norm_eps": 2**70}, "layer_norm_eps is 1180591620717411303424, expected"),
    "an endless token": ({"text_config__eos_token_id": 2**70}, "eos_token_id is 1180591620717411303424, expected"),
    "a wide image": ({"vision_config__image_size": [32, 64]}, "image_size"),
    "a huge patch": ({"vision_config__patch_size": 64}, "patch_size is 64, expected no more than image_size, 32"),
    "no end of text": ({"text_config__eos_token_id": None}, "eos_token_id is None, expected a token's number"),
    "a quantised model": ({"quantization_config": {"quant_method": "awq"}}, "quantised weights are not read"),
    "a number for a type": ({"model_type": 3}, "model_type 3; expected a name"),
    "a list for a tower": ({"vision_config": []}, "config.json cannot be read"),
}


def test_whole_numbers_are_floats_too(folder, run):
    change(folder / "config.json", vision_config__attention_dropout=0, text_config__initializer_factor=1)
    code, _, errors = run("score", "--model", folder, "--dry-run", "--count", 4, "--output", folder.parent / "out")
    assert code == 0, errors
    change(folder / "config.json", vision_config__attention_dropout=False)
    code, _, errors = run("score", "--model", folder, "--dry-run", "--count", 4, "--output", folder.parent / "out")
    assert code == 2 and "attention_dropout" in errors


@pytest.mark.parametrize("case", CONFIGS)
def test_a_config_that_makes_no_model_names_its_setting(folder, run, case):
    settings, expected = CONFIGS[case]
    change(folder / "config.json", **settings)
    code, _, errors = run("score", "--model", folder, "--count", 4, "--output", folder.parent / "out")
    assert code == 2 and expected in errors and errors.count("\n") == 1 and "unexpected" not in errors, errors


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"])
def test_pointers_of_git_lfs_and_cut_files_are_named(folder, run, name):
    whole = (folder / name).read_bytes()
    for content, expected in (
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", f"{name} is a Git LFS pointer"),
        (whole[: len(whole) // 2], ""),
        (b"[" * 100_000, ""),
    ):
        (folder / name).write_bytes(content)
        code, _, errors = run("score", "--model", folder, "--count", 4, "--output", folder.parent / "out")
        assert code == 2 and expected in errors and errors.count("\n") == 1 and "unexpected" not in errors, errors
        assert str(folder) in errors


PREPROCESSING = {
    "nan": ({"image_mean": [float("nan")] * 3}, "sets image_mean to nan; expected a finite number"),
    "infinite": ({"rescale_factor": float("inf")}, "sets rescale_factor to inf; expected a finite number"),
    "no spread": ({"image_std": [0.0, 1.0, 1.0]}, "sets image_std to 0.0; expected a number above 0"),
    "a crop beyond memory": ({"crop_size": {"height": 2**53, "width": 32}}, "crop_size.height to 9007199254740992"),
    "pictures of several sizes": ({"do_center_crop": False}, "and one size for all"),
    "pictures of another size": (
        {"crop_size": {"height": 16, "width": 16}},
        "16 x 16 pixels, the vision tower takes 32",
    ),
    "means of two channels": ({"image_mean": [0.5, 0.5]}, "cannot prepare a picture"),
    "a step that is neither": ({"do_resize": "x"}, "sets do_resize to 'x'; expected true or false"),
    "no filter": ({"resample": []}, "sets resample to []; expected a number of Pillow's, 0 to 5"),
    "another kind": ({"image_processor_type": "NoSuchProcessor"}, "is no image preprocessing"),
}


@pytest.mark.parametrize("case", PREPROCESSING)
def test_preprocessing_that_makes_no_pictures_names_its_setting(folder, case):
    settings, expected = PREPROCESSING[case]
    change(folder / "preprocessor_config.json", **settings)
    with pytest.raises(InputError, match=r"preprocessor_config\.json") as error:
        load(str(folder), "cpu")
    assert expected in str(error.value)


SQUARE, CROP = {"height": 32, "width": 32}, {"crop_size": {"height": 32, "width": 32}}
PROCESSORS = {
    "clip": {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 40}, **CROP},
    "clip-old": {"feature_extractor_type": "CLIPFeatureExtractor", "size": 32, "crop_size": 32},
    "vit": {"image_processor_type": "ViTImageProcessor", "size": SQUARE, "resample": 2},
    "vit-fast": {"image_processor_type": "ViTImageProcessorFast", "size": SQUARE},
    "siglip": {"image_processor_type": "SiglipImageProcessor", "size": SQUARE, "image_mean": [0.4, 0.5, 0.6]},
    "bit": {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 36}, **CROP},
    "untyped": {"size": SQUARE, "crop_size": SQUARE, "do_center_crop": True},
}


@pytest.mark.parametrize("kind", PROCESSORS)
@pytest.mark.parametrize("family", ["clip", "siglip", "vit", "dinov2"])
def test_preprocessing_is_the_files_own_in_every_family(family, kind, tmp_path, make_clip, make_siglip, make_vision):
    make = {"clip": make_clip, "siglip": make_siglip}.get(family) or (lambda **sizes: make_vision(family, **sizes))
    make(layers=1).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSORS[kind]))
    picture = Image.effect_mandelbrot((50, 41), (-2, -1.5, 1, 1.5), 60).convert("RGB")
    own = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")(picture, return_tensors="pt").pixel_values[0]
    if own.shape != (3, 32, 32):  # Untyped files fall to the family's class, whose size can be of another kind.
        pytest.skip("makes pictures of another size")
    assert torch.equal(load(str(tmp_path), "cpu").processor(picture), own)


def test_preprocessing_is_the_familys_only_where_no_file_is(folder, run):
    (folder / "preprocessor_config.json").unlink()
    code, text, _ = run("doctor", folder, "--batch", "2")
    assert code == 0 and "CLIP's standard, since the folder has no preprocessor_config.json" in text


def test_weights_that_are_no_numbers_are_named(folder, run, tmp_path):
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("visual_projection.weight"))
    for value in (torch.nan, torch.inf):
        weights[name][0, 0] = value
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        code, _, errors = run("score", "--model", folder, "--count", 4, "--output", tmp_path / "out")
        assert code == 2 and f"tensor {name} has 1 value that is NaN or infinite" in errors
        assert errors.count("\n") == 1


@pytest.mark.parametrize("prefix", ["_orig_mod.", "model.", "clip.", "module._orig_mod.", "clip_model."])
@torch.inference_mode()
def test_wrappers_of_tensor_names_are_taken_off(folder, formats, tensors, tmp_path, prefix):
    pixels = torch.randn(2, 3, 32, 32)
    plain = load(str(folder), "cpu")(pixels)
    weights = load_file(folder / "model.safetensors")
    save_file(
        {prefix + name: tensor for name, tensor in weights.items()}, folder / "model.safetensors", {"format": "pt"}
    )
    assert torch.equal(load(str(folder), "cpu")(pixels), plain)
    formats.write_open_clip(tmp_path / "plain", tensors)
    formats.write_open_clip(tmp_path / "wrapped", {prefix + name: tensor for name, tensor in tensors.items()})
    one, other = (load(str(tmp_path / name), "cpu")(pixels) for name in ("plain", "wrapped"))
    assert torch.equal(one, other)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
@torch.inference_mode()
def test_training_checkpoints_are_read_whatever_their_key(formats, tensors, tmp_path, key):
    torch.save({key: {f"model.{name}": each for name, each in tensors.items()}, "epoch": 3}, tmp_path / "e3.pt")
    torch.save(tensors, tmp_path / "plain.pt")
    pixels = torch.randn(2, 3, 32, 32)
    one, other = (load(f"{tmp_path / name}:gelu", "cpu")(pixels) for name in ("plain.pt", "e3.pt"))
    assert torch.equal(one, other)


def test_a_clip_beside_other_tensors_names_the_prefix(tensors, tmp_path):
    torch.save(
        {**{f"encoder.{name}": each for name, each in tensors.items()}, "head.weight": torch.ones(2)},
        tmp_path / "own.pt",
    )
    with pytest.raises(InputError, match=r"under the prefix 'encoder\.', beside others such as head.weight; save the"):
        load(f"{tmp_path / 'own.pt'}:gelu", "cpu")
    torch.save({"vision_model.class_embedding": torch.ones(2)}, tmp_path / "own.pt")
    with pytest.raises(InputError, match=r"under transformers' names.*put it beside"):
        load(f"{tmp_path / 'own.pt'}:gelu", "cpu")


@torch.inference_mode()
def test_a_vision_model_without_projection_is_read(make_clip, tmp_path):
    whole = make_clip()
    vision = CLIPVisionModel(CLIPVisionConfig(**whole.config.vision_config.to_dict())).eval()
    vision.load_state_dict(whole.vision_model.state_dict())
    vision.save_pretrained(tmp_path)
    model, pixels = load(str(tmp_path), "cpu"), torch.randn(2, 3, 32, 32)
    assert torch.equal(model(pixels), vision(pixels).pooler_output)
    torch.testing.assert_close(image_contributions(model, pixels).total(), model(pixels), rtol=1e-4, atol=1e-4)


def test_a_data_sets_name_says_what_to_give_instead(run):
    for name in ("hf:", "hf:food101"):
        code, _, errors = run("doctor", name)
        assert code == 2 and f"{name} names a data set" in errors and errors.count("\n") == 1
