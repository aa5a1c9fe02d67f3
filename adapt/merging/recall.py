"""RECALL (arXiv 2510.20479): an adapter counts, at every layer, as far as it sees the newest task as the newest does.

Of the newest task's images, typical ones are picked by clustering their representations. At a layer, S_i is the mean
over them of exp(-|r_i - r_N|^2 / (2 sigma^2)), r_i the hidden state in the CLIP with adapter i and N the newest; the
weights are softmax(S / temperature). Number of clusters, sigma and temperature are unpublished.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.cluster.vq import kmeans, vq
from torch import Tensor

from headroles.adapt.data.examples import Example
from headroles.adapt.merging.config import MergeConfig
from headroles.adapt.merging.hidden import HiddenStates, Place, represent
from headroles.adapt.methods.acting import Acting
from headroles.adapt.methods.method import Method


def pick_typical(method: Method, examples: Sequence[Example], clusters: int, seed: int) -> list[Example]:
    """The image nearest to every centre of k-means over the representations, each once, in their order."""
    rows = represent(method, examples).cpu().numpy()
    rows = rows / rows.std()
    centres, _ = kmeans(rows, min(clusters, len(rows)), seed=seed)
    nearest, _ = vq(centres, rows)
    return [examples[number] for number in sorted(set(nearest.tolist()))]


def similarities(states: Float[Tensor, "adapter sample width"], sigma: float | None = None) -> Float[Tensor, "adapter"]:
    """S of every adapter, in [0, 1]: how near its hidden states are to the last one's.

    `sigma`: None for the root of the median squared distance between two adapters.
    """
    apart = (states - states[-1]).square().sum(-1)
    first, second = torch.triu_indices(len(states), len(states), 1)
    variance = float((states[first] - states[second]).square().sum(-1).median()) if sigma is None else sigma**2
    # No distance at all: whoever is where the newest is, is wholly alike.
    near = torch.exp(-apart / (2 * variance)) if variance else (apart == 0).to(apart)
    return near.mean(1)


@dataclass(frozen=True)
class RecallWeights:
    """The weight of every adapter, place by place; over adapters they sum to 1."""

    count: int
    """How many adapters there are."""
    layers: Mapping[Place, Float[Tensor, "adapter"]]
    """Of the layers that the method runs anew; at the others all adapters are alike."""
    attributes: Mapping[str, Float[Tensor, "adapter"]]
    """Of the attribute tokens, by what they do at all of their layers."""

    @classmethod
    def of(cls, states: Sequence[HiddenStates], attributes: Sequence[str], config: MergeConfig) -> RecallWeights:
        """From the hidden states of all adapters on the typical images, the newest last."""

        def weigh(rows: Iterable[Tensor]) -> Tensor:
            found = similarities(torch.stack(list(rows)), config.sigma) / config.temperature
            return found.softmax(0).cpu()

        tokens = [each.attributes for each in states if each.attributes is not None]
        named = enumerate(attributes if tokens else ())
        return cls(
            len(states),
            {place: weigh(each.layers[place] for each in states) for place in sorted(states[0].layers)},
            {name: weigh(each[row] for each in tokens) for row, name in named},
        )

    @property
    def places(self) -> dict[str, tuple[float, ...]]:
        """Layer, such as "visual.6", or attribute -> weights."""
        named = {f"{tower}.{layer}": weights for (tower, layer), weights in self.layers.items()}
        return {name: tuple(weights.tolist()) for name, weights in {**named, **self.attributes}.items()}

    def at(self, acting: Acting | None) -> Float[Tensor, "adapter"] | Float[Tensor, "adapter row"]:
        """Of a tensor: the mean over the layers at which it acts, over all where that is not known; or row by row."""
        if acting is None:
            return self._mean(self.layers)
        if acting.rows == "attributes" and self.attributes:
            return torch.stack(list(self.attributes.values()), 1)
        places = [(acting.tower, layer) for layer in acting.layers]
        if acting.rows == "layers":
            return torch.stack([self._mean([place]) for place in places], 1)
        return self._mean(places)

    def _mean(self, places: Iterable[Place]) -> Float[Tensor, "adapter"]:
        found = [self.layers[place] for place in places if place in self.layers]
        return torch.stack(found).mean(0) if found else torch.full((self.count,), 1 / self.count, dtype=torch.double)
