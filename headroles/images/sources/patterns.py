"""Names of many files at once: brace ranges and lists as in a shell and in webdataset, and glob patterns."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from headroles.errors import InputError

_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def expand(pattern: str) -> list[Path]:
    """The files of a pattern such as "a/{000..010}.tar", "{train,val}/*.tar", in order; each must exist.

    A range keeps the number of digits of its first number. Raises InputError where a file is missing or none matches.
    """
    files = [Path(name) for each in _braces(pattern) for name in _glob(each)]
    if not files:
        raise InputError(f"images: no file matches {pattern}", page="no-images")
    missing = [file for file in files if not file.is_file()]
    if missing and len(files) == 1:
        hint = f", or hf:{pattern} for a data set of the hub" if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", pattern) else ""
        raise InputError(
            f"images: {pattern} is no folder and no file; give a folder of images, a CSV, tar or parquet file, "
            f"or shapes for rendered scenes{hint}",
            page="no-images",
        )
    if missing:
        raise InputError(f"images: {len(missing)} of the {len(files)} files of {pattern} are missing, as {missing[0]}")
    return list(dict.fromkeys(files))


def _braces(pattern: str) -> list[str]:
    """All that a pattern with braces, perhaps within braces, stands for."""
    before, brace, rest = pattern.partition("{")
    if not brace:
        return [pattern]
    parts, depth = [""], 1
    for place, letter in enumerate(rest):
        depth += (letter == "{") - (letter == "}")
        if not depth:
            after = rest[place + 1 :]
            return [before + each + end for each in _choices(parts) for end in _braces(after)]
        if letter == "," and depth == 1:
            parts.append("")
        else:
            parts[-1] += letter
    raise InputError(f"images: a brace of {pattern} is not closed")


def _choices(parts: list[str]) -> list[str]:
    """What braces around these parts stand for: a range of numbers, or each part."""
    if len(parts) > 1:
        return [each for part in parts for each in _braces(part)]
    numbers = _RANGE.fullmatch(parts[0])
    if not numbers:
        raise InputError(f"images: {{{parts[0]}}} is no range such as 000..010 and no list such as a,b")
    first, last = int(numbers[1]), int(numbers[2])
    if first > last:
        raise InputError(f"images: the range {{{parts[0]}}} counts down; write it upwards")
    return [str(number).zfill(len(numbers[1])) for number in range(first, last + 1)]


def _glob(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else [pattern]
