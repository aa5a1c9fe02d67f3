"""Do entropies and roles mean the same under other numbers of concepts? In units of log2 C, and of chance.

The same heads and the same texts of the bundled model, under the bank's concepts, these cut into three at random, and
every text as a concept of its own. Prints, for either unit of Concept Entropy, the role counts, Spearman's correlation
with the bank's own concepts, and the share of heads that keep their role. The rule for log2 C is the one that went with
it: Attribute up to 0.5, Generalization from 0.6 on, no null model asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import click
import numpy as np
from benchmark import benchmark
from scipy.stats import spearmanr

from headroles import ProbeBank, RoleMap, ScoreConfig, ShapesImages, load
from headroles.roles.role_map import ROLES, ImagesInfo
from headroles.roles.rules import assign_roles
from headroles.roles.score_texts import collect_moments, explain

Reading = tuple[list[float], list[str]]
"""Entropies in some unit, and the roles that follow."""
Read = Callable[[RoleMap], Reading]


def relabelled(bank: ProbeBank, cuts: int) -> dict[str, ProbeBank]:
    """Name -> the same texts under other concepts; `cuts` random ways to cut every concept into three."""
    labels = {"the bank's": bank.labels}
    for seed in range(cuts):
        parts = np.random.default_rng(seed).integers(0, 3, len(bank.texts))
        labels[f"in three, {seed}"] = tuple(f"{one} {part}" for one, part in zip(bank.labels, parts, strict=True))
    labels["every text"] = tuple(f"text {row}" for row in range(len(bank.texts)))
    return {name: ProbeBank(name, bank.texts, each) for name, each in labels.items()}


def by_log2(role_map: RoleMap) -> Reading:
    """Entropies over log2 of the number of concepts."""
    entropy = np.array([head.entropy_bits for head in role_map]) / math.log2(len(role_map.concepts))
    return entropy.tolist(), assign_roles(entropy, np.zeros(len(entropy)), "threshold", 0.5, 0.6)


def by_chance(role_map: RoleMap) -> Reading:
    """As they are today."""
    return [head.entropy for head in role_map], [head.role for head in role_map]


@benchmark()
@click.option("--scenes", default=2000, show_default=True)
@click.option("--layers", default="deep", show_default=True)
@click.option("--cuts", default=3, show_default=True, help="Random ways to cut every concept into three.")
def main(scenes: int, layers: str, cuts: int) -> None:
    """Compare units of Concept Entropy under other concepts of the same texts."""
    model, config = load("shapes", "cpu"), ScoreConfig(layers=layers, bootstraps=1)
    moments, _ = collect_moments(model, ShapesImages(model.processor, scenes), config)
    banks = relabelled(ProbeBank.load("shapes"), cuts)
    info = ImagesInfo("shapes", scenes, ())
    maps = {name: explain(model, moments, bank, config, info) for name, bank in banks.items()}
    click.echo(f"shapes, layers {layers}, {scenes} scenes")
    click.echo("unit    concepts         C  attribute  mixed  general.  rank corr.  same role  Attribute <-> General.")
    units: dict[str, Read] = {"log2 C": by_log2, "chance": by_chance}
    for unit, read in units.items():
        for name, role_map in maps.items():
            row = compare(read(maps["the bank's"]), read(role_map))
            click.echo(f"{unit:<8}{name:<12}{len(role_map.concepts):>6}{row}")


def compare(own: Reading, other: Reading) -> str:
    """Counts of the other's roles, and how far it agrees with the own one."""
    pairs = list(zip(own[1], other[1], strict=True))
    same = np.mean([one == two for one, two in pairs])
    swapped = sum({one, two} == {"attribute", "generalization"} for one, two in pairs)
    attribute, mixed, general = (other[1].count(role) for role in ROLES)
    rank = spearmanr(own[0], other[0]).statistic
    return f"{attribute:>11}{mixed:>7}{general:>10}{rank:>12.2f}{same:>11.0%}{swapped:>24}"


if __name__ == "__main__":
    main()
