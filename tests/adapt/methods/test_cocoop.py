"""CoCoOp against a computation of its own, image by image."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from headroles.adapt.methods import cocoop
from headroles.adapt.methods.cocoop import Cocoop
from headroles.adapt.methods.coop import Coop
from headroles.adapt.methods.features import Batch

NAMES, TEMPLATE = ("red_square", "circle", "a blue star"), "a photo of a {}."


def test_forward_and_loss_are_those_of_the_formulas(model, tokenizer, monkeypatch):
    method, labels = Cocoop(model), torch.tensor([2, 0, 1])
    shape = (3, 3, model.image_size, model.image_size)
    images = method.image_trunk(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    trunk = method.class_trunk(NAMES, TEMPLATE)
    rows = []
    first, _, last = method.meta
    first.bias.data.fill_(1.0)  # Above 0, where the net is not silent.
    for image in images:
        moved = last.weight @ (first.weight @ image + first.bias).relu() + last.bias
        coop = Coop(model)
        coop.context.data = method.context + moved
        rows.append(model.logit_scale * coop.encode_texts(trunk) @ image)
    expected = torch.stack(rows)
    logits, losses = method(Batch(images, labels, trunk))
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-4)
    assert losses["ce"].item() == pytest.approx(cross_entropy(expected, labels).item(), rel=1e-5)
    monkeypatch.setattr(cocoop, "_TEXTS", 4)  # One image of three classes in a run.
    torch.testing.assert_close(method(Batch(images, labels, trunk))[0], logits, rtol=1e-5, atol=1e-4)
    losses["ce"].backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in method.parameters())


def test_a_net_that_says_nothing_leaves_coop(model):
    method = Cocoop(model)
    for parameter in method.meta.parameters():
        torch.nn.init.zeros_(parameter)
    images, trunk = torch.eye(model.visual.embed)[:2], method.class_trunk(NAMES, TEMPLATE)
    coop = Coop(model)
    expected = coop.logits(images, coop.encode_texts(trunk))
    torch.testing.assert_close(method.logits(images, method.encode_texts(trunk)), expected, rtol=1e-5, atol=1e-4)
