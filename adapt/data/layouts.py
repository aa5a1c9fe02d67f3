"""Data sets of one's own: a folder with a sub-folder a class, a CSV file, a Hugging Face `datasets` folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from headroles.adapt.data.examples import RowSource
from headroles.adapt.data.splits import SPLIT_NAMES, Row, make_task
from headroles.adapt.data.task import Task
from headroles.errors import InputError
from headroles.files.tables import open_table
from headroles.images.images import list_images

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

_PIP = "pip install 'headroles[datasets]'"


def read_folder(folder: Path, template: str | None = None) -> Task:
    """Sub-folders named as classes, or train, val and test folders that hold such sub-folders.

    Image files may lie deeper below a class; hidden files and folders are left out.
    """
    parts = _subfolders(folder)
    split = {part.name: SPLIT_NAMES[part.name.lower()] for part in parts if part.name.lower() in SPLIT_NAMES}
    if "train" in split.values() and len(split) == len(parts) and any(_subfolders(part) for part in parts):
        rows = [row for part in parts for row in _class_rows(folder, part, split[part.name])]
    else:
        rows = list(_class_rows(folder, folder, ""))
    if not rows:
        raise InputError(f"task: {folder} holds no class folders with images; expected {folder}/CLASS/IMAGE")
    return make_task(str(folder), rows, template)


def _class_rows(root: Path, folder: Path, split: str) -> Iterator[Row]:
    for place in _subfolders(folder):
        found = list(list_images(place))
        if not found:
            raise InputError(f"task: class folder {place} holds no image; add some or remove the folder")
        for path in found:
            yield Row(path, os.path.relpath(path, root).replace(os.sep, "/"), place.name, split)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def read_csv(path: Path, template: str | None = None) -> Task:
    """Columns path (relative to the file's folder, or absolute) and label (the class name), perhaps split."""
    with open_table(path, "task") as reader:
        _check_columns(path, reader.fieldnames or ())
        rows = [_csv_row(path, reader.line_num, line) for line in reader]
    return make_task(str(path), rows, template)


def _check_columns(path: Path, columns: Iterable[str]) -> None:
    missing = [column for column in ("path", "label") if column not in columns]
    if missing:
        got = ", ".join(columns) or "none"
        raise InputError(f"task: {path} has no column {missing[0]!r}; expected path,label[,split], got {got}")


def _csv_row(path: Path, number: int, line: dict[str, str | None]) -> Row:
    place, label, split = ((line.get(column) or "").strip() for column in ("path", "label", "split"))
    if not place or not label:
        raise InputError(f"task: line {number} of {path} has no {'label' if place else 'path'}")
    return Row(os.path.join(path.parent, place), place, label, _split(split, f"line {number} of {path}"))


def _split(name: str, where: str) -> str:
    if name and name.lower() not in SPLIT_NAMES:
        raise InputError(f"task: split {name!r} of {where} is unknown; use train, val or test")
    return SPLIT_NAMES[name.lower()] if name else ""


def is_dataset_folder(folder: Path) -> bool:
    """Whether `save_to_disk` of Hugging Face's `datasets` wrote this folder."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def read_dataset(folder: Path, template: str | None = None) -> Task:
    """A Hugging Face `datasets` folder with an image column and a label column (class labels or strings)."""
    data = _load_dataset(folder)
    splits = data if hasattr(data, "keys") else {"": data}
    rows: list[Row] = []
    names: list[str] | None = None
    for key, part in splits.items():
        image, label = _columns(folder, part)
        names = getattr(part.features[label], "names", None) or names
        rows += _dataset_rows(folder, part, key, image, label)
    return make_task(str(folder), rows, template, names)


def _load_dataset(folder: Path) -> Dataset | DatasetDict:
    try:
        from datasets import load_from_disk
    except ImportError as error:
        raise InputError(f"task: {folder} is a Hugging Face data set and needs the package datasets; {_PIP}") from error
    try:
        return load_from_disk(str(folder))
    except Exception as error:  # The package raises errors of many kinds for a damaged folder.
        raise InputError(f"task: cannot load {folder} ({' '.join(str(error).split())[:200]})") from error


def _columns(folder: Path, part: Dataset) -> tuple[str, str]:
    """The names of the image column and of the label column."""
    from datasets import ClassLabel, Image

    images = [name for name, feature in part.features.items() if isinstance(feature, Image)]
    labels = [name for name, feature in part.features.items() if isinstance(feature, ClassLabel)]
    labels = [name for name in ("label", "labels") if name in part.features] or labels
    if not images or not labels:
        raise InputError(
            f"task: {folder} needs a column of images and one named label; it has "
            + ", ".join(f"{name} ({type(feature).__name__})" for name, feature in part.features.items())
        )
    return images[0], labels[0]


def _dataset_rows(folder: Path, part: Dataset, key: str, image: str, label: str) -> list[Row]:
    from datasets import Image

    encoded = part.cast_column(image, Image(decode=False))
    names = getattr(part.features[label], "names", None)
    split = _split(key, str(folder))
    rows = []
    for number, value in enumerate(part[label]):
        if value is None or value == -1:
            raise InputError(f"task: row {number} of split {key or 'train'} of {folder} has no label")
        name = names[value] if names else str(value)
        rows.append(Row(RowSource(encoded, number, image), f"{key or 'row'}/{number}", name, split))
    return rows
