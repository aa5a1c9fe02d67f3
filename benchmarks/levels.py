"""Do tests keep their level, and intervals their coverage? Every p-value and interval against simulated truth.

`python benchmarks/levels.py` prints a Markdown table: what is tested, what is true in the simulation, and how often
p <= .05 came out (where sets are few: p at or below the largest value under .05 that can be reached, held against it),
or how often the interval held the truth, each with the simulation's own 95% error. A row holds where a level lies
within [.03, .07], and a coverage within 3 points of what it claims. `--only NAME` prints one of: joint, probes,
rotation, estimates, correlations, diff, debias, neighbours, entropy, shares,
seeds; `--simulations N` makes it coarser.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import torch
from benchmark import benchmark
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import norm

from headroles.adapt.metrics import interval
from headroles.bundled.evaluate import Accuracy
from headroles.causal.block_costs import BlockCosts
from headroles.causal.concept_tests import concept_tests, joint_p_value
from headroles.causal.config import ValidateConfig
from headroles.causal.effects import EffectSums
from headroles.causal.estimates import estimate
from headroles.causal.head_sets import HeadSets
from headroles.causal.selectivity import correlate_table
from headroles.heads.matched import draw_matched
from headroles.heads.value_moments import ValueMoments, sum_shapes
from headroles.models.load import load
from headroles.roles.blindness import p_values
from headroles.roles.chance import bca_interval, tail_share
from headroles.roles.concepts import concept_distribution, concept_entropy, pick_weights
from headroles.roles.concepts import p_values as rank_p_values
from headroles.roles.config import ImageScoreConfig
from headroles.roles.diff import cohen_kappa, spearman
from headroles.roles.head_roles import draw_blocks
from headroles.roles.likeness import likeness
from headroles.roles.null import null_picks
from headroles.roles.probes import ProbeBank
from headroles.roles.score_images import distribution, resample
from headroles.roles.textspan import SELECTIONS, text_span
from headroles.uses.hits import count_hits
from headroles.uses.worst_group import gain_interval, mean_interval, worst_interval


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    truth: str
    hits: float
    count: int
    nominal: float = 0.05

    @property
    def share(self) -> float:
        return self.hits / self.count

    @property
    def holds(self) -> bool:
        """A level of .05 within [.03, .07], another within 40% of it; a coverage within 3 points."""
        room = 0.03 if self.nominal > 0.5 else 0.4 * self.nominal
        return abs(self.share - self.nominal) <= room + 1e-9

    def __str__(self) -> str:
        error = 1.96 * math.sqrt(self.share * (1 - self.share) / self.count)
        cells = (
            self.what,
            self.truth,
            f"{self.nominal:.3g}",
            f"{self.share:.3f} ± {error:.3f}",
            "yes" if self.holds else "NO",
        )
        return "| " + " | ".join(cells) + " |"


Rows = Iterator[Row]


# Cutting heads: validate.


def _head(layer: int, head: int, role: str, concept: str, variance: float) -> Any:
    return SimpleNamespace(
        layer=layer, head=head, role=role, concept=concept, variance=variance, name=f"L{layer}.H{head}", entropy=0.5
    )  # fmt: skip


def _costs(rng: np.random.Generator, sizes: Sequence[Sequence[int]], heads: int, power: float) -> BlockCosts:
    """A validation in which no head is any concept's: `sizes`: a concept's own heads in each layer, drawn at random.

    A head costs a concept an exponential draw, times its variance to the `power`; sets cost the sum and some noise.
    """
    layers, names = len(sizes[0]), [f"c{number}" for number in range(len(sizes))]
    owner: dict[tuple[int, int], str] = {}
    for layer in range(layers):
        free = list(rng.permutation(heads))
        for name, size in zip(names, sizes, strict=True):
            owner |= {(layer, int(free.pop())): name for _ in range(size[layer])}
    variance = np.exp(rng.normal(size=(layers, heads)) * 0.5)
    every = [
        _head(*place, "attribute" if place in owner else "mixed", owner.get(place, "c0"), float(variance[place]))
        for place in np.ndindex(layers, heads)
    ]
    config = ValidateConfig(draws=100, blocks=2, bootstraps=20, seed=int(rng.integers(1 << 30)))
    sets = HeadSets.draw(every, config, names)  # type: ignore[arg-type]
    cost = rng.exponential(size=(layers, heads, len(names))) * variance[..., None] ** power
    lost = np.array([sum((cost[place] for place in members), np.zeros(len(names))) for members in sets.sets])
    lost[1:] += 0.05 * rng.normal(size=lost[1:].shape)
    margin = torch.from_numpy(np.stack([-lost, -lost]) / 2)
    count = torch.ones(2, len(names), dtype=torch.float64)
    return BlockCosts(sets, names, EffectSums(margin, torch.zeros_like(margin), count), config)


def joint(rng: np.random.Generator, times: int) -> Rows:
    """p of one concept's heads, and of all tests together."""
    designs = {
        "5 concepts of one head in 4 layers of 12": (
            [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]],
            12,
        ),
        "3 concepts of 1, 2 and 3 heads in 3 layers of 8": ([[1, 0, 0], [0, 2, 0], [1, 1, 1]], 8),
        "3 concepts of 3 heads in a layer of 8, 1, 4": ([[0, 3], [1, 0], [2, 2]], 8),
    }
    for name, (sizes, heads) in designs.items():
        for power in (0.0, 1.0):
            p = [joint_p_value(_costs(rng, sizes, heads, power), 0) for _ in range(times)]
            what = "validate, all tests" if power == 0 else "validate, all tests, costs grow with variance"
            yield Row(what, name, sum(each <= 0.05 for each in p if each is not None), times)
    for name, size, heads in (
        ("2 of 12 heads", [[2]], 12),
        ("1 of 12 in each of 2 layers", [[1, 1]], 12),
        ("3 of 8 heads", [[3]], 8),
    ):
        p, least = [], []
        for _ in range(times):
            (test,) = concept_tests(_costs(rng, size, heads, 0.0))
            p.append(test.p_value)
            least.append(math.floor(0.05 * (1 + test.ranked_among)) / (1 + test.ranked_among))
        yield Row(
            "validate, one concept", name, sum(each <= 0.05 for each in p), times, round(float(np.mean(least)), 4)
        )


# Image probes.

_SHAPES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], ndarray]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "lognormal": lambda rng, shape: np.exp(rng.normal(size=shape)),
    "Student's t, 2 degrees": lambda rng, shape: rng.standard_t(2, size=shape),
    "outlying images": lambda rng, shape: rng.normal(size=shape) * np.exp(rng.normal(size=(*shape[:2], 1))),
}


def probes(rng: np.random.Generator, times: int) -> Rows:
    """p of a head that is blind to a concept."""
    for counts in ([5] * 4, [10] * 4, [50] * 4, [500] * 4, [5, 200], [10, 100, 300], [10] * 14):
        codes = np.repeat(np.arange(len(counts)), counts)[:, None]
        for shape, draw in _SHAPES.items():
            for rank in (4,) if len(codes) > 1000 else (1, 4, 16):
                p = []
                while sum(map(len, p)) < times:
                    size = (len(codes), max(1, min(times, 2_000_000 // (len(codes) * rank))), rank)
                    p.append(_probe(draw(rng, size) * np.exp(-np.arange(rank) / max(1, rank / 2)), codes)[:, 0])
                found = np.concatenate(p)
                images = (
                    f"{counts[0]} images each of {len(counts)} values" if len(set(counts)) == 1 else f"{counts} images"
                )
                yield Row(
                    "image probes, one concept", f"{shape}, rank {rank}, {images}", (found <= 0.05).sum(), len(found)
                )
    codes = np.stack([rng.integers(0, 4, 200), rng.integers(0, 3, 200), rng.integers(0, 2, 200)], 1)
    codes[:, 2] = np.where(rng.random(200) < 0.8, codes[:, 1] > 0, codes[:, 2])
    outputs = np.exp(rng.normal(size=(200, times, 4)))
    yield Row(
        "image probes, head (3 concepts)", "lognormal, rank 4", (3 * _probe(outputs, codes).min(1) <= 0.05).sum(), times
    )
    outputs += np.eye(3, 4)[codes[:, 1]][:, None]
    found = _probe(outputs, codes, "unique")[:, 2]
    yield Row(
        "image probes, unique",
        "lognormal, follows a concept that the tested one depends on",
        (found <= 0.05).sum(),
        times,
    )


def _probe(outputs: Float[ndarray, "image head width"], codes: ndarray, shares: str = "marginal") -> ndarray:
    sample = SimpleNamespace(sample=torch.from_numpy(outputs)[:, None], sample_codes=torch.from_numpy(codes) + 2)
    return p_values(sample, shares)  # type: ignore[arg-type]


def rotation(rng: np.random.Generator, times: int) -> Rows:
    """p of a head's Concept Entropy against rotations of it: heads that say nothing, of a few spectra."""
    for bank, (texts, codes, concepts) in _banks(rng).items():
        for centred in (False, True):
            rows = texts - texts.mean(0) if centred else texts
            for selection in SELECTIONS:
                small, count = 0, 0
                while count < times:
                    basis = np.linalg.qr(rng.normal(size=(texts.shape[1], 16)))[0]
                    projected = torch.from_numpy(rows @ basis).float()
                    covariance = torch.diag(torch.from_numpy(np.exp(-np.arange(16) / rng.uniform(1, 8))))
                    seeds = rng.integers(1, 1 << 30, 2)
                    heads, null = (
                        _null_entropies(projected, covariance, draws, selection, int(each), codes, concepts)
                        for draws, each in zip((50, 300), seeds, strict=True)
                    )
                    p = rank_p_values(heads, np.repeat(null[:, None], len(heads), 1))
                    small, count = small + (p <= 0.05).sum(), count + len(p)
                what = f"{bank}, picks by {selection}{', centred' if centred else ''}"
                yield Row("role map, p of entropy", what, small, count)


def _banks(rng: np.random.Generator) -> dict[str, tuple[ndarray, ndarray, int]]:
    """Name -> unit texts, their concepts' numbers, how many concepts."""
    general, found = ProbeBank.load("general"), {}
    with torch.inference_mode():
        texts = load("shapes", "cpu").embed_texts(general.texts).double().numpy()
    found["bank general, bundled text tower"] = texts, np.array(general.codes), len(general.concepts)
    for spread in (0.3, 1.0):
        centres, codes = rng.normal(size=(10, 32)), np.repeat(np.arange(10), 40)
        rows = centres[codes] + spread * rng.normal(size=(len(codes), 32))
        name = f"10 concepts in clusters, {spread} deviations wide"
        found[name] = rows / np.linalg.norm(rows, axis=1, keepdims=True), codes, 10
    return found


def _null_entropies(
    projected: torch.Tensor,
    covariance: torch.Tensor,
    draws: int,
    selection: str,
    seed: int,
    codes: ndarray,
    concepts: int,
) -> Float[ndarray, "draw"]:
    picks = null_picks(projected, covariance, draws, 12, selection, seed)
    index = picks.index.numpy()
    weight = pick_weights(index, picks.share.double().numpy(), "variance")
    labels = np.broadcast_to(codes, (*index.shape[:-1], len(codes)))
    return concept_entropy(concept_distribution(index, weight, labels, concepts))[:, 0]


# Intervals.


def estimates(rng: np.random.Generator, times: int) -> Rows:
    """Means and ratios of means over blocks of images."""

    def draw_normal(shape: tuple[int, ...]) -> ndarray:
        return rng.normal(1, 1, shape)

    def draw_skewed(shape: tuple[int, ...]) -> ndarray:
        return np.exp(rng.normal(size=shape)) / math.exp(0.5)

    for blocks, images in ((32, 320), (32, 64), (8, 64)):
        for name, draw in (("normal", draw_normal), ("lognormal", draw_skewed)):
            hits = np.zeros(2)
            for _ in range(times):
                x = draw((2, blocks, images // blocks)).mean(-1) * [[2.0], [1.0]]
                weights = np.concatenate(
                    [np.ones((1, blocks)), rng.multinomial(blocks, np.full(blocks, 1 / blocks), 1000)]
                )
                means = weights @ x.T / blocks
                for place, values, truth in ((0, means[:, 0], 2), (1, means[:, 0] / means[:, 1], 2)):
                    found = estimate(values, blocks)
                    hits[place] += found.low <= truth <= found.high  # type: ignore[operator]
            for place, what in enumerate(("margin lost", "ratio of margins lost")):
                yield Row(f"validate, {what}", f"{images} {name} images in {blocks} blocks", hits[place], times, 0.95)


def correlations(rng: np.random.Generator, times: int) -> Rows:
    """Spearman's rank correlations over heads, also partial ones."""
    shapes = {
        "none": [[1, 0, 0], [0, 1, 0.7], [0, 0.7, 1]],
        "-.73, -.73 (partial -.4)": [[1, -0.75, -0.75], [-0.75, 1, 0.7], [-0.75, 0.7, 1]],
        "-.89, -.3": [[1, -0.9, -0.3], [-0.9, 1, 0.3], [-0.3, 0.3, 1]],
    }
    for name, covariance in shapes.items():
        root = np.linalg.cholesky(np.array(covariance))
        truth = correlate_table(rng.normal(size=(200_000, 3)) @ root.T, None)
        for heads in (24, 64):
            hits, small = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
            for _ in range(times):
                draws = rng.integers(heads, size=(400, heads))
                for key, each in correlate_table(rng.normal(size=(heads, 3)) @ root.T, draws).items():
                    hits[key] += each.low <= truth[key].rho <= each.high  # type: ignore[operator]
                    small[key] += each.p_value <= 0.05
            for key in truth:
                yield Row(f"validate, correlation {key}", f"{heads} heads, truth {name}", hits[key], times, 0.95)
                if name == "none" and key.startswith("entropy"):
                    yield Row(f"validate, p of correlation {key}", f"{heads} heads, truth {name}", small[key], times)


def diff(rng: np.random.Generator, times: int) -> Rows:
    """Agreement of two role maps over heads."""

    def pair(count: int, rho: float) -> ndarray:
        drawn = rng.normal(size=(count, 2))
        drawn[:, 1] = rho * drawn[:, 0] + math.sqrt(1 - rho**2) * drawn[:, 1]
        return drawn

    def roles(values: ndarray) -> ndarray:
        return np.digitize(values, [-0.4, 0.5])

    for rho in (0.0, 0.5, 0.9):
        large = pair(1_000_000, rho)
        truth = float(cohen_kappa(roles(large))), float(spearman(large))
        for heads in (24, 64):
            hits = np.zeros(2)
            for _ in range(times):
                drawn, draws = pair(heads, rho), rng.integers(heads, size=(400, heads))
                for place, (make, measure) in enumerate(((roles, cohen_kappa), (np.asarray, spearman))):
                    ends = bca_interval(make(drawn), draws, measure)
                    hits[place] += ends is not None and ends[0] <= truth[place] <= ends[1]
            for place, what in enumerate(("kappa", "entropy's correlation")):
                yield Row(f"diff, {what}", f"{heads} heads, latent correlation {rho}", hits[place], times, 0.95)


def debias(rng: np.random.Generator, times: int) -> Rows:
    """The worst of four groups, its gain, the mean, and the rank among random heads."""
    truths = {
        "one worst": ((0.6, 0.9, 0.95, 0.95), (0.75, 0.85, 0.95, 0.95)),
        "two worst": ((0.5, 0.5, 0.97, 0.97), (0.7, 0.7, 0.9, 0.9)),
        "all alike": ((0.8,) * 4, (0.8,) * 4),
        "near 1": ((0.9, 0.92, 0.97, 0.99), (0.97, 0.96, 0.97, 0.99)),
    }
    for images in (50, 200):
        groups = np.repeat(range(4), images)
        for name, (before, after) in truths.items():
            hits = np.zeros(3)
            for number in range(times):
                latent = rng.normal(size=(2, 4 * images))
                latent[1] = 0.6 * latent[0] + 0.8 * latent[1]
                one, two = (
                    each < norm.ppf(np.repeat(share, images))
                    for each, share in zip(latent, (before, after), strict=True)
                )
                low, high = worst_interval(one, groups)
                hits[0] += low <= min(before) <= high
                low, high = gain_interval(one, two, groups, 300, number)
                hits[1] += low - 1e-9 <= min(after) - min(before) <= high + 1e-9
                low, high = mean_interval(one, groups)
                hits[2] += low <= np.mean(before) <= high
            for place, what in enumerate(("worst group", "its gain", "mean")):
                yield Row(f"debias, {what}", f"{name}, {images} images a group", hits[place], times, 0.95)
    for name, own, heads in (("2 of 12 heads", 2, 12), ("1 in each of 2 layers of 8", 0, 8)):
        chosen = [(0, head) for head in range(own)] or [(0, 0), (1, 0)]
        small, least = 0, []
        for _ in range(times):
            variance = {place: float(np.exp(0.5 * rng.normal())) for place in np.ndindex(2, heads)}
            gain = {place: float(rng.exponential()) for place in variance}
            ranked = set(draw_matched(chosen, variance, 100, rng, set(variance), apart=False))
            better = sum(
                sum(gain[each] for each in members) >= sum(gain[each] for each in chosen) for members in ranked
            )
            small += (1 + better) / (1 + len(ranked)) <= 0.05
            least.append(math.floor(0.05 * (1 + len(ranked))) / (1 + len(ranked)))
        yield Row("debias, p among random heads", name, small, times, round(float(np.mean(least)), 4))


def neighbours(rng: np.random.Generator, times: int) -> Rows:
    """Precision at k over images, and its gain from one way to search to another."""
    for images, k, apart in ((200, 10, 1.0), (300, 5, 2.5), (300, 10, 0.0)):
        found = []
        for _ in range(times):
            codes = rng.integers(4, size=images)
            signal, noise, fresh = np.eye(4, 8)[codes] * apart, *rng.normal(size=(2, images, 8))
            ways = signal + noise, 0.5 * signal + 0.8 * noise + 0.6 * fresh
            found.append([count_hits(codes, np.arange(images), _nearest(rows, k)) for rows in ways])
        for what, made in (("precision", [one for one, _ in found]), ("gain", [one - other for one, other in found])):
            truth = np.mean([each.rate.mean() for each in made])
            ends = [each.precision().interval for each in made]
            hits = sum(low <= truth <= high for low, high in ends)
            yield Row(
                f"retrieve, {what} at {k}", f"{images} images, values {apart} deviations apart", hits, times, 0.95
            )


def _nearest(rows: Float[ndarray, "image width"], k: int) -> ndarray:
    square = (rows**2).sum(1)
    distance = square[:, None] + square - 2 * rows @ rows.T
    np.fill_diagonal(distance, np.inf)
    return np.argpartition(distance, k, 1)[:, :k]


def entropy(rng: np.random.Generator, times: int) -> Rows:
    """A head's Concept Entropy, against that of the population's covariance."""
    concepts, width, blocks, heads = 8, 16, 32, 25
    for images in (200, 1000, 5000):
        hits, count = 0, 0
        while count < times:
            centres, codes = rng.normal(size=(concepts, width)), np.repeat(np.arange(concepts), 25)
            texts = centres[codes] + 0.7 * rng.normal(size=(len(codes), width))
            texts /= np.linalg.norm(texts, axis=1, keepdims=True)
            truth = np.stack([_covariance(rng, centres) for _ in range(heads)])
            root = np.linalg.cholesky(truth)
            u = np.einsum("hkm,bnhm->bnhk", root, rng.normal(size=(blocks, images // blocks, heads, width)))
            draws = np.concatenate([np.ones((1, blocks)), draw_blocks(np.ones(blocks), 100, count)])
            mean, square = np.tensordot(draws, u.mean(1), 1) / blocks, np.einsum("bnhk,bnhm->bhkm", u, u) / u.shape[1]
            drawn = np.tensordot(draws, square, 1) / blocks - mean[..., None] * mean[..., None, :]
            found = _entropies(texts, np.concatenate([truth[None], drawn]), codes, concepts)
            low, high = np.quantile(found[2:], [tail_share(blocks, 0.9), 1 - tail_share(blocks, 0.9)], axis=0)
            hits, count = hits + ((low <= found[0]) & (found[0] <= high)).sum(), count + heads
        yield Row("role map, interval of entropy", f"{images} images, 200 texts of 8 concepts", hits, count, 0.9)


def shares(rng: np.random.Generator, times: int) -> Rows:
    """The same by labelled images: shares of the variances that concepts explain."""
    sizes, heads, blocks = (4, 3, 2), 25, 32
    concepts = tuple((f"c{number}", tuple(map(str, range(size)))) for number, size in enumerate(sizes))
    for images in (320, 1600):
        hits, count = 0, 0
        while count < times:
            codes = np.stack([rng.integers(0, size, images) for size in sizes], 1)
            effects_of = [rng.normal(size=(size, heads, 6)) * rng.exponential(size=(heads, 1)) for size in sizes]
            centred = [each - each.mean(0) for each in effects_of]
            outputs = sum(each[codes[:, column]] for column, each in enumerate(centred))
            explained = np.stack([(each**2).sum(-1).mean(0) for each in centred], 1)
            certain = explained > 0.05 * explained.sum(1, keepdims=True)
            truth = concept_entropy(distribution(explained, certain))
            moments = ValueMoments((0,), "", concepts, **{
                name: torch.zeros(shape, dtype=torch.float64)
                for name, shape in sum_shapes(blocks, sum(sizes), 4, 1, heads, 6).items()
            })  # fmt: skip
            noise = np.exp(rng.normal(size=(images, heads, 6)))
            moments.update(
                torch.from_numpy(outputs + noise)[:, None], torch.from_numpy(codes), torch.arange(images) % blocks
            )
            drawn = resample(moments, certain, likeness(moments), ImageScoreConfig(seed=count))
            low, high = np.quantile(drawn, [tail_share(blocks, 0.9), 1 - tail_share(blocks, 0.9)], axis=0)
            hits, count = hits + ((low <= truth) & (truth <= high)).sum(), count + heads
        yield Row("role map by images, interval of entropy", f"{images} images, 3 concepts", hits, count, 0.9)


def _covariance(rng: np.random.Generator, centres: Float[ndarray, "concept width"]) -> Float[ndarray, "width width"]:
    turn = np.linalg.qr(rng.normal(size=(centres.shape[1],) * 2))[0]
    size, centre = np.exp(-np.arange(len(turn)) / rng.uniform(1, 6)), centres[rng.integers(len(centres))]
    return (turn * size) @ turn.T + rng.uniform(0, 2) * np.outer(centre, centre) / (centre @ centre)


def _entropies(texts: ndarray, covariance: ndarray, codes: ndarray, concepts: int) -> Float[ndarray, "draw head"]:
    projected = torch.from_numpy(np.tile(texts, (covariance.shape[1], 1, 1))).float()
    plain = torch.eye(texts.shape[1]).expand(len(projected), -1, -1)
    picks = text_span(projected, plain, torch.from_numpy(covariance), 12, "std")
    index = picks.index.numpy()
    weight = pick_weights(index, picks.share.double().numpy(), "variance")
    labels = np.broadcast_to(codes, (*index.shape[:-1], len(codes)))
    return concept_entropy(concept_distribution(index, weight, labels, concepts)) / math.log2(concepts)


def seeds(rng: np.random.Generator, times: int) -> Rows:
    """Student's t over seeds or tasks, Wilson over images."""
    for count in (3, 5, 16):
        drawn = rng.normal(0.7, 0.03, size=(times, count))
        accuracy = rng.binomial(200, drawn.clip(0, 1)) / 200
        hits = sum(low <= 0.7 <= high for low, high in map(interval, accuracy))  # type: ignore[misc]
        yield Row("adapt, mean over seeds", f"{count} seeds, 200 test images each", hits, times, 0.95)
    for share in (0.6, 0.98):
        found = [Accuracy(int(right), 300).interval for right in rng.binomial(300, share, times)]
        yield Row(
            "bundled model, accuracy",
            f"{share} of 300 images",
            sum(low <= share <= high for low, high in found),
            times,
            0.95,
        )


GROUPS = {
    each.__name__: each
    for each in (joint, probes, rotation, estimates, correlations, diff, debias, neighbours, entropy, shares, seeds)
}


@benchmark()
@click.option("--only", type=click.Choice(list(GROUPS)), help="One group of rows.")
@click.option("--simulations", type=click.IntRange(min=20), default=1000, show_default=True, help="Simulations a row.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True, help="Groups simulated at once.")
def main(only: str | None, simulations: int, seed: int, processes: int) -> None:
    """Print the table, and whether all of it holds."""
    click.echo("| what | simulated truth | nominal | found | holds |\n|---|---|---:|---:|---|")
    held = []
    names = [only] if only else list(GROUPS)
    with ProcessPoolExecutor(processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for rows in pool.map(_simulate, names, [simulations] * len(names), [seed] * len(names)):
            click.echo("\n".join(map(str, rows)))
            held += [row.holds for row in rows]
    click.echo(f"\n{sum(held)} of {len(held)} rows hold")


def _simulate(name: str, simulations: int, seed: int) -> list[Row]:
    return list(GROUPS[name](np.random.default_rng([seed, list(GROUPS).index(name)]), simulations))


if __name__ == "__main__":
    main()
