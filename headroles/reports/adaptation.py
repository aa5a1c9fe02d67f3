"""An adapter folder as a section of a report: its settings, accuracies and curves, as its files have them."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headroles.errors import InputError


@dataclass(frozen=True)
class Adaptation:
    """What an adapter's training and tests left, over all its seeds, as in its files."""

    name: str
    """What to call it: its folder's name."""
    role_map: str
    """File of the role map that masked it."""
    seeds: tuple[int, ...]
    """Seeds, ascending."""
    settings: Mapping[str, Any]
    """adapter_config.json of the first seed."""
    trainable: str
    """Trained and frozen parameters."""
    rows: tuple[Mapping[str, Any], ...]
    """One a seed, protocol, task and part, as in metrics.json, without accuracies per class."""
    summary: tuple[Mapping[str, Any], ...]
    """Mean and 95% interval over seeds, as in metrics.json."""
    histories: tuple[Mapping[str, Any], ...]
    """"seed", and "epochs" as in metrics.json; one a seed."""
    shots: tuple[int | None, ...] = ()
    """Training images a class, of each adapter once; None for all. Several are named in the parts of the rows."""


def read_adaptation(folder: str | os.PathLike) -> Adaptation:
    """The adapter in a folder, or those of a job below it as one. InputError where there is none."""
    # Loads torch, which a page without adapters does not need.
    from headroles.adapt.adapter.info import METRICS, ROLE_MAP
    from headroles.adapt.metrics import name_shots, read_measures, shot_counts, summarize
    from headroles.adapt.results.plot import read_runs
    from headroles.adapt.results.protocols import average_domains

    runs = read_runs(folder)
    texts = [(run.folder / METRICS).read_text(encoding="utf-8") for run in runs]
    try:
        measures = [measure for text in texts for measure in read_measures(text)]
        trainable = json.loads(texts[0])["trainable"]
    except (KeyError, TypeError, ValueError) as error:
        why = f"adapter: {folder} has a {METRICS} that does not fit: {error}; copy the whole folder"
        raise InputError(why) from error
    rows = [dataclasses.asdict(measure) | {"difference": measure.difference} for measure in measures]
    measures += average_domains(measures)
    if len(shot_counts(measures)) > 1:
        measures = [dataclasses.replace(row, part=f"{row.part}, {name_shots(row.shots)}") for row in measures]
    return Adaptation(
        name=_name(Path(folder).resolve()),
        role_map=str(runs[0].folder / ROLE_MAP),
        seeds=tuple(sorted({run.info.seed for run in runs})),
        settings=json.loads(runs[0].info.to_json()),
        trainable=trainable,
        rows=tuple({key: value for key, value in row.items() if key != "per_class"} for row in rows),
        summary=tuple(summarize(measures)),
        shots=tuple(dict.fromkeys(run.info.shots for run in runs)),
        histories=tuple({"seed": run.info.seed, "epochs": list(run.history)} for run in runs),
    )


def _name(folder: Path) -> str:
    """The folder's name; that of one seed alone would say little."""
    return f"{folder.parent.name}/{folder.name}" if folder.name.startswith("seed-") else folder.name
