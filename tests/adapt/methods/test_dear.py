"""DeAR: exact isolation, a trunk shared without a change, and every switch doing what it says."""

import dataclasses
import re

import pytest
import torch
from torch.nn.functional import cosine_similarity, cross_entropy, log_softmax

from headroles import load
from headroles.adapt.config import DearConfig
from headroles.adapt.methods.dear import Dear
from headroles.adapt.methods.entry import core_notes
from headroles.adapt.methods.features import Batch, ImageFeatures
from headroles.adapt.methods.masks import build_masks
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP

PROMPTS = ["a red circle", "something striped in the top left", "night"]
ROWS = [["color", "general", "mixed", "animal"], ["shape", "general", "texture", "object"]]
SHAPES = [
    {"layers": 3, "heads": 4, "width": 32},
    {"layers": 2, "heads": 2, "width": 48, "embed": 40, "side": 30, "patch": 10, "act": "gelu"},
    {"layers": 6, "heads": 8, "width": 64, "embed": 16, "side": 24},
]
B_16 = {"layers": 12, "heads": 12, "width": 48, "side": 224, "patch": 16}
"""The layers, heads and tokens of ViT-B/16, at a small width."""


def draw_pixels(model: HookedCLIP, count: int = 3, seed: int = 1) -> torch.Tensor:
    shape = (count, 3, model.image_size, model.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(model.dtype)


def randomise(dear: Dear, seed: int = 5) -> Dear:
    """Move every trained tensor off its start, so that nothing is equal or small by initialisation."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in dear.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return dear


@pytest.fixture
def build(model, make_role_map):
    """A Dear on the tiny model, its trained tensors moved off their start; J = 1 of 3 layers, role masks by default."""

    def call(rows=ROWS, model=model, **settings) -> Dear:
        config = DearConfig(**{"layer": model.visual.layers - len(rows), "mask": "role", **settings})
        return randomise(Dear(model, make_role_map(model, rows), config))

    return call


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


# Isolation


def gradients(dear: Dear, layer: int, head: int) -> tuple[torch.Tensor, torch.Tensor]:
    """|d z / d residual| of one head, summed over widths and images: (query, key), and the layer's input size."""
    model, seen = dear.model, {}
    names = [f"visual.blocks.{layer}.hook_resid_pre", f"visual.blocks.{layer}.attn.hook_z"]

    def keep(tensor: torch.Tensor, hook) -> None:
        seen[hook.name] = tensor

    with model.hooks(fwd_hooks=[(name, keep) for name in names]):
        dear.encode_images(dear.image_trunk(draw_pixels(model, 2)))
    before, z = seen[names[0]], seen[names[1]]
    weights = torch.randn(z[:, 0, head].shape, generator=torch.Generator().manual_seed(0))
    rows = [
        torch.autograd.grad((z[:, query, head] * weights).sum(), before, retain_graph=True)[0]
        for query in range(z.shape[1])
    ]
    return torch.stack(rows).abs().sum((1, 3))


def test_gradients_flow_where_the_head_lets_them_and_are_exactly_zero_elsewhere(build):
    dear = build()
    kinds = [dear.kinds[layer] for layer in (1, 2)]
    assert kinds == [["color", "isolated", "open", "isolated"], ["shape", "isolated", "texture", "object"]]
    originals = 1 + dear.model.patches
    for layer, row in dear.kinds.items():
        for head, kind in enumerate(row):
            flow = gradients(dear, layer, head)
            others = [originals + index for index, name in enumerate(dear.attributes) if name != kind]
            chosen = [originals + index for index, name in enumerate(dear.attributes) if name == kind]
            group = [*range(originals), *chosen]
            assert (flow[:originals, :originals] > 0).all() and (flow.diagonal() > 0).all()
            if kind == "open":
                assert (flow > 0).all()
            else:
                assert (flow[group][:, others] == 0).all() and (flow[others][:, group] == 0).all()
                assert (flow[group][:, group] > 0).all() and (flow[others][:, others] > 0).all()


def test_where_all_heads_are_isolated_no_gradient_reaches_the_tokens_by_way_of_the_originals(build):
    dear = build([["general", "animal"]] * 2)
    features = dear.encode_images(dear.image_trunk(draw_pixels(dear.model)))
    assert not features.cls.requires_grad and features.attributes.requires_grad
    # The masks alone give the same, in one joint run of originals and tokens.
    tokens = dear.attribute_tokens.values
    trunk = dear.image_trunk(draw_pixels(dear.model))
    masks = build_masks(dear.role_map, [1, 2], dear.attributes, dear.model.patches, "role")
    residual = torch.cat([trunk, tokens.expand(len(trunk), -1, -1)], 1)
    for layer, mask in masks.items():
        residual = dear.model.visual.run(residual, [layer], mask)
    joint = residual[:, : trunk.shape[1]]
    assert (torch.autograd.grad(joint.square().sum(), tokens)[0] == 0).all()
    torch.testing.assert_close(torch.nn.functional.normalize(dear.model.visual.read(joint[:, 0])), features.cls)


@pytest.mark.parametrize(
    ("shape", "layer"), [*((shape, layer) for shape in SHAPES for layer in (0, None)), (B_16, None), ("bundled", None)]
)
def test_with_all_heads_isolated_cls_is_frozen_clips_bit_for_bit(make_clip, tokenizer, make_role_map, shape, layer):
    model = load("shapes", "cpu") if shape == "bundled" else HookedCLIP(make_clip(**shape), "tiny", tokenizer)
    role_map = make_role_map(model, [["general", "animal"]] * model.visual.layers)
    for count in (1, 4) if shape in SHAPES else (2,):
        pixels = draw_pixels(model, count)
        frozen = model.embed_images(pixels)
        found = {}
        for mask in ("role", "open"):
            dear = randomise(Dear(model, role_map, DearConfig(mask=mask, layer=layer)))
            trunk = dear.image_trunk(pixels)
            assert torch.equal(dear.frozen_images(trunk), frozen)
            found[mask] = dear.encode_images(trunk).cls
        assert torch.equal(found["role"], frozen)
        assert not torch.equal(found["open"], frozen) and relative_error(found["open"], frozen) > 1e-4


def test_without_masks_no_mask_is_kept_and_the_tokens_reach_cls(build):
    dear = build(mask="open")
    assert not list(dear.buffers())
    features = dear.encode_images(dear.image_trunk(draw_pixels(dear.model)))
    (gradient,) = torch.autograd.grad(features.cls.square().sum() + features.cls.sum(), dear.attribute_tokens.values)
    assert (gradient != 0).any(1).all()


@pytest.mark.parametrize("mask", ["role", "open", "layer", "random", "inverted", "soft", "learned"])
def test_half_precision_has_no_nan_and_keeps_trained_tensors_whole(build, make_clip, tokenizer, mask):
    single = build(mask=mask)
    half = build(model=HookedCLIP(make_clip().bfloat16(), "tiny", tokenizer), mask=mask)
    for dear, autocast in ((single, False), (single, True), (half, False)):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            texts = dear.text_trunk(PROMPTS)
            logits, losses = dear(Batch(dear.image_trunk(draw_pixels(dear.model)), torch.tensor([0, 1, 2]), texts))
        sum(losses.values()).backward()
        assert logits.dtype == torch.float32 and logits.isfinite().all()
        for parameter in dear.parameters():
            assert parameter.dtype == torch.float32 and parameter.grad.isfinite().all()


# Trunk sharing


def plain_losses(dear: Dear, pixels: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Both branches from pixels and token ids through transformers' own layers, nothing shared or left out."""
    model, config = dear.model, dear.config
    clip, ids = model.clip, model.tokenize(PROMPTS)["input_ids"]
    images, texts, count = len(pixels), len(ids), config.text_tokens

    vision = clip.vision_model
    rows = vision.pre_layrnorm(vision.embeddings(pixels))
    originals, layers = rows.shape[1], len(vision.encoder.layers)
    blank = torch.zeros(dear.model.visual.heads, *2 * [originals + len(dear.attributes)], dtype=pixels.dtype)
    masks = build_masks(
        dear.role_map, range(dear.layer, layers), dear.attributes, originals - 1, config.mask, config.mask_seed
    )
    for number, layer in enumerate(vision.encoder.layers):
        if number < dear.layer:
            rows = layer(rows, attention_mask=None)
            continue
        entering = dear.attribute_tokens.values.expand(images, -1, -1)
        if number > dear.layer:
            entering = config.beta * entering + (1 - config.beta) * rows[:, originals:]
        mask = masks.get(number, blank).to(pixels.dtype)
        rows = layer(torch.cat([rows[:, :originals], entering], 1), attention_mask=mask[None])
    cls = clip.visual_projection(vision.post_layernorm(rows[:, 0]))
    norm = dear.readout.norm if config.train_norm else vision.post_layernorm
    attributes = dear.readout.projection(norm(rows[:, originals:]))

    text = clip.text_model
    rows = text.embeddings(input_ids=ids)
    for number, layer in enumerate(text.encoder.layers):
        if number >= dear.text_layer:
            entering = dear.text_tokens.values.expand(texts, -1, -1)
            if number > dear.text_layer:
                entering = config.beta * entering + (1 - config.beta) * rows[:, 1 : 1 + count]
            rest = rows[:, 1:] if number == dear.text_layer else rows[:, 1 + count :]
            rows = torch.cat([rows[:, :1], entering, rest], 1)
        causal = torch.full(2 * [rows.shape[1]], -torch.inf, dtype=pixels.dtype).triu(1)
        rows = layer(rows, attention_mask=causal[None, None])
    ends = (ids == clip.config.text_config.eos_token_id).int().argmax(-1) + count
    adapted = clip.text_projection(text.final_layer_norm(rows[range(texts), ends]))

    frozen_images = clip.get_image_features(pixel_values=pixels).pooler_output
    frozen_texts = clip.get_text_features(**model.tokenize(PROMPTS)).pooler_output
    weights = dear.fusion.softmax(0)
    logits = torch.zeros(images, texts, dtype=pixels.dtype)
    for weight, feature in zip(weights, [cls, *attributes.unbind(1)], strict=True):
        logits = logits + weight * clip.logit_scale.exp() * cosine_similarity(feature[:, None], adapted[None], dim=-1)
    return {
        "ce": cross_entropy(logits, labels),
        "image": config.lambda_image * (1 - cosine_similarity(cls, frozen_images)).mean(),
        "text": config.lambda_text * (1 - cosine_similarity(adapted, frozen_texts)).mean(),
        "fusion": -config.lambda_fusion * log_softmax(dear.fusion, 0)[0],
    }


def build_for(build, make_clip, tokenizer, shape: dict, mask: str, dtype: torch.dtype) -> Dear:
    """`train_norm` goes with the mask, so that both of either are tried."""
    model = HookedCLIP(make_clip(**shape).to(dtype), "tiny", tokenizer)
    rows, train_norm = [["general", "animal"], *ROWS][: model.visual.layers], mask == "open"
    return build(rows, model, mask=mask, beta=0.6, train_norm=train_norm)


def gradients_of(dear: Dear, losses: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    names, parameters = zip(*dear.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(sum(losses.values()), parameters), strict=True))


@pytest.mark.parametrize("mask", ["role", "open"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_losses_and_gradients_are_those_of_the_plain_two_branch_computation(build, make_clip, tokenizer, shape, mask):
    """In double precision, where another order of summation does not blur 1 - cos."""
    dear = build_for(build, make_clip, tokenizer, shape, mask, torch.float64)
    pixels, labels = draw_pixels(dear.model), torch.tensor([2, 0, 1])
    _, losses = dear(Batch(dear.image_trunk(pixels), labels, dear.text_trunk(PROMPTS)))
    plain = plain_losses(dear, pixels, labels)
    assert list(losses) == list(plain)
    for name, loss in losses.items():
        assert relative_error(loss, plain[name]) <= 1e-11, name
    expected = gradients_of(dear, plain)
    for name, gradient in gradients_of(dear, losses).items():
        assert expected[name].norm() > 0 and relative_error(gradient, expected[name]) <= 1e-11, name


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sharing_the_trunk_changes_no_bit_in_single_precision(build, make_clip, tokenizer, shape):
    dear = build_for(build, make_clip, tokenizer, shape, "role", torch.float32)
    pixels, labels, model = draw_pixels(dear.model), torch.tensor([2, 0, 1]), dear.model
    texts = dear.text_trunk(PROMPTS)
    logits, losses = dear(Batch(dear.image_trunk(pixels), labels, texts))
    again = model.visual.run(model.start_images(pixels), range(dear.layer))
    features = dear.encode_images(again)
    ids = model.tokenize(PROMPTS)["input_ids"]
    trunk = model.text.run(model.start_texts(ids), range(dear.text_layer), model.causal_mask(ids.shape[1]))
    encoded = dear.encode_texts(dataclasses.replace(texts, residual=trunk))
    apart = dear.logits(features, encoded)
    frozen = dear.frozen_targets(again), model.embed_texts(PROMPTS).clone()
    expected = dear.losses(apart, labels, features, encoded, *frozen)
    assert torch.equal(logits, apart) and losses == expected
    for one, other in zip(gradients_of(dear, losses).values(), gradients_of(dear, expected).values(), strict=True):
        assert torch.equal(one, other)


def test_frozen_texts_are_clips_own_and_padding_is_invisible(build):
    dear = build()
    texts = dear.text_trunk(PROMPTS)
    assert torch.equal(texts.frozen, dear.model.embed_texts(PROMPTS))
    together = dear.encode_texts(texts)
    for row, prompt in enumerate(PROMPTS):
        alone = dear.encode_texts(dear.text_trunk([prompt]))
        torch.testing.assert_close(alone[0], together[row])


def test_a_text_tower_of_another_depth_starts_at_the_same_fraction(make_clip, tokenizer, make_role_map):
    clip = make_clip(layers=6)
    clip.text_model.encoder.layers = clip.text_model.encoder.layers[:3]
    model = HookedCLIP(clip, "tiny", tokenizer)
    role_map = make_role_map(model, ROWS)
    for layer, after, expected in ((4, False, (4, 2)), (3, False, (3, 1)), (0, True, (1, 1)), (4, True, (5, 2))):
        dear = Dear(model, role_map, DearConfig(layer=layer, enter_after=after, mask="open"))
        assert (dear.layer, dear.text_layer) == expected
        assert dear.encode_texts(dear.text_trunk(PROMPTS)).shape == (3, 24)


# Switches


def forward(dear: Dear) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    trunk, labels = dear.image_trunk(draw_pixels(dear.model)), torch.tensor([0, 1, 2])
    return dear(Batch(trunk, labels, dear.text_trunk(PROMPTS)))


def test_vision_tokens_off_leaves_images_to_frozen_clip(build):
    dear = build(vision_tokens=False)
    pixels = draw_pixels(dear.model)
    features = dear.encode_images(dear.image_trunk(pixels))
    assert torch.equal(features.cls, dear.model.embed_images(pixels))
    assert features.attributes.shape == (3, 0, 24) and dear.attributes == () and dear.alpha.tolist() == [1.0]
    assert list(dear.state_dict()) == ["text_tokens.values"]
    logits, losses = forward(dear)
    assert list(losses) == ["ce", "text"]
    texts = dear.encode_texts(dear.text_trunk(PROMPTS))
    torch.testing.assert_close(logits, dear.model.logit_scale * features.cls @ texts.T)


def test_text_tokens_off_leaves_texts_to_frozen_clip(build):
    dear = build(text_tokens=0)
    texts = dear.text_trunk(PROMPTS)
    assert torch.equal(dear.encode_texts(texts), dear.model.embed_texts(PROMPTS))
    assert "text_tokens.values" not in dear.state_dict()
    assert list(forward(dear)[1]) == ["ce", "image", "fusion"]


@pytest.mark.parametrize("beta", [0.0, 0.25, 1.0])
def test_beta_mixes_what_enters_the_next_layer(build, beta):
    dear = build(beta=beta, mask="open")
    seen = {}
    names = ["visual.blocks.1.hook_resid_post", "visual.blocks.2.hook_resid_pre"]
    names += ["text.blocks.1.hook_resid_post", "text.blocks.2.hook_resid_pre"]
    with dear.model.hooks(fwd_hooks=[(name, lambda x, hook: seen.update({hook.name: x})) for name in names]):
        forward(dear)
        seen.clear()
        dear.encode_images(dear.image_trunk(draw_pixels(dear.model)))
        image = [seen[name][:, -5:] for name in names[:2]]
        texts = dear.text_trunk(PROMPTS)
        dear.encode_texts(texts)
        text = [seen[name][:, 1:5] for name in names[2:]]
    for (after, before), own in ((image, dear.attribute_tokens.values), (text, dear.text_tokens.values)):
        torch.testing.assert_close(before, beta * own + (1 - beta) * after)
        torch.testing.assert_close(before, torch.lerp(after, own.expand(3, -1, -1), beta))


def test_fusion_is_learned_fixed_or_cls_alone(build, model, make_role_map):
    role_map = make_role_map(model, ROWS)
    start = [0.6, *[0.08] * 5]
    for fusion in ("learned", "fixed"):
        dear = Dear(model, role_map, DearConfig(layer=1, fusion=fusion, alpha_cls=0.6))
        assert dear.alpha.tolist() == pytest.approx(start)
        assert ("fusion" in dear.state_dict()) == ("fusion" in forward(dear)[1]) == (fusion == "learned")
    learned = build(fusion="learned")
    assert learned.alpha.sum().item() == pytest.approx(1) and (learned.alpha - torch.tensor(start)).abs().max() > 0.01
    dear = build(fusion="cls")
    assert dear.alpha.tolist() == [1.0, 0, 0, 0, 0, 0]
    assert sorted(dear.state_dict()) == ["attribute_tokens.values", "text_tokens.values"]
    features = dear.encode_images(dear.image_trunk(draw_pixels(model)))
    texts = dear.encode_texts(dear.text_trunk(PROMPTS))
    assert torch.equal(dear.logits(features, texts), model.logit_scale * features.cls @ texts.T)


@pytest.mark.parametrize("name", ["image", "text", "fusion"])
def test_every_lambda_weighs_its_own_loss_and_0_drops_it(build, name):
    _, once = forward(build(**{f"lambda_{name}": 0.5}))
    _, twice = forward(build(**{f"lambda_{name}": 1.0}))
    logits, off = forward(build(**{f"lambda_{name}": 0.0}))
    assert list(once) == ["ce", "image", "text", "fusion"] and set(once) - set(off) == {name}
    torch.testing.assert_close(twice[name], 2 * once[name])
    for other in off:
        torch.testing.assert_close(off[other], twice[other])
    assert once[name] > 0 and logits.isfinite().all()


def test_only_the_image_loss_asks_for_frozen_images(build):
    dear = build(lambda_image=0.0)
    assert build().needs_frozen_images and not dear.needs_frozen_images
    dear.frozen_images = dear.frozen_targets = None  # A call would fail.
    assert list(forward(dear)[1]) == ["ce", "text", "fusion"]


def test_every_mask_gives_its_own_embeddings(build):
    def embed(**settings) -> torch.Tensor:
        dear = build(**settings)
        return dear.encode_images(dear.image_trunk(draw_pixels(dear.model))).cls

    found = [embed(mask=mask) for mask in ("role", "open", "layer", "inverted", "soft")]
    found += [embed(mask="random", mask_seed=seed) for seed in (1, 2)]
    assert torch.equal(found[-1], embed(mask="random", mask_seed=2))
    for row, one in enumerate(found):
        assert all(relative_error(one, other) > 1e-4 for other in found[:row])


def test_tokens_enter_at_j_or_one_later(build, model, make_role_map):
    assert Dear(model, make_role_map(model, ROWS[:1])).layer == 2
    assert (build().layer, build(enter_after=True).layer) == (1, 2)
    dear = build(enter_after=True)
    widths = {}
    names = [f"visual.blocks.{layer}.hook_resid_pre" for layer in range(3)]
    with model.hooks(fwd_hooks=[(name, lambda x, hook: widths.update({hook.name: x.shape[1]})) for name in names]):
        dear.encode_images(dear.image_trunk(draw_pixels(model)))
    assert list(widths.values()) == [17, 17, 22] and list(dear.kinds) == [2]


def test_core_concepts_that_the_bank_does_not_know_get_no_token(model, make_role_map, build):
    bank = ("animal", "color", "shape")
    role_map = make_role_map(model, [["color", "general"]] * 2, bank=bank)
    dear = Dear(model, role_map, DearConfig(layer=1, core=("texture", "shape", "color")))
    assert dear.attributes == ("shape", "color") and dear.alpha.shape == (3,)
    with pytest.raises(InputError, match="core: the role map's bank by hand knows none of texture; its concepts: anim"):
        Dear(model, role_map, DearConfig(layer=1, core=("texture",)))


# An adapter


@pytest.mark.parametrize("train_norm", [False, True])
def test_it_holds_and_trains_its_own_tensors_alone(build, train_norm):
    dear = build(train_norm=train_norm)
    before = dear.model.weights_hash()
    names = {"attribute_tokens.values", "text_tokens.values", "fusion"}
    names |= {"readout.projection.weight"} | ({"readout.norm.weight", "readout.norm.bias"} if train_norm else set())
    assert set(dear.state_dict()) == names == {name for name, _ in dear.named_parameters()}
    optimizer = torch.optim.AdamW(dear.parameters(), lr=0.01)
    losses = []
    for _ in range(6):
        _, terms = forward(dear)
        losses.append(sum(terms.values()))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    assert dear.model.weights_hash() == before
    assert all(parameter.grad is None for parameter in dear.model.parameters())


def test_its_tensors_make_the_same_adapter_again(build, model, make_role_map):
    dear = build()
    again = Dear(model, make_role_map(model, ROWS), dear.config, seed=9)
    assert not torch.equal(forward(dear)[0], forward(again)[0])
    again.load_state_dict(dear.state_dict())
    assert torch.equal(forward(dear)[0], forward(again)[0])


def test_the_seed_draws_the_tokens_and_the_readout_starts_as_clips(model, make_role_map):
    role_map, config = make_role_map(model, ROWS), DearConfig(layer=1, train_norm=True)
    one, same, other = (Dear(model, role_map, config, seed) for seed in (1, 1, 2))
    assert all(torch.equal(one.state_dict()[name], same.state_dict()[name]) for name in one.state_dict())
    assert not torch.equal(one.text_tokens.values, other.text_tokens.values)
    rows = torch.randn(4, 32)
    assert torch.equal(one.readout(rows), model.visual.read(rows))


def test_predictions_are_probabilities_of_any_texts(build):
    dear, pixels = build(), draw_pixels(build().model)
    texts = dear.text_trunk(PROMPTS)
    found = dear.predict(pixels, texts)
    assert found.shape == (3, 3) and not found.requires_grad
    torch.testing.assert_close(found.sum(1), torch.ones(3))
    assert torch.equal(found, dear.predict(pixels, dear.encode_texts(texts)))
    torch.testing.assert_close(found, forward(dear)[0].softmax(-1))
    assert dear.predict(pixels, dear.text_trunk(["a blue star", "day"])).shape == (3, 2)


def test_logits_are_the_weighted_sum_over_features(build):
    dear = build()
    features = dear.encode_images(dear.image_trunk(draw_pixels(dear.model)))
    texts = dear.encode_texts(dear.text_trunk(PROMPTS))
    for part in (features.cls, features.attributes, texts):
        torch.testing.assert_close(part.norm(dim=-1), torch.ones(part.shape[:-1]))
    alone = []
    for index in range(6):
        parts = torch.zeros(3, 6, 24)
        parts[:, index] = torch.cat([features.cls[:, None], features.attributes], 1)[:, index]
        alone.append(dear.logits(ImageFeatures(parts[:, 0], parts[:, 1:]), texts))
        torch.testing.assert_close(alone[-1], dear.alpha[index] * dear.model.logit_scale * parts[:, index] @ texts.T)
    torch.testing.assert_close(sum(alone), dear.logits(features, texts))


def test_summary_counts_every_number(build):
    dear = build()
    trained = 5 * 32 + 4 * 32 + 6 + 32 * 24
    whole = trained + sum(parameter.numel() for parameter in dear.model.clip.parameters())
    assert dear.trainable_summary() == (
        f"trainable params: {trained:,} || all params: {whole:,} || trainable%: {100 * trained / whole:.4f}"
    )
    number = r"[\d,]+"
    form = rf"trainable params: 1,062 \|\| all params: {number} \|\| trainable%: \d+\.\d{{4}}"
    assert re.fullmatch(form, dear.trainable_summary())


def test_what_does_not_fit_the_model_is_refused(model, make_role_map, make_clip, tokenizer):
    with pytest.raises(InputError, match="layer: tokens cannot enter at layer 3; the last is 2"):
        Dear(model, make_role_map(model, ROWS), DearConfig(layer=3))
    with pytest.raises(InputError, match="layer: tokens cannot enter at layer 3; the last is 2"):
        Dear(model, make_role_map(model, ROWS), DearConfig(layer=2, enter_after=True))
    with pytest.raises(InputError, match=r"role map: layer 0 was not scored \(scored: 1, 2\)"):
        Dear(model, make_role_map(model, ROWS), DearConfig(layer=0))
    other = HookedCLIP(make_clip(layers=4), "tiny", tokenizer)
    with pytest.raises(InputError, match="4 layers of 4 heads, but tiny has 3 of 4"):
        Dear(model, make_role_map(other, ROWS))
    foreign = make_role_map(model, ROWS)
    foreign = dataclasses.replace(foreign, model=dataclasses.replace(foreign.model, weights_hash="0" * 64))
    with pytest.raises(InputError, match="with weights 000000000000, but tiny has weights"):
        Dear(model, foreign)


@torch.no_grad()
def test_several_texts_of_a_class_are_averaged(build):
    dear = build(text_tokens=2)
    apart = dear.encode_texts(dear.text_trunk([*PROMPTS, "a house"]))
    trunk = dear.text_trunk([PROMPTS, "a house"])
    together = dear.encode_texts(trunk)
    assert together.shape == (2, 24) == trunk.frozen.shape
    torch.testing.assert_close(together[0], torch.nn.functional.normalize(apart[:-1].mean(0), dim=-1))
    torch.testing.assert_close(together[1], apart[-1])
    frozen = dear.model.embed_texts(PROMPTS).mean(0)
    torch.testing.assert_close(trunk.frozen[0], torch.nn.functional.normalize(frozen, dim=-1))


def test_core_concepts_without_a_token_or_a_head_are_named(clip_folder, make_role_map):
    role_map = make_role_map(load(str(clip_folder), "cpu"), [["color", "general"]], bank=("color", "shape"))
    notes = core_notes(role_map, DearConfig(core=("color", "shape", "position")), 2)
    assert notes == (
        "core: no token for position: bank by hand knows color, shape",
        "core: no Attribute head from layer 2 on is of shape",
    )
    assert core_notes(role_map, DearConfig(core=("color",)), 2) == ()


def test_learned_masks_get_gradients_and_are_soft_ones_where_they_began(build, model, make_role_map):
    role_map = make_role_map(model, ROWS)
    shares = dict.fromkeys(role_map.concepts, 0.0) | {"color": 0.5, "shape": 0.25, "position": 0.05}
    heads = tuple(dataclasses.replace(head, distribution=shares) for head in role_map)
    role_map = dataclasses.replace(role_map, head_roles=heads)
    soft, learned = (
        randomise(Dear(model, role_map, DearConfig(layer=1, mask=mask, core=("color", "shape", "position"))))
        for mask in ("soft", "learned")
    )
    before = learned.role_masks.given
    with torch.no_grad():
        learned.load_state_dict(soft.state_dict() | {"role_masks.logits": before.logit()})
    trunk = soft.image_trunk(draw_pixels(model))
    torch.testing.assert_close(soft.encode_images(trunk).cls, learned.encode_images(trunk).cls)
    _, losses = forward(learned)
    sum(losses.values()).backward()
    logits = learned.role_masks.logits
    assert (logits.grad != 0).all() and losses["mask"].abs() < 1e-10
    assert {group.rate: group.tensors for group in learned.trained_groups()}[10.0] == (logits,)
    assert sum(len(group.tensors) for group in learned.trained_groups()) == len(list(learned.parameters()))
    assert set(learned.served_tensors()) == set(soft.served_tensors()) >= {"adapter.mask_1", "adapter.mask_2", "alpha"}
