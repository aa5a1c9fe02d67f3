"""Costs of cutting heads equal those of ablated forwards, one by one; matched sets match."""

import numpy as np
import pytest
import torch

from headroles.causal.effects import direct_effects, total_effects
from headroles.causal.head_record import HeadRecord
from headroles.causal.margins import ValueTexts, margin
from headroles.heads.ablate import ablating, scaling_heads
from headroles.heads.reference import HeadReference
from headroles.images.labelled import Concept, LabelledImages
from headroles.models.hooked_clip import HookedCLIP, recording
from headroles.shapes.world import ABSENT

CONCEPTS = (
    Concept("color", ("red", "blue"), (("a red item", "red paint"), ("a blue item",))),
    Concept("shape", ("circle", "star", "ring"), (("a circle",), ("a star",), ("a ring",))),
)
SETS = ((), ((0, 1),), ((1, 0), (1, 2)), ((0, 3), (2, 2)))


class Noise:
    """A data set of random images, number 2 of them broken."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return index, "broken" if index == 2 else torch.randn(3, 32, 32, generator=generator)

    def name(self, index):
        return f"noise {index}"


@pytest.fixture
def images():
    codes = np.random.default_rng(0).integers(0, 2, (12, 2))
    codes[4, 0] = ABSENT
    return LabelledImages("noise", Noise(), CONCEPTS, codes)


def naive(model, images, changing, sets=SETS):
    """Mean margins (set, concept): one forward a set, `changing()` it, with the intact image's deviation and length."""
    texts = ValueTexts.embed(model, images.concepts)
    numbers = [number for number in range(12) if number != 2]
    pixels = torch.stack([images.images[number][1] for number in numbers])
    with recording(model, {"visual.ln_final.hook_scale": torch.clone}) as seen, torch.no_grad():
        length = model(pixels).norm(dim=-1, keepdim=True)
        sigma = seen["visual.ln_final.hook_scale"]
    found = np.zeros((len(sets), 2))
    for row, members in enumerate(sets):
        keep = {"visual.ln_final.hook_scale": torch.clone}
        with torch.no_grad(), changing(members), recording(model, keep) as seen:
            embedding = model(pixels)
            constant = model.visual.constant()
            embedding = (embedding - constant) * seen["visual.ln_final.hook_scale"] / sigma + constant
        for concept, rows in enumerate(texts.embeddings):
            labels = torch.from_numpy(images.codes[numbers, concept])
            logits = model.logit_scale * embedding / length @ rows.T
            has = labels != ABSENT
            found[row, concept] = margin(logits[has], labels[has])[0].mean()
    return found


def means(sums):
    return (sums.margin.sum(0) / sums.count.sum(0)).numpy()


@pytest.mark.parametrize("mode", ["mean", "zero"])
def test_the_direct_effect_of_all_sets_follows_from_one_pass(model, images, mode):
    record = HeadRecord.collect(model, images, (0, 1, 2), batch=5)
    assert record.broken == ("noise 2",) and len(record.index) == 11
    texts = ValueTexts.embed(model, images.concepts)
    sums = direct_effects(model, images, record, texts, (0, 1, 2), SETS, mode, blocks=4)
    reference = HeadReference.collect(model, images.images)
    np.testing.assert_allclose(
        means(sums),
        naive(model, images, lambda heads: ablating(model, heads, mode, "direct", reference)),
        rtol=1e-4,
        atol=1e-3,
    )
    assert sums.count.sum(0).tolist() == [10, 11]
    again = HeadRecord.collect(model, images, (0, 1, 2))
    resampled = [direct_effects(model, images, again, texts, (0, 1, 2), SETS, "resample", seed) for seed in (0, 0, 1)]
    assert torch.equal(resampled[0].margin, resampled[1].margin)
    assert not torch.equal(resampled[0].margin, resampled[2].margin)
    torch.testing.assert_close(resampled[0].margin[:, 0].sum(0), sums.margin[:, 0].sum(0))


@pytest.mark.parametrize("mode", ["mean", "zero"])
def test_the_total_effect_is_that_of_whole_ablated_forwards(model, images, mode):
    reference = HeadReference.collect(model, images.images, pool=0)
    texts = ValueTexts.embed(model, images.concepts)
    sums = total_effects(model, images, texts, SETS, reference, mode, batch=5)
    np.testing.assert_allclose(
        means(sums),
        naive(model, images, lambda heads: ablating(model, heads, mode, "total", reference)),
        rtol=1e-4,
        atol=1e-3,
    )


@pytest.mark.parametrize("effect", ["direct", "total"])
def test_scaled_heads_cost_what_scaled_forwards_do_and_none_at_one_and_a_cut_at_zero(model, images, effect):
    texts, reference = ValueTexts.embed(model, images.concepts), HeadReference.collect(model, images.images, pool=0)
    record = HeadRecord.collect(model, images, (0, 1, 2))

    def measure(sets, mode, factors=None):
        if effect == "direct":
            return means(direct_effects(model, images, record, texts, (0, 1, 2), sets, mode, factors=factors))
        return means(total_effects(model, images, texts, sets, reference, mode, factors=factors))

    members = SETS[2]
    zero, one = measure([members] * 2, "mean", [0.0, 1.0])
    cut, intact = measure([members, ()], "mean")
    np.testing.assert_array_equal(zero, cut)
    np.testing.assert_allclose(one, intact, rtol=1e-5)
    factors = torch.ones(3, 4)
    factors[1, [0, 2]] = -2.5
    scaled = naive(model, images, lambda heads: scaling_heads(model, factors, effect), [members])
    np.testing.assert_allclose(measure([members], "zero", [-2.5]), scaled, rtol=1e-3, atol=2e-3)


def test_pooled_towers_are_measured_too(make_siglip, tokenizer, images):
    """SigLIP: zeroed heads of encoder and pooling layers; means are those of the heads' parts of the embedding."""
    model = HookedCLIP(make_siglip(), "tiny siglip", tokenizer)
    sets, layers = ((), ((0, 1),), ((2, 3), (3, 0))), (0, 2, 3)
    texts = ValueTexts.embed(model, images.concepts)
    numbers = [number for number in range(12) if number != 2]
    pixels = torch.stack([images.images[number][1] for number in numbers])
    labels = torch.from_numpy(images.codes[numbers, 1])
    with torch.no_grad():
        length = model(pixels).norm(dim=-1, keepdim=True)
    record = HeadRecord.collect(model, images, layers)
    found = {
        "direct": direct_effects(model, images, record, texts, layers, sets, "zero"),
        "total": total_effects(model, images, texts, sets, None, "zero"),
    }
    for effect, sums in found.items():
        for row, members in enumerate(sets):
            with torch.no_grad(), ablating(model, members, "zero", effect):
                logits = model.logit_scale * model(pixels) / length @ texts.embeddings[1].T
            expected = margin(logits, labels)[0].mean().item()
            assert means(sums)[row, 1] == pytest.approx(expected, rel=1e-3, abs=1e-3), (effect, members)


def test_a_margin_is_the_log_odds_of_the_right_value():
    logits, labels = torch.randn(6, 2, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    p = logits.softmax(-1)[torch.arange(6), :, labels]
    found, right = margin(logits, labels)
    torch.testing.assert_close(found, (p / (1 - p)).log(), rtol=1e-4, atol=1e-4)
    assert torch.equal(right, logits.argmax(-1) == labels[:, None])
