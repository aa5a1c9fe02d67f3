"""Images that a list names with their classes: CSV, TSV and JSON-lines files, and metadata files beside images."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from headroles.adapt.data.spec import Reading
from headroles.adapt.data.splits import SPLIT_NAMES, Row, make_task
from headroles.adapt.data.task import Task
from headroles.errors import InputError, said
from headroles.files.tables import open_table

METADATA = ("metadata.csv", "metadata.jsonl")
"""What Hugging Face's image folders call a list of their images."""
LISTS = (".csv", ".tsv", ".jsonl")
"""Suffixes of lists."""
PATHS = ("path", "file_name")
"""What the column of paths is called."""
LABELS = ("label", "labels", "class", "class_name")
"""What the column of classes is called."""

Lines = list[tuple[int, dict[str, Any]]]


def read_list(path: Path, template: str | None = None, reading: Reading | None = None) -> Task:
    """Columns path (relative to the file's folder, or absolute) and label (the class name), perhaps split.

    Paths that a Windows machine wrote, with backslashes, are read too.
    """
    rows, notes = _read_rows(path, reading or Reading())
    return make_task(str(path), name_rows(rows), template, None, reading, notes)


def read_metadata(path: Path, root: Path, split: str, reading: Reading) -> tuple[list[Row], list[str]]:
    """The rows of a metadata file, and notes; no rows where it has no column of classes, as with captions alone."""
    columns, _ = _read_lines(path)
    if not reading.label and not any(label in map(str.lower, columns) for label in LABELS):
        return [], [f"{path} has no column of classes, {' or '.join(LABELS)}: folders are the classes"]
    rows, notes = _read_rows(path, reading)
    return [
        replace(row, name=os.path.relpath(str(row.source), root).replace(os.sep, "/"), split=split or row.split)
        for row in rows
    ], notes


def name_rows(rows: Sequence[Row]) -> list[Row]:
    """Rows named by their path below the folder that holds all images, wherever that is and however it is written."""
    places = [os.path.abspath(str(row.source)) for row in rows]
    if not places:
        return []
    folder = os.path.commonpath([os.path.dirname(place) for place in places])
    return [
        replace(row, name=os.path.relpath(place, folder).replace(os.sep, "/"))
        for row, place in zip(rows, places, strict=True)
    ]


def check_split(name: str, where: str) -> str:
    """train, val or test, whatever it is called; InputError for other names."""
    if name and name.lower() not in SPLIT_NAMES:
        raise InputError(f"task: split {name!r} of {where} is unknown; use train, val or test")
    return SPLIT_NAMES[name.lower()] if name else ""


def choose_label(columns: Sequence[str], wanted: str, where: str) -> str:
    """The column that holds the class; InputError where there is none, or no telling between two."""
    if wanted:
        return check_column(columns, wanted, "label", where)
    found = [column for column in columns if column.lower() in LABELS]
    if len(found) > 1:
        raise InputError(f"task: {where} has several columns of classes, {', '.join(found)}; choose one with --label")
    return found[0] if found else ""


def check_column(columns: Sequence[str], wanted: str, asked: str, where: str) -> str:
    """The column that an option, `asked`, names; "" where it names none. InputError where it is not there."""
    if wanted and wanted not in columns:
        raise InputError(f"{asked}: {where} has no column {wanted!r}; its columns: {', '.join(columns)}")
    return wanted


def _read_rows(path: Path, reading: Reading) -> tuple[list[Row], list[str]]:
    columns, lines = _read_lines(path)
    place = next((column for column in columns if column.lower() in PATHS), "")
    label = choose_label(columns, reading.label, str(path))
    if not place or not label:
        got = ", ".join(columns) or "none"
        raise InputError(
            f"task: {path} has no column {'label' if place else 'path'!r}; expected path,label[,split], got {got}"
        )
    split = next((column for column in columns if column.lower() == "split"), "")
    read = (place, label, split, check_column(columns, reading.domains, "domains", str(path)))
    unread = [column for column in columns if column not in read]
    notes = [f"columns of {path} that are not read: {', '.join(unread)}"] if unread else []
    return [_make_row(path, number, line, read) for number, line in lines], notes


def _make_row(path: Path, number: int, line: dict[str, Any], columns: Sequence[str]) -> Row:
    image, name, part, domain = (str("" if line.get(c) is None else line[c]).strip() for c in columns)
    if not image or not name:
        raise InputError(f"task: line {number} of {path} has no {'label' if image else 'path'}")
    if columns[3] and not domain:
        raise InputError(f"domains: line {number} of {path} has no {columns[3]}; give every image its domain")
    split = check_split(part, f"line {number} of {path}")
    return Row(find_file(path.parent, image), image, name, split, domain=domain)


def find_file(folder: Path, place: str) -> str:
    """A listed file; backslashes are Windows' separators where no file is named with them."""
    path = os.path.join(folder, place)
    return os.path.join(folder, place.replace("\\", "/")) if "\\" in place and not os.path.exists(path) else path


def _read_lines(path: Path) -> tuple[list[str], Lines]:
    """The columns, and (number, cells) of every line."""
    if path.suffix.lower() == ".jsonl":
        lines = list(_read_json_lines(path))
        return list(dict.fromkeys(column for _, line in lines for column in line)), lines
    with open_table(path, "task", "\t" if path.suffix.lower() == ".tsv" else ",") as reader:
        return list(reader.fieldnames or ()), [(reader.line_num, line) for line in reader]


def _read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"task: cannot read {path} ({said(error)}); expected an object of JSON a line") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"task: line {number} of {path} is no JSON ({said(error)}); expected an object a line"
            ) from error
        if not isinstance(cells, dict) or not all(isinstance(v, (str, int, float, type(None))) for v in cells.values()):
            raise InputError(
                f'task: line {number} of {path} is no plain object; expected {{"path": ..., "label": ...}}'
            )
        yield number, cells
