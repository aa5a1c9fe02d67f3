"""How a task's own data are read, written behind its place: photos/?test-share=0.5&label=breed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote

from headroles.errors import InputError

TEST_SHARE = 0.3
"""Share of a class that is tested on where the data bring no split."""


@dataclass(frozen=True)
class Reading:
    """How data of one's own are read. A task's name holds it, so that the name alone opens the same task again."""

    test_share: float | None = None
    """Share of each class that tests, for data without test images; None: `TEST_SHARE`."""
    label: str = ""
    """The column that holds the class, in data with columns; "" for the one that is named so."""
    class_names: str = ""
    """File of the names that classes have in prompts (JSON or CSV), or clean: without a leading number."""

    def __post_init__(self) -> None:
        if self.test_share is not None and not 0 < self.test_share < 1:
            raise InputError(f"test-share: expected a number between 0 and 1, got {self.test_share:g}")

    def join(self, place: str) -> str:
        """The place with these settings behind it; the place alone where nothing is set."""
        given = {"test-share": self.test_share, "label": self.label, "class-names": self.class_names}
        text = "&".join(
            f"{key}={quote(f'{value:g}' if isinstance(value, float) else str(value), safe='/ ')}"
            for key, value in given.items()
            if value not in (None, "")
        )
        return f"{place}{'&' if '?' in place and text else '?' if text else ''}{text}"


def split_spec(spec: str) -> tuple[str, Reading]:
    """The place of a task and how it is read; a place that exists is taken as it is written."""
    place, mark, text = spec.partition("?")
    if not mark or Path(spec).expanduser().exists():
        return spec, Reading()
    given = dict(parse_qsl(text, keep_blank_values=True))
    unknown = sorted(given.keys() - {"test-share", "label", "class-names"})
    if unknown or not given:
        raise InputError(
            f"task: {spec} sets {unknown[0] if unknown else 'nothing'!r} behind its ?; known: test-share, label, "
            "class-names"
        )
    share = given.get("test-share")
    return place, Reading(
        None if share is None else _number(share), given.get("label", ""), given.get("class-names", "")
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"test-share: expected a number between 0 and 1, got {text!r}") from error
