"""Damp the heads of a spurious concept: does the worst group get better, and more so than with other heads?

Zero-shot or from a few images, a CLIP classifies by the cosine of an embedding with one vector a class. Where the class
vectors follow a cue (a background, say), images of a class without its cue are the worst group (Waterbirds: Sagawa et
al., arXiv 1911.08731). The cue's heads are damped in the embedding, around their mean, so that their common part stays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from headroles.errors import InputError
from headroles.heads.ablation import record_ablation
from headroles.heads.matched import draw_matched
from headroles.heads.names import Head, head_list
from headroles.heads.weights import HeadWeights
from headroles.roles.role_map import RoleMap
from headroles.uses.cue_bench import CueBench
from headroles.uses.debiased import Accuracies, Debiased, RandomHeads


def measure_debias(bench: CueBench, heads: Sequence[Head]) -> Debiased:
    """Worst-group and mean accuracy before and after damping these heads, and with matched random heads instead."""
    draws = draw_other_heads(bench.role_map, heads, bench.config.draws, bench.config.seed)
    cache: dict[tuple[Head, ...], ndarray] = {}
    for each in draws:
        if each not in cache:
            cache[each] = bench.correct(bench.dropped(each))
    others = [cache[each] for each in draws]
    return _compare(
        bench, bench.correct(bench.dropped(heads)), others, len(cache), head_list(heads), bench.config.scale
    )


def draw_other_heads(role_map: RoleMap, heads: Sequence[Head], draws: int, seed: int) -> list[tuple[Head, ...]]:
    """Draws of matched random heads (`headroles.heads.matched`) of other concepts.

    A head that shares its dominant concept with one of `heads` is no random head. Raises InputError where a layer has
    too few others.
    """
    concepts = {head.concept for head in role_map if (head.layer, head.head) in set(heads)}
    variance = {(head.layer, head.head): head.variance for head in role_map}
    other = {(head.layer, head.head) for head in role_map if head.concept not in concepts}
    found = draw_matched(heads, variance, draws, np.random.default_rng([seed, 7]), other)
    if not found:
        raise InputError("heads: a layer has too few heads of other concepts to draw from; choose fewer")
    return found


def measure_weights(bench: CueBench, weights: HeadWeights, name: str) -> Debiased:
    """The same for learned factors; the random ones are these factors, shuffled among the heads of each layer."""
    if weights.weights_hash != bench.index.weights_hash or weights.layers != tuple(bench.role_map.layers):
        raise InputError(f"head weights: {name} are of another model or of other layers than the role map's")
    if bench.config.effect == "total":
        raise InputError("effect: learned factors act on stored contributions, which is the direct effect")
    factors = torch.tensor(weights.factors)
    rng = np.random.default_rng([bench.config.seed, 8])
    shuffled = [
        torch.stack([row[torch.from_numpy(rng.permutation(len(row)))] for row in factors])
        for _ in range(bench.config.draws)
    ]
    others = [bench.correct(bench.damped(each)) for each in shuffled]
    return _compare(bench, bench.correct(bench.damped(factors)), others, len(others), name, None)


def _compare(
    bench: CueBench, after: ndarray, others: Sequence[ndarray], distinct: int, name: str, scale: float | None
) -> Debiased:
    before = bench.correct(torch.from_numpy(np.array(bench.index.embeddings)))
    groups = bench.groups[bench.splits == "test"]
    rng = np.random.default_rng([bench.config.seed, 9])
    places = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    rows = np.stack(
        [np.concatenate([rng.choice(own, len(own)) for own in places]) for _ in range(bench.config.resamples)]
    )
    old, new = (_resampled_worst(correct, groups, rows) for correct in (before, after))
    gain = worst_group(after, groups) - worst_group(before, groups)
    gains = np.array([worst_group(each, groups) - worst_group(before, groups) for each in others])
    return Debiased(
        task=bench.grouped.name,
        classifier=bench.config.classifier,
        heads=name,
        scale=scale,
        effect=bench.config.effect,
        before=_accuracies(bench, before, groups, rows, old),
        after=_accuracies(bench, after, groups, rows, new),
        gain=gain,
        gain_interval=_interval(new - old),
        random=RandomHeads(
            float(gains.mean()), _interval(gains), len(gains), distinct, float((gains >= gain - 1e-12).mean())
        ),
        broken=tuple(sorted(bench.index.broken)),
        overlap=bench.overlap,
        model=bench.role_map.model,
        settings=record_ablation(dataclasses.asdict(bench.config)),
    )


def _accuracies(bench: CueBench, correct: ndarray, groups: ndarray, rows: ndarray, worst: ndarray) -> Accuracies:
    by_group = {
        bench.grouped.group_name(int(group)): float(correct[groups == group].mean()) for group in np.unique(groups)
    }
    means = correct[rows].mean(1)
    return Accuracies(min(by_group.values()), _interval(worst), float(correct.mean()), _interval(means), by_group)


def worst_group(correct: ndarray, groups: Int[ndarray, "image"]) -> float:
    """The lowest accuracy of a group."""
    return float(min(correct[groups == group].mean() for group in np.unique(groups)))


def _resampled_worst(correct: ndarray, groups: ndarray, rows: ndarray) -> ndarray:
    """Worst-group accuracy of every resample."""
    drawn = correct[rows]
    return np.stack([drawn[:, groups[rows[0]] == group].mean(1) for group in np.unique(groups)]).min(0)


def _interval(values: ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
