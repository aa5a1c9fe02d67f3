"""Which definition of Concept Entropy predicts best what cutting a head costs?

On labelled scenes that no scoring saw, every head of the bundled model is cut alone and every concept's loss of margin
is measured (`headroles.causal.effects`), in units of what an average head costs that concept: a distribution over
concepts, and a selectivity, that no text had a part in. For every combination of TextSpan's selection, text centring,
weights and prior correction this prints how well the text-based map predicts it: the rank correlation of entropy and
selectivity, the share of heads whose dominant concept is the one that loses most, and the overlap of the two
distributions, each with a 95% bootstrap interval over heads and blocks of scenes of its difference to the default. Then
the same for the rules of roles: how many Attribute heads are causally right, and how many of those that one concept
rules are found.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import click
import numpy as np
from scipy.stats import spearmanr

from headroles import ProbeBank, ScoreConfig, ShapesImages, load
from headroles.causal.effects import direct_effects, total_effects
from headroles.causal.head_record import HeadRecord
from headroles.causal.margins import ValueTexts
from headroles.causal.selectivity import selectivities
from headroles.heads.reference import HeadReference
from headroles.images.labelled import open_labelled
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.judged import Judged
from headroles.roles.role_map import ROLES, ImagesInfo, RoleMap
from headroles.roles.score_texts import collect_moments, explain

_SEED = 77
"""Of the labelled scenes; scoring uses seed 0."""
_DRAWS = 500


@dataclass(frozen=True)
class Causes:
    """What cutting each head costs each concept, in units of an average head's cost; first the estimate, then draws."""

    times: np.ndarray
    """(draw, head, concept), losses only, concepts sorted."""
    heads: np.ndarray
    """(draw, head): which heads a draw has; all of them first."""

    @property
    def share(self) -> np.ndarray:
        """Distribution over concepts."""
        return self.times / np.maximum(self.times.sum(-1, keepdims=True), 1e-12)

    @property
    def selectivity(self) -> np.ndarray:
        """(draw, head)."""
        return selectivities(self.times)


def measure_causes(model: HookedCLIP, scored: RoleMap, scenes: int, effect: str, mode: str) -> Causes:
    """Cut every scored head alone, on scenes that were not scored."""
    images, layers = open_labelled("shapes", model.processor, scenes, _SEED), scored.layers
    judged = Judged(scored, images.name, np.ones(scenes, bool))
    texts = ValueTexts.embed(model, images.concepts)
    sets = [(), *(((layer, head),) for layer in layers for head in range(model.visual.heads))]
    if effect == "direct":
        record = HeadRecord.collect(model, images, layers, 100, watch=judged)
        sums = direct_effects(model, images, record, texts, layers, sets, mode)
    else:
        reference = HeadReference.collect(model, images.images, layers, 64 if mode == "resample" else 0, watch=judged)
        sums = total_effects(model, images, texts, sets, reference, mode, batch=100)
    judged.finish()
    rng, count, margin = np.random.default_rng(0), sums.count.numpy(), sums.margin.numpy()
    blocks, heads = len(count), len(sets) - 1
    draws = np.vstack([np.ones(blocks), rng.multinomial(blocks, np.full(blocks, 1 / blocks), _DRAWS)])
    cost = np.einsum("rb,bhc->rhc", draws, margin[:, :1] - margin[:, 1:]) / (draws @ count)[:, None]
    order = np.argsort(texts.names)
    times = np.maximum(cost, 0) / np.maximum(cost.mean(1, keepdims=True), 1e-12)
    return Causes(times[..., order], np.vstack([np.arange(heads), rng.integers(heads, size=(_DRAWS, heads))]))


def judge(role_map: RoleMap, causes: Causes) -> np.ndarray:
    """(draw, 3): rank correlation with the sign turned, share of the same concept, overlap."""
    spread = np.array([[head.distribution[name] for name in role_map.concepts] for head in role_map])
    entropy = np.array([head.entropy for head in role_map])
    rows = []
    for heads, share, selectivity in zip(causes.heads, causes.share, causes.selectivity, strict=True):
        rank = -spearmanr(entropy[heads], selectivity[heads]).statistic
        same = (spread[heads].argmax(1) == share[heads].argmax(1)).mean()
        rows.append((rank, same, np.minimum(spread[heads], share[heads]).sum(1).mean()))
    return np.array(rows)


@click.command()
@click.option("--model", "name", default="shapes", show_default=True, help="shapes, or a folder trained on it.")
@click.option("--layers", default="deep", show_default=True)
@click.option("--scenes", default=4000, show_default=True, help="Scenes of each side.")
@click.option("--effect", default="direct", show_default=True, type=click.Choice(["direct", "total"]))
@click.option("--mode", default="mean", show_default=True, type=click.Choice(["mean", "zero", "resample"]))
def main(name: str, layers: str, scenes: int, effect: str, mode: str) -> None:
    """Compare definitions and rules; * marks the defaults."""
    model, bank = load(name, "cpu"), ProbeBank.load("shapes")
    config = ScoreConfig(layers=layers, null_draws=200, bootstraps=2)
    moments, seen = collect_moments(model, ShapesImages(model.processor, scenes), config)
    info = ImagesInfo("shapes", seen.read, seen.broken_names, seen.sketch)
    causes = measure_causes(model, explain(model, moments, bank, config, info), scenes, effect, mode)
    click.echo(
        f"{name}, layers {layers}: {causes.times.shape[1]} heads, {scenes} scenes a side, {effect} effect, {mode}"
    )

    def read(**settings: object) -> RoleMap:
        return explain(model, moments, bank, replace(config, **settings), info)

    report_definitions(read, causes)
    report_roles(read, causes)


def report_definitions(read, causes: Causes) -> None:
    """One line a definition, best rank correlation first; in brackets the difference to the default."""
    names = ("selection", "center_texts", "weights", "prior_correction")
    default = tuple(getattr(ScoreConfig(), name) for name in names)
    found = {
        choice: judge(read(**dict(zip(names, choice, strict=True))), causes)
        for choice in itertools.product(("std", "variance"), (True, False), ("variance", "count"), (True, False))
    }
    titles = ("-rank corr.", "same concept", "overlap")
    click.echo("  ".join(f"{title:<24}" for title in titles) + "  definition")
    for choice, drawn in sorted(found.items(), key=lambda item: -item[1][0, 0]):
        low, high = np.nanquantile((drawn - found[default])[1:], [0.025, 0.975], axis=0)
        cells = [f"{drawn[0, k]:.2f} [{low[k]:+.2f}, {high[k]:+.2f}]" for k in range(3)]
        words = ", ".join(f"{name} {value}" for name, value in zip(names, choice, strict=True))
        click.echo("  ".join(f"{cell:<24}" for cell in cells) + f" {'*' if choice == default else ' '} {words}")
    low, high = np.nanquantile(found[default][1:], [0.025, 0.975], axis=0)
    words = ", ".join(f"{title} [{a:.2f}, {b:.2f}]" for title, a, b in zip(titles, low, high, strict=True))
    click.echo(f"intervals of the default itself: {words}")


def report_roles(read, causes: Causes) -> None:
    """One line a rule. Causally pure heads are those of which one concept takes more of the cost than all others."""
    rules = [{"roles_by": "null"}]
    rules += [
        {"roles_by": "threshold", "low": low, "high": high}
        for low in (0.3, 0.4, 0.5, 0.6)
        for high in (0.6, 0.7, 0.8)
        if low <= high
    ]
    rules += [{"roles_by": "quantile", "low": low, "high": 1 - low} for low in (0.25, 1 / 3)]
    pure = causes.share[0].max(1) > 0.5
    click.echo(
        f"{pure.sum()} of {len(pure)} heads have one concept that takes more of the cost than all others together"
    )
    click.echo("attribute  mixed  general.  right  found   F1 [less the default's]   selectivity of each role   rule")
    default = {"roles_by": "threshold", "low": ScoreConfig.low, "high": ScoreConfig.high}
    base = agreement(read(**default), causes)
    for rule in rules:
        role_map = read(**rule)
        roles, found = np.array([head.role for head in role_map]), agreement(role_map, causes)
        low, high = np.quantile((found - base)[1:, 2], [0.025, 0.975])
        counts = [int((roles == role).sum()) for role in ROLES]
        each = [causes.selectivity[0][roles == role] for role in ROLES]
        means = " ".join(f"{part.mean():>7.2f}" if len(part) else f"{'-':>7}" for part in each)
        words = ", ".join(f"{name} {value:.3g}" if name != "roles_by" else value for name, value in rule.items())
        shares = f"{found[0, 0]:>7.0%} {found[0, 1]:>6.0%}   {found[0, 2]:.2f} [{low:+.2f}, {high:+.2f}]"
        mark = "*" if rule == default else " "
        click.echo("{:>9} {:>6} {:>9}".format(*counts) + f"{shares}   {means} {mark} {words}")


def agreement(role_map: RoleMap, causes: Causes) -> np.ndarray:
    """(draw, 3): share of Attribute heads that are right, share of pure heads that are found, their harmonic mean."""
    named = np.array([head.role == "attribute" for head in role_map])
    concept = np.array([role_map.concepts.index(head.concept) for head in role_map])
    rows = []
    for heads, share in zip(causes.heads, causes.share, strict=True):
        pure = share[heads].max(1) > 0.5
        right = named[heads] & pure & (concept[heads] == share[heads].argmax(1))
        precision, recall = (right.sum() / max(of.sum(), 1) for of in (named[heads], pure))
        rows.append((precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)))
    return np.array(rows)


if __name__ == "__main__":
    main()
