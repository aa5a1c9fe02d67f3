"""DCI and CCS of heads: is a head one concept's alone, is a concept in one head, do its texts agree?

Disentanglement and completeness are those of Eastwood and Williams (2018, "A framework for the quantitative evaluation
of disentangled representations"), with heads in place of latent dimensions: one minus the entropy of a head's
importance over concepts, and of a concept's over heads. Concept Entropy is such a D, for the importance that counts
picked texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from headroles.roles.head_roles import round6
from headroles.roles.role_map import HeadRole
from headroles.roles.spread import ConceptSpread, HeadSpread

CCS_TEXTS = 5
"""Texts of a head that its concept consistency score looks at (CCS@5, arXiv 2503.11103)."""


def disentanglement(importance: Float[ndarray, "head concept"]) -> Float[ndarray, "head"]:
    """1 - normalised entropy of every row over its columns; nan for rows without importance, or of one column.

    Completeness is that of the transpose.
    """
    whole, kinds = importance.sum(1, keepdims=True), importance.shape[1]
    if kinds < 2:
        return np.full(len(importance), np.nan)
    share = np.divide(importance, whole, out=np.zeros_like(importance), where=whole > 0)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(1)
    return np.where(whole[:, 0] > 0, np.clip(1 - entropy / np.log(kinds), 0, 1), np.nan)


def concept_consistency(concepts: Sequence[str]) -> float | None:
    """Of the concepts of a head's texts, best first: the share of the first `CCS_TEXTS` that the commonest has."""
    first = concepts[:CCS_TEXTS]
    return max(Counter(first).values()) / len(first) if first else None


@dataclass(frozen=True)
class Spreads:
    """Both sides of an importance matrix."""

    heads: tuple[HeadSpread, ...]
    """By head."""
    concepts: tuple[ConceptSpread, ...]
    """By concept."""

    @classmethod
    def by_texts(
        cls,
        concepts: Sequence[str],
        explained: Float[ndarray, "head concept"],
        variance: Float[ndarray, "head"],
        picked: Sequence[Sequence[str]],
        silent: Bool[ndarray, "head"],
    ) -> Spreads:
        """From explained shares, the heads' variances, and the concepts of their texts, best first."""
        held = np.where(silent[:, None], 0.0, variance[:, None] * explained)
        heads = [
            HeadSpread(explained=_name(concepts, row), disentanglement=_number(apart), ccs=concept_consistency(texts))
            for row, apart, texts in zip(explained, disentanglement(held), picked, strict=True)
        ]
        complete = disentanglement(held[~silent].T)
        return cls(tuple(heads), tuple(map(ConceptSpread, concepts, map(_number, complete))))

    @classmethod
    def by_images(
        cls,
        concepts: Sequence[str],
        importance: Float[ndarray, "head concept"],
        told: Float[ndarray, "concept"],
        chance: Float[ndarray, "concept"],
        silent: Bool[ndarray, "head"],
    ) -> Spreads:
        """From importances, and how often all heads together, and the most frequent value, tell an image's value."""
        heads = [
            HeadSpread(importance=_name(concepts, row), disentanglement=_number(apart))
            for row, apart in zip(importance, disentanglement(importance), strict=True)
        ]
        measures = (disentanglement(importance[~silent].T), told, chance)
        return cls(tuple(heads), tuple(map(ConceptSpread, concepts, *(map(_number, each) for each in measures))))

    def give(self, heads: Sequence[HeadRole], silent: Bool[ndarray, "head"]) -> tuple[HeadRole, ...]:
        """The heads' roles with their spreads, of those that say anything."""
        rows = zip(heads, self.heads, silent, strict=True)
        return tuple(head if mute else replace(head, spread=spread) for head, spread, mute in rows)


def _name(concepts: Sequence[str], shares: Float[ndarray, "concept"]) -> dict[str, float]:
    return {name: round6(share) for name, share in zip(concepts, shares, strict=True)}


def _number(value: float) -> float | None:
    """To 6 digits; None for what is undefined."""
    return round6(value) if np.isfinite(value) else None
