"""`load` and the command line on folders of every family: what is supported works, what is not says why in one line."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, SiglipTextModel, ViTForImageClassification

from headroles import InputError, RoleMap, load
from headroles.adapt.methods.dear import Dear
from headroles.models.known_models import KNOWN

FAMILIES = ("siglip", "siglip-vision", "clip-vision", "vit", "dinov2", "dinov2_with_registers")


@pytest.fixture(scope="module")
def folders(tmp_path_factory, make_siglip, make_clip, make_vision, tokenizer):
    """Family -> a folder as transformers writes it."""
    whole = make_clip()
    vision = CLIPVisionModelWithProjection(CLIPVisionConfig(**whole.config.vision_config.to_dict()))
    vision.load_state_dict(whole.state_dict(), strict=False)
    models = {"siglip": make_siglip(), "siglip-vision": make_siglip().vision_model, "clip-vision": vision}
    models |= {name: make_vision(name) for name in FAMILIES[3:]}
    root = tmp_path_factory.mktemp("families")
    for name, model in models.items():
        model.save_pretrained(root / name)
    tokenizer.save_pretrained(root / "siglip")
    return {name: (root / name, model) for name, model in models.items()}


def copy_changed(folder, target, tensors=None, **config):
    """A copy of a model's folder with other tensors or other settings."""
    shutil.copytree(folder, target)
    if tensors is not None:
        save_file(tensors(load_file(target / "model.safetensors")), target / "model.safetensors", {"format": "pt"})
    settings = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**settings, **config}))
    return target


@pytest.mark.parametrize("name", FAMILIES)
@torch.inference_mode()
def test_a_folder_gives_back_the_model(folders, name):
    folder, model = folders[name]
    loaded, pixels = load(str(folder), "cpu"), torch.randn(2, 3, 32, 32)
    output = model(pixels) if name != "siglip" else model.vision_model(pixels)
    expected = output.image_embeds if name == "clip-vision" else output.pooler_output
    expected = output.last_hidden_state[:, 0] if name == "vit" else expected
    assert torch.equal(loaded(pixels), expected)
    assert (loaded.text is None) == (name != "siglip") == (loaded.tokenizer is None)


@torch.inference_mode()
def test_a_classifier_is_read_as_its_trunk(make_vision, tmp_path):
    trunk = make_vision("vit")
    classifier = ViTForImageClassification(trunk.config)
    classifier.vit.load_state_dict(trunk.state_dict())
    classifier.save_pretrained(tmp_path)
    pixels = torch.randn(2, 3, 32, 32)
    assert torch.equal(load(str(tmp_path), "cpu")(pixels), trunk(pixels).last_hidden_state[:, 0])


OLD = {
    "vit": {".attention.q_proj.": ".attention.attention.query.", ".attention.k_proj.": ".attention.attention.key.",
            ".attention.v_proj.": ".attention.attention.value.", ".attention.o_proj.": ".attention.output.dense.",
            ".mlp.fc1.": ".intermediate.dense.", ".mlp.fc2.": ".output.dense."},
    "dinov2": {".attention.q_proj.": ".attention.attention.query.", ".attention.k_proj.": ".attention.attention.key.",
               ".attention.v_proj.": ".attention.attention.value.", ".attention.o_proj.": ".attention.output.dense."},
}  # fmt: skip
"""Names of today -> names in the checkpoints on the hub."""


@pytest.mark.parametrize("name", OLD)
@torch.inference_mode()
def test_the_names_of_the_hubs_checkpoints_are_read(folders, name, tmp_path):
    folder, model = folders[name]

    def rename(_):
        tensors = {}
        for key, value in model.state_dict().items():
            key = "encoder.layer." + key.removeprefix("layers.") if key.startswith("layers.") else key
            for new, old in OLD[name].items():
                key = key.replace(new, old)
            tensors[key] = value.clone()
        return tensors

    old = load(str(copy_changed(folder, tmp_path / "old", rename)), "cpu")
    pixels = torch.randn(2, 3, 32, 32)
    assert torch.equal(old(pixels), model(pixels).last_hidden_state[:, 0])


def test_the_preprocessing_is_the_familys(folders, tmp_path):
    from PIL import Image

    picture = Image.new("RGB", (64, 32), (255, 0, 0))
    for name, level in {"siglip": 1.0, "vit": 1.0, "dinov2": (1 - 0.485) / 0.229}.items():
        pixels = load(str(folders[name][0]), "cpu").processor(picture)
        assert pixels.shape == (3, 32, 32)
        assert pixels[0, 0, 0].item() == pytest.approx(level, abs=1e-5)


def test_what_cannot_be_read_says_why(folders, make_siglip, tmp_path):
    siglip = folders["siglip"][0]
    qwen = copy_changed(siglip, tmp_path / "qwen", model_type="qwen2_vl")
    with pytest.raises(InputError, match="'qwen2_vl': its vision tower keeps queries, keys and values in one matrix"):
        load(str(qwen), "cpu")
    text = make_siglip().text_model
    assert isinstance(text, SiglipTextModel)
    text.save_pretrained(tmp_path / "text")
    with pytest.raises(InputError, match=r"'siglip_text_model': it has a text tower alone"):
        load(str(tmp_path / "text"), "cpu")
    headless = copy_changed(folders["siglip-vision"][0], tmp_path / "headless", vision_use_head=False)
    with pytest.raises(InputError, match="unknown keys, such as head"):
        load(str(headless), "cpu")


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("siglip", "vision_model.head.probe"),
        ("siglip", "text_model.head.bias"),
        ("clip-vision", "visual_projection.weight"),
        ("dinov2", "encoder.layer.1.layer_scale1.lambda1"),
        ("dinov2_with_registers", "embeddings.register_tokens"),
        ("vit", "layernorm.weight"),
    ],
)
def test_a_missing_tensor_is_named(folders, name, tensor, tmp_path, run):
    folder = copy_changed(
        folders[name][0], tmp_path / "less", lambda old: {k: v for k, v in old.items() if k != tensor}
    )
    code, _, err = run("score", "--model", folder, "--output", tmp_path / "out", "--count", 4)
    assert code == 2 and err.count("\n") == 1 and tensor in err and "missing" in err


def test_score_writes_a_role_map_of_a_siglip_with_its_pooling_heads(folders, tmp_path, run):
    out = tmp_path / "out"
    code, text, err = run(
        "score", "--model", folders["siglip"][0], "--output", out, "--count", 40, "--probes", "shapes",
        "--texts-per-head", 5, "--null-draws", 20, "--bootstraps", 3, "--device", "cpu",
    )  # fmt: skip
    assert code == 0, err
    role_map = RoleMap.load(out / "role_map.json")
    assert role_map.layers == (2, 3) and len(role_map) == 8 and role_map["L3.H0"].texts
    assert "layer 3: the heads of the pooling head" in text
    assert run("plot", out / "role_map.json")[0] == 0


@pytest.mark.parametrize("name", FAMILIES[1:])
def test_scoring_vision_alone_by_texts_points_to_images(folders, name, tmp_path, run):
    code, _, err = run("score", "--model", folders[name][0], "--output", tmp_path / "out", "--count", 4)
    assert code == 2 and err.count("\n") == 1
    assert "has no text tower" in err and "headroles score --by images" in err


@pytest.mark.parametrize(
    ("name", "reason"), [("siglip", "no CLS token"), ("dinov2", "text tower"), ("vit", "text tower")]
)
def test_adapt_refuses_early_in_one_line(folders, name, reason, color_folder, tmp_path, run):
    folder = folders[name][0]
    code, _, err = run("adapt", "--model", folder, "--task", color_folder, "--shots", 2, "--output", tmp_path / "out")
    assert code == 2 and err.count("\n") == 1 and reason in err and "take a CLIP" in err
    with pytest.raises(InputError, match=reason):
        Dear(load(str(folder), "cpu"), None)


def test_known_names_are_unique_and_listed(run):
    assert len({model.name for model in KNOWN}) == len(KNOWN)
    code, out, _ = run("models")
    assert code == 0
    lines = [line for line in out.splitlines() if not line.startswith("  ")]
    assert len(lines) == len(KNOWN)
    for model, line in zip(KNOWN, lines, strict=True):
        assert line.startswith(f"{model.name} ") and f"{model.layers} x {model.heads} heads" in line
        assert model.hub_id is None or f"{line}\n  {model.hub_id}" in out


@torch.inference_mode()
def test_siglips_own_tokenizer_is_read_and_used_as_it_was_trained(folders, tmp_path):
    import sentencepiece
    from transformers import SiglipTokenizer

    from headroles import ProbeBank

    words, vocabulary = iter(ProbeBank.load("general").texts), tmp_path / "spiece"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=words, model_prefix=str(vocabulary), vocab_size=200, pad_id=-1, bos_id=-1, eos_id=1, unk_id=2,
        minloglevel=3,
    )  # fmt: skip
    folder = copy_changed(folders["siglip"][0], tmp_path / "own")
    for old in folder.glob("token*"):
        old.unlink()
    own = SiglipTokenizer(f"{vocabulary}.model", model_input_names=["input_ids"])
    own.save_pretrained(folder)
    loaded, texts = load(str(folder), "cpu"), ["A photo of a dog", "snow, on a roof"]
    assert isinstance(loaded.tokenizer, SiglipTokenizer)
    expected = own(texts, padding="max_length", max_length=16, truncation=True, return_tensors="pt").input_ids
    assert torch.equal(loaded.tokenize(texts)["input_ids"], expected)
    model = folders["siglip"][1]
    assert torch.equal(loaded(input_ids=expected), model.get_text_features(input_ids=expected).pooler_output)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_the_doctor_examines_every_family(folders, run, name):
    code, text, errors = run("doctor", folders[name][0], "--batch", "2", "--json")
    assert code == 0, errors
    found = json.loads(text)
    assert found["family"] == load(str(folders[name][0]), "cpu").clip.config.model_type
    assert {row["tower"] for row in found["exactness"]} == ({"image", "text"} if name == "siglip" else {"image"})
    assert (found["text"] is None) == (name != "siglip") and found["image_size"] == 32
    ready = {row["command"]: row["ready"] for row in found["commands"]}
    needs_texts = {"score with text probes", "score by weights", "validate"}
    assert ready == {
        **dict.fromkeys(needs_texts, name == "siglip"), **dict.fromkeys(["score with image probes", "retrieve"], True),
        "debias": True, "attend": False, "adapt": False, "evaluate, predict": False,
    }  # fmt: skip
    why = {row["command"]: row["why"] for row in found["commands"]}
    assert "CLS token" in why["adapt"] or "no text tower" in why["adapt"]
    assert "pooled over tokens" in why["attend"] or "no text tower" in why["attend"]
