"""Who sees whom, head by head: the rules of the masks, written out token by token."""

from collections import Counter

import pytest
import torch

from headroles.adapt.config import MASKS
from headroles.adapt.methods.masks import build_masks, check_role_map, head_kinds, masked_kinds
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
    for variant in ("role", "layer", "random", "inverted"):
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
