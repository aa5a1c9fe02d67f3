"""ProbeBank: short texts, each labelled with the concept it speaks of."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from headroles.checks import near
from headroles.errors import InputError
from headroles.files.tables import open_table
from headroles.files.whole import write_text

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

BUNDLED = {
    "shapes": "the concept values of the shapes world",
    "general": "short descriptions of natural images",
}
"""Names of the banks that ship with the package."""


@dataclass(frozen=True)
class ProbeBank:
    """Texts and their concepts, in file order."""

    name: str
    """A bundled bank's name, or the file's."""
    texts: tuple[str, ...]
    """Distinct short descriptions."""
    labels: tuple[str, ...]
    """The concept of each text."""

    def __repr__(self) -> str:
        """One line: hundreds of texts would drown a console."""
        return f"ProbeBank({self.name}: {len(self.texts)} texts of {len(self.concepts)} concepts)"

    @cached_property
    def concepts(self) -> tuple[str, ...]:
        """The concepts, sorted."""
        return tuple(sorted(set(self.labels)))

    @cached_property
    def codes(self) -> tuple[int, ...]:
        """Every text's concept as an index into `concepts`."""
        number = {concept: code for code, concept in enumerate(self.concepts)}
        return tuple(number[label] for label in self.labels)

    @property
    def counts(self) -> dict[str, int]:
        """How many texts each concept has."""
        return dict(sorted(Counter(self.labels).items()))

    @cached_property
    def hash(self) -> str:
        """sha256 of all texts and labels."""
        rows = "\n".join(f"{text}\t{label}" for text, label in zip(self.texts, self.labels, strict=True))
        return hashlib.sha256(rows.encode()).hexdigest()

    @classmethod
    def load(cls, source: str | os.PathLike) -> ProbeBank:
        """A bundled bank by name, or a CSV file with columns `text` and `concept`."""
        path, name = find_bank(source)
        pairs = [(text, concept) for _, (text, concept) in _read(path, name, ("text", "concept"))]
        _refuse_repeated([text for text, _ in pairs], name)
        bank = cls(name, *(tuple(part) for part in zip(*pairs, strict=True)))
        if len(bank.concepts) < 2:
            raise InputError(
                f"probes: {name} has the one concept {bank.concepts[0]!r}; entropy needs at least two",
                page="bank-without-labels",
            )
        return bank

    def save(self, path: str | os.PathLike) -> None:
        """Write the CSV file that `load` reads; InputError for a text or a concept that it would not read alike."""
        for each in (*self.texts, *self.labels):
            if each != each.strip() or not each:
                raise InputError(f"probes: {each!r} is empty or has spaces around it, which are not kept; mend it")
        text = io.StringIO()
        # Python leaves a lone carriage return without quotes where lines end otherwise.
        returns = any("\r" in each for each in (*self.texts, *self.labels))
        writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL)
        writer.writerow(["text", "concept"])
        writer.writerows(zip(self.texts, self.labels, strict=True))
        write_text(path, text.getvalue())


def load_texts(source: str | os.PathLike) -> tuple[str, tuple[str, ...]]:
    """Name and texts of a bank, whatever their concepts: a CSV file needs the column `text` alone."""
    path, name = find_bank(source)
    texts = [text for _, (text,) in _read(path, name, ("text",))]
    _refuse_repeated(texts, name)
    return name, tuple(texts)


def find_bank(source: str | os.PathLike) -> tuple[Traversable, str]:
    """File and name of a bank; InputError where there is none."""
    if str(source) in BUNDLED:
        return resources.files("headroles.roles") / "banks" / f"{source}.csv", str(source)
    path = Path(source)
    if not path.is_file():
        hint = near(str(source), BUNDLED)
        raise InputError(f"probes: no bank named {source} and no such file; banks: {', '.join(BUNDLED)}{hint}")
    return path, path.name


def _read(path: Traversable, name: str, columns: tuple[str, ...]) -> list[tuple[int, tuple[str, ...]]]:
    """Line and cells of every row; none of the cells is empty."""
    with open_table(path, "probes", name=name) as reader:
        for column in columns:
            if column not in (reader.fieldnames or ()):
                raise InputError(
                    f"probes: {name} has no column {column!r}; expected a CSV with columns {','.join(columns)}",
                    page="bank-without-labels",
                )
        rows = [(reader.line_num, tuple((row[column] or "").strip() for column in columns)) for row in reader]
    if not rows:
        raise InputError(f"probes: {name} has no text; expected a line a text below the column names")
    for line, cells in rows:
        for column, cell in zip(columns, cells, strict=True):
            if not cell:
                raise InputError(
                    f"probes: line {line} of {name} lacks a {column}; fill it in", page="bank-without-labels"
                )
    return rows


def _refuse_repeated(texts: list[str], name: str) -> None:
    repeated = [text for text, times in Counter(texts).items() if times > 1]
    if repeated:
        raise InputError(f"probes: {name} has {repeated[0]!r} twice; every text needs one concept")
