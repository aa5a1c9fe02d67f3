"""Texts of which each token is computed once: the same ends, and the same gradients, as of all tokens of all texts."""

import math
from types import SimpleNamespace

import pytest
import torch

from headroles.adapt.methods.branches import WORTHWHILE, pick_alike
from headroles.models.hooked_clip import HookedCLIP

TEXTS = ["a photo of a red circle", "a photo of a night", "a photo of something striped in the top left"]


@pytest.fixture(scope="module")
def double(make_clip, tokenizer) -> HookedCLIP:
    return HookedCLIP(make_clip().double(), "tiny", tokenizer)


def run_alike(model, residual, texts, groups=1):
    mask, last = model.causal_mask(texts.start + texts.length), model.text.layers - 1
    stream = texts.gather(residual)
    for layer in range(model.text.layers):
        stream = model.text.run_alike([stream], layer, texts, mask, ends=layer == last)
    assert stream.shape[:2] == (groups, texts.texts)
    return stream.flatten(0, 1)


def run_whole(model, residual, ends):
    last, mask = model.text.layers - 1, model.causal_mask(residual.shape[1])
    return model.text.run_rows(model.text.run(residual, range(last), mask), last, ends[:, None], mask)[:, 0]


def test_each_token_is_computed_once_and_none_behind_an_end(double):
    ids = double.tokenize(TEXTS)["input_ids"]
    texts, ends = double.find_alike(ids), double.text_rows(ids)
    same = min(row for row in range(ids.shape[1]) if len(set(ids[:, row].tolist())) > 1)
    assert texts.start == same > 2
    assert len(texts.places) == int((ends + 1 - texts.start).sum()) < len(TEXTS) * texts.length
    assert len(texts.apart().places) == int((ends + 1).sum())
    rows = len(texts.places) + texts.start
    assert texts.spared == ids.numel() - rows and texts.longer(4).spared == texts.spared + 4 * (len(TEXTS) - 1)
    alone = double.find_alike(ids[:1])
    assert alone.start == int(ends[0]) and len(alone.places) == 1  # An end is no part of a start.


@pytest.mark.parametrize("way", ["together", "apart", "picked", "longer"])
def test_ends_and_gradients_are_those_of_whole_texts(double, way):
    ids = double.tokenize(TEXTS)["input_ids"]
    texts, ends = double.find_alike(ids), double.text_rows(ids)
    start = double.start_texts(ids).detach()
    if way == "apart":
        texts = texts.apart()
    elif way == "picked":
        rows = torch.tensor([0, 2])
        texts, ends, start = texts.pick(rows), ends[rows], start[rows]
    elif way == "longer":
        learned = torch.randn(1, 2, start.shape[2], dtype=start.dtype, generator=torch.Generator().manual_seed(1))
        start = torch.cat([start[:, :1], learned.expand(len(start), -1, -1), start[:, 1:]], 1)
        texts, ends = texts.longer(2), ends + 2
    move = torch.zeros(start.shape[1:], dtype=start.dtype, requires_grad=True)
    found, expected = run_alike(double, start + move, texts), run_whole(double, start + move, ends)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)
    one, other = (torch.autograd.grad(each.pow(3).sum(), move)[0] for each in (found, expected))
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


@torch.no_grad()
def test_groups_have_starts_of_their_own(double):
    ids = double.tokenize(TEXTS)["input_ids"]
    texts, ends = double.find_alike(ids), double.text_rows(ids)
    start = double.start_texts(ids).repeat(2, 1, 1)
    start[3:, 2, 0] += 5
    found = run_alike(double, start, texts, groups=2)
    torch.testing.assert_close(found, run_whole(double, start, ends.repeat(2)), rtol=1e-11, atol=1e-12)
    assert not torch.allclose(found[:3], found[3:])


def test_texts_without_a_common_first_token_or_a_causal_tower_are_left_whole(double, monkeypatch):
    ids = double.tokenize(TEXTS)["input_ids"]
    other = ids.clone()
    other[0, 0] += 1
    assert double.find_alike(other) is None
    monkeypatch.setattr(double, "causal_mask", lambda tokens: torch.zeros(tokens, tokens))
    assert double.find_alike(ids) is None


def test_texts_are_left_whole_where_few_tokens_are_spared(double):
    texts = double.find_alike(double.tokenize(TEXTS)["input_ids"])
    width = math.isqrt(WORTHWHILE // texts.longer(4).spared) + 1
    for more, less in (({"learned": 4}, {"learned": 3}), ({"groups": 2, "learned": 4}, {})):
        tower = SimpleNamespace(width=width, layers=2, is_hooked=lambda *layers: False)
        assert pick_alike(texts, tower, 0, **more) is texts and pick_alike(texts, tower, 0, **less) is None
    hooked = SimpleNamespace(width=width, layers=2, is_hooked=lambda *layers: 1 in layers)
    assert pick_alike(texts, hooked, 0, 4) is None and pick_alike(None, tower, 0, 4) is None


def test_pieces_that_need_no_gradient_change_none(double):
    tower, generator = double.visual, torch.Generator().manual_seed(2)
    fixed, learned = (torch.randn(2, count, tower.width, dtype=torch.float64, generator=generator) for count in (5, 2))
    learned.requires_grad_(True)
    mask = torch.zeros(tower.heads, 7, 7, dtype=torch.float64)
    mask[1, :5, 5:] = -torch.inf
    for each in (None, mask):
        found = tower.run_pieces([fixed, learned], 1, each)
        expected = tower.run(torch.cat([fixed, learned], 1), [1], each)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        one, other = (torch.autograd.grad(run.pow(3).sum(), learned)[0] for run in (found, expected))
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)
