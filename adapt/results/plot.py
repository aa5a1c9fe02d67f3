"""Figures of an adapter folder: its training's curves, its masks, its fusion weights; all seeds of a job in one."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import seaborn as sns
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from headroles.adapt.adapter.adapter import FIGURES, Adapter
from headroles.adapt.adapter.folders import find_adapters
from headroles.adapt.adapter.info import CONFIG, FINDINGS, METRICS, ROLE_MAP, AdapterInfo
from headroles.adapt.config import HARD_MASKS, LEARNED
from headroles.adapt.methods.findings import Findings
from headroles.adapt.methods.masks import masked_kinds, role_weights
from headroles.adapt.methods.registry import METHODS
from headroles.adapt.training.records import EpochRecord
from headroles.errors import InputError, said
from headroles.figures.style import COLORS, GREY, INK, Drawing, figure_of, figure_style
from headroles.files.json_files import dump_json, read_object
from headroles.files.plain import Unfit, from_plain
from headroles.roles.role_map import SILENT, RoleMap
from headroles.shown import Shown


@dataclass(frozen=True)
class Run:
    """One seed's adapter."""

    folder: Path
    """Where it is."""
    info: AdapterInfo
    """Its settings."""
    history: tuple[Mapping[str, Any], ...]
    """Its training, epoch by epoch: the fields of `headroles.adapt.training.records.EpochRecord`."""
    masked_by: RoleMap | None = None
    """The role map of an adapter in memory; None: that of the folder."""
    findings: Findings | None = None
    """What the method has found out, if anything."""

    @property
    def role_map(self) -> RoleMap:
        """The role map behind its masks."""
        return self.masked_by or RoleMap.load(self.folder / ROLE_MAP)

    @property
    def masked(self) -> bool:
        """Whether its heads have masks."""
        info = self.info
        variant = METHODS[info.method].mask_of(info.settings)
        return variant is not None and info.layer is not None and bool(info.role_map_sha256)

    @property
    def parts(self) -> tuple[str, ...]:
        """What the logits are fused from: "cls", then the attributes; none where nothing is fused."""
        fused = self.info.attributes or any(record["alpha"] for record in self.history)
        return ("cls", *self.info.attributes) if fused else ()


Given: TypeAlias = "Sequence[Run] | Sequence[Adapter] | Adapter"
"""What the figures take."""


class Runs(tuple[Run, ...], Shown):
    """The adapters of one job, by seed."""

    figures: ClassVar[Mapping[str, str]] = FIGURES

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of `figures` those that there is something to draw for; of none, all: plotting says what lacks."""
        run = self[0]
        there = {"curves": bool(run.history), "mask": run.masked, "fusion": bool(run.history and run.parts)}
        there["found"] = run.findings is not None and bool(run.findings.drawn)
        there["shots"] = len({each.info.shots for each in self}) > 1
        return tuple(kind for kind in self.figures if there[kind]) or tuple(self.figures)


def read_runs(folder: str | os.PathLike[str]) -> Runs:
    """The adapter in a folder, or those of a job below it. InputError where there is none."""
    folders = find_adapters(Path(folder))
    if not folders:
        raise InputError(f"adapter: {folder} is no adapter folder (no {CONFIG}); make one: headroles adapt")
    runs = [
        Run(each, AdapterInfo.load(each), _read_history(each / METRICS), findings=_read_findings(each))
        for each in folders
    ]
    for run in runs:
        if not run.history and METHODS[run.info.method].steps and run.info.merged is None:
            raise InputError(f"adapter: {run.folder / METRICS} has no history of a training; adapt again")
        if any(set(record["alpha"]) != set(run.parts) for record in run.history):
            raise InputError(f"adapter: {run.folder / METRICS} has other fusion weights than {CONFIG}; copy both again")
    return Runs(runs)


def list_runs(given: Given) -> Sequence[Run]:
    """What a figure shows: the runs of folders, or an adapter or a job's adapters in memory."""
    some = [given] if isinstance(given, Adapter) else given
    return [each if isinstance(each, Run) else _in_memory(each) for each in some]


def _in_memory(adapter: Adapter) -> Run:
    if not adapter.history and adapter.method.steps and adapter.info.merged is None:
        raise InputError(f"adapter: {adapter.info.task} has no history of a training; give the one that fit returned")
    # In the order of the file, so that the same adapter has the same picture.
    history = json.loads(dump_json([dataclasses.asdict(record) for record in adapter.history], sort_keys=True))
    return Run(Path(), adapter.info, tuple(history), adapter.role_map, adapter.findings)


def _read_findings(folder: Path) -> Findings | None:
    return Findings.load(folder) if (folder / FINDINGS).is_file() else None


def _read_history(path: Path) -> tuple[Mapping[str, Any], ...]:
    try:
        history = tuple(read_object(path, "adapter", "copy the whole folder").get("history", ()))
        from_plain(tuple[EpochRecord, ...], history, "history")
    except (Unfit, KeyError, TypeError) as error:
        raise InputError(f"adapter: {path} cannot be read ({said(error)}); copy the whole folder") from error
    return history


def curves_figure(runs: Given) -> Figure:
    """Loss and its parts, training accuracy and fusion weights over epochs; one line a seed."""
    runs = list_runs(runs)
    if not runs[0].history:
        what = "a merged adapter" if runs[0].info.merged else runs[0].info.method
        raise InputError(f"kind: {what} takes no training steps, so there are no curves of them")
    with figure_style():
        figure = run_page(runs, "Training", (10.5, 3.0))
        losses, accuracy, alpha = figure.subplots(1, 3)
        if not runs[0].parts:
            alpha.remove()
        for run in runs:
            epochs = [record["epoch"] for record in run.history]
            _lines(losses, epochs, [{"all": record["loss"], **record["losses"]} for record in run.history])
            if run.parts:
                _lines(alpha, epochs, [{name: record["alpha"][name] for name in run.parts} for record in run.history])
            accuracy.plot(epochs, [100 * record["accuracy"] for record in run.history], color=COLORS[0], marker=".")
        for axes in (losses, accuracy, alpha):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        losses.set(ylabel="loss (weighted parts)", xlabel="epoch")
        accuracy.set(ylabel="training accuracy, %", xlabel="epoch", ylim=(0, 101))
        alpha.set(ylabel="fusion weight", xlabel="epoch", ylim=(0, 1))
        for axes in (losses, alpha) if runs[0].parts else (losses,):
            _legend(axes)
        sns.despine(figure)
    return figure


def mask_figure(runs: Given) -> Figure:
    """How far heads let attribute tokens exchange with CLS and patches, layer by layer, as trained; 0 parts them.

    The label of a head is what it is to a mask that draws lines between roles, and whether it is silent.
    """
    runs = list_runs(runs)
    run = runs[0]
    variant, first = METHODS[run.info.method].mask_of(run.info.settings), run.info.layer
    if variant is None or first is None or not run.masked:
        raise InputError(f"kind: {run.info.method} has no masks; take kind curves")
    role_map = run.role_map
    layers = range(first, role_map.model.layers)
    kinds = masked_kinds(role_map, layers, run.info.attributes, *variant[:2])
    weights = _mask_weights(run, layers, variant)
    silent = {(head.layer, head.head) for head in role_map if head.role == SILENT}
    with figure_style():
        size = (1.0 + len(layers) * (1.0 + 0.25 * len(run.info.attributes)), 1.3 + 0.2 * role_map.model.heads)
        heading = f"Attribute tokens that exchange with CLS and patches, mask {variant[0]}"
        figure = run_page(runs[:1], heading, size)
        for axes, layer in zip(figure.subplots(1, len(layers), squeeze=False)[0], layers, strict=True):
            opened = weights[layer]
            cells = LinearSegmentedColormap.from_list("weight", ["#EEEEEE", COLORS[0]])
            colors: dict[str, Any] = {"cmap": cells, "vmin": 0, "vmax": 1, "cbar": False}
            if not np.isin(opened, (0, 1)).all():
                colors |= {"annot": True, "fmt": ".2f", "annot_kws": {"size": 5}}
            named = enumerate(kinds[layer])
            hard = variant[0] in HARD_MASKS  # The others draw no line between roles.
            labels = [f"H{head}{f' {kind}' * hard}" + " (silent)" * ((layer, head) in silent) for head, kind in named]
            sns.heatmap(opened, ax=axes, xticklabels=run.info.attributes, yticklabels=labels, linewidths=0.8, **colors)
            axes.set_title(f"layer {layer}", loc="left", weight="bold")
            axes.tick_params(axis="x", rotation=90)
            axes.tick_params(axis="y", rotation=0)
    return figure


def _mask_weights(
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


def fusion_figure(runs: Given, ax: Axes | None = None) -> Figure:
    """The learned fusion weights: bars are means over seeds, dots are seeds. With `ax` drawn into that."""
    runs = list_runs(runs)
    names = runs[0].parts
    if not names:
        raise InputError(f"kind: {runs[0].info.method} fuses nothing; take kind curves")
    if not runs[0].history:
        raise InputError("kind: a merged adapter has no training whose last fusion weights could be drawn")
    weights = np.array([[run.history[-1]["alpha"][name] for name in names] for run in runs])
    with figure_style():
        heading = "Weights of CLS and attributes in the logits"
        axes = run_page(runs, heading, (1.5 + 0.7 * len(names), 3.0)).subplots() if ax is None else ax
        axes.bar(names, weights.mean(0), color=[GREY, *_colors(names[1:])], width=0.7)
        if len(runs) > 1:
            axes.plot(np.tile(np.arange(len(names)), len(runs)), weights.ravel(), ".", color=INK)
        axes.set(ylabel="alpha", ylim=(0, 1))
        sns.despine(ax=axes)
    return figure_of(axes)


def run_page(runs: Sequence[Run], heading: str, size: tuple[float, float]) -> Figure:
    """A figure with a heading and a line about the runs."""
    info = runs[0].info
    seeds = dict.fromkeys(str(run.info.seed) for run in runs)
    facts = f"{info.base_model_name_or_path}, {info.task}, seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}"
    figure = Drawing(figsize=size, layout="constrained")
    figure.suptitle(f"{heading}\n{facts}", size=9)
    return figure


def _lines(axes: Axes, epochs: Sequence[int], records: Sequence[Mapping[str, float]]) -> None:
    """One line a name."""
    names = list(records[0])
    for name, color in zip(names, [GREY, *_colors(names[1:])], strict=True):
        axes.plot(epochs, [record[name] for record in records], color=color, label=name, marker=".")


def _colors(names: Sequence[str]) -> list[str]:
    return [COLORS[number % len(COLORS)] for number in range(len(names))]


def _legend(axes: Axes) -> None:
    """One entry a name, also where several seeds have drawn it."""
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
