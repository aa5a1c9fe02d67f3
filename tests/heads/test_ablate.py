"""Ablation and scaling of heads: equal to edited weights and to subtracted contributions, and gone afterwards."""

import pytest
import torch

from headroles import InputError, image_contributions
from headroles.heads.ablate import ablating, scaling_heads
from headroles.heads.reference import HeadReference
from headroles.models.hooked_clip import HookedCLIP, recording

HEADS = [(0, 1), (2, 0), (2, 3)]


class Noise:
    """A data set of random images, one of them broken."""

    def __init__(self, pixels, broken=()):
        self.pixels, self.broken = pixels, broken

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        return index, "broken" if index in self.broken else self.pixels[index]

    def name(self, index):
        return f"noise {index}"


@pytest.fixture
def pixels():
    return torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def reference(model):
    others = torch.randn(7, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    return HeadReference.collect(model, Noise(others, broken=[3]), pool=7)


def z_of(model, pixels):
    names = {f"visual.blocks.{layer}.attn.hook_z": torch.clone for layer in range(model.visual.layers)}
    with recording(model, names) as seen, torch.no_grad():
        model(pixels)
    return torch.stack([seen[name] for name in names], 1)


def silence_weights(model, heads):
    """Zero the output weights of heads in place."""
    width = model.visual.head_width
    with torch.no_grad():
        for layer, head in heads:
            weight = model.clip.vision_model.encoder.layers[layer].self_attn.out_proj.weight
            weight[:, head * width : (head + 1) * width] = 0


@torch.no_grad()
def test_zeroing_is_zeroed_output_weights(model, make_clip, tokenizer, pixels):
    cut = HookedCLIP(make_clip(), "tiny", tokenizer)
    silence_weights(cut, HEADS)
    with ablating(model, HEADS, "zero"):
        torch.testing.assert_close(model(pixels), cut(pixels), rtol=1e-6, atol=1e-6)
    assert (model(pixels) - cut(pixels)).abs().max() > 0.01


@torch.no_grad()
def test_the_direct_effect_is_the_stored_contribution(model, pixels, reference):
    plain, parts = model(pixels), image_contributions(model, pixels)
    own = sum(parts.heads[:, layer, head] for layer, head in HEADS)
    with ablating(model, HEADS, "zero", "direct"):
        torch.testing.assert_close(model(pixels), plain - own, rtol=1e-5, atol=1e-5)
    with recording(model, {"visual.ln_final.hook_scale": torch.clone}) as seen:
        model(pixels)
    sigma, bases = seen["visual.ln_final.hook_scale"], model.visual.bases()
    mean = sum(reference.mean_of(layer)[0, head] @ bases[layer, head] for layer, head in HEADS)
    with ablating(model, HEADS, "mean", "direct", reference):
        torch.testing.assert_close(model(pixels), plain - own + mean / sigma, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_where_nothing_follows_but_the_norm_the_effects_differ_by_its_deviation(model, pixels):
    last = model.clip.vision_model.encoder.layers[2].mlp.fc2
    last.weight.zero_()
    names = {"visual.ln_final.hook_scale": torch.clone}
    read = []
    for effect in ("direct", "total"):
        with ablating(model, [(2, 1)], "zero", effect), recording(model, names) as seen:
            read.append((model(pixels) - model.visual.constant()) * seen["visual.ln_final.hook_scale"])
    torch.testing.assert_close(*read, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_means_replace_every_token_and_leave_other_heads_alone(model, pixels, reference):
    plain = z_of(model, pixels)
    with ablating(model, HEADS, "mean", reference=reference):
        found = z_of(model, pixels)
    for layer, head in HEADS:
        expected = reference.mean_of(layer)[:, head].expand_as(found[:, layer, :, head])
        torch.testing.assert_close(found[:, layer, :, head], expected)
    assert torch.equal(found[:, 0, :, [0, 2, 3]], plain[:, 0, :, [0, 2, 3]])


@torch.no_grad()
def test_a_reference_is_the_mean_over_readable_images_and_a_pool_of_them(model, reference):
    others = torch.randn(7, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    z = z_of(model, others[[0, 1, 2, 4, 5, 6]])
    torch.testing.assert_close(reference.mean, z.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(reference.pool, z, rtol=1e-4, atol=1e-5)
    assert reference.images == 6 and reference.broken == ("noise 3",)
    few = HeadReference.collect(model, Noise(others), layers=[2], pool=2, batch=3)
    assert few.mean.shape == (1, 17, 4, 8) and few.pool.shape == (2, 1, 17, 4, 8)


@torch.no_grad()
def test_resampling_gives_all_heads_of_an_image_one_donor_and_a_seed_gives_the_same(model, pixels, reference):
    with ablating(model, HEADS, "resample", reference=reference, seed=4):
        found, again = z_of(model, pixels), z_of(model, pixels)
    donors = {
        place: [(image.pool_distance(row)) for row in found[:, place[0], :, place[1]]]
        for place in HEADS
        if (image := _Finder(reference, place))
    }
    assert donors[HEADS[0]] == donors[HEADS[1]] == donors[HEADS[2]]
    assert not torch.equal(found[:, 0, :, 1], again[:, 0, :, 1])
    with ablating(model, HEADS, "resample", reference=reference, seed=4):
        assert torch.equal(z_of(model, pixels), found)


class _Finder:
    """Which image of the pool a head's output is of."""

    def __init__(self, reference, place):
        self.outputs = reference.pool_of(place[0])[:, :, place[1]]

    def pool_distance(self, row):
        distance = (self.outputs - row).abs().amax((1, 2))
        assert distance.min() == 0
        return int(distance.argmin())


@pytest.mark.parametrize("effect", ["total", "direct"])
@torch.no_grad()
def test_ones_change_no_bit_and_zeros_are_zeroing(model, pixels, effect):
    plain = model(pixels)
    factors = torch.ones(3, 4)
    with scaling_heads(model, factors, effect):
        assert torch.equal(model(pixels), plain)
    for layer, head in HEADS:
        factors[layer, head] = 0
    with scaling_heads(model, factors, effect):
        scaled = model(pixels)
    with ablating(model, HEADS, "zero", effect):
        assert torch.equal(model(pixels), scaled)
    assert not torch.equal(plain, scaled)


@pytest.mark.parametrize("effect", ["total", "direct"])
def test_gradients_reach_the_factors(model, pixels, effect):
    factors = torch.ones(3, 4, requires_grad=True)
    with scaling_heads(model, factors, effect):
        model(pixels).square().sum().backward()
    assert (factors.grad.abs() > 0).all()


@torch.no_grad()
def test_appended_tokens_keep_what_they_are_and_learned_tokens_alone_are_no_image(model, pixels, reference):
    tower = model.visual
    learned = torch.randn(5, 3, tower.width)
    joined = torch.cat([model.start_images(pixels), learned], 1)
    names = {"visual.blocks.0.attn.hook_z": torch.clone}
    with recording(model, names) as seen:
        tower.run(joined, [0])
    plain = seen["visual.blocks.0.attn.hook_z"]
    with ablating(model, [(0, 1)], "mean", reference=reference), recording(model, names) as seen:
        tower.run(joined, [0])
        found = seen["visual.blocks.0.attn.hook_z"]
        alone = tower.run(learned, [0])
    assert torch.equal(found[:, 17:], plain[:, 17:])
    torch.testing.assert_close(found[:, :17, 1], reference.mean_of(0)[:, 1].expand(5, 17, 8))
    assert torch.equal(alone, tower.run(learned, [0]))
    with ablating(model, [(0, 1)], "zero", "direct"):
        rows = tower.run(joined, range(3))
        tower.run(learned, [2])
        assert torch.equal(tower.read(rows[:, 17:]), model.visual.copy_readout()(rows[:, 17:]))
        changed = tower.read(rows[:, 0])
    assert not torch.equal(changed, tower.read(rows[:, 0]))


def test_hooks_are_gone_after_an_exception_and_after_a_copy(model, pixels, reference):
    with torch.no_grad():
        plain = model(pixels)
        for effect in ("total", "direct"):
            with pytest.raises(RuntimeError, match="stop"), ablating(model, HEADS, "mean", effect, reference):
                copy = model.visual.copy_readout()
                raise RuntimeError("stop")
            assert not any(point.has_hooks() for point in model.hook_dict.values())
            assert torch.equal(model(pixels), plain)
            rows = torch.randn(5, model.visual.width)
            torch.testing.assert_close(copy(rows), model.visual.read(rows), rtol=0, atol=0)


@torch.no_grad()
def test_ablations_nest_and_the_inner_one_leaves_the_outer_one_open(model, pixels):
    with ablating(model, HEADS, "zero"):
        both = model(pixels)
    with ablating(model, HEADS[:1], "zero"):
        one = model(pixels)
        with ablating(model, HEADS[1:], "zero"):
            assert torch.equal(model(pixels), both)
        assert torch.equal(model(pixels), one)


@torch.no_grad()
def test_heads_of_the_text_tower_can_be_zeroed_and_scaled(model, make_clip, tokenizer):
    tokens = model.tokenize(["a red circle", "night"])
    cut = HookedCLIP(make_clip(), "tiny", tokenizer)
    width = model.text.head_width
    cut.clip.text_model.encoder.layers[1].self_attn.out_proj.weight[:, :width] = 0
    with ablating(model, [(1, 0)], "zero", tower="text"):
        torch.testing.assert_close(model(**tokens), cut(**tokens), rtol=1e-6, atol=1e-6)
    factors = torch.ones(3, 4)
    factors[1, 0] = 0
    with scaling_heads(model, factors, tower="text"):
        torch.testing.assert_close(model(**tokens), cut(**tokens), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"heads": [(3, 0)]}, "L3.H0 is not in this model"),
        ({"mode": "cut"}, "mode must be one of"),
        ({"effect": "half"}, "effect must be one of"),
        ({"mode": "mean"}, "reference: mean needs one"),
        ({"tower": "text", "effect": "direct"}, "text tower"),
        ({"tower": "text", "mode": "mean"}, "text tower"),
    ],
)
def test_what_does_not_fit_is_refused(model, options, word):
    given = {"heads": HEADS, "mode": "zero", **options}
    with pytest.raises(InputError, match=word), ablating(model, **given):
        pass


def test_references_that_do_not_fit_are_refused(model, make_clip, tokenizer, reference, pixels):
    other = HookedCLIP(make_clip(seed=1), "other", tokenizer)
    with pytest.raises(InputError, match="not of model other"), ablating(other, HEADS, reference=reference):
        pass
    few = HeadReference.collect(model, Noise(pixels), layers=[0], pool=0)
    with pytest.raises(InputError, match="lacks layer 2"), ablating(model, HEADS, reference=few):
        pass
    with pytest.raises(InputError, match="pool"), ablating(model, HEADS[:1], "resample", reference=few):
        pass
    with pytest.raises(InputError, match="none of 5"):
        HeadReference.collect(model, Noise(pixels, broken=range(5)))
    with pytest.raises(InputError, match="shape"), scaling_heads(model, torch.ones(2, 4)):
        pass
