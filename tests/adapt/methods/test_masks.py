"""Who sees whom, head by head: the rules of the masks, written out token by token."""

import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from headroles.adapt.config import MASKS, MaskConfig
from headroles.adapt.methods.masks import build_masks, check_role_map, head_kinds, masked_kinds
from headroles.adapt.methods.rank_correlation import correlate_ranks
from headroles.adapt.methods.role_masks import RoleMasks
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP

TOKENS = ["color", "shape", "texture"]
ROWS = [["color", "shape", "general", "mixed"], ["animal", "animal", "texture", "mixed"]]
PATCHES = 3
ORIGINALS = range(1 + PATCHES)
ALL = range(1 + PATCHES + len(TOKENS))


@pytest.fixture
def role_map(model, make_role_map):
    return make_role_map(model, ROWS)


def may_see(kind: str, query: int, key: int) -> bool:
    """The rule of the paper for one pair of tokens."""
    original = (query in ORIGINALS, key in ORIGINALS)
    if kind == "open" or query == key or all(original):
        return True
    if kind == "isolated":
        return original == (False, False)
    chosen = len(ORIGINALS) + TOKENS.index(kind)
    others = [token for token in ALL if token not in (chosen, *ORIGINALS)]
    return (query in others) == (key in others)


def see(mask: torch.Tensor) -> list[list[bool]]:
    assert ((mask == 0) | (mask == -torch.inf)).all()
    return (mask == 0).tolist()


def expected(kind: str) -> list[list[bool]]:
    return [[may_see(kind, query, key) for key in ALL] for query in ALL]


def test_roles_become_kinds(role_map):
    assert head_kinds(role_map, 1, TOKENS) == ["color", "shape", "isolated", "open"]
    assert head_kinds(role_map, 2, TOKENS) == ["isolated", "isolated", "texture", "open"]
    assert head_kinds(role_map, 1, ["shape"]) == ["isolated", "shape", "isolated", "open"]


def test_silent_heads_are_isolated(model, make_role_map):
    role_map = make_role_map(model, [["color", "silent", "general", "mixed"], ["silent"]])
    assert head_kinds(role_map, 1, TOKENS) == ["color", "isolated", "isolated", "open"]
    assert head_kinds(role_map, 2, TOKENS) == ["isolated"] * 4


@pytest.mark.parametrize(
    ("variant", "kinds"),
    [
        ("role", [["color", "shape", "isolated", "open"], ["isolated", "isolated", "texture", "open"]]),
        ("open", [["open"] * 4, ["open"] * 4]),
        ("layer", [["color"] * 4, ["isolated"] * 4]),
        ("inverted", [["isolated", "isolated", "open", "isolated"], ["open", "open", "isolated", "isolated"]]),
    ],
)
def test_every_variant_on_a_map_made_by_hand(role_map, variant, kinds):
    assert list(masked_kinds(role_map, [1, 2], TOKENS, variant, 0).values()) == kinds
    masks = build_masks(role_map, [1, 2], TOKENS, PATCHES, variant, 0)
    for layer, row in zip((1, 2), kinds, strict=True):
        if set(row) == {"open"}:
            assert layer not in masks
        else:
            assert [see(mask) for mask in masks[layer]] == [expected(kind) for kind in row]


def test_random_masks_shuffle_the_kinds_of_all_heads_by_seed(role_map):
    def flat(variant: str, seed: int) -> list[str]:
        return [kind for row in masked_kinds(role_map, [1, 2], TOKENS, variant, seed).values() for kind in row]

    drawn = [flat("random", seed) for seed in range(8)]
    assert drawn == [flat("random", seed) for seed in range(8)]
    assert len(set(map(tuple, drawn))) > 4
    assert all(Counter(kinds) == Counter(flat("role", 0)) for kinds in drawn)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("variant", MASKS)
def test_no_row_is_empty(role_map, variant, dtype):
    for mask in build_masks(role_map, [1, 2], TOKENS, PATCHES, variant, 0).values():
        scores = torch.randn(2, *mask.shape, generator=torch.Generator().manual_seed(0)).to(dtype)
        pattern = (scores + mask.to(dtype)).softmax(-1)
        assert pattern.isfinite().all()
        assert (pattern.diagonal(dim1=-2, dim2=-1) > 0).all()


def test_a_layer_that_was_not_scored_is_refused(role_map):
    message = r"role map: layer 0 was not scored \(scored: 1, 2\)"
    for variant in ("role", "layer", "random", "inverted", "soft", "learned"):
        with pytest.raises(InputError, match=message):
            build_masks(role_map, [0, 1, 2], TOKENS, PATCHES, variant, 0)
    assert build_masks(role_map, [0, 1, 2], TOKENS, PATCHES, "open", 0) == {}
    with pytest.raises(InputError, match="mask must be one of role"):
        build_masks(role_map, [1, 2], TOKENS, PATCHES, "rolle", 0)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"layers": 4}, "made for tiny with 4 layers of 4 heads, but tiny has 3 of 4; score this model"),
        ({"heads": 2}, "made for tiny with 3 layers of 2 heads, but tiny has 3 of 4; score this model"),
        ({"seed": 1}, "made for tiny with weights .{12}, but tiny has weights .{12}; score this model"),
    ],
    ids=str,
)
def test_a_role_map_of_another_model_is_refused(model, make_clip, tokenizer, make_role_map, shape, message):
    other = make_role_map(HookedCLIP(make_clip(**shape), "tiny", tokenizer), ROWS)
    with pytest.raises(InputError, match=message) as caught:
        check_role_map(other, model)
    assert "\n" not in str(caught.value)


def draw_shares(role_map):
    """The role map with other shares of the tokens' concepts, which leave a rest to other concepts."""
    rng = np.random.default_rng(0)
    heads = []
    for head in role_map:
        drawn = dict(zip(TOKENS, rng.dirichlet(np.ones(4)).tolist(), strict=False))
        heads.append(dataclasses.replace(head, distribution=dict.fromkeys(head.distribution, 0.0) | drawn))
    return dataclasses.replace(role_map, head_roles=tuple(heads))


def test_soft_masks_of_shares_of_one_and_none_are_those_of_roles(model, make_role_map):
    role_map = make_role_map(model, [["color", "shape", "animal", "texture"], ["shape", "silent", "object", "color"]])
    for layer, mask in build_masks(role_map, [1, 2], TOKENS, PATCHES, "role").items():
        assert torch.equal(mask, build_masks(role_map, [1, 2], TOKENS, PATCHES, "soft")[layer])


def test_soft_masks_are_log_probabilities_of_one_group(role_map):
    """Of all places that the tokens may take, each by itself, the sum over those where two are in one group."""
    drawn = draw_shares(role_map)
    masks = build_masks(drawn, [1], TOKENS, PATCHES, "soft")
    for head, mask in enumerate(masks[1]):
        shares, together = [drawn[1, head].distribution[token] for token in TOKENS], torch.zeros(mask.shape)
        for inside in itertools.product((1, 0), repeat=len(TOKENS)):
            chance = np.prod([share if each else 1 - share for share, each in zip(shares, inside, strict=True)])
            group = torch.tensor([*[1] * len(ORIGINALS), *inside])
            together += chance * (group[:, None] == group)
        assert torch.allclose(mask.exp(), together, atol=1e-6)
    part = build_masks(drawn, [1], TOKENS, PATCHES, "soft", floor=0.4)[1][:, 0, len(ORIGINALS) :].exp()
    shares = torch.tensor([[drawn[1, head].distribution[token] for token in TOKENS] for head in range(4)])
    assert torch.allclose(part, ((shares - 0.4) / 0.6).clamp(min=0), atol=1e-6) and (part == 0).any()


def learn(role_map, **settings) -> RoleMasks:
    return RoleMasks(role_map, [1, 2], TOKENS, PATCHES, MaskConfig(mask="learned", **settings))


def test_learned_masks_begin_at_the_role_maps_or_all_alike_and_are_held_near_it(role_map):
    drawn = draw_shares(role_map)
    held, soft = learn(drawn, lambda_mask=2.0), build_masks(drawn, [1, 2], TOKENS, PATCHES, "soft")
    for layer, mask in held().items():
        assert torch.allclose(mask.exp(), soft[layer].exp(), atol=0.02)  # They begin .01 from 0 and 1 at the least.
    alike = learn(drawn, mask_start="uniform", lambda_mask=2.0)
    assert alike.logits.std() < 1e-6 and torch.allclose(alike.logits.sigmoid().mean(), alike.given.mean())
    assert torch.allclose(alike.losses()["mask"], 2 * alike.given.var(unbiased=False))
    assert held.losses()["mask"] < 1e-3 and learn(drawn, lambda_mask=0.0).losses() == {}
    assert RoleMasks(drawn, [1], TOKENS, PATCHES, MaskConfig()).losses() == {}


def test_learned_weights_are_compared_with_the_role_map_by_rank_and_by_heads(role_map):
    masks = learn(draw_shares(role_map))
    assert masks.correlate().rho > 0.98 and masks.correlate().p_value == pytest.approx(1e-4)
    with torch.no_grad():
        masks.logits.neg_()
    turned = masks.correlate()
    assert turned.rho < -0.98 and turned.p_value > 0.99 and turned.heads == 8
    assert np.isnan(learn(draw_shares(role_map), mask_start="uniform").correlate().rho)
    one = np.random.default_rng(1).normal(size=(6, 3))
    columns = one + np.array([0, 10, 20])  # Columns of their own level, which say nothing about heads.
    assert correlate_ranks(columns, np.roll(columns, 1, 0)).rho > 0.7
    assert correlate_ranks(columns, np.roll(columns, 1, 0)).p_value > 0.05
    assert correlate_ranks(one, np.exp(one)).rho == pytest.approx(1)
    assert correlate_ranks(one, one[::-1]).rho == pytest.approx(spearmanr(one.ravel(), one[::-1].ravel()).statistic)
