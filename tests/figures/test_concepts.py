"""The bars show every head of every layer, or of the layers that are asked for."""

import pytest
from matplotlib.figure import Figure

from headroles.errors import InputError
from headroles.figures.concepts import concepts_figure


def test_concepts_figure_has_every_head_of_every_layer(role_map, words):
    shown = words(concepts_figure(role_map))
    assert all(shown.count(f"H{head}") == 3 for head in range(8))
    assert {"layer 1", "layer 2", "layer 3"} <= set(shown)
    assert all(any(word.endswith(concept) for word in shown) for concept in role_map.concepts)


def test_layers_are_chosen(role_map, words):
    shown = words(concepts_figure(role_map, layers=[3, 1]))
    assert {"layer 1", "layer 3"} <= set(shown) and "layer 2" not in shown
    for wrong in ([0], []):
        with pytest.raises(InputError, match="layers must be among 1, 2, 3, got"):
            concepts_figure(role_map, layers=wrong)


def test_one_layer_is_drawn_into_given_axes(role_map, words):
    figure = Figure(figsize=(9, 3), layout="constrained")
    axes = figure.subplots(1, 2)
    assert role_map.plot("concepts", layers=[2], ax=axes[0]) is figure
    shown = words(figure)
    assert "layer 2" in shown and shown.count("H0") == 1 and shown.count("B  background") == 1
    with pytest.raises(InputError, match="an ax takes one layer, got 1, 2, 3"):
        concepts_figure(role_map, ax=axes[1])


def test_silent_heads_come_last_without_concepts(random_role_map, words):
    figure = concepts_figure(random_role_map(silent=("L1.H0",)), layers=[1])
    bars = next(axes for axes in figure.axes if axes.get_title(loc="left") == "layer 1")
    assert [label.get_text() for label in bars.get_yticklabels()][-1] == "H0"
    assert words(figure).count("silent") == 2  # Its bar and the legend.
