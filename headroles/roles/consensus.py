"""Several role maps of one model, head by head: how far each two agree, and what most of them say.

Texts, labelled images and weights read the same heads in ways whose errors differ; where they agree, a role rests on
more than one of them.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from headroles.checks import typed
from headroles.errors import InputError
from headroles.files.documents import Document
from headroles.files.ranges import Amount, Count, Filled, HeadName, Role, Share
from headroles.roles.diff import BOOTSTRAPS, Estimate, RoleMapDiff, diff
from headroles.roles.role_map import HeadRole, RoleMap
from headroles.shown import Shown, html_table

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
FORMAT = "headroles.consensus"


@dataclass(frozen=True)
class Agreement:
    """How far two of the maps agree; see `headroles.roles.diff.RoleMapDiff`."""

    maps: tuple[Count, Count]
    """Their places in `names`."""
    same_role: Share
    """Share of heads with the same role."""
    kappa: Estimate
    """Cohen's kappa of the roles."""
    entropy_correlation: Estimate
    """Spearman's rank correlation of the entropies."""
    same_concept: Share | None
    """Share of heads with the same dominant concept; None where fewer than two concepts are shared."""
    concept_kappa: Estimate | None
    """Cohen's kappa of these."""

    @classmethod
    def of(cls, maps: tuple[int, int], found: RoleMapDiff) -> Agreement:
        """Of the maps at two places, from what their comparison found."""
        concepts = found.same_concept, found.concept_kappa
        return cls(maps, found.same_role, found.kappa, found.entropy_correlation, *concepts)


@dataclass(frozen=True)
class HeadConsensus:
    """One head in all maps."""

    name: HeadName
    """`L7.H3`: layer 7, head 3, both 0-based."""
    layer: Count
    head: Count
    role: str
    """That of more than half of the maps; "" where there is none."""
    concept: str
    """The dominant concept of more than half of the maps; "" where there is none."""
    votes: Count
    """How many maps give the role that most give."""
    roles: tuple[Role, ...]
    """In each map."""
    concepts: tuple[str, ...]
    """Dominant concept in each map; "" for a head that is silent, or follows no label more than another."""
    entropies: tuple[Amount, ...]
    """Normalised Concept Entropy in each map, in its own unit."""
    stand_out: tuple[bool, ...]
    """Whether it stands out from chance in each map."""

    @property
    def agreed(self) -> bool:
        """Whether all maps give the same role."""
        return self.votes == len(self.roles)

    @property
    def stands_out(self) -> bool:
        """Whether it stands out from chance in more than half of the maps."""
        return 2 * sum(self.stand_out) > len(self.stand_out)

    @classmethod
    def of(cls, heads: Sequence[HeadRole]) -> HeadConsensus:
        """The same head as each map has it."""
        roles, concepts = tuple(head.role for head in heads), tuple(head.leading for head in heads)
        return cls(
            name=heads[0].name,
            layer=heads[0].layer,
            head=heads[0].head,
            role=_most(roles),
            concept=_most(concepts),
            votes=max(Counter(roles).values()),
            roles=roles,
            concepts=concepts,
            entropies=tuple(head.entropy for head in heads),
            stand_out=tuple(head.stands_out for head in heads),
        )


@dataclass(frozen=True)
class Consensus(Document, Shown):
    """What several role maps of one model agree on, on the heads that all of them scored."""

    called, made_by, file_name = "consensus", "headroles diff A B C --json", "consensus.json"
    figures: ClassVar[Mapping[str, str]] = {"map": "headroles.figures.consensus:consensus_figure"}

    names: Annotated[tuple[str, ...], Filled()]
    """What each map is: model, images, probes."""
    pairs: tuple[Agreement, ...]
    """Each two of the maps."""
    heads: Annotated[tuple[HeadConsensus, ...], Filled()]
    """By layer, then head."""
    format: str = FORMAT
    """Marks the file."""
    schema_version: int = SCHEMA_VERSION
    """Version of the file's layout."""

    @classmethod
    def from_dict(cls, raw: Any, source: str = "this") -> Consensus:
        """See `Document.from_dict`; a head that is not told of every map is refused too."""
        found = super().from_dict(raw, source)
        for head in found.heads:
            told = {len(each) for each in (head.roles, head.concepts, head.entropies, head.stand_out)}
            if told != {len(found.names)}:
                raise InputError(
                    f"consensus: {source} does not fit the schema: {head.name}: expected one entry for each of "
                    f"{len(found.names)} maps, got {sorted(told)}; compare again"
                )
        return found

    def __iter__(self) -> Iterator[HeadConsensus]:
        return iter(self.heads)

    def __getitem__(self, name: str) -> HeadConsensus:
        """A head by its name, such as "L7.H3"."""
        for head in self.heads:
            if head.name == name:
                return head
        raise KeyError(f"no head {name} in this consensus")

    @property
    def agreed(self) -> tuple[HeadConsensus, ...]:
        """The heads that have the same role in all maps."""
        return tuple(head for head in self.heads if head.agreed)

    def __repr__(self) -> str:
        """One line."""
        kappas = ", ".join(str(pair.kappa) for pair in self.pairs)
        return f"Consensus({len(self.names)} maps agree on {len(self.agreed)} of {len(self.heads)} heads; {kappas})"

    def to_frame(self) -> pd.DataFrame:
        """One row a head: consensus role and concept, votes, and role, concept and entropy in each map (_a, _b ...)."""
        import pandas as pd

        rows = []
        for head in self.heads:
            row: dict[str, Any] = {"name": head.name, "layer": head.layer, "head": head.head, "role": head.role}
            row |= {"concept": head.concept, "votes": head.votes, "agreed": head.agreed}
            for number in range(len(self.names)):
                letter = letter_of(number).lower()
                row |= {f"role_{letter}": head.roles[number], f"concept_{letter}": head.concepts[number]}
                row |= {f"entropy_{letter}": head.entropies[number], f"stands_out_{letter}": head.stand_out[number]}
            rows.append(row)
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        """The heads, for notebooks."""
        rows = [(head.name, head.role or "-", head.concept or "-", f"{head.votes}", *head.roles) for head in self.heads]
        columns = ("head", "role", "concept", "votes", *(letter_of(number) for number in range(len(self.names))))
        told = "; ".join(f"{letter_of(number)}: {name}" for number, name in enumerate(self.names))
        return html_table(f"{told}; all agree on {len(self.agreed)} of {len(self.heads)} heads", columns, rows)


@typed
def consensus(
    maps: Sequence[RoleMap | str | os.PathLike[str]], *, bootstraps: int = BOOTSTRAPS, seed: int = 0
) -> Consensus:
    """Compare three role maps or more, or those in files or folders, head by head.

    Raises InputError for fewer, where their models have other sizes or towers, or where no head was scored in all.
    Intervals come from resampling heads, as in `headroles.diff`.
    """
    read = [RoleMap.of(each) for each in maps]
    if len(read) < 3:
        raise InputError(f"maps: a consensus is of three role maps or more, got {len(read)}; compare two with diff")
    found = {
        places: diff(*(read[place] for place in places), bootstraps=bootstraps, seed=seed)
        for places in itertools.combinations(range(len(read)), 2)
    }
    kept = [{(head.layer, head.head): head for head in each} for each in read]
    shared = sorted(set.intersection(*map(set, kept)))
    if not shared:
        raise InputError("maps: no head was scored in all of them; score some with --layers anew")
    names = [found[0, 1].names[0], *(found[0, place].names[1] for place in range(1, len(read)))]
    heads = tuple(HeadConsensus.of([each[place] for each in kept]) for place in shared)
    return Consensus(tuple(names), tuple(Agreement.of(*pair) for pair in found.items()), heads)


def letter_of(number: int) -> str:
    """A, B, C ...: what a map is called beside the others; numbers from the 27th on."""
    return chr(ord("A") + number) if number < 26 else str(number + 1)


def _most(values: Sequence[str]) -> str:
    """The value that more than half of them have; "" where there is none."""
    value, votes = Counter(values).most_common(1)[0]
    return value if 2 * votes > len(values) else ""
