"""The picture of an adapter's role masks: layer by layer, which heads let which attribute tokens through."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from headroles.adapt.adapter.info import FINDINGS
from headroles.adapt.config import HARD_MASKS, LEARNED
from headroles.adapt.methods.masks import masked_kinds, role_weights
from headroles.adapt.methods.registry import METHODS
from headroles.adapt.results.plot import Given, Run, attribute_looks, list_runs, run_page
from headroles.errors import InputError
from headroles.figures.marks import ConceptLook, fill
from headroles.figures.style import GREY, figure_style, ink_on, now
from headroles.roles.role_map import SILENT

_LABEL, _COLUMN, _ROW, _AROUND = 0.95, 0.24, 0.17, 0.95
"""Inches of a head's label, of a token's column, of a head's row, and of what is above and below the rows."""
_MOST = 12
"""Inches of the layers side by side, at most."""
_PARTED = "#EEEEEE"


def mask_figure(runs: Given) -> Figure:
    """How far heads let attribute tokens exchange with CLS and patches, layer by layer, as trained; 0 parts them.

    A column has its concept's colour. The label of a head is what it is to a mask that draws lines between roles, and
    whether it is silent.
    """
    runs = list_runs(runs)
    run = runs[0]
    variant, first = METHODS[run.info.method].mask_of(run.info.settings), run.info.layer
    if variant is None or first is None or not run.masked:
        raise InputError(f"kind: {run.info.method} has no masks; take kind curves")
    layers = range(first, run.role_map.model.layers)
    weights, labels = _weights(run, layers, variant), _labels(run, layers, variant)
    looks = attribute_looks(run)
    style = now()
    wide, tall = (
        style.shrink * size for size in (_LABEL + _COLUMN * len(looks), _AROUND + _ROW * run.role_map.model.heads)
    )
    across = min(len(layers), max(1, int(min(style.most, _MOST) / wide)))
    down = math.ceil(len(layers) / across)
    with figure_style():
        heading = f"Which heads let attribute tokens through: mask {variant[0]}"
        size = max(1.4 * style.least, across * wide), down * tall + 0.4
        figure = run_page(runs[:1], heading, size, fits=False)
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axes, layer in zip(panels, layers, strict=False):
            _draw(axes, weights[layer], looks)
            axes.set_yticks(np.arange(len(labels[layer])) + 0.5, labels[layer])
            axes.set_title(f"layer {layer}", loc="left", weight="bold")
        for axes in panels[len(layers) :]:
            axes.remove()
        figure.legend(handles=_keys(variant[0] in HARD_MASKS), loc="outside lower left", ncols=2, frameon=False)
    return figure


def _draw(axes: Axes, weights: Float[np.ndarray, "head attribute"], looks: Sequence[ConceptLook]) -> None:
    """The cells of one layer, a column a token; weights between 0 and 1 are written too."""
    for column, look in enumerate(looks):
        shades = LinearSegmentedColormap.from_list("weight", [_PARTED, look.color])
        for row, value in enumerate(weights[:, column].tolist()):
            color = shades(value)
            style = {**fill(look), "facecolor": color, "linewidth": 0.8, "hatch": look.hatch if value == 1 else ""}
            axes.add_patch(Rectangle((column, row), 1, 1, **style))
            if value not in (0, 1):
                at = column + 0.5, row + 0.5
                axes.text(*at, f"{value:.2f}", ha="center", va="center", size=5, color=ink_on(color))
    axes.set(xlim=(0, len(looks)), ylim=(len(weights), 0))
    axes.set_xticks(np.arange(len(looks)) + 0.5, [look.name for look in looks], rotation=90)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _labels(run: Run, layers: range, variant: tuple[str, int, float]) -> dict[int, list[str]]:
    """Layer -> what to call each head."""
    kinds = masked_kinds(run.role_map, layers, run.info.attributes, *variant[:2])
    silent = {(head.layer, head.head) for head in run.role_map if head.role == SILENT}
    hard = variant[0] in HARD_MASKS  # The others draw no line between roles.
    return {
        layer: [
            f"H{head}{f' {kind}' * hard}" + " (silent)" * ((layer, head) in silent)
            for head, kind in enumerate(kinds[layer])
        ]
        for layer in layers
    }


def _keys(hard: bool) -> list[Patch]:
    degree = "" if hard else ", the more the higher its weight"
    through = Patch(facecolor=GREY, label=f"a concept's colour: its token exchanges with CLS and patches{degree}")
    return [through, Patch(facecolor=_PARTED, label="parted from them")]


def _weights(
    run: Run, layers: range, variant: tuple[str, int, float]
) -> dict[int, Float[np.ndarray, "head attribute"]]:
    """Layer -> weights of its mask; learned ones as they ended."""
    if variant[0] != LEARNED:
        weights = role_weights(run.role_map, layers, run.info.attributes, *variant)
        return {layer: each.numpy() for layer, each in weights.items()}
    if run.findings is None:
        raise InputError(f"adapter: {run.folder} has no {FINDINGS}, which says what was learned; copy the whole folder")
    rows = {(each.layer, each.head): [each.values[name] for name in run.info.attributes] for each in run.findings}
    heads = range(run.role_map.model.heads)
    return {layer: np.array([rows[layer, head] for head in heads]) for layer in layers}
