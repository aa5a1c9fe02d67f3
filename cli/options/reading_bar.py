"""A bar on a terminal for a pass over images, whether or not their number is known."""

from __future__ import annotations

from typing import Any

from headroles.cli.options.bars import open_bar


class ReadingBar:
    """Shows the main process's part of the pass: the others' are as large."""

    def __init__(self, images: str | None) -> None:
        what = {"shapes": "rendering scenes", None: "reading texts"}
        self.label, self.unit = what.get(images, f"reading {images}"), "image" if images else "text"
        self.bar: Any = None

    def __enter__(self) -> ReadingBar:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, done: int, total: int | None) -> None:
        if self.bar is None:
            from headroles.passes.processes import is_main, place

            label = self.label if place()[1] == 1 else f"{self.label} (process 1 of {place()[1]})"
            self.bar = open_bar(label, total, self.unit, is_main())
        self.bar.update(done - self.bar.n)
