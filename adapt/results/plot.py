"""Figures of an adapter folder: its training's curves and its fusion weights; all seeds of a job in one."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from headroles.adapt.adapter.adapter import FIGURES, Adapter
from headroles.adapt.adapter.folders import Draw, find_adapters, name_draws
from headroles.adapt.adapter.info import CONFIG, FINDINGS, METRICS, ROLE_MAP, AdapterInfo
from headroles.adapt.methods.findings import Findings
from headroles.adapt.methods.registry import METHODS
from headroles.adapt.training.records import EpochRecord
from headroles.errors import InputError, said
from headroles.figures.marks import ConceptLook, concept_looks, fill
from headroles.figures.page import head
from headroles.figures.style import GREY, INK, LINES, Drawing, figure_of, figure_style
from headroles.files.json_files import dump_json, read_object
from headroles.files.plain import Unfit, from_plain
from headroles.roles.role_map import RoleMap
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


_KINDS: tuple[Any, ...] = ("-", "--", ":", "-.")
"""Lines of the first run, the second ..."""
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
    """Loss and its parts, training accuracy and fusion weights over epochs; a run is a kind of line.

    Fusion weights of the attributes, which are small and alike, have axes of their own below that of CLS, which span
    what they are. Attributes have the colours of their concepts.
    """
    runs = list_runs(runs)
    if not runs[0].history:
        what = "a merged adapter" if runs[0].info.merged else runs[0].info.method
        raise InputError(f"kind: {what} takes no training steps, so there are no curves of them")
    with figure_style():
        columns = 3 if runs[0].parts else 2
        figure = run_page(runs, "Training", (3.5 * columns, 2.6))
        grid = figure.add_gridspec(2, columns)
        losses, accuracy = (figure.add_subplot(grid[:, column]) for column in (0, 1))
        names = list(runs[0].history[0]["losses"])
        _lines(losses, runs, {"all": INK, **dict(zip(names, cycle(LINES)))}, _loss_of)
        _lines(accuracy, runs, {"right": INK}, lambda record, _: 100 * record["accuracy"])
        losses.set(ylabel="loss (weighted parts)", xlabel="epoch", ylim=(0, None))
        accuracy.set(ylabel="training accuracy, %", xlabel="epoch", ylim=(0, 101))
        _legend(losses)
        if len(runs) > 1:
            accuracy.legend(handles=_run_keys(runs), frameon=False, loc="lower right")
        if runs[0].parts:
            _draw_fusion(figure.add_subplot(grid[0, 2]), figure.add_subplot(grid[1, 2]), runs)
        for axes in figure.axes:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        sns.despine(figure)
    return figure


def _loss_of(record: Mapping[str, Any], name: str) -> float:
    return record["loss"] if name == "all" else record["losses"][name]


def _draw_fusion(upper: Axes, lower: Axes, runs: Sequence[Run]) -> None:
    """CLS's weight above those of the attributes."""
    looks = attribute_looks(runs[0])
    _lines(upper, runs, {"cls": INK}, lambda record, name: record["alpha"][name])
    _lines(lower, runs, {look.name: look.color for look in looks}, lambda record, name: record["alpha"][name])
    upper.set(ylabel="weight of CLS", ylim=(0, 1), xticklabels=[])
    lower.set(ylabel="of attributes", xlabel="epoch")
    lower.yaxis.set_major_locator(MaxNLocator(4))
    _legend(lower)


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
        looks = [{"facecolor": GREY}, *map(fill, attribute_looks(runs[0]))]
        for bar, look in zip(axes.bar(names, weights.mean(0), width=0.7), looks, strict=True):
            bar.set(**look)
        for place, value in enumerate(weights.mean(0)):
            top = place, max(value, *weights[:, place])
            axes.annotate(f"{value:.3f}", top, (0, 4), textcoords="offset points", ha="center")
        if len(runs) > 1:
            axes.plot(np.tile(np.arange(len(names)), len(runs)), weights.ravel(), ".", color=INK)
        axes.set(ylabel="alpha", ylim=(0, 1))
        sns.despine(ax=axes)
    return figure_of(axes)


def run_page(runs: Sequence[Run], heading: str, size: tuple[float, float], fits: bool = True) -> Figure:
    """A figure with a heading and a line about the runs; see `Drawing`."""
    info = runs[0].info
    seeds = dict.fromkeys(str(run.info.seed) for run in runs)
    facts = f"{info.base_model_name_or_path}, {info.task}, seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}"
    figure = Drawing(figsize=size, layout="constrained", fits=fits)
    head(figure, heading, facts)
    return figure


def attribute_looks(run: Run) -> list[ConceptLook]:
    """How the run's attributes look: as in the figures of its role map, where it has one."""
    known = run.role_map.concepts if run.masked_by or run.info.role_map_sha256 else ()
    looks = concept_looks([*known, *(name for name in run.info.attributes if name not in known)])
    return [looks[name] for name in run.info.attributes]


def _lines(
    axes: Axes, runs: Sequence[Run], colors: Mapping[str, str], value: Callable[[Mapping[str, Any], str], float]
) -> None:
    """One line a run and name: the name's colour, the run's kind of line."""
    for run, kind in zip(runs, cycle(_KINDS)):
        epochs = [record["epoch"] for record in run.history]
        for name, color in colors.items():
            values = [value(record, name) for record in run.history]
            axes.plot(epochs, values, kind, color=color, marker=".", markersize=4, linewidth=1.2, label=name)


def _run_keys(runs: Sequence[Run]) -> list[Line2D]:
    names = name_draws([Draw.of(run.info) for run in runs])
    return [Line2D([], [], color=INK, linestyle=kind, label=name) for name, kind in zip(names, cycle(_KINDS))]


def _legend(axes: Axes) -> None:
    """One entry a name, also where several seeds have drawn it."""
    found = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    keys = [Line2D([], [], color=line.get_color(), label=name) for name, line in found.items()]
    axes.legend(handles=keys, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
