"""What a field's value may be, beyond its type: declared beside the type, checked where a file is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True)
class Within:
    """A number from `low` to `high`, either end included; None: no end. `room`: what rounding may add."""

    low: float | None = None
    high: float | None = None
    room: float = 0.0

    def refuses(self, value: Any) -> str | None:
        """What was expected; None where the value fits."""
        low = self.low is None or value >= self.low - self.room
        if low and (self.high is None or value <= self.high + self.room):
            return None
        return f"at least {self.low:g}" if self.high is None else f"a number from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Like:
    """A text of one form."""

    pattern: str
    """Regular expression for the whole of it."""
    called: str
    """What it is, in messages."""

    def refuses(self, value: Any) -> str | None:
        """What was expected; None where the value fits."""
        return None if re.fullmatch(self.pattern, value) else self.called


@dataclass(frozen=True)
class Filled:
    """A list that is not empty."""

    def refuses(self, value: Any) -> str | None:
        """What was expected; None where there is an entry."""
        return None if len(value) else "at least one entry"


@dataclass(frozen=True)
class Written:
    """A value that a file has to state, though the field has a default: without it the file is another one's."""

    def refuses(self, value: Any) -> str | None:
        """Nothing: any value fits."""
        return None


Share = Annotated[float, Within(0, 1, room=1e-6)]
"""A share, probability, accuracy or p-value."""
Amount = Annotated[float, Within(0)]
"""What cannot be negative."""
Count = Annotated[int, Within(0)]
"""How many, or a 0-based index."""
Size = Annotated[int, Within(1)]
"""How many, at least one."""
Hash = Annotated[str, Like("[0-9a-f]{64}", "a sha256 of 64 hexadecimal digits")]
"""sha256 over something."""
HeadName = Annotated[str, Like(r"L[0-9]+\.H[0-9]+", "a head's name, such as L7.H3")]
"""Layer and head, 0-based."""
PartName = Annotated[
    str,
    Like(r"L[0-9]+\.H[0-9]+(\.D[0-9]+([-+][0-9]+)*)?", "a head's name, such as L7.H3, or of directions, L7.H3.D0-2"),
]
"""Layer and head, and which of its directions, all 0-based."""
Role = Annotated[str, Like("attribute|mixed|generalization|silent", "attribute, mixed, generalization or silent")]
"""From one concept alone to all of them."""
