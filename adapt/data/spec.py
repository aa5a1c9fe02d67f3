"""How a task's own data are read, written behind its place: photos/?test-share=0.5&label=breed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from headroles.errors import InputError

TEST_SHARE = 0.3
"""Share of a class that is tested on where the data bring no split."""
FOLDERS, SHIFTS = "folders", "shifts"
"""Domains of a folder of DOMAIN/CLASS/ folders, and of a built-in task: as it is, and under each of its shifts."""


@dataclass(frozen=True)
class Reading:
    """How data of one's own are read. A task's name holds it, so that the name alone opens the same task again."""

    test_share: float | None = None
    """Share of each class that tests, for data without test images; None: `TEST_SHARE`."""
    val_share: float | None = None
    """Share of each class's other images that is set apart for validation; None: none, as nothing asks for them."""
    label: str = ""
    """The column that holds the class, in data with columns; "" for the one that is named so."""
    class_names: str = ""
    """File of the names that classes have in prompts (JSON or CSV), or clean: without a leading number."""
    domains: str = ""
    """What says a picture's domain: `FOLDERS`, a column of a list or data set, or, of a built-in task, `SHIFTS`."""

    def __post_init__(self) -> None:
        for name in ("test_share", "val_share"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                raise InputError(f"{name.replace('_', '-')}: expected a number between 0 and 1, got {share:g}")

    def join(self, place: str) -> str:
        """The place with these settings behind it; the place alone where nothing is set."""
        given = {name.replace("_", "-"): value for name, value in vars(self).items()}
        text = "&".join(
            f"{key}={quote(f'{value:g}' if isinstance(value, float) else str(value), safe='/ ')}"
            for key, value in given.items()
            if value not in (None, "")
        )
        return f"{place}{'&' if '?' in place and text else '?' if text else ''}{text}"


KNOWN = tuple(each.name.replace("_", "-") for each in fields(Reading))
"""What may stand behind a place's question mark."""


def split_spec(spec: str) -> tuple[str, Reading]:
    """The place of a task and how it is read; a place that exists is taken as it is written."""
    place, mark, text = spec.partition("?")
    if not mark or Path(spec).expanduser().exists():
        return spec, Reading()
    given = dict(parse_qsl(text, keep_blank_values=True))
    unknown = sorted(given.keys() - set(KNOWN))
    if unknown or not given:
        raise InputError(
            f"task: {spec} sets {unknown[0] if unknown else 'nothing'!r} behind its ?; known: {', '.join(KNOWN)}"
        )
    settings: dict[str, Any] = {name.replace("-", "_"): text for name, text in given.items()}
    settings |= {name: _number(name, settings[name]) for name in ("test_share", "val_share") if name in settings}
    return place, Reading(**settings)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{name.replace('_', '-')}: expected a number between 0 and 1, got {text!r}") from error
