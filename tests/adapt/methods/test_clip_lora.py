"""CLIP-LoRA against a model whose weights are the sums; what it does to a model, and does not."""

import itertools
import sys

import pytest
import torch
from torch.nn.functional import normalize

from headroles.adapt.methods.clip_lora import ClipLora, ClipLoraConfig
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP

NAMES = ("red", "a green one", "blue")


@pytest.fixture
def pixels(model):
    shape = (2, 3, model.image_size, model.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def disturb(method: ClipLora) -> ClipLora:
    """As a training would."""
    with torch.no_grad():
        for number, parameter in enumerate(method.parameters()):
            generator = torch.Generator().manual_seed(number)
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return method


def sum_up(model: HookedCLIP, method: ClipLora) -> dict[str, torch.Tensor]:
    """W + B A / sqrt(rank), by the model's names."""
    names = {id(weight): name for name, weight in model.clip.named_parameters()}
    towers, sums = {"vision": model.visual, "text": model.text}, {}
    for place in {name.rpartition("/")[0] for name in method.sums}:
        tower, layer, matrix = place.split("/")
        weight = towers[tower].projections(int(layer))[matrix].weight
        low = method.sums[f"{place}/B"] @ method.sums[f"{place}/A"]
        sums[names[id(weight)]] = weight + low / method.config.rank**0.5
    return sums


def test_it_is_the_model_whose_weights_are_the_sums(model, pixels):
    pytest.importorskip("peft")
    config = ClipLoraConfig(rank=3, matrices=("q", "k", "v", "o"))
    method = ClipLora(model, config=config).eval()
    trunk, texts = method.image_trunk(pixels), method.class_trunk(NAMES, "a {}\none {} thing")
    assert torch.allclose(method.encode_images(trunk), method.frozen_images(trunk), atol=1e-6)
    assert torch.allclose(method.encode_texts(texts), texts.frozen, atol=1e-5)
    sums = sum_up(model, disturb(method))
    assert len(sums) == 4 * (model.visual.layers + model.text.layers)
    tokens = model.tokenize([f"{words} {name}{end}" for name in NAMES for words, end in (("a", ""), ("one", " thing"))])
    whole = torch.func.functional_call(model.clip, sums, kwargs={"pixel_values": pixels, **tokens})
    images = normalize(whole.image_embeds, dim=-1)
    means = normalize(normalize(whole.text_embeds, dim=-1).reshape(3, 2, -1).sum(1), dim=-1)
    assert torch.allclose(method.encode_images(trunk), images, atol=1e-5)
    assert torch.allclose(method.encode_texts(texts), means, atol=1e-5)
    assert torch.allclose(method.frozen_images(trunk), normalize(model(pixels), dim=-1), atol=1e-6)


def test_inputs_are_dropped_in_training_alone_and_hooks_see_the_sums(model, pixels):
    pytest.importorskip("peft")
    method = disturb(ClipLora(model))
    trunk = method.image_trunk(pixels)
    assert not torch.equal(method.train().encode_images(trunk), method.encode_images(trunk))
    assert torch.equal(method.eval().encode_images(trunk), method.encode_images(trunk))
    seen = []
    point = "visual.blocks.0.attn.hook_v"
    with model.hooks(fwd_hooks=[(point, lambda value, hook: seen.append(value.detach()))]):
        method.encode_images(trunk)
        method.frozen_images(trunk)
    assert len(seen) == 2 and not torch.allclose(*seen, atol=1e-3)


def test_only_what_is_asked_for_is_trained(model):
    pytest.importorskip("peft")
    text = ClipLora(model, config=ClipLoraConfig(vision=False, matrices=("v",)))
    assert text.layer is None and text.trained_count == model.text.layers * 2 * 2 * model.text.width
    assert ClipLora(model, config=ClipLoraConfig(text=False)).layer == 0


def test_roles_say_which_heads_have_sums(model, pixels, make_role_map):
    """Whole LoRA layers whose B, for W_O whose A, is 0 at all other heads, do the same."""
    pytest.importorskip("peft")
    role_map, tower = make_role_map(model, [["color", "general", "mixed", "shape"]] * 2), model.visual
    method = ClipLora(model, role_map, ClipLoraConfig(heads="attribute", matrices=("q", "v", "o"), text=False))
    assert method.layer == 1 and len(method.sums) == 2 * 3 * 2
    rank, width = 2, tower.width
    assert method.trained_count == 2 * (2 * rank * (width + width // 2) + rank * (width // 2 + width))
    trunk, texts = method.image_trunk(pixels), method.class_trunk(NAMES, "a {}")
    assert torch.allclose(method.encode_images(trunk), method.frozen_images(trunk), atol=1e-6)
    assert method.encode_texts(texts) is texts.frozen
    disturb(method).eval()
    names = {id(weight): name for name, weight in model.clip.named_parameters()}
    sums, own = {}, torch.tensor([1, 0, 0, 1]).bool().repeat_interleave(tower.head_width)
    for layer, letter in itertools.product((1, 2), "qvo"):
        module = tower.projections(layer)[letter]
        low, high = (method.sums[f"vision/{layer}/{letter}/{part}"].detach() for part in "AB")
        whole = torch.zeros(width, width)
        whole[(slice(None), own) if letter == "o" else own] = high @ low
        sums[names[id(module.weight)]] = module.weight + whole / rank**0.5
    found = torch.func.functional_call(model.clip, sums, kwargs={"pixel_values": pixels, **model.tokenize(["a"])})
    assert torch.allclose(method.encode_images(trunk), normalize(found.image_embeds, dim=-1), atol=1e-5)
    method.encode_images(trunk).sum().backward()
    assert all((tensor.grad != 0).any() for tensor in method.parameters())


def test_what_does_not_fit_is_refused(model, monkeypatch, make_role_map):
    pytest.importorskip("peft")
    with pytest.raises(InputError, match="role map: clip-lora with heads random needs one"):
        ClipLora(model, config=ClipLoraConfig(heads="random"))
    with pytest.raises(InputError, match="heads: the role map knows no head but Attribute ones of an encoder layer"):
        ClipLora(model, make_role_map(model, [["color"]]), ClipLoraConfig(heads="inverted"))
    assert "not used with heads all" in ClipLora(model, make_role_map(model, [["color"]])).notes()[0]
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r"clip-lora needs the package peft, .*; pip install 'headroles\[peft\]'"):
        ClipLora(model)
    wrong = (
        ({"matrices": ("q", "x")}, "matrices must be"),
        ({"dropout": 1.0}, "dropout must"),
        ({"rank": 0}, "rank must"),
        ({"heads": "some"}, "heads must be one of all, attribute, generalization, random, inverted"),
    )
    for settings, expected in (*wrong, ({"vision": False, "text": False}, "both off")):
        with pytest.raises(InputError, match=expected):
            ClipLoraConfig(**settings)
