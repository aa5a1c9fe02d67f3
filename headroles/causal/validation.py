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
class Estimate:
    """A number and its 95% bootstrap interval, over blocks of images."""

    value: float | None
    """None for a ratio to what is not above zero."""
    low: float | None
    """The same holds for either end."""
    high: float | None
    """Upper end."""

    def __str__(self) -> str:
        if self.value is None:
            return "-" if self.low is None else f"above {self.low:.3g}"
        low, high = ("inf" if each is None else f"{each:.3g}" for each in (self.low, self.high))
        return f"{self.value:.3g} [{low}, {high}]"


@dataclass(frozen=True)
class IntactConcept:
    """A concept that images are labelled with, before anything is cut."""

    name: str
    """The concept."""
    values: int
    """How many values it has."""
    images: int
    """How many images have one."""
    margin: float
    """Mean margin of the right value: log odds among the concept's values, in nats."""
    accuracy: float
    """Share of images whose right value is the likeliest, zero-shot."""


@dataclass(frozen=True)
class Cost:
    """What cutting some heads does to one concept."""

    margin: Estimate
    """Mean margin lost, in nats; negative where cutting helps."""
    times: Estimate
    """Margin lost a head, over what one matched random head costs this concept (mean over the draws of all tests)."""
    accuracy: float
    """Zero-shot accuracy lost."""
    random: float | None
    """Mean margin lost to the matched random sets."""
    general: float | None
    """Mean margin lost to as many Generalization heads."""


@dataclass(frozen=True)
class ConceptTest:
    """The Attribute heads of one concept, cut together."""

    concept: str
    """Whose heads they are, by the role map."""
    heads: tuple[str, ...]
    """Their names."""
    draws: int
    """Matched random sets drawn: of the same layers, as many, of similar variance."""
    distinct: int
    """Different ones among them."""
    variance_ratio: float | None
    """Variance of the heads' parts of the embedding, over the mean of the matched sets'."""
    costs: Mapping[str, Cost]
    """Labelled concept -> what it lost."""
    against_random: Estimate | None
    """Own concept: margin lost over that lost to the matched sets."""
    against_general: Estimate | None
    """Own concept: margin lost over that lost to as many Generalization heads."""
    against_others: Estimate | None
    """`times` of the own concept over the mean of the other concepts'."""
    p_value: float | None
    """(1 + matched sets, each once, that cost the own concept as much) / (1 + all of them)."""


@dataclass(frozen=True)
class HeadEffect:
    """One scored head, cut alone."""

    name: str
    """Such as L7.H3."""
    role: str
    """By the role map."""
    concept: str
    """Dominant concept by the role map."""
    entropy: float
    """Concept Entropy by the role map, in [0, 1]."""
    strongest: str | None
    """The labelled concept with the largest `times`; None where no concept loses."""
    selectivity: float | None
    """1 - normalised entropy of `times` over concepts (losses only): 1 where one concept alone loses."""
    costs: Mapping[str, float]
    """Labelled concept -> mean margin lost, in nats."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of Concept Entropy and causal selectivity over the scored heads."""

    rho: float
    """Negative where heads of low entropy are selective."""
    low: float
    """Of the 95% bootstrap interval, over heads and blocks of images."""
    high: float
    """The same."""
    p_value: float
    """Two-sided, against no correlation."""
    heads: int
    """How many heads."""


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


def to_table(validation: Validation) -> str:
    """The matrix of `times`, each test's own figures, and the rank correlation, as text."""
    names = [concept.name for concept in validation.concepts]
    wide = max(map(len, [*names, *(test.concept for test in validation.tests)]))
    how = f"{validation.settings['effect']} effect, {validation.settings['mode']} in place of a cut head"
    lines = [f"margin lost a head, in times that of a matched random head ({how})"]
    lines += [" " * wide + "  " + " ".join(f"{name[:10]:>10}" for name in names) + "  heads cut"]
    for test in validation.tests:
        cells = ("-" if (value := test.costs[name].times.value) is None else f"{value:.2f}" for name in names)
        lines.append(
            f"{test.concept:<{wide}}  " + " ".join(f"{cell:>10}" for cell in cells) + f"  {','.join(test.heads)}"
        )
    lines.append("own concept, with 95% intervals over images (-: what it is held against loses nothing)")
    against = [f"against {name}" for name in ("matched random", "Generalization", "other concepts")]
    lines.append(" " * wide + "  " + " ".join(f"{title:<24}" for title in ["margin lost (nats)", *against]) + "p")
    for test in validation.tests:
        own = test.costs.get(test.concept)
        cells = [own and own.margin, test.against_random, test.against_general, test.against_others]
        p = "-" if test.p_value is None else f"{test.p_value:.3f} ({test.distinct} sets)"
        lines.append(f"{test.concept:<{wide}}  " + " ".join(f"{cell or '-'!s:<24}" for cell in cells) + p)
    if validation.p_value is not None:
        lines.append(f"all tests together against matched random heads: p {validation.p_value:.3g}")
    if validation.correlation:
        found = validation.correlation
        lines.append(
            f"Concept Entropy and causal selectivity of {found.heads} heads: Spearman {found.rho:.2f} "
            f"[{found.low:.2f}, {found.high:.2f}], p {found.p_value:.2g}"
        )
    return "\n".join(lines)
