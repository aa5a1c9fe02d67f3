"""A notebook shows every figure, also where pyplot was never imported."""

import io
import subprocess
import sys

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from headroles.errors import InputError
from headroles.figures.style import STYLES, Drawing, figure_of, now, save_figure

FRESH = """
import sys
from IPython.core.formatters import DisplayFormatter
from headroles.roles.role_map import RoleMap
for kind in ("entropy", "concepts", "texts"):
    figure = RoleMap.load(sys.argv[1]).plot(kind)
    data, facts = DisplayFormatter().format(figure)
    assert data["image/png"].startswith(b"\\x89PNG"), data.keys()
    width, height = facts["image/png"]["width"], facts["image/png"]["height"]
    assert (width, height) == tuple(round(100 * inches) for inches in figure.get_size_inches())
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
"""


@pytest.mark.slow
def test_a_fresh_notebook_shows_figures(small_map, tmp_path):
    pytest.importorskip("IPython")
    small_map.save(tmp_path / "role_map.json")
    done = subprocess.run([sys.executable, "-c", FRESH, tmp_path / "role_map.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_figure_of_axes_is_the_whole_one():
    figure = Figure()
    part = figure.subfigures(1, 2)[0]
    assert figure_of(part.subplots()) is figure_of(figure.subplots()) is figure


def test_text_of_an_svg_is_text_and_characters_without_a_glyph_are_told_in_one_line(caplog):
    figure = Drawing(figsize=(4, 3))
    figure.text(0, 0, "plain \U0001fae8\U0001fae9")
    content = io.BytesIO()
    save_figure(figure, content, ".svg")
    assert b">plain " in content.getvalue()
    (record,) = caplog.records
    assert "has 2 of its characters, such as \U0001fae8\U0001fae9; install a font" in record.getMessage()


@pytest.mark.parametrize("kind", ["entropy", "concepts", "spread"])
def test_on_paper_a_figure_is_as_wide_as_a_column_and_its_heading_is_the_caption(kind, small_map, words):
    screen, paper = small_map.plot(kind), small_map.plot(kind, style="paper")
    assert paper.get_size_inches()[0] <= 3.26 < screen.get_size_inches()[0]
    heading, _, facts = paper.caption.partition("; ")
    assert paper.caption == screen.caption and facts == "tiny-clip, 1,234 images (photos), general bank"
    assert heading in words(screen) and heading not in words(paper)
    assert max(text.get_size() for text in paper.findobj(Text) if text.get_text()) <= 9
    assert now() is STYLES["screen"], "the style is that of one call"


def test_what_fills_its_figure_is_set_in_one_column_too(random_role_map, random_validation):
    figure = random_validation(random_role_map()).plot("selectivity", style="paper")
    assert figure.get_size_inches()[0] == STYLES["paper"].least
    assert figure.axes[0].xaxis.label.get_size() == STYLES["paper"].size


def test_another_style_is_refused(small_map):
    with pytest.raises(InputError, match="style must be one of screen, paper, got 'poster'"):
        small_map.plot(style="poster")
