"""Heads x concepts, and concepts x layers: every share where a reader looks for it."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from headroles.errors import InputError
from headroles.figures.shares import Shares, shares_figure
from headroles.figures.spread import layer_parts, spread_figure
from headroles.roles.spread import ConceptSpread, HeadSpread


@pytest.fixture(scope="module")
def explained(small_map):
    """The small map with shares: head h explains concept h by half, and by a tenth the next one."""
    heads = []
    for number, head in enumerate(small_map):
        shares = dict.fromkeys(small_map.concepts, 0.0)
        shares[small_map.concepts[number]], shares[small_map.concepts[number + 1]] = 0.5, 0.1
        heads.append(replace(head, spread=HeadSpread(explained=shares, disentanglement=0.71)))
    spreads = tuple(ConceptSpread(concept, 0.37) for concept in small_map.concepts)
    return replace(small_map, head_roles=tuple(heads), concept_spread=spreads)


def test_every_head_is_a_row_with_its_shares(explained, words, assert_nothing_cut):
    figure = shares_figure(explained)
    shown = words(figure)
    assert shown.count("0.50") == 4 and shown.count("0.10") == 4 and shown.count("0.71") == 4
    assert {"L1.H0", "L1.H3", "share of variance that its texts explain", *explained.concepts} <= set(shown)
    assert_nothing_cut(figure)


def test_maps_without_shares_show_probabilities_and_silent_heads_are_left_out(random_role_map, words):
    role_map = random_role_map(silent=("L1.H0",))
    shown = words(shares_figure(role_map))
    assert "P(concept)" in shown and "L1.H0" not in shown and "L2.H2" in shown
    with pytest.raises(InputError, match="all of its heads are silent"):
        Shares.of(random_role_map(layers=(1,), heads=1, silent=("L1.H0",)))


def test_layers_hold_what_their_heads_hold(random_role_map, words, assert_nothing_cut):
    role_map = random_role_map()
    parts = layer_parts(role_map)
    np.testing.assert_allclose(parts.sum(1), 1)
    first = role_map.concepts[0]
    held = [
        sum(head.variance * head.distribution[first] for head in role_map if head.layer == layer) for layer in (1, 2)
    ]
    np.testing.assert_allclose(parts[0], np.array(held) / sum(held))
    figure = spread_figure(role_map)
    assert {"layer", "1", "2", *role_map.concepts} <= set(words(figure))
    assert_nothing_cut(figure)


def test_both_are_drawn_into_given_axes(explained, words):
    figure = Figure(figsize=(12, 4))
    left, right = figure.subplots(1, 2)
    assert explained.plot("shares", ax=left) is figure is explained.plot("spread", ax=right)
    assert right.get_xlabel() == "layer" and "L1.H2" in words(figure)
