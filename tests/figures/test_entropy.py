"""The layer x head map shows every head where a reader looks for it."""

import pytest
from matplotlib.figure import Figure

from headroles.figures.entropy import entropy_figure
from headroles.figures.marks import concept_codes


def test_entropy_figure_shows_every_head(role_map, words):
    codes = concept_codes(role_map.concepts)
    shown = words(entropy_figure(role_map))
    for concept, code in codes.items():
        assert shown.count(code) == sum(head.concept == concept for head in role_map)
    key = " ".join(shown).replace("\n", " ")
    assert all(f"{code} {concept}" in key for concept, code in codes.items())
    assert {"Concept Entropy / log2 C", "attribute", "mixed", "generalization"} <= set(shown)


def test_deepest_layer_is_on_top(role_map):
    figure = entropy_figure(role_map)
    grid = next(axes for axes in figure.axes if axes.get_ylabel() == "layer")
    height = {label.get_text(): label.get_window_extent().y0 for label in grid.get_yticklabels()}
    assert height["3"] > height["2"] > height["1"]


def test_the_map_is_drawn_into_given_axes(role_map, words):
    figure = Figure(figsize=(12, 4))
    left, right = figure.subplots(1, 2)
    assert entropy_figure(role_map, ax=right) is figure is role_map.plot(ax=left)
    for axes in (left, right):
        assert axes.get_ylabel() == "layer" and len(axes.texts) == len(role_map)
    shown = words(figure)
    assert shown.count("tiny-clip") == 2 and shown.count("attribute") == 2
    assert "C color" in right.get_xlabel().replace("\n", " ")


@pytest.mark.parametrize("options", [{}, {"layers": range(12), "heads": 12}, {"layers": (0,), "heads": 1}])
def test_axes_of_their_own_figure_hold_all_keys(options, make_map, assert_nothing_cut):
    figure = Figure(figsize=(7, 5), layout="constrained")
    assert_nothing_cut(entropy_figure(make_map(**options), ax=figure.subplots()))
