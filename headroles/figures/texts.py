"""The texts of chosen heads, a card a head."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headroles.errors import InputError
from headroles.figures.fitting import shorten
from headroles.figures.marks import ConceptLook, concept_looks, draw_bars, mark_roles
from headroles.figures.page import Page, describe
from headroles.figures.style import GREY, figure_style, now
from headroles.roles.role_map import SILENT, HeadRole, RoleMap

_CARD, _CARDS_WIDE, _CARDS, _CARD_TEXTS = 3.8, 3, 9, 8
"""Width of a card in inches, cards side by side, cards if no heads are chosen, texts on one."""
_CARD_HEADINGS = {"text": "Texts that span the heads' outputs", "image": "Values that the heads set apart",
                  "weights": "Texts that make up what the heads write"}  # fmt: skip


def texts_figure(role_map: RoleMap, heads: Sequence[str] | None = None) -> Figure:
    """The first 8 texts (image probes: values) of chosen heads with their shares of its variance; one card a head.

    `heads`: names such as "L7.H3", in the order to show; without them, the lowest-entropy head of every dominant
    concept, at most 9. A silent head's card says so. A name that was not scored raises `InputError`.
    """
    chosen = _chosen_heads(role_map, heads)
    texts = [picked for head in chosen for picked in head.texts[:_CARD_TEXTS]]
    shown = {head.concept for head in chosen} | {picked.concept for picked in texts}
    key = {name: look for name, look in concept_looks(role_map.concepts).items() if name in shown}
    longest = max((picked.share for picked in texts), default=0.0) or 1.0
    look = now()
    card = min(_CARD, look.most - 2 * look.margin) if look.headed else look.least - 2 * look.margin
    between = max(look.margin, 0.2)
    columns = min(len(chosen), _CARDS_WIDE, max(1, int((look.most + between) / (card + between))))
    lines = 3.6 + max(min(len(head.texts), _CARD_TEXTS) for head in chosen)
    width, tall = columns * (card + between) - between + 2 * look.margin, lines * look.line
    with figure_style():
        heading = _CARD_HEADINGS[role_map.probe_kind]
        page = Page(describe(role_map), heading, width, math.ceil(len(chosen) / columns) * tall, key)
        for place, head in enumerate(chosen):
            row, column = divmod(place, columns)
            axes = page.axes(look.margin + column * (card + between), row * tall, card, tall)
            axes.set(xlim=(0, card), ylim=(lines, 0))
            _card(axes, head, key, longest, card)
    return page.figure


def _card(axes: Axes, head: HeadRole, key: Mapping[str, ConceptLook], longest: float, card: float) -> None:
    """Head, role, entropy and concept, then the texts; x in inches up to `card`, y in lines; `longest` fills a bar."""

    def write(x: float, line: float, text: str, **look: Any) -> None:
        axes.text(x, line, text, va="center_baseline", **look)

    right: dict[str, Any] = {"ha": "right", "color": GREY}
    start, length = card - 1.15, 0.7
    write(0, 0.4, head.name, size=10, weight="bold")
    mark_roles(axes, [head], np.array([0.95]), np.array([0.4]))
    write(1.05, 0.4, head.role)
    if head.role == SILENT:
        write(0, 1.5, "says nothing, whatever is in the image", color=GREY)
    else:
        write(card, 0.4, f"entropy {head.entropy:.2f}", **right)
        write(0, 1.5, f"{key[head.concept].code}  {head.concept} ({head.concept_share:.0%})", weight="bold")
        write(card, 1.5, "" if head.stands_out else "no more than chance", **right)
    axes.axhline(2.1, color=GREY, linewidth=0.6)
    texts = list(enumerate(head.texts[:_CARD_TEXTS], start=3))
    for line, picked in texts:
        write(0, line, shorten(picked.text, start - 0.32))
        write(start - 0.06, line, key[picked.concept].code, **right)
        write(card, line, f"{picked.share:.1%}", **right)
    draw_bars(axes, [(line, start, each.share / longest * length, key[each.concept]) for line, each in texts], 0.65)
    axes.set_axis_off()


def _chosen_heads(role_map: RoleMap, names: Sequence[str] | None) -> list[HeadRole]:
    """The heads of `names`, or the default ones."""
    if names is None:
        purest: dict[str, HeadRole] = {}
        for head in role_map.heads():
            purest.setdefault(head.concept, head)
        speaking = [head for head in purest.values() if head.role != SILENT]
        return (speaking or list(purest.values()))[:_CARDS]
    scored = {head.name: head for head in role_map}
    names = [names] if isinstance(names, str) else names
    unknown = [name for name in names if name not in scored]
    if unknown or not names:
        raise InputError(
            f"heads must be names L<layer>.H<head> with layer one of {', '.join(map(str, role_map.layers))} and head "
            f"one of 0-{role_map.model.heads - 1}, got {repr(unknown[0]) if unknown else 'none'}"
        )
    return [scored[name] for name in names]
