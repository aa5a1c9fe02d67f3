"""The layer x head map shows every head where a reader looks for it."""

from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from headroles.figures.entropy import entropy_figure
from headroles.figures.marks import HOLLOW, concept_codes


def test_entropy_figure_shows_every_head(role_map, words):
    codes = concept_codes(role_map.concepts)
    shown = words(entropy_figure(role_map))
    for concept, code in codes.items():
        assert shown.count(code) == sum(head.concept == concept for head in role_map)
    key = " ".join(shown).replace("\n", " ")
    assert all(f"{code} {concept}" in key for concept, code in codes.items())
    assert {"Concept Entropy; 1: chance", "attribute", "mixed", "generalization"} <= set(shown)


def test_silent_heads_are_hatched_cells_without_letters_or_marker(random_role_map, words):
    figure = entropy_figure(random_role_map(silent=("L1.H0", "L2.H2")))
    grid = next(axes for axes in figure.axes if axes.get_ylabel() == "layer")
    assert [patch.get_xy() for patch in grid.patches] == [(0, 1), (2, 0)] and all(p.get_hatch() for p in grid.patches)
    assert sum(len(marks.get_offsets()) for marks in grid.collections[1:]) == 4
    letters, numbers = (
        sum(text.get_text()[:1].isalpha() == each for text in grid.texts if text.get_text()) for each in (True, False)
    )
    assert letters == numbers == 4
    assert "silent" in words(figure) and "silent" not in words(entropy_figure(random_role_map()))


def test_markers_are_hollow_where_heads_do_not_stand_out(random_role_map, words):
    role_map = random_role_map()
    grid = next(axes for axes in entropy_figure(role_map).axes if axes.get_ylabel() == "layer")
    hollow = [marks for marks in grid.collections[1:] if not len(marks.get_facecolor())]
    assert sum(len(marks.get_offsets()) for marks in hollow) == sum(not head.stands_out for head in role_map) > 0
    assert HOLLOW in words(entropy_figure(role_map))
    sure = replace(role_map, head_roles=tuple(replace(head, q_value=0.01) for head in role_map))
    assert HOLLOW not in words(entropy_figure(sure))


def test_entropies_above_chance_share_a_colour_and_the_bar_says_so(random_role_map):
    def ends(role_map):
        bar = next(axes for axes in entropy_figure(role_map).axes if "Entropy" in axes.get_xlabel())
        return bar._colorbar.extend, bar.get_xlabel()

    role_map = random_role_map()
    above = replace(role_map, head_roles=tuple(replace(head, entropy=head.entropy + 0.5) for head in role_map))
    assert ends(role_map) == ("neither", "Concept Entropy; 1: chance")
    assert ends(above) == ("max", "Concept Entropy; 1: chance")
    assert ends(replace(role_map, probe_kind="image")) == ("neither", "Concept Entropy / log2 C")


def test_colours_span_what_the_heads_have_and_cells_say_their_numbers(random_role_map):
    role_map = random_role_map()
    close = replace(role_map, head_roles=tuple(replace(h, entropy=0.42 + 0.02 * h.head) for h in role_map))
    grid = next(axes for axes in entropy_figure(close).axes if axes.get_ylabel() == "layer")
    assert grid.collections[0].get_clim() == (0.4, 0.6)
    assert {text.get_text() for text in grid.texts} >= {f".{42 + 2 * head.head}" for head in close}


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
        assert axes.get_ylabel() == "layer" and len(axes.texts) == 2 * len(role_map)
    shown = words(figure)
    assert shown.count("tiny-clip") == 2 and shown.count("attribute") == 2
    assert "C color" in right.get_xlabel().replace("\n", " ")


@pytest.mark.parametrize("options", [{}, {"layers": range(12), "heads": 12}, {"layers": (0,), "heads": 1}])
def test_axes_of_their_own_figure_hold_all_keys(options, make_map, assert_nothing_cut):
    figure = Figure(figsize=(7, 5), layout="constrained")
    assert_nothing_cut(entropy_figure(make_map(**options), ax=figure.subplots()))
