"""The names of classes: one spelling for all, a user's own, and what is odd about them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from headroles.errors import InputError, said
from headroles.files.tables import open_table
from headroles.images.prompts import write_prompts

CLEAN = "clean"
"""Asks for names without a leading number: 001.Black_footed_Albatross -> Black_footed_Albatross."""
_NUMBERED = re.compile(r"^\d+[.\-_ ]+(?=\D)")
_NUMBER = re.compile(r"^[+-]?\d+([.,]\d+)?$")
_REMEDY = "give names with --class-names"


def compose(name: str) -> str:
    """One spelling (Unicode's NFC) of a name that file systems write in two ways."""
    return unicodedata.normalize("NFC", name)


def rename(names: Sequence[str], wanted: str, where: str) -> list[str]:
    """Names as `wanted` (a file, or `CLEAN`) has them; InputError where the file lacks a class or two get one name."""
    if not wanted:
        return list(names)
    table = {name: _NUMBERED.sub("", name) for name in names} if wanted == CLEAN else read_names(Path(wanted))
    missing = [name for name in names if name not in table]
    if missing:
        raise InputError(f"class-names: {wanted} has no name for class {missing[0]!r} of {where}; add it")
    renamed = [table[name] for name in names]
    for name in renamed:
        if renamed.count(name) > 1:
            raise InputError(f"class-names: {wanted} gives two classes of {where} the name {name!r}; give each its own")
    return renamed


def read_names(path: Path) -> dict[str, str]:
    """Class -> name: a JSON object, or a CSV file with the columns label and name."""
    if path.suffix.lower() == ".json":
        return _from_json(path)
    with open_table(path, "class-names") as reader:
        if not {"label", "name"} <= set(reader.fieldnames or ()):
            got = ", ".join(reader.fieldnames or ()) or "none"
            raise InputError(f"class-names: {path} needs the columns label and name, got {got}")
        return {compose(row["label"].strip()): compose((row["name"] or "").strip()) for row in reader if row["label"]}


def _from_json(path: Path) -> dict[str, str]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"class-names: cannot read {path} ({said(error)}); expected a JSON object") from error
    if not isinstance(raw, dict) or not all(isinstance(name, str) and name.strip() for name in raw.values()):
        raise InputError(f'class-names: {path} is no object of names; expected {{"class": "name", ...}}')
    return {compose(label): compose(name.strip()) for label, name in raw.items()}


def odd_names(names: Sequence[str], template: str) -> tuple[str, ...]:
    """What to say about names that are numbers, or begin with one."""

    def shown(name: str) -> str:
        return write_prompts(template, [name])[0][0]

    numbers = [name for name in names if _NUMBER.match(name)]
    if numbers:
        return (f"{_count(numbers)} a number for a name: a prompt reads {shown(numbers[0])!r}; {_REMEDY}",)
    numbered = [name for name in names if _NUMBERED.match(name)]
    if len(numbered) == len(names):
        return (f"class names begin with numbers: a prompt reads {shown(numbered[0])!r}; {_REMEDY} {CLEAN}, or a file",)
    return ()


def _count(names: Sequence[str]) -> str:
    return "1 class has" if len(names) == 1 else f"{len(names)} classes have"
