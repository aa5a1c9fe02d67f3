"""Formulas as MathML, which browsers draw themselves: no script and no font from elsewhere."""

import html
import re

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def draw_formulas(page: str) -> str:
    """A page's HTML with every formula that arithmatex marked drawn."""
    return _FORMULA.sub(_draw, page)


def _draw(match: re.Match) -> str:
    tag, opening, tex = match.groups()
    drawn = convert(html.unescape(tex), display="block" if opening == "[" else "inline")
    return f'<{tag} class="formula">{drawn}</{tag}>'
