"""Which measure of a head foretells best that cutting it costs one concept alone?

On labelled scenes that no scoring saw, every head is cut alone and every concept's loss of margin is measured: a causal
selectivity, 1 where one concept alone loses (see causal.py). This prints, for every measure that a role map has,
Spearman's rank correlation with it, turned so that it should be positive, with a 95% bootstrap interval over heads and
blocks of scenes, and the paired difference to Concept Entropy's over the same draws. Beside measures that name concepts
too: the share of heads whose strongest concept is the one that loses most, and how much of the two distributions over
concepts is the same.

`--ranks` holds the measures of explained shares for several span ranks against each other, beside how many of the heads
that training pushed to one concept have their largest share of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import click
import numpy as np
from benchmark import benchmark
from causal import Causes, measure_causes

from headroles import SPECIALISTS, HookedCLIP, ImageScoreConfig, ProbeBank, RoleMap, ScoreConfig, ShapesImages, load
from headroles.causal.selectivity import rank_correlation
from headroles.images.labelled import open_labelled
from headroles.models.known_models import BUNDLED
from headroles.roles.role_map import ImagesInfo
from headroles.roles.score_images import score_images
from headroles.roles.score_texts import collect_moments, explain

_RANKS = (1, 2, 3, 4, 6, 8, 12)


@dataclass(frozen=True)
class Measure:
    """One number a head."""

    name: str
    """In words."""
    values: np.ndarray
    """(head,): larger where the head should be more selective."""
    shares: np.ndarray | None = None
    """(head, concept), where it names concepts."""


def by_texts(role_map: RoleMap) -> Iterator[Measure]:
    """What a role map by texts has."""
    spreads = [head.spread for head in role_map]
    explained = np.array([[spread.explained[name] for name in role_map.concepts] for spread in spreads])
    probability = np.array([[head.distribution[name] for name in role_map.concepts] for head in role_map])
    yield Measure("Concept Entropy, texts", -np.array([head.entropy for head in role_map]), probability)
    yield Measure("effective rank", -np.array([head.effective_rank for head in role_map]))
    yield Measure("CCS@5", np.array([spread.ccs for spread in spreads]))
    yield Measure("D of explained shares", np.array([spread.disentanglement for spread in spreads]), explained)
    yield Measure("largest explained share", explained.max(1), explained)


def by_images(role_map: RoleMap) -> Iterator[Measure]:
    """What a role map by labelled images has."""
    spreads = [head.spread for head in role_map]
    importance = np.array([[spread.importance[name] for name in role_map.concepts] for spread in spreads])
    probability = np.array([[head.distribution[name] for name in role_map.concepts] for head in role_map])
    apart = np.array([np.nan if spread.disentanglement is None else spread.disentanglement for spread in spreads])
    yield Measure("Concept Entropy, images", -np.array([head.entropy for head in role_map]), probability)
    yield Measure("D of importance, images", np.nan_to_num(apart), importance)


def foretell(measure: Measure, causes: Causes) -> np.ndarray:
    """(draw,): rank correlation with selectivity, the estimate first."""
    drawn = np.take_along_axis(causes.selectivity, causes.heads, 1)
    return rank_correlation(np.stack([drawn, measure.values[causes.heads]], -1))


def report(measures: list[Measure], causes: Causes) -> None:
    """One line a measure, the best first; differences are to the first that is given."""
    found = {measure.name: foretell(measure, causes) for measure in measures}
    base, share = found[measures[0].name], causes.share[0]
    click.echo(f"{'':<26}{'Spearman':<21}{'less the first':<23}same concept  overlap")
    for measure in sorted(measures, key=lambda each: -found[each.name][0]):
        drawn = found[measure.name]
        (low, high), (less, more) = (np.nanquantile(each[1:], [0.025, 0.975]) for each in (drawn, drawn - base))
        cells = f"{drawn[0]:.2f} [{low:.2f}, {high:.2f}]", f"{drawn[0] - base[0]:+.2f} [{less:+.2f}, {more:+.2f}]"
        click.echo(f"{measure.name:<26}{cells[0]:<21}{cells[1]:<23}{_named(measure, share)}")


def _named(measure: Measure, share: np.ndarray) -> str:
    """How well it names what a head costs."""
    if measure.shares is None:
        return f"{'-':>12}{'-':>9}"
    whole = np.maximum(measure.shares.sum(1, keepdims=True), 1e-12)
    overlap = np.minimum(measure.shares / whole, share).sum(1).mean()
    return f"{(measure.shares.argmax(1) == share.argmax(1)).mean():>12.0%}{overlap:>9.2f}"


def report_ranks(read, causes: Causes) -> None:
    """One line a span rank."""
    click.echo(f"{'span rank':<11}{'D: Spearman':<21}{'largest share':<21}same concept  overlap  specialists")
    for rank in _RANKS:
        role_map = read(span_rank=rank)
        measures = list(by_texts(role_map))[-2:]
        cells = []
        for measure in measures:
            drawn = foretell(measure, causes)
            low, high = np.nanquantile(drawn[1:], [0.025, 0.975])
            cells.append(f"{drawn[0]:.2f} [{low:.2f}, {high:.2f}]")
        largest = [role_map.concepts[row.argmax()] for row in measures[0].shares]
        truth = [SPECIALISTS.get((head.layer, head.head)) for head in role_map]
        right = sum(name == known for name, known in zip(largest, truth, strict=True) if known)
        named = _named(measures[0], causes.share[0])
        click.echo(f"{rank:<11}{cells[0]:<21}{cells[1]:<21}{named}{right:>9} of {sum(map(bool, truth))}")


def measure_all(model: HookedCLIP, layers: str, scenes: int, effect: str, ranks: bool) -> None:
    """Score by texts and by labelled images, cut every head, and compare."""
    bank, config = ProbeBank.load("shapes"), ScoreConfig(layers=layers, null_draws=300, bootstraps=2)
    moments, seen = collect_moments(model, ShapesImages(model.processor, scenes), config)
    info = ImagesInfo("shapes", seen.read, seen.broken_names, seen.sketch)
    role_map = explain(model, moments, bank, config, info)
    causes = measure_causes(model, role_map, scenes, effect, "mean")
    click.echo(f"{model.model_name}, layers {layers}: {len(role_map)} heads, {scenes} scenes a side, {effect} effect")
    if ranks:
        report_ranks(lambda **settings: explain(model, moments, bank, replace(config, **settings), info), causes)
        return
    labelled = open_labelled("shapes", model.processor, scenes, 0)
    images = score_images(model, labelled, ImageScoreConfig(layers=layers, bootstraps=2))[0]
    report([*by_texts(role_map), *by_images(images)], causes)


@benchmark()
@click.option("--model", "names", multiple=True, default=tuple(BUNDLED), show_default=True, help="May be given again.")
@click.option("--layers", default="deep", show_default=True)
@click.option("--scenes", default=4000, show_default=True, help="Scenes of each side.")
@click.option("--effect", default="direct", show_default=True, type=click.Choice(["direct", "total"]))
@click.option("--ranks", is_flag=True, help="Compare span ranks instead of measures.")
def main(names: tuple[str, ...], layers: str, scenes: int, effect: str, ranks: bool) -> None:
    """Compare what foretells causal selectivity."""
    for name in names:
        measure_all(load(name, "cpu"), layers, scenes, effect, ranks)


if __name__ == "__main__":
    main()
