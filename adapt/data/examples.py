"""One labelled image: where it is, what it shows, and how to open it."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from PIL import Image

from headroles.errors import InputError, reword
from headroles.images.images import UNREADABLE, open_image

if TYPE_CHECKING:
    from datasets import Dataset


class ImageError(InputError):
    """An image cannot be read. One line, even after a worker process has wrapped it in its traceback."""

    def __init__(self, message: str) -> None:
        super().__init__(message.rstrip().rpartition("examples.ImageError: ")[2])


@dataclass(frozen=True)
class ShapesSource:
    """A picture of a built-in task, rendered when it is opened."""

    task: str
    split: str
    index: int
    shift: str | None = None

    def __str__(self) -> str:
        shift = f"@{self.shift}" if self.shift else ""
        return f"shapes:{self.task}{shift}/{self.split}/{self.index}"

    def open(self) -> Image.Image:
        """The picture, 64 x 64 RGB."""
        from headroles.shapes.tasks import render_example

        return Image.fromarray(render_example(self.task, self.split, self.index, self.shift))


@dataclass(frozen=True, eq=False)
class RowSource:
    """An image in a row of a Hugging Face data set, which holds encoded bytes or a path."""

    dataset: Dataset = field(repr=False)
    row: int
    column: str

    def open(self) -> Image.Image:
        """The picture as RGB."""
        return open_image(io.BytesIO(self.content()))

    def content(self) -> bytes:
        """The encoded picture."""
        cell: dict[str, Any] | None = self.dataset[self.row][self.column]
        if cell is None or (cell["bytes"] is None and not cell["path"]):
            raise ValueError("the row holds no image")
        if cell["bytes"] is not None:
            return bytes(cell["bytes"])
        with open(cell["path"], "rb") as file:
            return file.read()


ImageSource: TypeAlias = "str | os.PathLike | ShapesSource | RowSource"
"""A file's path, or what else renders or holds an image."""


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled image; nothing is read before `open`."""

    source: ImageSource
    """A file's path, or what else renders or holds the image."""
    label: int
    """Index of its class."""
    name: str = ""
    """Where it is within its task, such as its path below the data set's folder."""
    domain: str = ""
    """What kind of picture it is, such as a photo or a sketch; "" where nothing is said."""

    @property
    def key(self) -> str:
        """A string that names this image within its task, the same on every machine where `name` is given."""
        return self.name or str(self.source)

    def open(self) -> Image.Image:
        """The image as upright 8-bit RGB; raises InputError that names the file where it cannot be read."""
        if isinstance(self.source, ShapesSource):
            return self.source.open()
        try:
            return self.source.open() if isinstance(self.source, RowSource) else open_image(self.source)
        except UNREADABLE as error:
            where = self.source if isinstance(self.source, (str, os.PathLike)) else self.key
            why = reword(str(getattr(error, "strerror", None) or error))
            raise ImageError(f"image: {where} cannot be read ({why}); mend the file or take it out") from error
