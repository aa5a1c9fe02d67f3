"""An adapter folder as a section of a report: its settings, accuracies and curves, as its files have them."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

from headroles.adapt.adapter.info import METRICS, ROLE_MAP
from headroles.adapt.metrics import read_measures, summarize
from headroles.adapt.results.plot import read_runs
from headroles.errors import InputError
from headroles.reports.report import Adaptation


def read_adaptation(folder: str | os.PathLike) -> Adaptation:
    """The adapter in a folder, or those of its seed-N folders as one. InputError where there is none."""
    runs = read_runs(folder)
    texts = [(run.folder / METRICS).read_text(encoding="utf-8") for run in runs]
    try:
        measures = [measure for text in texts for measure in read_measures(text)]
        trainable = json.loads(texts[0])["trainable"]
    except (KeyError, TypeError) as error:
        raise InputError(f"adapter: {folder} has a {METRICS} that lacks {error}; copy the whole folder") from error
    rows = [dataclasses.asdict(measure) | {"difference": measure.difference} for measure in measures]
    return Adaptation(
        name=_name(Path(folder).resolve()),
        role_map=str(runs[0].folder / ROLE_MAP),
        seeds=tuple(run.info.seed for run in runs),
        settings=json.loads(runs[0].info.to_json()),
        trainable=trainable,
        rows=tuple({key: value for key, value in row.items() if key != "per_class"} for row in rows),
        summary=tuple(summarize(measures)),
        histories=tuple({"seed": run.info.seed, "epochs": list(run.history)} for run in runs),
    )


def _name(folder: Path) -> str:
    """The folder's name; that of one seed alone would say little."""
    return f"{folder.parent.name}/{folder.name}" if folder.name.startswith("seed-") else folder.name
