"""What would shuffled labels call significant? Random heads, tested by shuffling and by turning heads at random.

Heads that say nothing: eigenvalues of the bundled model's deep heads, or nearly equal ones ("flat": from 1 to 0.5, as
random models have), along random directions within each head's span, and TextSpan's picks for them. Each gets a p-value
of its Concept Entropy against shuffles of the bank's labels with its picks kept, and one against other rotations of the
same head. Prints how many come out at or below 0.05: of a test that holds its level, 5%. "clustered" is a bank of 14
random directions with 140 texts around each.
"""

from __future__ import annotations

import itertools

import click
import numpy as np
import torch
from benchmark import benchmark
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from headroles import HookedCLIP, ProbeBank, ScoreConfig, ShapesImages, load
from headroles.heads.constants import bases_of
from headroles.roles.concepts import concept_entropy, p_values, pick_weights
from headroles.roles.null import null_picks
from headroles.roles.score_texts import collect_moments
from headroles.roles.textspan import SELECTIONS, Picks, project_texts

_BANKS = "shapes,general,clustered"
_CONFIG = ScoreConfig()


@benchmark()
@click.option("--banks", default=_BANKS, show_default=True)
@click.option("--heads", default=50, show_default=True, help="Random heads of each deep head.")
@click.option("--draws", default=299, show_default=True, help="Shuffles, and rotations, that each is held against.")
@torch.inference_mode()
def main(banks: str, heads: int, draws: int) -> None:
    """Print the share of random heads with p <= 0.05."""
    model = load("shapes", "cpu")
    moments, _ = collect_moments(model, ShapesImages(model.processor, 500), _CONFIG)
    ((_, bases),) = bases_of(model.visual, moments.layers, _CONFIG.constants)
    whole = moments.covariance(torch.ones_like(moments.count)[None].double())[0].flatten(0, 1).double()
    click.echo("bank       eigenvalues  selection  random heads  p <= .05 by shuffling  by rotation")
    for name, spectrum, selection in itertools.product(banks.split(","), ("own", "flat"), SELECTIONS):
        texts, codes = embed(model, name)
        projected, factors = project_texts(texts, bases.flatten(0, 1))
        turned = factors.double() @ whole @ factors.double().mT
        if spectrum == "flat":
            turned = torch.linspace(1, 0.5, turned.shape[-1], dtype=turned.dtype).diag().expand_as(turned)
        asked = (heads + draws, _CONFIG.texts_per_head, selection)
        drawn = [null_picks(own, turned[at], *asked, at) for at, own in enumerate(projected)]
        shuffling, rotation = np.mean([significant(picks, codes, heads) for picks in drawn], 0)
        click.echo(
            f"{name:<11}{spectrum:<13}{selection:<11}{heads * len(drawn):>12}{shuffling:>23.1%}{rotation:>13.1%}"
        )


def embed(model: HookedCLIP, name: str) -> tuple[Float[Tensor, "text embed"], Int[ndarray, "text"]]:
    """A bank's texts and the numbers of their concepts."""
    if name != "clustered":
        bank = ProbeBank.load(name)
        return model.embed_texts(bank.texts).float(), np.array(bank.codes)
    drawn = torch.Generator().manual_seed(0)
    centres = torch.randn(14, model.visual.embed, generator=drawn)
    codes = np.repeat(np.arange(14), 140)
    texts = centres[codes] + 0.5 * torch.randn(len(codes), model.visual.embed, generator=drawn)
    return torch.nn.functional.normalize(texts, dim=-1), codes


def significant(picks: Picks, codes: Int[ndarray, "text"], heads: int) -> tuple[float, float]:
    """Share of the first `heads` draws with p <= 0.05, by shuffling and by the other draws."""
    index = picks.index[:, 0].numpy()
    weights = pick_weights(index, picks.share[:, 0].double().numpy(), _CONFIG.weights)
    own, others = np.split(entropies(codes[index], weights), [heads])
    shuffled = np.random.default_rng(1).permuted(np.tile(codes, (len(others), 1)), axis=1)
    null = entropies(shuffled[:, index[:heads]], weights[:heads])
    by_rotation = p_values(own, np.tile(others[:, None], (1, heads)))
    return float((p_values(own, null) <= 0.05).mean()), float((by_rotation <= 0.05).mean())


def entropies(codes: Int[ndarray, "... pick"], weights: Float[ndarray, "... pick"]) -> Float[ndarray, "..."]:
    """Concept Entropy in bits of picks of these concepts."""
    mass = np.stack([(weights * (codes == concept)).sum(-1) for concept in range(codes.max() + 1)], -1)
    return concept_entropy(mass / mass.sum(-1, keepdims=True))


if __name__ == "__main__":
    main()
