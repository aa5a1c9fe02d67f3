"""Validation: what cutting heads did to every concept, as JSON and CSV. Needs no torch to read."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headroles.errors import InputError
from headroles.files.whole import write_text
from headroles.roles.role_map import ImagesInfo, ModelInfo

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
FORMAT = "headroles.validation"


@dataclass(frozen=True)
class Validation:
    """Do heads do what a role map says of them?"""

    model: ModelInfo
    """The model."""
    role_map: str
    """sha256 over the role map's JSON text."""
    images: ImagesInfo
    """The labelled images."""
    settings: Mapping[str, Any]
    """Every setting of `headroles.causal.validate.ValidateConfig`."""
    concepts: tuple[IntactConcept, ...]
    """The labelled concepts."""
    tests: tuple[ConceptTest, ...]
    """One for every concept with Attribute heads."""
    heads: tuple[HeadEffect, ...]
    """By layer, then head."""
    p_value: float | None
    """Of all tests together: (1 + draws of one matched set a test that cost the tests' own concepts as much, in
    `times` summed over tests) / (1 + draws). None where no test has matched sets."""
    correlation: Correlation | None
    """None where fewer than two concepts, or fewer than four heads, can be compared."""
    format: str = FORMAT
    """Marks the file."""
    schema_version: int = SCHEMA_VERSION
    """Version of the file's layout."""

    def __getitem__(self, concept: str) -> ConceptTest:
        """The test of a concept's heads."""
        for test in self.tests:
            if test.concept == concept:
                return test
        raise KeyError(f"no test of {concept}; tests: {', '.join(test.concept for test in self.tests)}")

    def to_json(self) -> str:
        """The JSON file's text: sorted keys, the same for the same result."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def to_frame(self) -> pd.DataFrame:
        """The matrix: one row a test, `times` of every labelled concept, then the row's own figures."""
        import pandas as pd

        rows = []
        for test in self.tests:
            row: dict[str, Any] = {"heads_of": test.concept, "heads": " ".join(test.heads)}
            row |= {name: cost.times.value for name, cost in test.costs.items()}
            row |= {f"margin_{name}": cost.margin.value for name, cost in test.costs.items()}
            for name in ("against_random", "against_general", "against_others"):
                row[name] = None if getattr(test, name) is None else getattr(test, name).value
            rows.append({**row, "p_value": test.p_value})
        return pd.DataFrame(rows)

    def save(self, path: str | os.PathLike) -> None:
        """Write `.json` (all) or `.csv` (the matrix); an existing file is replaced in one step."""
        path = Path(path)
        if path.suffix not in (".json", ".csv"):
            raise InputError(f"validation file must end in .json or .csv, got {path.name}")
        write_text(path, self.to_json() if path.suffix == ".json" else self.to_frame().to_csv(index=False))

    @classmethod
    def load(cls, path: str | os.PathLike) -> Validation:
        """Read a JSON file that `save` wrote."""
        path = Path(path)
        if not path.is_file():
            raise InputError(f"validation: no file {path}; make one with `headroles validate`")
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"validation: {path} is not JSON ({error})") from error
        return cls.from_dict(raw, str(path))

    @classmethod
    def from_dict(cls, raw: Any, source: str = "this") -> Validation:
        """The opposite of `to_json`, parsed; unknown or missing keys are refused."""
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise InputError(f"validation: {source} is none; expected the JSON that `headroles validate` writes")
        if raw.get("schema_version") != SCHEMA_VERSION:
            raise InputError(
                f"validation: {source} has schema_version {raw.get('schema_version')}, this headroles reads "
                f"{SCHEMA_VERSION}; validate again"
            )
        try:
            parts = {
                "model": ModelInfo(**raw["model"]),
                "images": ImagesInfo(**{**raw["images"], "broken": tuple(raw["images"]["broken"])}),
                "concepts": tuple(IntactConcept(**each) for each in raw["concepts"]),
                "tests": tuple(_test(each) for each in raw["tests"]),
                "heads": tuple(HeadEffect(**each) for each in raw["heads"]),
                "correlation": None if raw["correlation"] is None else Correlation(**raw["correlation"]),
            }
            return cls(**{**raw, **parts})
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"validation: {source} does not fit the schema: {error}") from error


def _test(raw: Mapping[str, Any]) -> ConceptTest:
    ratios = ("against_random", "against_general", "against_others")
    parts = {name: None if raw[name] is None else Estimate(**raw[name]) for name in ratios}
    costs = {
        name: Cost(**{**cost, "margin": Estimate(**cost["margin"]), "times": Estimate(**cost["times"])})
        for name, cost in raw["costs"].items()
    }
    return ConceptTest(**{**raw, **parts, "heads": tuple(raw["heads"]), "costs": costs})


def is_validation(path: Path) -> bool:
    """Whether a file is one that `Validation.save` wrote as JSON."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(raw, dict) and raw.get("format") == FORMAT
