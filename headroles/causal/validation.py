"""Validation: what cutting heads did to every concept, as JSON and CSV. Needs no torch to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from headroles.causal.costs import ConceptTest, Correlation, CorrelationName, HeadEffect, IntactConcept
from headroles.causal.dose_curve import DoseCurve
from headroles.errors import InputError
from headroles.files.documents import Document
from headroles.files.ranges import Hash, Share, Written
from headroles.roles.role_map import ImagesInfo, ModelInfo
from headroles.shown import Shown, html_table, show_p

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self

SCHEMA_VERSION = 2
FORMAT = "headroles.validation"


@dataclass(frozen=True)
class Validation(Document, Shown):
    """Do heads do what a role map says of them?"""

    called, made_by, file_name = "validation", "headroles validate", "validation.json"
    figures: ClassVar[Mapping[str, str]] = {
        "matrix": "headroles.figures.validation:matrix_figure",
        "selectivity": "headroles.figures.validation:selectivity_figure",
        "doses": "headroles.figures.doses:doses_figure",
    }

    model: ModelInfo
    """The model."""
    role_map: Hash
    """sha256 over the role map's JSON text."""
    images: ImagesInfo
    """The labelled images."""
    settings: Mapping[str, Any]
    """Every setting of `headroles.causal.config.ValidateConfig`."""
    concepts: tuple[IntactConcept, ...]
    """The labelled concepts."""
    tests: tuple[ConceptTest, ...]
    """One for every concept with Attribute heads."""
    heads: tuple[HeadEffect, ...]
    """By layer, then head."""
    p_value: Share | None
    """Of all tests together: how often one set a test, drawn from its own and those that it is ranked among, costs as
    much, in units of their mean summed over tests. None where there is nothing to rank among."""
    correlations: Mapping[CorrelationName, Correlation]
    """Of causal selectivity with "entropy" and with "effective_rank", and the partial ones, "entropy_beside_rank" and
    "rank_beside_entropy"; without those that are undefined, or rest on fewer than two concepts or six heads."""
    doses: tuple[DoseCurve, ...] = ()
    """How each concept follows the factor on its heads; none where no doses were asked for."""
    overlap: Annotated[Share, Written()] = 0.0
    """Share of the images that the role map was scored on."""
    format: str = FORMAT
    """Marks the file."""
    schema_version: int = SCHEMA_VERSION
    """Version of the file's layout."""

    @classmethod
    def from_dict(cls, raw: Any, source: str = "this") -> Self:
        """See `Document.from_dict`; costs of other concepts, or a lack of concepts or settings, are refused too."""
        found = super().from_dict(raw, source)
        wrong = found._contradiction()
        if wrong:
            raise InputError(f"validation: {source} does not fit the schema: {wrong}; validate again")
        return found

    def _contradiction(self) -> str | None:
        """The first place where it contradicts itself, and how."""
        names = {concept.name for concept in self.concepts}
        tests = ((test.concept, test.costs) for test in self.tests)
        heads = ((head.name, head.costs) for head in self.heads)
        for place, costs in (*tests, *heads):
            if costs.keys() != names:
                other = min(costs.keys() ^ names)
                return f"costs of {place}: the concepts are not those of the validation; {other!r} is in one of them"
        strange = {curve.concept for curve in self.doses} - {test.concept for test in self.tests}
        if strange:
            return f"doses: there is no test of {min(strange)!r}"
        if not self.concepts or not self.tests:
            return "concepts and tests: expected at least one of each"
        if self.images.count < 2:
            return f"images.count: expected at least 2, got {self.images.count}"
        for name in ("effect", "mode"):
            if not isinstance(self.settings.get(name), str):
                return f"settings.{name}: expected text, got {self.settings.get(name)!r}"
        return None

    @property
    def kinds(self) -> tuple[str, ...]:
        """See `Shown.kinds`: curves need doses."""
        return tuple(kind for kind in self.figures if kind != "doses" or self.doses)

    def __getitem__(self, concept: str) -> ConceptTest:
        """The test of a concept's heads."""
        for test in self.tests:
            if test.concept == concept:
                return test
        raise KeyError(f"no test of {concept}; tests: {', '.join(test.concept for test in self.tests)}")

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
            rows.append({**row, "p_value": test.p_value, "ranked_among": test.ranked_among})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        """One line: every head's costs would drown a console."""
        tested = ", ".join(test.concept for test in self.tests)
        how = f"{self.settings['effect']} effect, {self.images.count} images ({self.images.source})"
        p = "none" if self.p_value is None else show_p(self.p_value)
        return f"Validation({self.model.name}, heads of {tested}: p {p}; {how})"

    def _repr_html_(self) -> str:
        """The tests, each beside what it is held against."""
        against = ("against its matched sets", "against general", "against others")
        columns = ("heads of", "heads", "margin lost", *against, "p")
        rows = []
        for test in self.tests:
            own = test.costs.get(test.concept)
            found = (test.against_random, test.against_general, test.against_others)
            numbers = [each or "-" for each in (own and own.margin, *found)]
            p = "-" if test.p_value is None else show_p(test.p_value)
            rows.append((test.concept, " ".join(test.heads), *numbers, p))
        how = f"{self.settings['effect']} effect, {self.settings['mode']} in place of a cut head"
        caption = f"{self.model.name}, {self.images.count} images ({self.images.source}): {how}"
        return html_table(caption, columns, rows)
