"""Data sets of Hugging Face's `datasets`: folders that save_to_disk wrote, and streams from the hub."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils.data import Dataset

from headroles.errors import InputError, said
from headroles.files.json_files import dump_json
from headroles.images.groups import check_cell
from headroles.images.images import Preprocess, spread, undecided
from headroles.images.sources.cells import choose_column, no_column, read_cell
from headroles.images.sources.stream import StreamedImages

if TYPE_CHECKING:
    import datasets

PIP = "pip install 'headroles[datasets]'"
_TIMEOUT = 10
"""Seconds to wait for the hub's first answer."""


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` of `datasets` wrote this folder."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


class DatasetImages(Dataset):
    """The rows of a data set on disk, whose image column is not decoded."""

    def __init__(
        self,
        rows: datasets.Dataset,
        column: str,
        where: str,
        count: int | None,
        others: datasets.Dataset,
        preprocess: Preprocess = undecided,
    ) -> None:
        self.rows, self.column, self.where, self.others, self.preprocess = rows, column, where, others, preprocess
        self.chosen = spread(count, len(rows))

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, number: int) -> tuple[int, Tensor | str]:
        try:
            cell = self.rows[self.chosen[number]][self.column]
        except Exception as error:  # pyarrow's and the package's own kinds.
            return number, f"{type(error).__name__}: {said(error, 200)}"
        return number, read_cell(cell, self.preprocess)

    def name(self, number: int) -> str:
        """Such as row 7, counted from 0; with several splits, such as val row 7."""
        return f"{self.where}row {self.chosen[number]}"

    def fingerprint(self) -> str:
        """A hash of the split, the column and the number of rows: `datasets` has no lasting hash of their content."""
        parts = [self.where, self.column, len(self.rows), len(self)]
        return hashlib.sha256(dump_json(parts).encode()).hexdigest()

    def group_names(self, by: str) -> Iterator[str]:
        """Every image's cell of a column; InputError where there is no such column, or the cell is empty."""
        _check_column(by, self.others.column_names)
        cells = self.others.select_columns([by])
        return (check_cell(cells[row][by], by, f"{self.where}row {row}") for row in self.chosen)


def find_saved(folder: Path, split: str | None, column: str | None, count: int | None) -> Callable:
    """What makes `DatasetImages` of a folder that save_to_disk wrote, once the preprocessing is known."""
    package = _import(str(folder))
    try:
        data = package.load_from_disk(str(folder))
    except Exception as error:  # The package raises errors of many kinds for a damaged folder.
        raise InputError(f"images: cannot load {folder} ({said(error, 200)})") from error
    several = isinstance(data, package.DatasetDict)
    if several:
        split = _choose_split(list(data), split, str(folder))
        data = data[split]
    elif split is not None:
        raise InputError(f"split: {folder} has no splits; leave --split out")
    _validate(data, folder)
    column, encoded = _encoded(data, column, str(folder))
    if not len(data):
        raise InputError(f"images: {folder} has no rows")
    return partial(DatasetImages, encoded, column, f"{split} " if several else "", count, data)


def _validate(data: datasets.Dataset, folder: Path) -> None:
    """InputError where a buffer of the data's files is damaged: reading past its end would end the process."""
    try:
        data.data.validate(full=True)
        if data._indices is not None:
            data._indices.validate(full=True)
    except Exception as error:  # pyarrow's own kinds.
        why = said(error, 200)
        raise InputError(f"images: the data of {folder} are damaged ({why}); copy or save them again") from error


def find_streamed(name: str, split: str | None, column: str | None, count: int | None) -> Callable:
    """What makes `StreamedImages` of a data set of the hub, NAME or NAME:CONFIG, once the preprocessing is known."""
    place, _, config = name.partition(":")
    if not place.strip():
        raise InputError("images: hf: names no data set; expected hf:NAME, such as hf:food101, or hf:NAME:CONFIG")
    package = _import(name)
    try:
        _ask_hub(place)
        splits = package.get_dataset_split_names(place, config or None)
        split = _choose_split(splits, split, name)
        data = package.load_dataset(place, config or None, split=split, streaming=True)
    except InputError:
        raise
    except Exception as error:  # The package, the hub's client and the network raise errors of many kinds.
        raise InputError(f"images: cannot open hf:{name} ({said(error, 200)})") from error
    return streamed(data, f"{name} {split}", column, count)


def _ask_hub(name: str) -> None:
    """One request, whose errors say what is wrong: data sets ask six times, and talk meanwhile, without a network."""
    from huggingface_hub import HfApi

    if not Path(name).exists():
        HfApi().dataset_info(name, timeout=_TIMEOUT)


def streamed(data: datasets.IterableDataset, identity: str, column: str | None, count: int | None) -> Callable:
    """What makes `StreamedImages` of an iterable data set, once the preprocessing is known."""
    if data.features is None:
        raise InputError(f"images: {identity} does not say which columns it has; save it with save_to_disk first")
    column, encoded = _encoded(data, column, identity)

    def cells(first: int) -> Iterator[Any]:
        return (row[column] for row in (encoded.skip(first) if first else encoded))

    def names(by: str) -> Iterator[str]:
        _check_column(by, list(data.features))
        cells = islice(data.select_columns([by]), count)
        return (check_cell(row[by], by, f"image {number}") for number, row in enumerate(cells))

    total = _stated_length(data)
    return lambda preprocess: StreamedImages(f"{identity} {column}", cells, preprocess, count, total, names)


def _stated_length(data: datasets.IterableDataset) -> int | None:
    """How many rows a stream's split has, where its description says so."""
    splits = getattr(data.info, "splits", None) or {}
    stated = splits.get(str(data.split)) if data.split is not None else None
    return (stated.num_examples if stated else None) or None


def _check_column(by: str, columns: list[str]) -> None:
    if by not in columns:
        raise InputError(f"groups: the data set has no column {by!r}; its columns: {', '.join(columns)}")


def _encoded(data: Any, wanted: str | None, where: str) -> tuple[str, Any]:
    """The image column and the data with that column alone, as encoded bytes."""
    from datasets import Image, Value

    columns = {
        name: isinstance(kind, Image) or (isinstance(kind, Value) and _holds_bytes(kind.dtype))
        for name, kind in data.features.items()
    }
    column = choose_column(columns, wanted)
    if column is None:
        raise InputError(no_column(columns, wanted, where))
    data = data.select_columns([column])
    return column, data.cast_column(column, Image(decode=False))


def _holds_bytes(kind: str) -> bool:
    return kind in ("binary", "large_binary", "binary_view") or kind.startswith("fixed_size_binary")


def _choose_split(splits: list[str], wanted: str | None, where: str) -> str:
    if wanted is None and len(splits) == 1:
        return splits[0]
    if wanted not in splits:
        got = "none was chosen" if wanted is None else f"got {wanted!r}"
        raise InputError(f"split: {where} has {', '.join(splits)}; {got}; choose with --split")
    return wanted


def _import(name: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise InputError(f"images: {name} needs the package datasets; {PIP}") from error
    return datasets
