"""Which definition of Concept Entropy predicts best what cutting a head costs?

On labelled scenes that no scoring saw, every head of the bundled model is cut alone and every concept's loss of margin
is measured (`headroles.causal.effects`), in units of what an average head costs that concept: a distribution over
concepts, and a selectivity, that no text had a part in. For every combination of TextSpan's selection, text centring,
weights and prior correction this prints how well the text-based map predicts it: the rank correlation of entropy and
selectivity, the share of heads whose dominant concept is the one that loses most, and the overlap of the two
distributions, each with a 95% bootstrap interval over heads and blocks of scenes of its difference to the default. Then
the same for the rules of roles: how many Attribute heads are causally right, and how many of those that one concept
rules are found.

`--picks` asks instead how many texts a head needs, and whether it is entropy at all that foretells selectivity, or
effective rank: for every N from 2 to the heads' width, over the deep heads and over all.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import click
import numpy as np
from benchmark import benchmark
from definitions import RULES
from scipy.stats import spearmanr

from headroles import ProbeBank, ScoreConfig, ShapesImages, load
from headroles.causal.effects import direct_effects, total_effects
from headroles.causal.head_record import HeadRecord
from headroles.causal.margins import ValueTexts
from headroles.causal.selectivity import rank_correlation, selectivities
from headroles.heads.moments import HeadMoments
from headroles.heads.reference import HeadReference
from headroles.heads.silence import Outputs
from headroles.images.labelled import open_labelled
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.layers import resolve_layers
from headroles.roles.concepts import concept_distribution, concept_entropy, p_values, pick_weights, q_values
from headroles.roles.judged import Judged
from headroles.roles.picks import pick_texts
from headroles.roles.role_map import ROLES, STANDS_OUT, ImagesInfo, RoleMap
from headroles.roles.score_texts import collect_moments, explain
from headroles.roles.textspan import SELECTIONS, Picks

_SEED = 77
"""Of the labelled scenes; scoring uses seed 0."""
_DRAWS = 500


@dataclass(frozen=True)
class Causes:
    """What cutting each head costs each concept; first the estimate, then draws."""

    cost: np.ndarray
    """(draw, head, concept), nats of margin, concepts sorted."""
    heads: np.ndarray
    """(draw, head): which heads a draw has; all of them first."""

    @classmethod
    def drawn(cls, cost: np.ndarray) -> Causes:
        """Heads are drawn anew with each draw of images."""
        heads = np.random.default_rng(1).integers(cost.shape[1], size=(len(cost) - 1, cost.shape[1]))
        return cls(cost, np.vstack([np.arange(cost.shape[1]), heads]))

    def among(self, chosen: np.ndarray) -> Causes:
        """Those of some heads, in units of these."""
        return Causes.drawn(self.cost[:, chosen])

    @property
    def times(self) -> np.ndarray:
        """`cost` over that of an average head, losses only."""
        return np.maximum(self.cost, 0) / np.maximum(self.cost.mean(1, keepdims=True), 1e-12)

    @property
    def share(self) -> np.ndarray:
        """Distribution over concepts."""
        times = self.times
        return times / np.maximum(times.sum(-1, keepdims=True), 1e-12)

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
    blocks = len(count)
    draws = np.vstack([np.ones(blocks), rng.multinomial(blocks, np.full(blocks, 1 / blocks), _DRAWS)])
    cost = np.einsum("rb,bhc->rhc", draws, margin[:, :1] - margin[:, 1:]) / (draws @ count)[:, None]
    return Causes.drawn(cost[..., np.argsort(texts.names)])


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


@benchmark()
@click.option("--model", "name", default="shapes", show_default=True, help="shapes, or a folder trained on it.")
@click.option("--layers", default="deep", show_default=True)
@click.option("--scenes", default=4000, show_default=True, help="Scenes of each side.")
@click.option("--effect", default="direct", show_default=True, type=click.Choice(["direct", "total"]))
@click.option("--mode", default="mean", show_default=True, type=click.Choice(["mean", "zero", "resample"]))
@click.option("--picks", is_flag=True, help="Compare numbers of texts a head, over all layers.")
def main(name: str, layers: str, scenes: int, effect: str, mode: str, picks: bool) -> None:
    """Compare definitions and rules, or numbers of texts; * marks the defaults."""
    model, bank = load(name, "cpu"), ProbeBank.load("shapes")
    layers = "all" if picks else layers
    config = ScoreConfig(layers=layers, null_draws=300, bootstraps=2)
    moments, seen = collect_moments(model, ShapesImages(model.processor, scenes), config)
    info = ImagesInfo("shapes", seen.read, seen.broken_names, seen.sketch)
    causes = measure_causes(model, explain(model, moments, bank, config, info), scenes, effect, mode)
    click.echo(
        f"{name}, layers {layers}: {causes.cost.shape[1]} heads, {scenes} scenes a side, {effect} effect, {mode}"
    )

    def read(**settings: object) -> RoleMap:
        return explain(model, moments, bank, replace(config, **settings), info)

    if picks:
        report_picks(model, moments, bank, causes)
    else:
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


@dataclass(frozen=True)
class Entropies:
    """Concept Entropy of every head from its first N texts, under one definition."""

    selection: str
    """See `ScoreConfig`."""
    center_texts: bool
    """The same."""
    weights: str
    """The same."""
    texts: int
    """N."""
    bits: np.ndarray
    """(head,)."""
    p: np.ndarray
    """(head,): under the null model."""

    def __str__(self) -> str:
        return f"{self.selection:<9}{'centred' if self.center_texts else '-':<8}{self.weights:<9}{self.texts:>2}"


def entropies(model: HookedCLIP, moments: HeadMoments, bank: ProbeBank, width: int) -> Iterator[Entropies]:
    """Every selection, centring, weights and N up to the width. TextSpan is greedy: N texts begin with N - 1 texts."""
    codes = np.array(bank.codes)

    def bits(picks: Picks, weights: str, texts: int) -> np.ndarray:
        index, share = picks.index[..., :texts].numpy(), picks.share[..., :texts].double().numpy()
        labels = np.broadcast_to(codes, (*index.shape[:-1], len(codes)))
        return concept_entropy(
            concept_distribution(index, pick_weights(index, share, weights), labels, len(bank.concepts))
        )

    for selection, center in itertools.product(SELECTIONS, (False, True)):
        config = ScoreConfig(selection=selection, center_texts=center, bootstraps=1, texts_per_head=width)
        picked = pick_texts(model, moments, bank, config)
        for weights, texts in itertools.product(("variance", "count"), range(2, width + 1)):
            own, null = (bits(picks, weights, texts) for picks in (picked.whole, picked.null))
            yield Entropies(selection, center, weights, texts, own[0], p_values(own[0], null))


def report_picks(model: HookedCLIP, moments: HeadMoments, bank: ProbeBank, causes: Causes) -> None:
    """One line a definition and N, over the deep heads, then over all: Spearman of causal selectivity with entropy (in
    brackets the difference to the default), with entropy at fixed effective rank, with rank at fixed entropy, and how
    many heads stand out."""
    rank, width = Outputs.of(model, moments).effective_rank().numpy(), moments.first.shape[-1]
    deep = np.isin(np.repeat(moments.layers, model.visual.heads), resolve_layers("deep", model.visual.layers))
    sides = [(part, causes.among(part)) for part in (deep, np.ones_like(deep))]
    selectivity = [side.selectivity for _, side in sides]
    for (part, _), each in zip(sides, selectivity, strict=True):
        found = rank_correlation(np.stack([each[0], rank[part]], 1))
        click.echo(f"effective rank alone, {part.sum()} heads of width {width}: {found:.2f}")
    rows = list(entropies(model, moments, bank, width))
    standard = ScoreConfig()
    default = next(
        row for row in rows
        if (row.selection, row.center_texts, row.weights, row.texts)
        == (standard.selection, standard.center_texts, standard.weights, width)
    )  # fmt: skip
    titles = f"{'entropy':<22}{'rank held':<10}{'of rank':<8}{'q <= .05':<9}"
    click.echo(f"{'':<30}{'deep heads':<49} all heads\n{'selection, centring, weights, N':<30} {titles} {titles}")
    for row in rows:
        cells = ""
        for (part, side), each in zip(sides, selectivity, strict=True):
            drawn = foretell(row.bits[part], side, each) - foretell(default.bits[part], side, each)
            low, high = np.nanquantile(drawn[1:], [0.025, 0.975])
            columns = np.stack([each[0], row.bits[part], rank[part]], 1)
            whole, held, of_rank = (rank_correlation(columns[:, order]) for order in ([0, 1], [0, 1, 2], [0, 2, 1]))
            stands_out = (q_values(row.p[part]) <= STANDS_OUT).sum()
            cells += f" {f'{whole:.2f} [{low:+.2f}, {high:+.2f}]':<22}{held:<10.2f}{of_rank:<8.2f}{stands_out:<9}"
        click.echo(f"{row} {'*' if row is default else ' '}{cells}")


def foretell(bits: np.ndarray, causes: Causes, selectivity: np.ndarray) -> np.ndarray:
    """(draw,): rank correlation of selectivity with entropy, over every draw's heads and images."""
    drawn = np.take_along_axis(selectivity, causes.heads, 1)
    return rank_correlation(np.stack([drawn, bits[causes.heads]], -1))


def report_roles(read, causes: Causes) -> None:
    """One line a rule. Causally pure heads are those of which one concept takes more of the cost than all others."""
    pure = causes.share[0].max(1) > 0.5
    click.echo(
        f"{pure.sum()} of {len(pure)} heads have one concept that takes more of the cost than all others together"
    )
    click.echo("attribute  mixed  general.  right  found   F1 [less the default's]   selectivity of each role   rule")
    default = {"roles_by": "threshold", **dict(zip(("low", "high"), ScoreConfig.BOUNDS, strict=True))}
    base = agreement(read(**default), causes)
    for rule in RULES:
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
