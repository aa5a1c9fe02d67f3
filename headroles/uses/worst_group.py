"""Damp the heads of a spurious concept: does the worst group get better, and more so than with other heads?

Zero-shot or from a few images, a CLIP classifies by the cosine of an embedding with one vector a class. Where the class
vectors follow a cue (a background, say), images of a class without its cue are the worst group (Waterbirds: Sagawa et
al., arXiv 1911.08731). The cue's heads are damped in the embedding, around their mean, so that their common part stays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import norm

from headroles.errors import InputError
from headroles.heads.ablation import record_ablation
from headroles.heads.matched import Place, draw_matched
from headroles.heads.names import Head, Part, head_list
from headroles.heads.weights import HeadWeights
from headroles.images.counting import counted
from headroles.roles.head_roles import draw_blocks
from headroles.roles.role_map import SILENT, RoleMap
from headroles.uses.cue_bench import CueBench
from headroles.uses.debiased import Accuracies, Debiased, RandomHeads
from headroles.uses.image_blocks import ImageBlocks, tally


def measure_debias(bench: CueBench, heads: Sequence[Head] | Sequence[Part]) -> Debiased:
    """Worst-group and mean accuracy before and after damping these heads, and with matched random heads instead.

    Directions of heads are held against the same directions of other heads, matched by their own variance.
    """
    parts = [Part(*each) for each in heads]
    if any(part.directions for part in parts):
        return _measure(bench, parts, bench.variances(parts))
    places = {(head.layer, head.head): head.variance for head in bench.role_map}
    return _measure(bench, [part.place for part in parts], places)


def _measure(bench: CueBench, heads: Sequence[Any], variance: Mapping[Any, float]) -> Debiased:
    sets = draw_other_heads(bench.role_map, heads, bench.config.draws, bench.config.seed, variance)
    drawn = dict.fromkeys((*sets[0], *sets[1]))
    correct = {each: bench.correct(bench.dropped(each)) for each in counted(drawn, "other heads", len(drawn), "set")}
    others, among = ([correct[each] for each in some] for some in sets)
    after = bench.correct(bench.dropped(heads))
    return _compare(bench, after, others, len(set(sets[0])), among, head_list(heads), bench.config.scale)


def draw_other_heads(
    role_map: RoleMap, heads: Sequence[Place], draws: int, seed: int, variance: Mapping[Place, float] | None = None
) -> tuple[list[tuple[Place, ...]], list[tuple[Place, ...]]]:
    """Draws of matched random heads (`headroles.heads.matched`) of other concepts, and sets to rank `heads` among.

    A head that shares its dominant concept with one of `heads`, or says nothing, is no random head; the sets to be
    ranked among may share heads with `heads`. `variance`: of all that may be drawn; None: of whole heads, the
    map's. Raises InputError where a layer has too few others.
    """
    roles = {(head.layer, head.head): head for head in role_map}
    concepts = {roles[each[0], each[1]].concept for each in heads}
    free = {place for place, head in roles.items() if head.concept not in concepts and head.role != SILENT}
    if variance is None:
        variance = cast("Mapping[Place, float]", {place: head.variance for place, head in roles.items()})
    other = {each for each in variance if (each[0], each[1]) in free}
    rng = np.random.default_rng([seed, 7])
    found = draw_matched(heads, variance, draws, rng, other)
    if not found:
        raise InputError("heads: a layer has too few heads of other concepts to draw from; choose fewer")
    return found, sorted(set(draw_matched(heads, variance, draws, rng, other, apart=False)))


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
    others = [bench.correct(bench.damped(each)) for each in counted(shuffled, "other factors", len(shuffled), "draw")]
    return _compare(bench, bench.correct(bench.damped(factors)), others, len(others), others, name, None)


def _compare(
    bench: CueBench,
    after: ndarray,
    others: Sequence[ndarray],
    distinct: int,
    ranked: Sequence[ndarray],
    name: str,
    scale: float | None,
) -> Debiased:
    before = bench.correct(torch.from_numpy(np.array(bench.index.embeddings)))
    groups, blocks = bench.groups[bench.splits == "test"], ImageBlocks.of(bench)
    alike = max(blocks.likeness(correct) for correct in (before, after))
    together = blocks.block if alike > 1 else None
    gain = worst_group(after, groups) - worst_group(before, groups)
    worst = worst_group(before, groups)
    gains, among = (np.array([worst_group(each, groups) - worst for each in some]) for some in (others, ranked))
    low, high = np.quantile(gains, [0.025, 0.975])
    p = (1 + (among >= gain - 1e-12).sum()) / (1 + len(among))
    return Debiased(
        task=bench.grouped.name,
        classifier=bench.config.classifier,
        heads=name,
        scale=scale,
        effect=bench.config.effect,
        before=_accuracies(bench, before, groups, alike),
        after=_accuracies(bench, after, groups, alike),
        gain=gain,
        gain_interval=gain_interval(before, after, groups, bench.config.resamples, bench.config.seed, together),
        random=RandomHeads(float(gains.mean()), (float(low), float(high)), len(gains), distinct, float(p), len(among)),
        broken=tuple(sorted(bench.index.broken)),
        overlap=bench.overlap,
        model=bench.role_map.model,
        settings=record_ablation({**dataclasses.asdict(bench.config), **blocks.acting}),
    )


def _accuracies(bench: CueBench, correct: ndarray, groups: Int[ndarray, "image"], alike: float) -> Accuracies:
    by_group = {
        bench.grouped.group_name(int(group)): float(correct[groups == group].mean()) for group in np.unique(groups)
    }
    mean = float(correct.mean()), mean_interval(correct, groups, alike)
    return Accuracies(min(by_group.values()), worst_interval(correct, groups, alike), *mean, by_group)


def worst_group(correct: ndarray, groups: Int[ndarray, "image"]) -> float:
    """The lowest accuracy of a group."""
    return float(min(correct[groups == group].mean() for group in np.unique(groups)))


def worst_interval(correct: ndarray, groups: Int[ndarray, "image"], alike: float = 1.0) -> tuple[float, float]:
    """95% interval of the worst group's true accuracy: the lowest of either end over the groups.

    A bootstrap of a minimum is off by the very noise that it is to measure (coverage .57 where four groups are alike).
    The true worst group is below the lower end of its own interval in 2.5% of the cases. The upper end falls below it
    where any group's does, so it is taken at 2.5% over the number of groups that may be the worst. `alike`: so many
    images count as one.
    """
    counts = [(float(correct[groups == group].mean()), (groups == group).sum() / alike) for group in np.unique(groups)]
    ends = [proportion_interval(*each) for each in counts]
    rivals = sum(low <= min(high for _, high in ends) for low, _ in ends)
    uppers = [proportion_interval(*each, 1 - 0.05 / rivals)[1] for each in counts]
    return min(low for low, _ in ends), min(uppers)


def mean_interval(correct: ndarray, groups: Int[ndarray, "image"], alike: float = 1.0) -> tuple[float, float]:
    """95% interval of the accuracy over all images, the groups' sizes being given; `alike` images count as one.

    Wilson's, of as many images as would vary as much: groups that differ leave less to chance than one big group.
    """
    rights, counts = np.array([(correct[groups == group].sum(), (groups == group).sum()) for group in set(groups)]).T
    shares, mean = (rights + 0.5) / (counts + 1), (rights.sum() + 0.5) / (len(correct) + 1)
    within = (counts * shares * (1 - shares)).sum() / len(correct)
    return proportion_interval(correct.mean(), len(correct) * mean * (1 - mean) / within / alike)


def proportion_interval(share: float, images: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share of images (1927)."""
    z = norm.ppf((1 + level) / 2)
    centre = share + z**2 / (2 * images)
    half = z * np.sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
    scale = 1 + z**2 / images
    return max(0.0, float((centre - half) / scale)), min(1.0, float((centre + half) / scale))


def gain_interval(
    before: ndarray,
    after: ndarray,
    groups: Int[ndarray, "image"],
    resamples: int,
    seed: int,
    block: Int[ndarray, "image"] | None = None,
) -> tuple[float, float]:
    """95% interval of the worst group's gain: the basic bootstrap over images, within groups, of pairs.

    `block`: what is drawn in place of images, where these are alike.
    """
    draw = _draw_images if block is None else partial(_draw_blocks, block=block)
    old, new = draw((before, after), groups, resamples, seed)
    gain = worst_group(after, groups) - worst_group(before, groups)
    low, high = np.quantile(new - old, [0.025, 0.975])
    return float(2 * gain - high), float(2 * gain - low)


def _draw_images(
    pair: tuple[ndarray, ndarray], groups: Int[ndarray, "image"], resamples: int, seed: int
) -> Float[ndarray, "pair draw"]:
    """The worst group's accuracies over resampled images."""
    rng = np.random.default_rng([seed, 9])
    drawn = []
    for group in np.unique(groups):
        own = np.flatnonzero(groups == group)
        rows = rng.choice(own, (resamples, len(own)))
        drawn.append([correct[rows].mean(1) for correct in pair])
    return np.min(drawn, 0)


def _draw_blocks(
    pair: tuple[ndarray, ndarray], groups: Int[ndarray, "image"], resamples: int, seed: int, block: ndarray
) -> Float[ndarray, "pair draw"]:
    """The same over resampled blocks; a group that a resample lacks is not its worst."""
    count, *rights = (tally(block, groups, weights) for weights in (np.ones(len(groups)), *pair))
    times = draw_blocks(count.sum(1), resamples, seed)
    seen = times @ count
    shares = (np.divide(times @ right, seen, out=np.full_like(seen, np.inf), where=seen > 0) for right in rights)
    return np.array([each.min(1) for each in shares])
