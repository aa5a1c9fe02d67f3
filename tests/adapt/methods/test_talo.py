"""TaLo against runs with zeroed weights, one unit after another."""

import math

import numpy as np
import pytest
import torch

from headroles import load
from headroles.adapt.methods.bypass import Unit
from headroles.adapt.methods.features import Batch, ClassTrunk, unit
from headroles.adapt.methods.probing import judge
from headroles.adapt.methods.talo import Talo, TaloConfig
from headroles.errors import InputError
from headroles.heads.ablate import ablating
from headroles.models.hooked_clip import HookedCLIP

NAMES = ("red", "green", "blue")


@pytest.fixture(scope="module")
def clip(clip_folder):
    return load(str(clip_folder), "cpu")


@pytest.fixture(scope="module")
def pixels(clip):
    generator = torch.Generator().manual_seed(3)
    levels = 3 * torch.randn(10, 3, 4, 4, generator=generator)
    return torch.nn.functional.interpolate(levels, (clip.image_size, clip.image_size))


@pytest.fixture(scope="module")
def texts(clip, pixels):
    """Three classes that lie among the images' embeddings without layer 1's attention."""
    found = embed_without(clip, pixels, Unit(1))
    return unit(found[:3] - found.mean(0))


@pytest.fixture(scope="module")
def labels(clip, pixels, texts):
    """What the model without layer 1's attention says, so that the attention harms."""
    return (embed_without(clip, pixels, Unit(1)) @ texts.T).argmax(1)


def start(method: Talo, pixels: torch.Tensor, labels: torch.Tensor, texts: torch.Tensor) -> Talo:
    def look(view):
        classes = ClassTrunk(frozen=texts, names=NAMES)
        trunk = method.image_trunk(pixels)
        for rows in (range(4), range(4, 10)):
            part = slice(rows.start, rows.stop)
            yield Batch(trunk[part], labels[part], classes, numbers=tuple(rows))

    with torch.no_grad():
        method.start(look)
    return method


@torch.no_grad()
def embed_without(clip: HookedCLIP, pixels: torch.Tensor, each: Unit) -> torch.Tensor:
    if each.head is not None:
        with ablating(clip, [(each.layer, each.head)], "zero"):
            return unit(clip(pixels))
    output = clip.clip.vision_model.encoder.layers[each.layer].self_attn.out_proj
    kept = output.weight.clone(), output.bias.clone()
    output.weight.zero_(), output.bias.zero_()
    found = unit(clip(pixels))
    output.weight.copy_(kept[0]), output.bias.copy_(kept[1])
    return found


@pytest.mark.parametrize("measure", ["accuracy", "margin"])
def test_the_unit_whose_absence_helps_most_is_bypassed(clip, pixels, labels, texts, measure):
    method = start(Talo(clip, config=TaloConfig(units="both", measure=measure)), pixels, labels, texts)

    def score(images: torch.Tensor) -> float:
        cosines = images @ texts.T
        if measure == "accuracy":
            return (cosines.argmax(1) == labels).float().mean().item()
        rows = zip(cosines.tolist(), labels.tolist(), strict=True)
        return float(np.mean([row[own] - max(row[:own] + row[own + 1 :]) for row, own in rows]))

    intact = score(method.frozen_images(method.image_trunk(pixels)))
    expected = {each: score(embed_without(clip, pixels, each)) - intact for each in method.candidates}
    assert {each.layer for each in expected} == {1, 2} and len(expected) == 2 + 2 * clip.visual.heads
    found = {trial.unit: trial.gain for trial in method.trials}
    assert found == pytest.approx(expected, abs=1e-5)
    best = max(expected, key=lambda each: (round(expected[each], 6), -method.candidates.index(each)))
    assert expected[best] > 0 and method.units == (best,) and method.layer == best.layer
    wanted = embed_without(clip, pixels, best)
    assert torch.allclose(method.encode_images(method.image_trunk(pixels)), wanted, atol=1e-5)
    assert torch.allclose(method.frozen_images(method.image_trunk(pixels)), unit(clip(pixels)), atol=1e-5)
    assert math.isnan(method.held_out_gain)  # All images were probes.


def test_the_choice_is_tested_on_images_that_it_has_not_seen(clip, pixels, labels, texts):
    method = start(
        Talo(clip, config=TaloConfig(units="heads", probes=4, rounds=2, measure="margin")), pixels, labels, texts
    )
    assert len(method.units) == 1 and method.held_out[1] == 6
    assert -1 <= method.held_out_gain <= 1
    again = Talo(clip, config=method.config)
    again.make_room(method.state_dict())
    again.load_state_dict(method.state_dict())
    assert again.units == method.units and again.trials == method.trials


def test_direct_effects_pick_what_is_run(clip, pixels, labels, texts):
    method = start(Talo(clip, config=TaloConfig(units="heads", shortlist=3, measure="margin")), pixels, labels, texts)
    own = torch.nn.functional.one_hot(labels, 3).bool()
    expected = {}
    for each in method.candidates:
        with ablating(clip, [(each.layer, each.head)], "zero", "direct"), torch.no_grad():
            cosines = unit(clip(pixels)) @ texts.T
        expected[each] = (cosines[own] - cosines.masked_fill(own, -9).max(1).values).mean().item()
    best = sorted(expected, key=expected.get, reverse=True)[:3]
    assert {trial.unit for trial in method.trials} == set(best)


def test_nothing_is_bypassed_where_nothing_harms(clip, pixels, labels, texts):
    method = start(Talo(clip, config=TaloConfig(fdr=1e-6)), pixels, labels, texts)
    assert method.units == () and method.layer is None and method.trials
    trunk = method.image_trunk(pixels)
    assert torch.equal(method.encode_images(trunk), method.frozen_images(trunk))


def test_a_unit_that_helps_every_image_is_sure_and_one_that_helps_none_is_not():
    rng = np.random.default_rng(0)
    gains = np.stack([np.ones(20), rng.normal(size=20), -np.ones(20)], 1)
    sure, unsure, harm = judge([Unit(1), Unit(2), Unit(3)], gains, 200, 0)
    assert sure.p_value == pytest.approx(1 / 201) and sure.q_value == pytest.approx(3 / 201) and sure.chosen > 0.95
    assert unsure.p_value > 0.01 and harm.p_value == 1 and harm.chosen == 0
    assert sure.gain == 1 and harm.gain == -1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"units": "tokens"}, "units must be one of layers, heads, both"),
        ({"shortlist": 4}, "shortlist is of heads; take units heads or both"),
        ({"fdr": 0.0}, "fdr must be above 0 and at most 1"),
        ({"units": "heads", "roles": ("mixed",)}, "roles: they are a role map's"),
    ],
)
def test_mistakes_are_said(clip, settings, expected):
    with pytest.raises(InputError, match=expected):
        Talo(clip, config=TaloConfig(**settings))


def test_roles_say_which_heads_may_be_bypassed(clip, small_map):
    chosen = {(head.layer, head.head) for head in small_map if head.role == "attribute" and head.layer}
    method = Talo(clip, small_map, TaloConfig(units="heads", roles=("attribute",)))
    assert {tuple(each) for each in method.candidates} == chosen
