"""How many images do roles need? Roles of few images held against those of many, on the bundled model.

For every number of scenes, several draws of other scenes: the share of the deep heads with the role that they have on
2,000 scenes of yet another seed, and how many are called Attribute.
"""

from __future__ import annotations

import click
import numpy as np
from benchmark import benchmark

from headroles import ProbeBank, ScoreConfig, ShapesImages, load
from headroles.roles.role_map import ImagesInfo, RoleMap
from headroles.roles.score_texts import collect_moments, explain

MANY = 2000
FEW = (2, 5, 20, 50, 100)


@benchmark()
@click.option("--draws", default=5, show_default=True, help="Sets of scenes of each size.")
def main(draws: int) -> None:
    """Print the table."""
    model, bank, config = load("shapes", "cpu"), ProbeBank.load("shapes"), ScoreConfig(bootstraps=1)

    def score(count: int, seed: int) -> RoleMap:
        moments, seen = collect_moments(model, ShapesImages(model.processor, count, seed), config)
        return explain(model, moments, bank, config, ImagesInfo("shapes", seen.read, (), seen.sketch))

    many = [head.role for head in score(MANY, 0)]
    click.echo(f"shapes, layers deep, {len(many)} heads; of {MANY:,} scenes {many.count('attribute')} Attribute heads")
    click.echo("scenes  same role as of many (least, most)  Attribute heads")
    for count in FEW:
        found = [[head.role for head in score(count, 1 + seed)] for seed in range(draws)]
        same = [np.mean([a == b for a, b in zip(roles, many, strict=True)]) for roles in found]
        attribute = np.mean([roles.count("attribute") for roles in found])
        click.echo(f"{count:>6}  {np.mean(same):>21.0%} ({min(same):.0%}, {max(same):.0%}) {attribute:>16.1f}")


if __name__ == "__main__":
    main()
