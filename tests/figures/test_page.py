"""Every figure of a role map says what was scored, and cuts nothing off at any size."""

import pytest

from headroles.figures.concepts import concepts_figure
from headroles.figures.entropy import entropy_figure
from headroles.figures.texts import texts_figure


@pytest.mark.parametrize("draw", [entropy_figure, concepts_figure, texts_figure])
def test_title_says_what_was_scored(role_map, draw):
    title = draw(role_map).get_suptitle()
    assert "tiny-clip" in title and "1,234 images" in title and "general bank" in title


@pytest.mark.slow
@pytest.mark.parametrize("draw", [entropy_figure, concepts_figure, texts_figure])
@pytest.mark.parametrize(
    "options",
    [
        {"layers": (11,), "heads": 12},
        {"layers": (0,), "heads": 1, "concepts": ("color", "shape"), "name": "folder/" * 20},
        {"layers": range(24), "heads": 16},
    ],
    ids=["one layer", "one head", "24x16"],
)
def test_nothing_is_cut_at_any_size(draw, options, make_map, general, assert_nothing_cut):
    assert_nothing_cut(draw(make_map(**{"concepts": general, **options})))
