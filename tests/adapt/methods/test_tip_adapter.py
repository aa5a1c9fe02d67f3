"""Tip-Adapter and the linear probe by their formulas, image by image."""

import math

import pytest
import torch

from headroles.adapt.methods.features import Batch, unit
from headroles.adapt.methods.linear_probe import LinearProbe, LinearProbeConfig
from headroles.adapt.methods.tip_adapter import TipAdapter, TipAdapterConfig

NAMES = ("red", "green", "blue")


@pytest.fixture
def look(model):
    """Six training images, two a class, in two batches, each view another noise."""

    def call(view):
        texts = TipAdapter(model, classes=NAMES).class_trunk(NAMES, "a {} thing")
        generator = torch.Generator().manual_seed(7 if view is None else view)
        trunk = unit(torch.randn(6, model.visual.embed, generator=generator))
        labels = torch.tensor([0, 0, 1, 1, 2, 2])
        for rows in (slice(0, 4), slice(4, 6)):
            yield Batch(trunk[rows], labels[rows], texts)

    return call


def test_logits_are_clips_and_the_caches(model, look):
    method = TipAdapter(model, config=TipAdapterConfig(alpha=2.0, beta=3.0, views=2), classes=NAMES)
    method.start(look)
    views = [torch.cat([batch.trunk for batch in look(view)]) for view in (0, 1)]
    keys = unit((views[0] + views[1]) / 2)
    images = unit(torch.randn(4, model.visual.embed, generator=torch.Generator().manual_seed(1)))
    asked = ("blue", "a cat", "red")
    trunk = method.class_trunk(asked, "a {} thing")
    found = method.logits(images, method.encode_texts(trunk))
    for row, image in enumerate(images):
        for column, name in enumerate(asked):
            expected = model.logit_scale * (image @ trunk.frozen[column]).item()
            for number in range(6):
                if name == NAMES[number // 2]:
                    expected += 2.0 * math.exp(-3.0 * (1 - (image @ keys[number]).item()))
            assert found[row, column].item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_no_views_takes_images_as_they_are_tested(model, look):
    method = TipAdapter(model, config=TipAdapterConfig(views=0), classes=NAMES)
    method.start(look)
    assert torch.allclose(method.keys, torch.cat([batch.trunk for batch in look(None)]), atol=1e-6)
    assert method.trained_count == 0


def test_alpha_and_beta_are_the_first_of_the_best_on_validation_images(model, look):
    method = TipAdapter(model, config=TipAdapterConfig(views=0, alpha_end=900.0), classes=NAMES)
    method.start(look)
    validation = list(look(3))
    method.settle(look, look_at := lambda view: iter(validation))
    images, labels = (torch.cat([getattr(each, name) for each in look_at(None)]) for name in ("trunk", "labels"))
    texts, values = validation[0].texts.frozen, torch.nn.functional.one_hot(method.labels, 3).float()
    best, expected = -1, (0.0, 0.0)
    plain, near = model.logit_scale * images @ texts.T, images @ method.keys.T
    for beta in (0.1 + step * 6.9 / 200 for step in range(200)):
        cached = (beta * (near - 1)).exp() @ values
        for alpha in (0.1 + step * 899.9 / 20 for step in range(20)):
            right = int(((plain + alpha * cached).argmax(1) == labels).sum())
            if right > best:
                best, expected = right, (alpha, beta)
    assert method.chosen.tolist() == pytest.approx(expected) and expected != (0.1, 0.1)
    assert method.findings().lines[0].endswith("the best on validation images")
    again = TipAdapter(model, config=method.config, classes=NAMES)
    again.make_room(method.state_dict())
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.chosen, method.chosen)
    method.start(look)
    assert method.chosen is None and method.findings().lines == ("alpha 1 and beta 5.5: as set, not searched",)


def test_a_probe_that_begins_with_texts_is_zero_shot(model, look):
    probe = LinearProbe(model, config=LinearProbeConfig(begin="texts"), classes=NAMES)
    probe.start(look)
    (batch, _) = look(None)
    found = probe.logits(batch.trunk, probe.encode_texts(probe.class_trunk(NAMES, "a {} thing")))
    assert torch.allclose(found, model.logit_scale * batch.trunk @ batch.texts.frozen.T, atol=1e-4)
    some = probe.class_trunk(("blue", "red"), "a {} thing")
    assert torch.equal(probe.logits(batch.trunk, probe.encode_texts(some)), found[:, [2, 0]])
