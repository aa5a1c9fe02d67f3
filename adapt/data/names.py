"""What a task may be called, said before anything of it is read. Needs no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from headroles.adapt.data.spec import split_spec
from headroles.checks import near
from headroles.errors import InputError
from headroles.shapes.shifts import SHIFTS as _SHIFTS
from headroles.shapes.tasks import TASKS as _SHAPES
from headroles.shapes.tasks import find_task

SHAPES, HUB = "shapes:", "hf:"
"""What names of built-in tasks begin with, and those of data sets of the Hugging Face hub."""
DEFAULT = f"{SHAPES}{next(iter(_SHAPES))}"
"""The task where none is given: the first of the list, whatever is reached on it."""
TASKS: dict[str, str] = {f"{SHAPES}{name}": task.summary for name, task in _SHAPES.items()}
"""Name of a built-in task -> what it is."""
SHIFTS: dict[str, str] = {name: shift.summary for name, shift in _SHIFTS.items()}
"""Name of a domain shift -> what it does."""
DATA_SETS: Mapping[str, tuple[str, ...]] = {
    "imagenet": ("ImageNet",),
    "caltech-101": (),
    "oxford_pets": ("Pets",),
    "stanford_cars": ("Cars",),
    "oxford_flowers": ("Flowers102",),
    "food-101": ("Food",),
    "fgvc_aircraft": ("Aircraft",),
    "sun397": (),
    "dtd": ("DescribableTextures",),
    "eurosat": (),
    "ucf101": ("UCF",),
    "imagenetv2": (),
    "imagenet-sketch": (),
    "imagenet-adversarial": ("ImageNet-A",),
    "imagenet-rendition": ("ImageNet-R",),
}
"""Folder of a data set of CoOp's benchmark -> what papers call it besides."""


def check_task(spec: str, root: str | os.PathLike[str] | None = None) -> None:
    """InputError for a name that is no built-in task, no data set with a root, no path and none of the hub."""
    place = spec if spec.startswith(SHAPES) and "?" not in spec else split_spec(spec)[0]
    if place.startswith(SHAPES):
        find_task(place.removeprefix(SHAPES).partition("@")[0])
    elif not place.startswith(HUB) and (root is None or find_folder(place) is None) and not _exists(place):
        raise unknown(spec)


def unknown(spec: str) -> InputError:
    """What is said of a task that is not there."""
    if find_folder(spec) is not None:
        return InputError(f"task: data set {spec} needs the folder that holds the data sets; give it with --root")
    return InputError(
        f"task: there is no {spec}; expected a built-in task ({', '.join(list(TASKS)[:3])} ...), a folder of class "
        f"folders, a CSV, TSV, JSON-lines, split or parquet file, a Hugging Face datasets folder, "
        f"or, with --root, one of {', '.join(DATA_SETS)}{near(spec, (*TASKS, *DATA_SETS))}"
    )


def find_folder(name: str) -> str | None:
    """The folder of the data set that has this name, its folder's or papers', however it is written."""
    plain = _plain(name)
    return next((each for each, names in DATA_SETS.items() if plain in map(_plain, (each, *names))), None)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _exists(place: str) -> bool:
    try:
        return Path(place).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return True  # Opening says what is wrong with it.
