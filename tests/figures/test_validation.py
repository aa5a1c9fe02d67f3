"""Figures of a Validation: gains are told from losses, names lie apart, the heading says the verdict."""

from dataclasses import replace

import numpy as np
import pytest

from headroles.causal.costs import Estimate
from headroles.errors import InputError
from headroles.figures.validation import matrix_figure, selectivity_figure


@pytest.fixture
def validation(random_role_map, random_validation):
    return random_validation(random_role_map())


def test_losses_gains_and_nothing_have_colours_of_their_own(validation):
    values = iter([13.0, -8.4, 0.0, *[None] * 99])
    costs = [
        {name: replace(cost, times=Estimate(next(values), None, None)) for name, cost in test.costs.items()}
        for test in validation.tests
    ]
    tests = tuple(replace(test, costs=each) for test, each in zip(validation.tests, costs, strict=True))
    figure = matrix_figure(replace(validation, tests=tests))
    cells = figure.axes[0].collections[0]
    figure.draw_without_rendering()
    loss, gain, nothing = cells.get_facecolors()[:3, :3]
    assert loss[0] > loss[2] + 0.3 and gain[2] > gain[0] + 0.3 and np.ptp(nothing) < 0.05
    assert "cannot be said" in figure.axes[0].get_xlabel()


def test_the_heading_counts_sets_whose_whole_intervals_lie_above(validation):
    sure, unsure = Estimate(3.0, 2.0, 4.0), Estimate(3.0, 0.5, 9.0)
    tests = tuple(replace(test, against_random=sure, against_others=unsure) for test in validation.tests)
    tests = (replace(tests[0], against_others=sure), *tests[1:])
    heading = matrix_figure(replace(validation, tests=tests)).texts[0].get_text().replace("\n", " ")
    assert f"1 of {len(tests)} matter to their concept above all" in heading


def test_names_of_heads_do_not_lie_on_each_other(validation):
    heads = tuple(replace(head, entropy=0.5, selectivity=0.5, role="attribute") for head in validation.heads[:5])
    figure = selectivity_figure(replace(validation, heads=heads))
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text().startswith("L")]
    assert len(boxes) == len(heads)
    assert not any(one.overlaps(other) for at, one in enumerate(boxes) for other in boxes[:at])


def test_axes_without_a_selectivity_say_so(validation):
    heads = tuple(replace(head, selectivity=None) for head in validation.heads)
    words = [text.get_text() for text in selectivity_figure(replace(validation, heads=heads)).axes[0].texts]
    assert "no head has a selectivity" in words
    with pytest.raises(InputError, match="no concept's heads were cut"):
        matrix_figure(replace(validation, tests=()))


def test_heads_that_do_not_stand_out_are_hollow(validation):
    heads = (replace(validation.heads[0], selectivity=0.5, stands_out=False), *validation.heads[1:])
    figure = selectivity_figure(replace(validation, heads=heads))
    hollow = [marks for marks in figure.axes[0].collections if len(marks.get_facecolors()) == 0]
    assert sum(len(marks.get_offsets()) for marks in hollow) == 1
    assert "hollow: no more than chance" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
