"""Two role maps of one architecture, head by head: checkpoints, banks, seeds, or text against image probes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import rankdata

from headroles.checks import typed
from headroles.errors import InputError
from headroles.files.documents import Document
from headroles.files.ranges import Amount, Count, HeadName, Role, Share
from headroles.roles.chance import bca_interval
from headroles.roles.role_map import ROLES, SILENT, HeadRole, RoleMap
from headroles.shown import Shown, html_table

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 2
FORMAT = "headroles.diff"
BOOTSTRAPS = 2000
"""Resamples of heads."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% bootstrap interval over heads (BCa)."""

    value: float | None
    """None where it is undefined (all heads alike)."""
    interval: tuple[float, float] | None
    """None where too few resamples define it."""

    def __str__(self) -> str:
        if self.value is None:
            return "undefined (all heads alike)"
        return f"{self.value:.2f}" + (f" [{self.interval[0]:.2f}, {self.interval[1]:.2f}]" if self.interval else "")


@dataclass(frozen=True)
class HeadChange:
    """One head in both maps."""

    name: HeadName
    """`L7.H3`: layer 7, head 3, both 0-based."""
    layer: Count
    head: Count
    roles: tuple[Role, Role]
    """In A, in B; "silent" counts as one."""
    stand_out: tuple[bool, bool]
    """Whether it stands out from chance in A, in B."""
    concepts: tuple[str, str]
    """Dominant concept in A, in B; "" for a head that is silent, or follows no label more than another."""
    entropies: tuple[Amount, Amount]
    """Normalised Concept Entropy in A, in B."""

    @property
    def changed(self) -> bool:
        """Whether the role differs."""
        return self.roles[0] != self.roles[1]


@dataclass(frozen=True)
class RoleMapDiff(Document, Shown):
    """How far two role maps agree on the heads that both scored."""

    called, made_by, file_name = "diff", "headroles diff --json", "diff.json"
    figures: ClassVar[Mapping[str, str]] = {"map": "headroles.figures.diff:diff_figure"}

    names: tuple[str, str]
    """What A and B are: model, images, probes."""
    same_weights: bool
    """Whether both are of the very same weights."""
    layers: tuple[int, ...]
    """Layers that both scored."""
    concepts: tuple[str, ...]
    """Concepts that both know."""
    heads: tuple[HeadChange, ...]
    """By layer, then head."""
    same_role: Share
    """Share of heads with the same role."""
    kappa: Estimate
    """Cohen's kappa of the roles: 0 is chance, 1 agreement."""
    entropy_correlation: Estimate
    """Spearman's rank correlation of the entropies."""
    same_concept: Share | None
    """Share of heads with the same dominant concept among `concepts`; None with fewer than two of these."""
    concept_kappa: Estimate | None
    """Cohen's kappa of these concepts."""
    format: str = FORMAT
    """Marks the file."""
    schema_version: int = SCHEMA_VERSION
    """Version of the file's layout."""

    @property
    def changed(self) -> tuple[HeadChange, ...]:
        """The heads whose role differs, largest change of entropy first."""
        changed = [head for head in self.heads if head.changed]
        return tuple(sorted(changed, key=lambda head: -abs(head.entropies[1] - head.entropies[0])))

    def __repr__(self) -> str:
        """One line: hundreds of heads would drown a console."""
        return (
            f"RoleMapDiff({len(self.changed)} of {len(self.heads)} heads change their role; kappa {self.kappa}, "
            f"entropy's rank correlation {self.entropy_correlation})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts and lists; undefined figures are None; every head says whether it `changed`."""
        raw = super().to_dict()
        for head, row in zip(self.heads, raw["heads"], strict=True):
            row["changed"] = head.changed
        return raw

    @classmethod
    def from_dict(cls, raw: Any, source: str = "this") -> RoleMapDiff:
        """The opposite of `to_dict`."""
        if isinstance(raw, dict) and isinstance(raw.get("heads"), list):
            raw = {**raw, "heads": [_without_changed(row) for row in raw["heads"]]}
        return super().from_dict(raw, source)

    def to_frame(self) -> pd.DataFrame:
        """One row a head: role, dominant concept, entropy and whether it stands out, in A and in B; `changed`."""
        import pandas as pd

        rows = []
        for head in self.heads:
            row: dict[str, Any] = {"name": head.name, "layer": head.layer, "head": head.head}
            for side, letter in enumerate("ab"):
                row[f"role_{letter}"], row[f"concept_{letter}"] = head.roles[side], head.concepts[side]
                row[f"entropy_{letter}"], row[f"stands_out_{letter}"] = head.entropies[side], head.stand_out[side]
            rows.append({**row, "changed": head.changed})
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        """The heads that changed, for notebooks."""
        rows = [
            (head.name, *(" -> ".join(pair) for pair in (head.roles, head.concepts)), "{:.2f} -> {:.2f}".format(*ends))
            for head in self.changed
            for ends in (head.entropies,)
        ]
        caption = (
            f"A: {self.names[0]}; B: {self.names[1]}; {len(self.changed)} of {len(self.heads)} heads change their "
            f"role, kappa {self.kappa}, entropy's rank correlation {self.entropy_correlation}"
        )
        return html_table(caption, ("head", "role", "concept", "entropy"), rows)


def _without_changed(row: Any) -> Any:
    return {name: value for name, value in row.items() if name != "changed"} if isinstance(row, dict) else row


@typed
def diff(
    a: RoleMap | str | os.PathLike[str],
    b: RoleMap | str | os.PathLike[str],
    *,
    bootstraps: int = BOOTSTRAPS,
    seed: int = 0,
) -> RoleMapDiff:
    """Compare two role maps, or those in two files or folders, head by head.

    Raises InputError where their models have other sizes, or no layer was scored in both. Intervals come from
    resampling heads; they say what other heads of the same kind would give, and heads of one model are not independent,
    so take them as a lower bound of the doubt.
    """
    a, b = RoleMap.of(a), RoleMap.of(b)
    pairs = _pair(a, b)
    if bootstraps < 1 or seed < 0:
        raise InputError(f"bootstraps must be at least 1 and seed at least 0, got {bootstraps} and {seed}")
    rng = np.random.default_rng([seed, 3])
    draws = rng.integers(len(pairs), size=(bootstraps, len(pairs)))
    codes = (*ROLES, SILENT)
    roles = np.array([[codes.index(head.role) for head in pair] for pair in pairs])
    entropy = np.array([[head.entropy for head in pair] for pair in pairs])
    shared = tuple(concept for concept in a.concepts if concept in b.concepts)
    dominant = _dominant(pairs, shared) if len(shared) > 1 else None
    return RoleMapDiff(
        names=(_describe(a), _describe(b)),
        same_weights=a.model.weights_hash == b.model.weights_hash,
        layers=tuple(sorted({one.layer for one, _ in pairs})),
        concepts=shared,
        heads=tuple(_change(one, other) for one, other in pairs),
        same_role=float((roles[:, 0] == roles[:, 1]).mean()),
        kappa=_estimate(roles, draws, cohen_kappa),
        entropy_correlation=_estimate(entropy, draws, spearman),
        same_concept=None if dominant is None else float((dominant[:, 0] == dominant[:, 1]).mean()),
        concept_kappa=None if dominant is None else _estimate(dominant, draws, cohen_kappa),
    )


def cohen_kappa(codes: Int[ndarray, "... head 2"]) -> Float[ndarray, "..."]:
    """(agreement - agreement by chance) / (1 - agreement by chance), Cohen 1960; nan where chance agrees fully."""
    kinds = np.arange(codes.max() + 1)
    share = (codes[..., None] == kinds).mean(-3)
    chance = (share[..., 0, :] * share[..., 1, :]).sum(-1)
    agreement = (codes[..., 0] == codes[..., 1]).mean(-1)
    return np.where(chance < 1, (agreement - chance) / np.where(chance < 1, 1 - chance, 1), np.nan)


def spearman(values: Float[ndarray, "... head 2"]) -> Float[ndarray, "..."]:
    """Correlation of ranks; nan where a side is constant."""
    ranks = rankdata(values, axis=-2)
    ranks = ranks - ranks.mean(-2, keepdims=True)
    scale = np.sqrt((ranks**2).sum(-2).prod(-1))
    return np.where(scale > 0, ranks.prod(-1).sum(-1) / np.where(scale > 0, scale, 1), np.nan)


def _estimate(values: ndarray, draws: Int[ndarray, "draw head"], measure: Callable[[ndarray], Any]) -> Estimate:
    value = float(measure(values))
    if not np.isfinite(value):
        return Estimate(None, None)
    found = bca_interval(values, draws, measure)
    return Estimate(round(value, 6), None if found is None else (round(found[0], 6), round(found[1], 6)))


def check_comparable(a: RoleMap, b: RoleMap) -> None:
    """Refuse two maps that `diff` cannot compare (InputError)."""
    _pair(a, b)


def _pair(a: RoleMap, b: RoleMap) -> list[tuple[HeadRole, HeadRole]]:
    """The heads that both maps have, by layer and head."""
    one, other = a.model, b.model
    if a.tower != b.tower:
        towers = [f"of the {'vision' if each.tower == 'visual' else each.tower} tower" for each in (a, b)]
        raise InputError(f"role maps: A is {towers[0]}, B {towers[1]}; compare maps of the same tower")
    if (one.layers, one.heads) != (other.layers, other.heads):
        raise InputError(
            f"role maps: {one.name} has {one.layers} layers of {one.heads} heads, {other.name} {other.layers} of "
            f"{other.heads}; only maps of models of one size can be compared"
        )
    found = {(head.layer, head.head): head for head in b}
    pairs = [(head, found[head.layer, head.head]) for head in a if (head.layer, head.head) in found]
    if not pairs:
        layers = [", ".join(map(str, each.layers)) for each in (a, b)]
        raise InputError(f"role maps: A scored layers {layers[0]}, B {layers[1]}; score one of them with --layers anew")
    return sorted(pairs, key=lambda pair: (pair[0].layer, pair[0].head))


def _dominant(pairs: list[tuple[HeadRole, HeadRole]], shared: tuple[str, ...]) -> Int[ndarray, "head 2"]:
    """Index of every head's most probable concept among the shared ones; one more where it speaks of none of them."""
    weight = np.array([[[head.distribution[name] for name in shared] for head in pair] for pair in pairs])
    return np.where(weight.max(-1) > 0, weight.argmax(-1), len(shared))


def _change(one: HeadRole, other: HeadRole) -> HeadChange:
    return HeadChange(
        name=one.name,
        layer=one.layer,
        head=one.head,
        roles=(one.role, other.role),
        stand_out=(one.stands_out, other.stands_out),
        concepts=(one.leading, other.leading),
        entropies=(one.entropy, other.entropy),
    )


def _describe(role_map: RoleMap) -> str:
    return f"{role_map.model.name}, {role_map.evidence}"
