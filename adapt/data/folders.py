"""Folders of one's own: a sub-folder a class, perhaps below train, val and test; what is no class is said by name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from headroles.adapt.data.class_names import compose
from headroles.adapt.data.listed import METADATA, read_metadata
from headroles.adapt.data.spec import FOLDERS, Reading
from headroles.adapt.data.splits import SPLIT_NAMES, Row, make_task
from headroles.adapt.data.task import Task
from headroles.errors import InputError
from headroles.images.images import name_counts
from headroles.images.pixels import suffixes
from headroles.images.walk import SYSTEM, list_images

_OURS = ("adapter_config.json", "role_map.json", "metrics.json", "validation.json", "unfinished")
"""What marks a folder as an output of this package."""


@dataclass
class _Found:
    """What a folder of one's own holds."""

    parts: list[Path]
    """Its sub-folders that may be classes or splits."""
    notes: list[str] = field(default_factory=list)
    """What was left out."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Files that are no images, by suffix."""


def read_folder(folder: Path, template: str | None = None, reading: Reading | None = None) -> Task:
    """Sub-folders named as classes, or train, val and test folders that hold such sub-folders.

    Image files may lie deeper below a class; hidden files and folders, those that systems make, and outputs of this
    package are left out. A metadata.csv or metadata.jsonl beside the images may say their classes. With `domains` as
    "folders" each sub-folder is a domain, which holds all that. Raises InputError where a folder is neither class nor
    split.
    """
    reading = reading or Reading()
    found = _look_into(folder)
    by_domain = reading.domains == FOLDERS
    rows = list(_domain_rows(folder, found, reading) if by_domain else _folder_rows(folder, folder, found, reading))
    if reading.domains and not all(row.domain for row in rows):
        raise InputError(
            f"domains: {folder} has no list of its images with a column {reading.domains!r}; where its folders are "
            f"domains, DOMAIN/CLASS/, say {FOLDERS}"
        )
    if not rows:
        layout = "DOMAIN/CLASS" if by_domain else "CLASS"
        raise InputError(f"task: {folder} holds no class folders with images; expected {folder}/{layout}/IMAGE")
    found.notes += [] if by_domain else _note_domains(rows)
    if found.skipped:
        found.notes.append(f"beside the images of {folder}, left out: {name_counts(found.skipped)}")
    return make_task(str(folder), rows, template, None, reading, found.notes)


def _domain_rows(root: Path, found: _Found, reading: Reading) -> Iterator[Row]:
    for domain in found.parts:
        inner = _look_into(domain)
        if not inner.parts and _loose_images(domain):
            raise InputError(
                f"task: {domain} holds images and no class folders, so it is no domain; expected "
                f"{root}/DOMAIN/CLASS/IMAGE"
            )
        for row in _folder_rows(root, domain, inner, replace(reading, domains="")):
            yield replace(row, domain=compose(domain.name))
        found.notes += inner.notes
        found.skipped += inner.skipped


def _note_domains(rows: Iterable[Row]) -> list[str]:
    """What may be wrong where all classes hold the same folders and no images beside these."""
    inner: dict[str, set[str]] = {}
    for row in rows:
        *_, name = row.name.partition(f"{row.class_name}/")
        inner.setdefault(row.class_name, set()).add(name.partition("/")[0] if "/" in name else "")
    first, *others = inner.values()
    if "" in first or len(first) < 2 or not others or any(each != first for each in others):
        return []
    shown = ", ".join(sorted(first)[:3]) + (" ..." if len(first) > 3 else "")
    return [
        f"classes {', '.join(sorted(inner)[:3])}{' ...' if len(inner) > 3 else ''} hold the same folders ({shown}); if "
        f"these are the classes, say --domains {FOLDERS}"
    ]


def _folder_rows(root: Path, folder: Path, found: _Found, reading: Reading) -> Iterator[Row]:
    """Of class folders, or of those in folders of splits."""
    for part, split in _find_splits(folder, found) or [(folder, "")]:
        yield from _part_rows(root, part, split, found, reading)


def _part_rows(root: Path, part: Path, split: str, found: _Found, reading: Reading) -> Iterator[Row]:
    """Of a folder of class folders, or of images that its metadata file lists."""
    metadata = next((part / name for name in METADATA if (part / name).is_file()), None)
    if metadata is not None:
        rows, note = read_metadata(metadata, root, split, reading)
        found.notes += note
        if rows:
            yield from rows
            return
    loose = _loose_images(part)
    if loose:
        found.notes.append(f"images of {part} outside class folders are left out: {len(loose)}, such as {loose[0]}")
    for place in _subfolders(part)[0]:
        images = list(list_images(place, found.skipped))
        if not images:
            raise InputError(f"task: class folder {place} holds no image; add some or remove the folder")
        for path in images:
            yield Row(path, os.path.relpath(path, root).replace(os.sep, "/"), place.name, split)


def _look_into(folder: Path) -> _Found:
    parts, passed = _subfolders(folder)
    return _Found(parts, [f"left out {path}: {why}" for path, why in passed])


def _find_splits(folder: Path, found: _Found) -> list[tuple[Path, str]]:
    """(folder, split) where these are splits, not classes; nothing where they are classes."""
    splits = [
        (part, SPLIT_NAMES[part.name.lower()])
        for part in found.parts
        if part.name.lower() in SPLIT_NAMES and _holds_classes(part)
    ]
    if not splits:
        return []
    for part, split in splits:
        twin = next((other.name for other, same in splits if same == split and other != part), None)
        if twin:
            raise InputError(f"task: {part.name} and {twin} in {folder} are both the {split} split; merge them")
    for part in found.parts:
        if part in dict(splits):
            continue
        if next(list_images(part), None) is not None:
            raise InputError(
                f"task: {part} lies beside {splits[0][0].name}/, which is a split, and is none (train, val or test, "
                "each with class folders); move it elsewhere"
            )
        found.notes.append(f"left out {part}: it holds no image")
    return splits


def _holds_classes(part: Path) -> bool:
    """Whether a folder holds class folders, or a list of its images, not images alone."""
    listed = any((part / name).is_file() for name in METADATA)
    return listed or (bool(_subfolders(part)[0]) and not _loose_images(part))


def _loose_images(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_file()]
    return sorted(name for name in names if name.lower().endswith(suffixes()) and not name.startswith("."))


def _subfolders(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Those that may be classes or splits; and those that are not, with why."""
    parts: list[Path] = []
    passed: list[tuple[Path, str]] = []
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if path.name.lower() in SYSTEM:
            passed.append((path, "a folder of the operating system"))
        elif is_output(path):
            passed.append((path, "an output of headroles"))
        else:
            parts.append(path)
    return parts, passed


def is_output(folder: Path) -> bool:
    """Whether this package wrote the folder, or a folder in it."""
    inner = [folder, *(path for path in folder.iterdir() if path.is_dir())]
    return folder.name == "headroles-output" or any((path / name).exists() for path in inner for name in _OURS)
