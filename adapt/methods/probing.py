"""What units of a tower do to a task, told by a few probing images: gains, p-values, and how sure the choice is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from headroles.adapt.methods.bypass import Unit, read_images
from headroles.adapt.methods.features import unit
from headroles.adapt.methods.method import Look
from headroles.models.hooked_clip import HookedCLIP, recording
from headroles.roles.concepts import q_values


@dataclass(frozen=True)
class Probes:
    """The probing images of one round."""

    trunk: Float[Tensor, "image token width"]
    """The method's trunk of them."""
    labels: Int[Tensor, "image"]
    """Their classes."""
    texts: Float[Tensor, "class embed"]
    """Frozen CLIP's unit embeddings of all classes."""
    numbers: tuple[int, ...]
    """Their numbers in the training."""

    @classmethod
    def draw(cls, look: Look, images: int, rounds: int, seed: int) -> list[Probes]:
        """Rounds of `images` training images each, no image twice; fewer where there are not enough.

        The images come by in a single pass, in which no more of them are kept than are drawn.
        """
        generator = torch.Generator().manual_seed(seed)
        kept: list[tuple[float, int, Tensor, Tensor]] = []
        texts = None
        for batch in look(None):
            texts = batch.texts.frozen
            ranks = torch.rand(len(batch.labels), generator=generator, dtype=torch.float64).tolist()
            rows = zip(ranks, batch.numbers, batch.trunk.unbind(), batch.labels.unbind(), strict=True)
            kept = sorted([*kept, *((*row[:2], row[2].clone(), row[3]) for row in rows)], key=lambda row: row[0])
            kept = kept[: images * rounds]
        assert texts is not None  # A training has images.
        parts = [kept[start : start + images] for start in range(0, len(kept), images)]
        whole = [part for part in parts if len(part) == images] or parts[:1]
        return [
            cls(torch.stack([row[2] for row in part]), torch.stack([row[3] for row in part]), texts, numbers)
            for part in whole
            for numbers in (tuple(row[1] for row in part),)
        ]


@dataclass(frozen=True)
class Trial:
    """What bypassing one unit does."""

    unit: Unit
    """The unit."""
    gain: float
    """Mean over the probing images of what is gained by bypassing it: above 0, it harms the task."""
    p_value: float
    """One-sided, by a paired bootstrap over the probing images."""
    q_value: float
    """Benjamini-Hochberg over all that was tried."""
    chosen: float
    """Share of the resamples in which it has the largest gain, above 0; by chance all units are chosen alike."""

    @classmethod
    def of(
        cls, units: Sequence[Unit], gains: Sequence[float], p_values: Sequence[float], chosen: Sequence[float]
    ) -> list[Trial]:
        """One a unit, with q-values over all."""
        adjusted = q_values(np.asarray(p_values, float)).tolist()
        return [cls(*row) for row in zip(units, gains, p_values, adjusted, chosen, strict=True)]


def judge(units: Sequence[Unit], gains: Float[ndarray, "image unit"], resamples: int, seed: int) -> list[Trial]:
    """Trials of units, in their order, from every probing image's gain by each."""
    images = len(gains)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(images, np.full(images, 1 / images), resamples) / images
    means = weights @ gains
    p_values = (1 + (means <= 1e-12).sum(0)) / (1 + resamples)
    best, helps = means.argmax(1), means.max(1) > 1e-12
    chosen = np.bincount(best[helps], minlength=len(units)) / resamples
    return Trial.of(units, gains.mean(0).tolist(), p_values.tolist(), chosen.tolist())


def score_images(
    embeddings: Float[Tensor, "... image embed"], probes: Probes, measure: str
) -> Float[Tensor, "... image"]:
    """Of every image 1 or 0 ("accuracy"), or the cosine of its class less that of the best other ("margin")."""
    cosines = unit(embeddings) @ probes.texts.T
    if measure == "accuracy":
        return (cosines.argmax(-1) == probes.labels).to(cosines.dtype)
    own = torch.nn.functional.one_hot(probes.labels, cosines.shape[-1]).bool()
    return (cosines * own).sum(-1) - cosines.masked_fill(own, -torch.inf).max(-1).values


@torch.no_grad()
def direct_gains(
    model: HookedCLIP, probes: Probes, first: int, heads: Sequence[Unit], intact: Float[Tensor, "image"], measure: str
) -> Float[ndarray, "head"]:
    """Mean gains by taking heads' own parts out of the embedding alone, all from one pass from layer `first` on."""
    tower = model.visual
    names = [f"visual.blocks.{layer}.attn.hook_z" for layer in range(first, tower.layers)]
    scale = "visual.ln_final.hook_scale"
    with recording(model, {name: _cls for name in names} | {scale: lambda rows: rows}) as seen:
        last = tower.run(probes.trunk.to(model.dtype), range(first, tower.layers))
        embedding = read_images(tower, last)
    z = torch.stack([seen[name] for name in names], 1) / seen[scale].reshape(-1, 1, 1, 1)
    parts = torch.einsum("ilhk,lhkd->lhid", z, tower.bases()[first:])
    chosen = torch.stack([parts[layer - first, head or 0] for layer, head in heads])
    scores = score_images(embedding - chosen, probes, measure)
    found: ndarray = (scores - intact).double().mean(-1).cpu().numpy()
    return found


def _cls(z: Float[Tensor, "image token head width"]) -> Float[Tensor, "image head width"]:
    return z[:, 0]
