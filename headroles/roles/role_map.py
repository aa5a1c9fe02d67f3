"""RoleMap: the frozen result of scoring, as JSON, CSV, table or HTML. Needs no torch to read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from headroles.checks import near
from headroles.errors import InputError
from headroles.files.documents import Document
from headroles.models.on_hub import OnHub
from headroles.models.words import Words
from headroles.roles.direction import HeadDirection
from headroles.roles.explorable import Explorable
from headroles.roles.map_checks import find_contradiction
from headroles.roles.picked_text import PickedText
from headroles.roles.scored import BankInfo as BankInfo
from headroles.roles.scored import ImagesInfo as ImagesInfo
from headroles.roles.scored import ModelInfo as ModelInfo
from headroles.roles.spread import ConceptSpread, HeadSpread
from headroles.shown import Shown, html_table

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self

SCHEMA_VERSION = 2
ROLES = ("attribute", "mixed", "generalization")
"""From one concept alone to all of them."""
STANDS_OUT = 0.05
"""A head stands out from its null model up to this false-discovery rate (Benjamini-Hochberg over the scored heads)."""
SILENT = "silent"
"""Beside the roles: a head that says nothing, whatever is in the image, has none."""
PROBE_KINDS = ("text", "image", "weights")
"""What a role map rests on: texts that span a head's output on images, labelled images whose values explain it, or
weights alone, whose directions are made up of texts."""


@dataclass(frozen=True)
class HeadRole:
    """What one head does."""

    layer: int
    """0-based."""
    head: int
    """0-based."""
    role: str
    """"attribute", "mixed" or "generalization"; "silent" for a head that says nothing."""
    concept: str
    """The dominant concept; "" for a silent head."""
    concept_share: float
    """Its probability."""
    entropy_bits: float
    """Concept Entropy, in bits."""
    entropy: float
    """Concept Entropy over what heads that say nothing reach: 1 is chance, whatever the bank. By texts that is the mean
    entropy under the null model over the scored heads; by labelled images log2(number of concepts)."""
    null_entropy: float
    """Mean of `entropy` under this head's own null model: lower where few directions make few texts count."""
    interval: tuple[float, float] | None
    """90% bootstrap interval of `entropy`, over blocks of images; None by weights, where no images are drawn."""
    p_value: float
    """Pr[entropy under the null model <= entropy], see `headroles.roles.null` (by weights
    `headroles.roles.random_writers`); image probes: that of the head being blind to all concepts."""
    q_value: float
    """Benjamini-Hochberg over the scored heads."""
    stability: float | None
    """Share of bootstrap resamples with the same role; None by weights."""
    effective_rank: float
    """Participation ratio of the eigenvalues of the head's outputs: along how many directions it writes."""
    variance: float
    """Variance of the head's part of the unit embedding; by weights the strength of all its directions, which is
    comparable between the heads of a map alone."""
    distribution: Mapping[str, float]
    """Concept -> probability."""
    texts: tuple[PickedText, ...]
    """Best first."""
    directions: tuple[HeadDirection, ...] = ()
    """By weights: its strongest singular directions and what each writes."""
    spread: HeadSpread | None = None
    """What it explains of every concept; None for a silent head, and in maps that do not say it."""

    @property
    def stands_out(self) -> bool:
        """Whether it is more concentrated than its null model, at a false-discovery rate of `STANDS_OUT`."""
        return self.q_value <= STANDS_OUT

    @property
    def leading(self) -> str:
        """The dominant concept; "" where none leads: the head is silent, or follows all labels, or none, alike."""
        return self.concept if self.concept_share > min(self.distribution.values(), default=0.0) else ""

    @property
    def name(self) -> str:
        """`L7.H3`: layer 7, head 3, both 0-based."""
        return f"L{self.layer}.H{self.head}"

    def __repr__(self) -> str:
        """One line, so that the heads of a map can be listed."""
        speaks = f" of {self.concept} ({self.concept_share:.0%})" if self.concept else ""
        first = f"; first: {self.texts[0].text}" if self.texts else ""
        return f"HeadRole({self.name}, {self.role}{speaks}, entropy {self.entropy:.2f}{first})"


@dataclass(frozen=True)
class RoleMap(Document, Shown, Explorable, OnHub):
    """The roles of all scored heads and everything that they depend on."""

    called, made_by, file_name = "role map", "headroles score", "role_map.json"
    hub_files, card = ("role_map.json", "role_map.csv"), "headroles.roles.role_map_card:write_card"
    latex_columns = ("name", "role", "concept", "concept_share", "entropy", "null_entropy", "q_value", "stands_out")
    figures: ClassVar[Mapping[str, str]] = {
        "entropy": "headroles.figures.entropy:entropy_figure",
        "concepts": "headroles.figures.concepts:concepts_figure",
        "texts": "headroles.figures.texts:texts_figure",
        "shares": "headroles.figures.shares:shares_figure",
        "spread": "headroles.figures.spread:spread_figure",
    }

    model: ModelInfo
    """What was scored."""
    images: ImagesInfo
    """What it was shown."""
    bank: BankInfo
    """What its heads are described with."""
    settings: Mapping[str, Any]
    """Every setting of `headroles.roles.config.ScoreConfig` (by images `ImageScoreConfig`, by weights
    `WeightScoreConfig`)."""
    layers: tuple[int, ...]
    """The scored layers."""
    head_roles: tuple[HeadRole, ...]
    """By layer, then head."""
    schema_version: int = SCHEMA_VERSION
    """Version of the file's layout."""
    probe_kind: str = "text"
    """One of `PROBE_KINDS`; files without it are of texts."""
    concept_spread: tuple[ConceptSpread, ...] = ()
    """How every concept spreads over the heads; none in maps that do not say it."""
    words: Words | None = None
    """Another model whose texts the vision tower was read with; None where its own were."""

    def __post_init__(self) -> None:
        if self.probe_kind not in PROBE_KINDS:
            raise InputError(f"role map: probe_kind must be one of {', '.join(PROBE_KINDS)}, got {self.probe_kind!r}")

    @classmethod
    def from_dict(cls, raw: Any, source: str = "this") -> Self:
        """See `Document.from_dict`; a map that contradicts itself is refused too."""
        role_map = super().from_dict(raw, source)
        wrong = find_contradiction(role_map, ROLES, SILENT)
        if wrong:
            raise InputError(f"role map: {source} does not fit the schema: {wrong}; score again")
        return role_map

    @property
    def concepts(self) -> tuple[str, ...]:
        """The bank's concepts, sorted."""
        return tuple(sorted(self.bank.counts))

    @property
    def kinds(self) -> tuple[str, ...]:
        """See `Shown.kinds`: shares need a head that says anything."""
        silent = all(head.role == SILENT for head in self)
        return tuple(kind for kind in self.figures if not (silent and kind in ("shares", "spread")))

    @property
    def probes(self) -> str:
        """What the heads were described with, for titles: "general bank", "labels of photos"."""
        return f"labels of {self.bank.name}" if self.probe_kind == "image" else f"{self.bank.name} bank"

    @property
    def tower(self) -> str:
        """Whose heads they are: "visual" or "text"."""
        return str(self.settings.get("tower", "visual"))

    @property
    def evidence(self) -> str:
        """What the roles rest on, for titles: "2,000 images (photos), general bank", "weights alone, general bank"."""
        text = self.tower == "text"
        if not self.images.count:
            return f"weights {'of the text tower' if text else 'alone'}, {self.probes}"
        where = " into the text tower" if text else ""
        return f"{self.images.count:,} {'texts' if text else 'images'} ({self.images.source}){where}, {self.probes}"

    def __repr__(self) -> str:
        """One line: a map of hundreds of heads and texts would drown a console."""
        counts = ", ".join(f"{number} {role}" for role, number in self.counts().items())
        layers = ", ".join(map(str, self.layers))
        return f"RoleMap({self.model.name}, layers {layers}: {counts}; {self.evidence})"

    def __iter__(self) -> Iterator[HeadRole]:
        return iter(self.head_roles)

    def __len__(self) -> int:
        return len(self.head_roles)

    def __getitem__(self, place: str | tuple[int, int]) -> HeadRole:
        """A head by name, `role_map["L7.H3"]`, or by layer and head, `role_map[7, 3]`."""
        for head in self.head_roles:
            if place in (head.name, (head.layer, head.head)):
                return head
        raise KeyError(f"no head {place} in this role map; it scored layers {', '.join(map(str, self.layers))}")

    def counts(self, layer: int | None = None) -> dict[str, int]:
        """How many heads of the map, or of a layer, have each role; silent ones are named where there are some."""
        found = {role: len(self.heads(role=role, layer=layer)) for role in (*ROLES, SILENT)}
        return {role: number for role, number in found.items() if number or role != SILENT}

    def heads(
        self, role: str | None = None, concept: str | None = None, layer: int | None = None
    ) -> tuple[HeadRole, ...]:
        """The heads that fit all that is given, lowest entropy first."""
        if role is not None and role not in (*ROLES, SILENT):
            raise InputError(f"role must be one of {', '.join(ROLES)}, {SILENT}, got {role!r}")
        if concept is not None:
            self.check_concept(concept)
        if layer is not None and layer not in self.layers:
            raise InputError(f"layer must be one of {', '.join(map(str, self.layers))}, got {layer!r}")
        wanted = {"role": role, "concept": concept, "layer": layer}
        asked = {name: value for name, value in wanted.items() if value is not None}
        found = [head for head in self if all(getattr(head, name) == value for name, value in asked.items())]
        return tuple(sorted(found, key=lambda head: (head.entropy, head.layer, head.head)))

    def check_concept(self, concept: str, name: str = "concept") -> None:
        """InputError where the bank knows no such concept; `name` is the argument that gave it."""
        if concept not in self.concepts:
            known = ", ".join(self.concepts)
            raise InputError(f"{name} must be one of {known}, got {concept!r}{near(concept, self.concepts)}")

    def to_frame(self) -> pd.DataFrame:
        """One row a head: scalars, one `p_<concept>` column a concept, texts joined by " | "."""
        import pandas as pd

        rows = []
        for head in self.head_roles:
            row = {
                each.name: getattr(head, each.name)
                for each in dataclasses.fields(head)
                if each.name not in ("interval", "distribution", "texts", "directions", "spread")
            }
            row["interval_low"], row["interval_high"] = head.interval or (None, None)
            row |= {f"p_{concept}": head.distribution[concept] for concept in self.concepts}
            row["stands_out"] = head.stands_out
            row |= head.spread.columns() if head.spread else {}
            row["texts"] = " | ".join(picked.text for picked in head.texts)
            rows.append({"name": head.name, **row})
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        last = "values set apart (share of variance)" if self.probe_kind == "image" else "first texts"
        rows = [
            (
                role.name,
                role.role,
                f"{role.leading} ({role.concept_share:.0%})" if role.leading else "",
                f"{role.entropy:.2f}",
                f"{role.null_entropy:.2f}",
                "yes" if role.stands_out else "no",
                f"{role.effective_rank:.1f}",
                "; ".join(self._brief(picked) for picked in role.texts[:3]),
            )
            for role in self.head_roles
        ]
        caption = f"{self.model.name}: {len(self)} heads, {self.evidence}"
        names = ("head", "role", "concept", "entropy", "by chance", "stands out", "rank", last)
        return html_table(caption, names, rows)

    def _brief(self, picked: PickedText) -> str:
        """A text as a table shows it; a value says little without the share that it explains."""
        return f"{picked.text} ({picked.share:.0%})" if self.probe_kind == "image" else picked.text
