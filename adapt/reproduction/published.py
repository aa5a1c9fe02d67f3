"""The published figures of CoOp's benchmark with CLIP ViT-B/16, as papers print them. Needs no torch."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

MEAN, WITHOUT = "mean", "mean without eurosat"
"""What averages over data sets are called."""


@dataclass(frozen=True)
class Published:
    """One figure of a paper."""

    table: str
    """One of `headroles.adapt.reproduction.benchmark.TABLES`."""
    method: str
    """Its name in `headroles.adapt.METHODS`, or a name of its own where there is no such method here."""
    title: str
    """What papers call it."""
    data_set: str
    """The data set, or what is averaged: `MEAN` is over all of the table's."""
    part: str
    """base, novel, hm (of the averages: the harmonic mean of the other two), or all classes."""
    shots: int
    """Training images a class."""
    percent: float
    """Right answers."""
    rerun: bool
    """Whether others have run the method again, and this is what they found."""
    source: str
    """The paper that prints it."""


@cache
def read_published() -> tuple[Published, ...]:
    """All of published.csv."""
    text = (resources.files(__package__) / "published.csv").read_text(encoding="utf-8")
    return tuple(map(_read_row, csv.DictReader(text.splitlines())))


def _read_row(row: dict[str, str]) -> Published:
    shots, percent, rerun = int(row["shots"]), float(row["percent"]), row["rerun"] == "yes"
    place = (row["table"], row["method"], row["title"], row["data_set"], row["part"])
    return Published(*place, shots, percent, rerun, row["source"])


def find_published(table: str, method: str, data_set: str, part: str, shots: int) -> tuple[Published, ...]:
    """The paper's own figure, then those of others who ran it again; none where there is none."""
    place = (table, method, data_set, part, shots)
    found = [row for row in read_published() if (row.table, row.method, row.data_set, row.part, row.shots) == place]
    return tuple(sorted(found, key=lambda row: row.rerun))


def average_published(table: str, method: str, data_sets: tuple[str, ...], part: str, shots: int) -> float | None:
    """The mean of a method's published figures of these data sets; None where one of them lacks."""
    found = [find_published(table, method, data_set, part, shots) for data_set in data_sets]
    return float(np.mean([each[0].percent for each in found])) if found and all(found) else None
