"""Data sets of Hugging Face's `datasets`: folders that it saved, the hub's, and parquet files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headroles.adapt.data.examples import RowSource
from headroles.adapt.data.listed import check_column, check_split, choose_label
from headroles.adapt.data.names import HUB
from headroles.adapt.data.spec import Reading
from headroles.adapt.data.splits import Row, make_task
from headroles.adapt.data.task import Task
from headroles.errors import InputError, said

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

_PIP = "pip install 'headroles[datasets]'"


def is_dataset_folder(folder: Path) -> bool:
    """Whether `save_to_disk` of Hugging Face's `datasets` wrote this folder."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def read_dataset(folder: Path, template: str | None = None, reading: Reading | None = None) -> Task:
    """A Hugging Face `datasets` folder with an image column and a label column (class labels or strings)."""
    _import(f"{folder} is a Hugging Face data set")
    from datasets import load_from_disk

    try:
        data = load_from_disk(str(folder))
    except Exception as error:  # The package raises errors of many kinds for a damaged folder.
        raise InputError(f"task: cannot load {folder} ({said(error, 200)})") from error
    return make_rows(str(folder), data, template, reading)


def read_hub(spec: str, template: str | None = None, reading: Reading | None = None) -> Task:
    """hf:NAME or hf:NAME:CONFIG of the hub, loaded whole into the package's cache."""
    place, _, config = spec.removeprefix(HUB).partition(":")
    if not place:
        raise InputError("task: hf: names no data set; give hf:NAME or hf:NAME:CONFIG")
    _import(f"{spec} is a Hugging Face data set")
    import datasets

    try:
        data = datasets.load_dataset(place, config or None)
    except Exception as error:  # The package, the hub's client and the network raise errors of many kinds.
        raise InputError(f"task: cannot open {spec} ({said(error, 200)})") from error
    return make_rows(spec, data, template, reading)


def read_parquet(
    files: Sequence[Path], place: str, template: str | None = None, reading: Reading | None = None
) -> Task:
    """Parquet files with a column of images and one of labels; a file's name may begin with its split."""
    _import(f"{place} is a parquet file")
    from datasets import Dataset, Image, Value, concatenate_datasets
    from pyarrow import parquet

    parts: dict[str, list[Any]] = {}
    for path in files:
        try:
            part = Dataset(parquet.read_table(path))
        except Exception as error:  # pyarrow's own kinds, and OSError
            why = said(error, 200)
            raise InputError(f"task: cannot read {path} as a parquet file ({why})") from error
        for name, kind in part.features.items():
            binary = isinstance(kind, Value) and kind.dtype in ("binary", "large_binary", "binary_view")
            if binary or (isinstance(kind, dict) and set(kind) == {"bytes", "path"}):
                part = part.cast_column(name, Image(decode=False))
        parts.setdefault(_split_of(path) if len(files) > 1 else "", []).append(part)
    try:
        data = {split: concatenate_datasets(some) for split, some in parts.items()}
    except Exception as error:
        raise InputError(
            f"task: files of {place} have different columns ({said(error, 200)})"
        ) from error
    return make_rows(place, data, template, reading)


def _split_of(path: Path) -> str:
    """train of train-00000-of-00003.parquet; "" where the name says no split."""
    from headroles.adapt.data.splits import SPLIT_NAMES

    return SPLIT_NAMES.get(path.stem.split("-")[0].split("_")[0].lower(), "")


def make_rows(
    name: str, data: Dataset | DatasetDict | dict[str, Any], template: str | None, reading: Reading | None
) -> Task:
    """The task of a data set, or of one a split."""
    reading = reading or Reading()
    splits: dict[str, Any] = dict(data) if hasattr(data, "keys") else {"": data}
    rows: list[Row] = []
    names: list[str] | None = None
    for key, part in splits.items():
        image, label = _columns(name, part, reading.label)
        names = getattr(part.features[label], "names", None) or names
        domain = check_column(part.column_names, reading.domains, "domains", name)
        rows += _dataset_rows(name, part, key, image, label, domain)
    if reading.val_share or not {"test", "val"} & {row.split for row in rows}:  # A split will be made.
        rows = [replace(row, content=_hash(row.source)) for row in rows]
    return make_task(name, rows, template, names, reading)


def _hash(source: Any) -> str:
    """Of the encoded picture; "" where there is none, which is said when it is opened."""
    try:
        return hashlib.sha256(source.content()).hexdigest()
    except (OSError, ValueError):
        return ""


def _import(what: str) -> None:
    try:
        import datasets  # noqa: F401
    except ImportError as error:
        raise InputError(f"task: {what} and needs the package datasets; {_PIP}") from error


def _columns(name: str, part: Dataset, wanted: str) -> tuple[str, str]:
    """The names of the image column and of the label column."""
    from datasets import ClassLabel, Image

    images = [column for column, feature in part.features.items() if isinstance(feature, Image)]
    labels = [column for column, feature in part.features.items() if isinstance(feature, ClassLabel)]
    if not wanted and len(labels) > 1:
        raise InputError(f"task: {name} has several columns of classes, {', '.join(labels)}; choose one with --label")
    label = choose_label(part.column_names, wanted or "".join(labels), name)
    if not images or not label:
        raise InputError(
            f"task: {name} needs a column of images and one named label; it has "
            + ", ".join(f"{column} ({type(feature).__name__})" for column, feature in part.features.items())
        )
    if len(images) > 1 and "image" not in images:
        raise InputError(f"task: {name} has several columns of images, {', '.join(images)}; name one of them image")
    return "image" if "image" in images else images[0], label


def _dataset_rows(name: str, part: Dataset, key: str, image: str, label: str, domain: str = "") -> list[Row]:
    from datasets import Image

    encoded = part.cast_column(image, Image(decode=False))
    names = getattr(part.features[label], "names", None)
    split, domains = check_split(key, name), _read_names(part, domain) if domain else [""] * len(part)
    rows = []
    for number, value in enumerate(part[label]):
        if value is None or (names and value == -1):
            raise InputError(f"task: row {number} of split {key or 'train'} of {name} has no label")
        class_name = names[value] if names else str(value)
        place = f"{key or 'row'}/{number}"
        rows.append(Row(RowSource(encoded, number, image), place, class_name, split, domain=domains[number]))
    return rows


def _read_names(part: Dataset, column: str) -> list[str]:
    """A column's values as words."""
    names = getattr(part.features[column], "names", None)
    return [names[value] if names else str(value) for value in part[column]]
