"""From what a user calls the images to a source that can be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from headroles.checks import typed
from headroles.errors import InputError
from headroles.images.images import (
    FolderImages,
    Images,
    Preprocess,
    ShapesImages,
    list_images,
    printable,
    undecided,
    with_preprocess,
)
from headroles.images.sources.patterns import expand
from headroles.images.sources.stream import StreamedImages

HUB = "hf:"
"""What a data set of the Hugging Face hub is called with, such as hf:food101."""
SCENES = 2000
"""Rendered scenes where nothing else is asked for."""


@dataclass(frozen=True)
class Source:
    """Images that exist, before it is known how a model wants its pixels."""

    name: str
    """What to call them in results."""
    open: Callable[[Preprocess], Images | StreamedImages]
    """The images themselves."""


@typed
def find_source(
    images: str | Path,
    *,
    count: int | None = None,
    column: str | None = None,
    split: str | None = None,
    key: str | None = None,
    seed: int = 0,
) -> Source:
    """The source behind a name; everything that can be wrong with it, short of single images, is said here.

    `images`: "shapes" (rendered scenes of `seed`); a folder of image files, of tar shards or of parquet files, or one
    that `datasets` wrote with save_to_disk; a CSV, tar or parquet file; a pattern of tar or parquet files, such as
    "shards/{000..010}.tar" or "data/*.parquet"; or "hf:NAME", a data set of the Hugging Face hub, read as a stream.
    `count`: at most so many images, spread evenly; the first ones of a stream. `column` holds the paths of a CSV file
    or the images of a parquet file or data set; `split` is a data set's; `key` chooses among several images of a tar
    file's samples, such as jpg where there are masks seg.png. Raises InputError.
    """
    text = str(images)
    if text == "shapes":
        _refuse(text, column=column, split=split, key=key)
        total = SCENES if count is None else count
        return Source("shapes", lambda preprocess: ShapesImages(preprocess, total, seed))
    if text.startswith(HUB):
        from headroles.images.sources.dataset import find_streamed

        _refuse(text, key=key)
        return Source(text, find_streamed(text.removeprefix(HUB), split, column, count))
    path = Path(images)
    if path.is_dir():
        return Source(printable(path.resolve().name), _find_in_folder(path, count, column, split, key))
    files = [path] if path.is_file() else expand(text)
    name = path.name if path.is_file() else text
    return Source(printable(name), _find_in_files(files, count, column, split, key))


def _find_in_folder(
    folder: Path, count: int | None, column: str | None, split: str | None, key: str | None
) -> Callable:
    from headroles.images.sources.dataset import find_saved, is_saved

    if is_saved(folder):
        _refuse(f"{folder} is a data set and", key=key)
        return find_saved(folder, split, column, count)
    if next(list_images(folder), None) is None:
        for suffix in (".tar", ".parquet"):
            files = sorted(path for path in folder.rglob(f"*{suffix}") if not path.name.startswith("."))
            if files:
                return _find_in_files(files, count, column, split, key)
    _refuse(f"{folder} is a folder of image files and", column=column, split=split, key=key)
    images = FolderImages(folder, undecided, count)
    return partial(with_preprocess, images)


def _find_in_files(
    files: Sequence[Path], count: int | None, column: str | None, split: str | None, key: str | None
) -> Callable:
    kinds = {path.suffix.lower() for path in files}
    if len(kinds) > 1:
        raise InputError(f"images: files of several kinds, {', '.join(sorted(kinds))}; give one kind")
    (kind,) = kinds
    if kind == ".csv":
        from headroles.images.sources.table import TableImages

        _refuse("a CSV file", split=split, key=key)
        if len(files) > 1:
            raise InputError(f"images: {len(files)} CSV files; give one")
        return partial(with_preprocess, TableImages(files[0], undecided, column, count))
    if kind == ".tar":
        from headroles.images.sources.tar import TarImages

        _refuse("a tar file", column=column, split=split)
        return partial(with_preprocess, TarImages(files, undecided, count, key))
    if kind == ".parquet":
        from headroles.images.sources.parquet import ParquetImages

        _refuse("a parquet file", split=split, key=key)
        return partial(with_preprocess, ParquetImages(files, undecided, column, count))
    raise InputError(
        f"images: {files[0]} is no folder and no .csv, .tar or .parquet file; give one of these, shapes for rendered "
        "scenes, or hf:NAME for a data set of the hub"
    )


def _refuse(what: str, **options: str | None) -> None:
    for name, value in options.items():
        if value is not None:
            raise InputError(f"{name}: {what} has no {name}s; leave --{name} out")
