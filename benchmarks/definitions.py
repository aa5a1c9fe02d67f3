"""Which definition of Concept Entropy agrees best with what the images say?

On the bundled model the truth is at hand: every scene's concept values are known, so the share of a head's variance
that each concept explains (eta squared, bias-corrected) is a distribution over concepts that no text had a part in.
For every combination of TextSpan's selection, text centring, weights and prior correction this prints how well the
text-based map agrees with it: the rank correlation of the entropies, the share of heads with the same dominant
concept, and the mean overlap of the two distributions; then, for every rule of roles, how many Attribute heads are
right. Scenes of the two sides differ.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import click
import numpy as np
from benchmark import benchmark
from scipy.stats import spearmanr

from headroles import ProbeBank, ScoreConfig, ShapesImages, load
from headroles.images.labelled import open_labelled
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.concepts import concept_entropy
from headroles.roles.config import ImageScoreConfig
from headroles.roles.explained import Sums, effects
from headroles.roles.role_map import ROLES, ImagesInfo, RoleMap
from headroles.roles.score_images import collect_values
from headroles.roles.score_texts import collect_moments, explain
from headroles.shapes import NAMES

_SEED = 77
"""Of the labelled scenes; scoring uses seed 0."""
RULES: list[dict[str, Any]] = [
    {"roles_by": "null"},
    *(
        {"roles_by": "threshold", "low": low, "high": high}
        for low in (0.5, 0.6, 0.7, 0.8)
        for high in (0.75, 0.85, 0.95)
        if low <= high
    ),
    *({"roles_by": "quantile", "low": low, "high": 1 - low} for low in (0.25, 1 / 3)),
]
"""Rules of roles that are tried. Thresholds are in units of what heads that say nothing reach."""


def explained_variance(model: HookedCLIP, layers: str, scenes: int) -> np.ndarray:
    """Bias-corrected eta squared (head, concept) on fresh scenes: what a concept's value explains."""
    labelled = open_labelled("shapes", model.processor, scenes, _SEED)
    moments, _ = collect_values(model, labelled, ImageScoreConfig(layers=layers), batch=100)
    return effects(Sums.of(moments)).shares()


@benchmark()
@click.option("--model", "name", default="shapes", show_default=True, help="shapes, or a folder trained on it.")
@click.option("--layers", default="deep", show_default=True)
@click.option("--scenes", default=4000, show_default=True, help="Scenes of each side.")
def main(name: str, layers: str, scenes: int) -> None:
    """Compare definitions and rules; * marks the defaults."""
    model, bank = load(name, "cpu"), ProbeBank.load("shapes")
    config = ScoreConfig(layers=layers, null_draws=300, bootstraps=2)
    eta = explained_variance(model, layers, scenes)
    order = [NAMES.index(concept) for concept in bank.concepts]
    truth = (eta / eta.sum(1, keepdims=True))[:, order]
    moments, _ = collect_moments(model, ShapesImages(model.processor, scenes), config)
    click.echo(f"{name}, layers {layers}: {len(truth)} heads, {scenes} scenes a side")
    click.echo("largest eta squared of a head, by concept: ")
    click.echo("  " + ", ".join(f"{concept} {eta[:, NAMES.index(concept)].max():.2f}" for concept in bank.concepts))
    judge = partial(explain, model, moments, bank, images=ImagesInfo("shapes", scenes, ()))
    report_definitions(judge, config, truth)
    report_roles(judge, config, truth)


def report_definitions(judge: Callable[..., RoleMap], config: ScoreConfig, truth: np.ndarray) -> None:
    """One line a definition, best rank correlation first; * marks the default."""
    rows = []
    choices = itertools.product(("std", "variance"), (True, False), ("variance", "count"), (True, False))
    for selection, center, weights, prior in choices:
        settings = {"selection": selection, "center_texts": center, "weights": weights, "prior_correction": prior}
        varied = replace(config, **settings)
        spread = distributions(judge(config=varied))
        rank = spearmanr(concept_entropy(spread), concept_entropy(truth)).statistic
        same = (spread.argmax(1) == truth.argmax(1)).mean()
        overlap = np.minimum(spread, truth).sum(1).mean()
        rows.append((rank, same, overlap, "*" if varied == config else " ", settings))
    click.echo("rank corr.  same concept  overlap   definition")
    for rank, same, overlap, mark, settings in sorted(rows, key=lambda row: -row[0]):
        words = ", ".join(f"{name} {value}" for name, value in settings.items())
        click.echo(f"{rank:10.2f} {same:13.0%} {overlap:8.2f} {mark} {words}")


def report_roles(judge: Callable[..., RoleMap], config: ScoreConfig, truth: np.ndarray) -> None:
    """One line a rule: heads of each role, share of Attribute heads that are right, share of true ones found.

    True Attribute heads are those of which one concept explains more variance than all others together.
    """
    pure, concept = truth.max(1) > 0.5, truth.argmax(1)
    click.echo(f"{pure.sum()} of {len(truth)} heads have one concept that explains more than all others together")
    click.echo("attribute  mixed  general.  right  found   rule")
    for rule in RULES:
        varied = replace(config, **rule)
        role_map = judge(config=varied)
        roles = np.array([head.role for head in role_map])
        named = roles == "attribute"
        right = named & pure & (distributions(role_map).argmax(1) == concept)
        counts = [int((roles == role).sum()) for role in ROLES]
        shares = [f"{right.sum() / of.sum():.0%}" if of.any() else "-" for of in (named, pure)]
        mark = "*" if (varied.roles_by, varied.bounds) == (config.roles_by, config.bounds) else " "
        words = ", ".join(f"{name} {value:.3g}" if name != "roles_by" else value for name, value in rule.items())
        click.echo("{:>9} {:>6} {:>9}".format(*counts) + "{:>7} {:>6}".format(*shares) + f" {mark} {words}")


def distributions(role_map: RoleMap) -> np.ndarray:
    """P (head, concept), concepts sorted."""
    return np.array([[head.distribution[concept] for concept in role_map.concepts] for head in role_map])


if __name__ == "__main__":
    main()
