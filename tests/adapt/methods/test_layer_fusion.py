"""Attentive fusion by its formula; what it begins as; and what it tells of layers and heads."""

import pytest
import torch
from torch.nn.functional import layer_norm, normalize

from headroles import load
from headroles.adapt.methods.features import Batch
from headroles.adapt.methods.head_trunk import HeadTrunk
from headroles.adapt.methods.layer_fusion import LayerFusion, LayerFusionConfig
from headroles.adapt.methods.layer_fusion_texts import LayerFusionTexts, LayerFusionTextsConfig
from headroles.adapt.methods.layer_tokens import observe_layers
from headroles.errors import InputError
from headroles.heads.contributions import image_contributions
from headroles.models.hooked_clip import HookedCLIP

NAMES = ("red", "green", "blue")


@pytest.fixture(scope="module")
def clip(clip_folder):
    return load(str(clip_folder), "cpu")


@pytest.fixture(scope="module")
def pixels(clip):
    shape = (5, 3, clip.image_size, clip.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def look_of(method, pixels, labels=(0, 1, 2, 0, 1)):
    def look(view):
        texts = method.class_trunk(NAMES, "a {} thing")
        for rows in (slice(0, 2), slice(2, 5)):
            yield Batch(method.image_trunk(pixels[rows]), torch.tensor(labels)[rows], texts)

    return look


@torch.no_grad()
def test_tokens_are_what_transformers_own_modules_give(clip, pixels):
    vision, seen = clip.clip.vision_model, {}
    handles = [
        layer.layer_norm2.register_forward_hook(lambda module, args, output, at=number: seen.update({at: output}))
        for number, layer in enumerate(vision.encoder.layers)
    ]
    last = vision(pixel_values=pixels).last_hidden_state
    for handle in handles:
        handle.remove()
    norm = vision.post_layernorm
    seen[len(seen)] = layer_norm(last, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    rows = [token for layer in range(1, len(seen)) for token in (seen[layer][:, 0], seen[layer][:, 1:].mean(1))]
    tokens, embeddings = observe_layers(clip, pixels)
    assert torch.allclose(tokens, normalize(torch.stack(rows, 1), dim=-1), atol=1e-5)
    assert torch.allclose(embeddings, clip.embed_images(pixels), atol=1e-5)


@torch.no_grad()
def test_logits_are_those_of_the_formula(clip, pixels):
    method = LayerFusion(clip, config=LayerFusionConfig(attention_heads=3), classes=NAMES).eval()
    trunk, fusion = method.image_trunk(pixels), method.fusion
    fusion.out.bias.add_(1.0)
    method.scaled.running_mean.add_(0.3)
    tokens, width = observe_layers(clip, pixels)[0], 2 * clip.visual.width // 3

    def mapped(name, rows):
        norm = fusion.norms[name]
        scaled = layer_norm(rows, norm.normalized_shape, norm.weight, norm.bias)
        return scaled @ fusion.maps[name].weight.T + fusion.maps[name].bias

    gathered, weights = [], []
    for head in range(3):
        own = slice(head * width, (head + 1) * width)
        query, key, value = mapped("q", fusion.query)[own], mapped("k", tokens)[..., own], mapped("v", tokens)[..., own]
        weights.append((key @ query / width**0.5).softmax(1))
        gathered.append((weights[-1][..., None] * value).sum(1))
    out = torch.cat(gathered, 1) @ fusion.out.weight.T + fusion.out.bias
    scaled = (out - method.scaled.running_mean) / (method.scaled.running_var + method.scaled.eps).sqrt()
    expected = scaled @ method.head.weight.T + method.head.bias
    texts = method.class_trunk(("blue", "red"), "a {} thing")
    assert torch.allclose(
        method.logits(method.encode_images(trunk), method.encode_texts(texts)), expected[:, [2, 0]], atol=1e-5
    )
    method.settle(look_of(method, pixels), None)
    assert torch.allclose(method.attention, torch.stack(weights).mean((0, 1)), atol=1e-6)


def test_classes_weigh_alike_and_one_image_alone_trains(clip, pixels):
    method = LayerFusion(clip, classes=NAMES)
    method.start(look_of(method, pixels))
    assert torch.allclose(method.class_weights, torch.tensor([5 / 6, 5 / 6, 5 / 3]))
    texts = method.class_trunk(NAMES, "a {} thing")
    loss = method(Batch(method.image_trunk(pixels[:1]), torch.tensor([1]), texts))[1]["ce"]
    loss.backward()
    assert torch.isfinite(loss) and method.fusion.query.grad is not None


@pytest.mark.parametrize("tokens", ["layers", "heads"])
def test_by_texts_it_begins_as_the_frozen_clip_and_tells_where_it_looks(clip, pixels, tokens):
    method = LayerFusionTexts(clip, config=LayerFusionTextsConfig(tokens=tokens), classes=NAMES)
    trunk, texts = method.image_trunk(pixels), method.class_trunk(NAMES, "a {} thing")
    logits = method.logits(method.encode_images(trunk), method.encode_texts(texts))
    assert torch.allclose(logits, clip.logit_scale * clip.embed_images(pixels) @ texts.frozen.T, atol=1e-3)
    method.eval().settle(look_of(method, pixels), None)
    found = method.findings()
    assert sum(each.values["attention"] for each in found) == pytest.approx(1, abs=1e-5)
    tower = clip.visual
    assert len(found.parts) == (tower.layers * tower.heads if tokens == "heads" else 2 * tower.layers)
    assert {each.head is None for each in found} == {tokens == "layers"}


@torch.no_grad()
def test_tokens_of_heads_are_their_exact_parts(clip, pixels, small_map):
    chosen = LayerFusionTextsConfig(tokens="heads", roles=("attribute",))
    method = LayerFusionTexts(clip, small_map, chosen, classes=NAMES)
    heads = [(head.layer, head.head) for head in small_map if head.role == "attribute"]
    assert [(layer, int(part[1:])) for layer, part in method.places] == sorted(heads)
    parts = normalize(image_contributions(clip, pixels).heads, dim=-1)
    expected = torch.stack([parts[:, layer, head] for layer, head in sorted(heads)], 1)
    assert torch.allclose(method.tokens(method.image_trunk(pixels)), expected, atol=1e-4)


def test_mistakes_are_said(clip, small_map, make_siglip, tokenizer):
    with pytest.raises(InputError, match="roles are of heads; take tokens heads"):
        LayerFusionTextsConfig(roles=("attribute",))
    with pytest.raises(InputError, match="tokens must be one of layers, heads, got 'patches'"):
        LayerFusionTextsConfig(tokens="patches")
    with pytest.raises(InputError, match="attention_dropout must be at least 0 and below 1"):
        LayerFusionConfig(attention_dropout=1.0)
    siglip = HookedCLIP(make_siglip(), "tiny SigLIP", tokenizer)
    for build in (lambda: LayerFusion(siglip, classes=NAMES), lambda: LayerFusionTexts(siglip)):
        with pytest.raises(InputError, match=r"tiny SigLIP is a .*, which has no CLS token"):
            build()
    method = LayerFusionTexts(siglip, config=LayerFusionTextsConfig(tokens="heads"))
    shape = (2, 3, siglip.image_size, siglip.image_size)
    trunk = method.image_trunk(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(method.frozen_images(trunk), HeadTrunk.of(siglip, trunk).embeddings)
