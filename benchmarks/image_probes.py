"""Which thresholds suit image probes, and how many images do they need?

Half of the bundled model's deep heads, the specialists, were trained to follow one given concept; that is known from
training and not from any probe. For numbers of scenes and both shares this prints how many specialists have their own
concept as the dominant one, the largest entropy of a specialist and the smallest of any other head (thresholds between
the two tell them apart), and for lower thresholds how many heads of either kind become Attribute heads.
"""

from __future__ import annotations

from dataclasses import replace

import click
from benchmark import benchmark

from headroles import load
from headroles.bundled.specialists import SPECIALISTS
from headroles.images.labelled import open_labelled
from headroles.roles.config import ImageScoreConfig
from headroles.roles.role_map import ImagesInfo, ModelInfo, RoleMap
from headroles.roles.score_images import collect_values, explain_values

_LOWS = (0.2, 0.3, 0.4, 0.5, 0.6)


@benchmark()
@click.option("--scenes", default="250,500,1000,2000", show_default=True, help="Numbers of scenes.")
@click.option("--layers", default="deep", show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the scenes.")
def main(scenes: str, layers: str, seed: int) -> None:
    """Compare shares and thresholds on the bundled model; * marks the defaults."""
    model, config = load("shapes", "cpu"), ImageScoreConfig(layers=layers, bootstraps=2, seed=seed)
    info = ModelInfo("shapes", model.weights_hash(), model.visual.layers, model.visual.heads)
    lows = "  ".join(f"low {low}" for low in _LOWS)
    click.echo("scenes  shares    right concept  entropy: specialists, others  Attribute, specialists + others:")
    click.echo(f"{'':63}{lows}")
    for count in map(int, scenes.split(",")):
        moments, _ = collect_values(model, open_labelled("shapes", model.processor, count, seed), config)
        for shares in ("marginal", "unique"):
            varied = replace(config, shares=shares)
            role_map = explain_values(moments, varied, info, ImagesInfo("shapes", count, ()))
            mark = "*" if varied == config else " "
            click.echo(f"{count:>6} {mark}{shares:<9} {_row(role_map)}")


def _row(role_map: RoleMap) -> str:
    known = [head for head in role_map if (head.layer, head.head) in SPECIALISTS]
    others = [head for head in role_map if (head.layer, head.head) not in SPECIALISTS]
    right = sum(head.concept == SPECIALISTS[head.layer, head.head] for head in known)
    counts = [[sum(head.entropy <= low for head in group) for group in (known, others)] for low in _LOWS]
    ends = f"at most {max(head.entropy for head in known):.2f}, from {min(head.entropy for head in others):.2f}"
    return f"{right:>3} of {len(known):<6} {ends:<29}" + "  ".join(f"{one:>2} + {two:<2}" for one, two in counts)


if __name__ == "__main__":
    main()
