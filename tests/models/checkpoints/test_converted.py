"""Every file format gives the embeddings of its own layout's forward, exact parts, and the same model."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPModel

from headroles import InputError, image_contributions, load, text_contributions

FORMATS = (
    "archive", "state dict", "training checkpoint", "open_clip safetensors", "open_clip bin", "open_clip custom text",
)  # fmt: skip
TEXTS = ["a red circle", "something striped in the top left", "night"]
BOUND = {torch.float32: 1e-5, torch.float64: 1e-12}
ORDER = [1, 0]
"""Another order of the two heads of a layer."""


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


def pixels(dtype=torch.float32) -> torch.Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("dtype", BOUND, ids=str)
@pytest.mark.parametrize("kind", FORMATS)
@torch.inference_mode()
def test_embeddings_are_those_of_the_layouts_own_forward(written, formats, tensors, kind, dtype):
    model, reference = load(str(written[kind]), "cpu", dtype), formats.reference(tensors)
    assert error(model(pixels(dtype)), reference.images(pixels())) <= BOUND[dtype]
    ids = model.tokenize(TEXTS)["input_ids"]
    assert error(model(input_ids=ids), reference.texts(ids)) <= BOUND[dtype]


@pytest.mark.parametrize("dtype", BOUND, ids=str)
@pytest.mark.parametrize("kind", FORMATS)
@torch.inference_mode()
def test_parts_sum_to_the_embedding(written, kind, dtype):
    model = load(str(written[kind]), "cpu", dtype)
    assert error(image_contributions(model, pixels()).total(), model(pixels(dtype))) <= BOUND[dtype]
    assert error(text_contributions(model, TEXTS).total(), model(**model.tokenize(TEXTS))) <= BOUND[dtype]


@torch.inference_mode()
def test_the_same_weights_are_the_same_model_in_every_format(written, tmp_path):
    models = {kind: load(str(path), "cpu") for kind, path in written.items()}
    models["archive"].clip.save_pretrained(tmp_path / "hf")
    for path in (tmp_path / "hf", tmp_path / "bin"):
        models[path.name] = model = load(str(path), "cpu") if path.name == "hf" else load(_as_bin(tmp_path), "cpu")
        model.tokenizer = models["archive"].tokenizer
    assert len({model.weights_hash() for model in models.values()}) == 1
    expected = models["archive"](pixels(), **models["archive"].tokenize(TEXTS))
    for kind, model in models.items():
        found = model(pixels(), **model.tokenize(TEXTS))
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True)), kind


def _as_bin(folder) -> str:
    """The transformers' folder with a pickle in place of safetensors."""
    clip = CLIPModel.from_pretrained(folder / "hf")
    clip.config.save_pretrained(folder / "bin")
    torch.save(clip.state_dict(), folder / "bin" / "pytorch_model.bin")
    return str(folder / "bin")


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@torch.inference_mode()
def test_the_activation_comes_from_the_checkpoint(formats, tensors, tmp_path, activation):
    archive = formats.write_archive(tmp_path / "tiny.pt", tensors, activation)
    config = formats.config(quick_gelu=activation == "quick_gelu")
    folder = formats.write_open_clip(tmp_path / "open_clip", tensors, config=config)
    reference = formats.reference(tensors, activation)
    for path in (archive, folder):
        assert error(load(str(path), "cpu")(pixels()), reference.images(pixels())) <= 1e-5
        assert load(str(path), "cpu", activation=activation).model_name == f"{path}:{activation}"
        wrong = "gelu" if activation == "quick_gelu" else "quick_gelu"
        for contradiction in ({"name": str(path), "activation": wrong}, {"name": f"{path}:{wrong}"}):
            with pytest.raises(InputError, match=f"says activation {activation}, activation says {wrong}"):
                load(**contradiction, device="cpu")


def test_a_contradicting_activation_is_refused_for_transformers_folders_too(clip_folder):
    assert load(f"{clip_folder}:quick_gelu", "cpu").tokenizer is not None
    with pytest.raises(InputError, match=r"config.json says activation quick_gelu, activation says gelu"):
        load(str(clip_folder), "cpu", activation="gelu")


@torch.inference_mode()
def test_sizes_that_only_a_config_knows_are_taken_from_it(formats, tensors, tmp_path):
    config = formats.config()
    config["model_cfg"]["vision_cfg"] |= {"head_width": 32, "norm_kwargs": {"eps": 1e-3}, "patch_dropout": 0.5}
    config["model_cfg"]["text_cfg"]["heads"] = 4
    config["model_cfg"]["text_cfg"]["norm_kwargs"] = {"eps": 1e-3}
    model = load(str(formats.write_open_clip(tmp_path / "m", tensors, config=config)), "cpu")
    assert (model.visual.heads, model.text.heads) == (4, 4)
    reference = formats.reference(tensors, heads=(4, 4), eps=1e-3)
    assert error(model(pixels()), reference.images(pixels())) <= 1e-5
    ids = torch.tensor([[5, 9, 510, 0], [1, 510, 7, 7]])
    assert error(model(input_ids=ids), reference.texts(ids)) <= 1e-5


@pytest.mark.parametrize("kind", FORMATS)
def test_heads_permuted_in_the_file_are_permuted_in_the_contributions(written, formats, tensors, tmp_path, kind):
    permuted = dict(tensors)
    for layer in range(2):
        block = f"visual.transformer.resblocks.{layer}.attn"
        for part in ("weight", "bias"):
            joint = permuted[f"{block}.in_proj_{part}"]
            heads = joint.unflatten(0, (3, 2, 64))[:, ORDER]
            permuted[f"{block}.in_proj_{part}"] = heads.flatten(0, 2).contiguous()
        output = permuted[f"{block}.out_proj.weight"].unflatten(1, (2, 64))[:, ORDER]
        permuted[f"{block}.out_proj.weight"] = output.flatten(1).contiguous()
    plain = load(str(written[kind]), "cpu", torch.float64)
    other = load(str(formats.write(kind, tmp_path / "m", permuted)), "cpu", torch.float64)
    before, after = (image_contributions(model, pixels()) for model in (plain, other))
    assert error(after.heads, before.heads[:, :, ORDER]) <= 1e-12 < error(after.heads, before.heads)
    assert error(after.total(), before.total()) <= 1e-12


def test_preprocessing_is_the_checkpoints_own(formats, tensors, tmp_path):
    picture = Image.effect_noise((50, 40), 90).convert("RGB")
    folder = formats.write_open_clip(tmp_path / "m", tensors, config=formats.config(resize_mode="squash"))
    found = load(str(folder), "cpu").processor(picture)
    scaled = torch.from_numpy(np.array(picture.resize((32, 32), Image.Resampling.BICUBIC))) / 255
    expected = (scaled - torch.tensor([0.5, 0.4, 0.3])) / torch.tensor([0.2, 0.3, 0.4])
    torch.testing.assert_close(found, expected.permute(2, 0, 1), rtol=0, atol=1e-5)
    processor = load(str(formats.write_archive(tmp_path / "tiny.pt", tensors)), "cpu").processor.processor
    assert tuple(processor.image_mean) == (0.48145466, 0.4578275, 0.40821073) and processor.crop_size["height"] == 32


def test_a_name_of_the_table_with_another_activation_than_the_files_is_refused(formats, tensors, tmp_path, monkeypatch):
    from headroles.models.checkpoints import checkpoint

    folder = formats.write_open_clip(tmp_path / "m", tensors, config=formats.config(quick_gelu=False))
    monkeypatch.setattr(checkpoint, "fetch_model", lambda hub_id, name: folder)
    assert load("ViT-B-16:laion2b_s34b_b88k", "cpu").model_name == "ViT-B-16:laion2b_s34b_b88k"
    with pytest.raises(InputError, match="says activation gelu, what ViT-B-16-quickgelu:dfn2b was trained with says"):
        load("ViT-B-16-quickgelu:dfn2b", "cpu")


def test_open_clip_config_beside_an_archive_must_agree_with_it(formats, tensors, tmp_path):
    archive = formats.write_archive(tmp_path / "tiny.pt", tensors, "gelu")
    (tmp_path / "open_clip_config.json").write_text(json.dumps(formats.config(quick_gelu=True)))
    with pytest.raises(
        InputError, match=r"was made with activation gelu, open_clip_config\.json beside it says quick_gelu"
    ):
        load(str(archive), "cpu")
