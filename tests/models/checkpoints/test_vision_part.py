"""Towers inside larger models: transformers' own output, and no byte of the language model, whose shard is missing."""

import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    IdeficsConfig,
    IdeficsForVisionText2Text,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

from headroles import InputError, image_contributions, load
from headroles.models.checkpoints import hub
from headroles.models.checkpoints.larger import needed_files
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.joining import take_words
from headroles.models.load import open_model

LANGUAGE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
            "intermediate_size": 16, "vocab_size": 40}  # fmt: skip
SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64,
         "image_size": 32, "patch_size": 8}  # fmt: skip
SHARD = "model-00001-of-00002.safetensors"


def build(kind, make_clip, make_siglip):
    llama = LlamaConfig(**LANGUAGE)
    if kind in ("llava", "llava_next"):
        clip = make_clip()
        config, model = {
            "llava": (LlavaConfig, LlavaForConditionalGeneration),
            "llava_next": (LlavaNextConfig, LlavaNextForConditionalGeneration),
        }[kind]
        larger = model(config(vision_config=clip.config.vision_config, text_config=llama))
        larger.model.vision_tower.load_state_dict(clip.vision_model.state_dict())
    elif kind == "gemma3":
        siglip = make_siglip()
        vision = {**siglip.config.vision_config.to_dict(), "vision_use_head": False}
        config = Gemma3Config(vision_config=vision, text_config={**LANGUAGE, "head_dim": 8}, mm_tokens_per_image=4)
        larger = Gemma3ForConditionalGeneration(config)
        own = {name: tensor for name, tensor in siglip.vision_model.state_dict().items() if not name.startswith("head")}
        larger.model.vision_tower.load_state_dict(own)
    elif kind == "idefics":
        vision = {"embed_dim" if name == "hidden_size" else name: size for name, size in SIZES.items()}
        config = IdeficsConfig(
            **{**LANGUAGE, "num_key_value_heads": None}, additional_vocab_size=0, cross_layer_interval=1,
            use_resampler=False, vision_config=vision,
        )  # fmt: skip
        larger = IdeficsForVisionText2Text(config)
    else:
        config, model = {
            "idefics3": (Idefics3Config, Idefics3ForConditionalGeneration),
            "smolvlm": (SmolVLMConfig, SmolVLMForConditionalGeneration),
        }[kind]
        larger = model(config(vision_config=SIZES, text_config=llama.to_dict()))
    return larger.eval()


def save_in_shards(model, folder):
    """As the hub has them: one shard of the language model, one of all else; the first is then taken away."""
    model.save_pretrained(folder)
    whole = folder / "model.safetensors"
    with safe_open(whole, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    files = {name: SHARD if _is_language(name) else SHARD.replace("00001", "00002", 1) for name in tensors}
    save_file({name: each for name, each in tensors.items() if files[name] != SHARD}, folder / files_end(files))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    whole.unlink()


def _is_language(name):
    return not any(part in name for part in ("vision", "projector", "connector", "perceiver"))


def files_end(files):
    """The shard of all but the language model."""
    return next(file for file in files.values() if file != SHARD)


@pytest.fixture(scope="module")
def folders(make_clip, make_siglip, tmp_path_factory):
    """Kind -> (folder without the language model's shard, the model)."""
    root, found = tmp_path_factory.mktemp("larger"), {}
    for kind in ("llava", "llava_next", "gemma3", "idefics", "idefics3", "smolvlm"):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build(kind, make_clip, make_siglip)
        save_in_shards(model, root / kind)
        found[kind] = (root / kind, model)
    return found


@pytest.mark.parametrize("kind", ["llava", "llava_next", "gemma3", "idefics", "idefics3", "smolvlm"])
@torch.inference_mode()
def test_the_tower_is_transformers_own_though_the_language_models_shard_is_missing(folders, kind):
    folder, larger = folders[kind]
    assert not (folder / SHARD).exists() and needed_files(folder / "model.safetensors.index.json") == {
        files_end({"": SHARD.replace("00001", "00002", 1)})
    }
    model = load(str(folder), "cpu")
    pixels = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    inner = larger.model
    output = (inner.vision_tower if hasattr(inner, "vision_tower") else inner.vision_model)(pixel_values=pixels)
    own = output.pooler_output if model.visual.at_row else output.last_hidden_state.mean(1)
    torch.testing.assert_close(model(pixels), own, rtol=0, atol=1e-6)
    error = (image_contributions(model, pixels).total() - own).norm() / own.norm()
    assert error <= 1e-5 and model.text is None
    assert kind == "idefics" or len(model.projector) == sum("projector" in n or "connector" in n for n in names(folder))


def names(folder):
    return json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]


def test_what_the_language_model_does_not_see_is_said(folders):
    llava, gemma = (open_model(str(folders[kind][0]), "cpu")[1].note for kind in ("llava", "gemma3"))
    assert "reads layer 1 (0-based), so later heads do not reach it" in llava and "layer" not in gemma


def test_tiles_become_one_picture_with_the_folders_own_numbers(folders, tmp_path):
    folder = shutil.copytree(folders["idefics3"][0], tmp_path / "tiles")
    settings = {"image_processor_type": "Idefics3ImageProcessor", "image_mean": [0.2] * 3, "do_image_splitting": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    model, origin = open_model(str(folder), "cpu")
    assert model.image_shape == (32, 32) and "at one size, with the numbers of" in origin.preprocessing
    assert model.processor.processor.image_mean == (0.2, 0.2, 0.2)


def test_a_missing_or_damaged_shard_of_the_tower_is_named(folders, tmp_path):
    folder = shutil.copytree(folders["llava"][0], tmp_path / "less")
    shard = folder / files_end(names(folder))
    shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(InputError, match=rf"{shard.name} is damaged"):
        load(str(folder), "cpu")
    shard.unlink()
    with pytest.raises(InputError, match=rf"lacks {shard.name}, which model.safetensors.index.json says holds"):
        load(str(folder), "cpu")


def test_the_hub_is_asked_for_the_towers_shards_alone(folders, monkeypatch):
    folder, asked = folders["gemma3"][0], []
    monkeypatch.setattr(hub, "_download_files", lambda hub_id, names: asked.extend(names) or folder)
    files = [*(path.name for path in folder.iterdir()), SHARD]
    siblings = [type("File", (), {"rfilename": name}) for name in files]
    monkeypatch.setattr(hub, "HfApi", lambda: type("Api", (), {
        "model_info": lambda self, *_, **__: type("Info", (), {"siblings": siblings})
    })())  # fmt: skip
    hub._download("owner/gemma")
    assert SHARD not in asked and files_end(names(folder)) in asked


@torch.inference_mode()
def test_with_the_texts_of_the_clip_it_comes_from_it_is_that_clip(folders, make_clip, make_siglip, tokenizer):
    pixels, texts = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1)), ["a red circle", "night"]
    for kind, origin in (("llava", make_clip()), ("gemma3", make_siglip())):
        whole = HookedCLIP(origin, "origin", tokenizer)
        joined = take_words(load(str(folders[kind][0]), "cpu"), whole)
        assert torch.equal(joined(pixels), whole(pixels)) and joined.words.difference == 0
        assert torch.equal(joined.embed_texts(texts), whole.embed_texts(texts))
        error = (image_contributions(joined, pixels).total() - whole(pixels)).norm() / whole(pixels).norm()
        assert error <= 1e-5 and joined.model_name == f"{folders[kind][0]} + origin"


def test_a_tower_and_its_clip_are_one_name(folders, clip_folder):
    joined = load(str(folders["llava"][0]), "cpu", texts_from=str(clip_folder))
    assert joined.words.model == str(clip_folder) and joined.text is not None
    assert load(joined.model_name, "cpu").weights_hash() == joined.weights_hash()


def test_another_clip_than_its_own_is_refused(folders, make_clip, make_siglip, tokenizer):
    llava, gemma = (load(str(folders[kind][0]), "cpu") for kind in ("llava", "gemma3"))
    clip, other = HookedCLIP(make_clip(), "clip", tokenizer), HookedCLIP(make_clip(seed=5), "other", tokenizer)
    siglip, wide = HookedCLIP(make_siglip(), "siglip", tokenizer), HookedCLIP(make_clip(width=48), "wide", tokenizer)
    for tower, words, reason in (
        (llava, siglip, "does not come from siglip"), (gemma, clip, "does not come from clip"),
        (llava, other, "further from those of other than no weights at all"), (llava, wide, "is 32 wide, wide 48"),
        (clip, other, "clip has texts of its own"), (llava, gemma, "is no CLIP with a text tower"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=f"texts-from: .*{reason}"):
            take_words(tower, words)


def test_both_towers_weights_have_names(folders, make_clip, tokenizer):
    joined = take_words(load(str(folders["llava"][0]), "cpu"), HookedCLIP(make_clip(), "origin", tokenizer))
    eyes, words = (set(joined.tower_weights(text)) for text in (False, True))
    assert "readout.weight" in eyes and "words.text_projection.weight" in words
    everything = {name for name, _ in joined.clip.named_parameters()}
    assert not eyes & words and everything - eyes - words == {"words.logit_scale"}
