"""Models that `headroles doctor --record` found to be read exactly: the list that ships, and a user's own."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from headroles.files.documents import Document
from headroles.files.ranges import Amount, Hash, Like

if TYPE_CHECKING:
    import pandas as pd

SHIPPED = Path(str(resources.files("headroles.models") / "verified.json"))
"""The list that comes with the package."""


@dataclass(frozen=True)
class VerifiedModel:
    """One model, as it was read on one day."""

    model: str
    """Name, as given."""
    weights_hash: Hash
    """sha256 over all weights as loaded: other weights under the same name are not verified."""
    family: str
    """transformers' model type."""
    versions: Mapping[str, str]
    """Package -> version that it was read with."""
    exactness: Mapping[str, Amount]
    """Tower and type of numbers ("image float32") -> largest relative error of the sum of parts."""
    date: Annotated[str, Like("[0-9]{4}-[0-9]{2}-[0-9]{2}", "a date such as 2026-01-31")]
    """Day, UTC."""


@dataclass(frozen=True)
class VerifiedModels(Document):
    """A list of verified models."""

    called, made_by, file_name = "list of verified models", "headroles doctor --record", "verified.json"

    models: tuple[VerifiedModel, ...]
    """By name."""
    format: str = "headroles.verified"
    """Marks the file."""
    schema_version: int = 1
    """Version of the file's layout."""

    def add(self, model: VerifiedModel) -> VerifiedModels:
        """The list with one more; an older entry of the same name and weights goes."""
        others = [each for each in self.models if (each.model, each.weights_hash) != (model.model, model.weights_hash)]
        ordered = sorted([*others, model], key=lambda each: (each.model, each.date))
        return dataclasses.replace(self, models=tuple(ordered))

    def find(self, *names: str | None) -> VerifiedModel | None:
        """The latest entry under one of these names."""
        found = [each for each in self.models if each.model in names]
        return max(found, key=lambda each: each.date, default=None)

    def to_frame(self) -> pd.DataFrame:
        """One row a model."""
        import pandas as pd

        names = ("model", "family", "weights_hash", "date")
        rows = [{name: getattr(each, name) for name in names} | dict(each.exactness) for each in self.models]
        return pd.DataFrame(rows, columns=list(rows[0]) if rows else list(names))


def own_list() -> Path:
    """The user's own list: headroles/verified.json below $XDG_DATA_HOME, by default ~/.local/share."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "headroles" / VerifiedModels.file_name


def read_list(path: Path) -> VerifiedModels:
    """The list in a file, empty where there is none; InputError for a file that is something else."""
    return VerifiedModels.load(path) if path.exists() else VerifiedModels(())


def verified_models(own: str | os.PathLike[str] | None = None) -> VerifiedModels:
    """What ships and what the user has recorded; `own`: another file than the user's own list.

    Raises InputError where that file is no such list.
    """
    found = VerifiedModels.load(SHIPPED)
    for model in read_list(own_list() if own is None else Path(own)).models:
        found = found.add(model)
    return found
