"""What a notebook shows of results: tables with every text escaped."""

from typing import ClassVar

import pytest

from headroles.errors import InputError
from headroles.shown import Shown, html_table


class Drawn(Shown):
    figures: ClassVar = {"concepts": "nowhere:draw", "grid": "nowhere:draw"}


def test_a_kind_that_is_not_there_is_refused_with_the_nearest_one():
    with pytest.raises(InputError, match="kind must be one of concepts, grid, got 'concept'; did you mean concepts"):
        Drawn().plot("concept")


def test_a_table_escapes_its_texts_and_folds_what_is_long():
    text = html_table("a & b", ("x", "y"), [(number, "<i>") for number in range(5)], most=3)
    assert text.startswith("<table><caption>a &amp; b</caption><thead><tr><th>x</th><th>y</th></tr></thead>")
    shown, _, folded = text.partition("<details><summary>and 2 more</summary>")
    assert shown.count("<td>&lt;i&gt;</td>") == 3 and folded.count("<td>&lt;i&gt;</td>") == 2 and "<i>" not in text
