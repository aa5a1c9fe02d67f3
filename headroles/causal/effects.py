"""What cutting heads costs every concept: margins of labelled images with and without sets of heads.

The final LayerNorm's deviation and the embedding's length stay those of the intact image, for both effects. All
concepts share them: let free, cutting a head that says much makes the rest of the embedding louder, and so sharpens
every concept that the head has nothing to do with. With them held, the direct effect is linear in the cut part.
(Where attention pools the embedding, each token has a deviation of its own: the total effect holds the length alone.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headroles.causal.head_record import SCALE, HeadRecord, first_row
from headroles.causal.margins import ValueTexts, margin
from headroles.heads.ablate import Ablator
from headroles.heads.names import Head
from headroles.heads.reference import HeadReference
from headroles.images.images import batches
from headroles.images.labelled import LabelledImages
from headroles.models.finite import check_rows
from headroles.models.hooked_clip import HookedCLIP, recording
from headroles.passes.image_pass import Progress
from headroles.shapes.world import ABSENT

_CHUNK = 20_000_000
"""Logits held at once."""

HeadSet = tuple[Head, ...]


@dataclass(frozen=True)
class EffectSums:
    """Sums over images, in disjoint blocks, for each set of heads that was cut."""

    margin: Float[Tensor, "block set concept"]
    """Sum of the right values' margins, in nats, float64."""
    right: Float[Tensor, "block set concept"]
    """How many right values were the likeliest."""
    count: Float[Tensor, "block concept"]
    """How many images have a value of the concept."""

    @classmethod
    def empty(cls, blocks: int, sets: int, concepts: int) -> EffectSums:
        """No image yet."""
        zeros = torch.zeros(blocks, sets, concepts, dtype=torch.float64)
        return cls(zeros, zeros.clone(), zeros[:, 0].clone())

    def add(
        self,
        place: int,
        logits: Float[Tensor, "image set value"],
        concept: int,
        labels: Int[Tensor, "image"],
        block: Int[Tensor, "image"],
    ) -> None:
        """Fold in the sets from `place` on; images without a value are left out."""
        has = labels != ABSENT
        margins, right = margin(logits[has], labels[has])
        part = slice(place, place + logits.shape[1])
        for sums, values in ((self.margin, margins), (self.right, right)):
            sums[:, part, concept] += torch.zeros_like(sums[:, part, concept]).index_add(
                0, block[has], values.double().cpu()
            )
        if place == 0:
            self.count[:, concept] += block[has].bincount(minlength=len(self.count))


@torch.inference_mode()
def direct_effects(
    model: HookedCLIP,
    images: LabelledImages,
    record: HeadRecord,
    texts: ValueTexts,
    layers: Sequence[int],
    sets: Sequence[HeadSet],
    mode: str = "mean",
    seed: int = 0,
    blocks: int = 32,
    factors: Sequence[float] | None = None,
) -> EffectSums:
    """Margins with only the heads' own parts of the embedding replaced, for all sets from one recorded pass.

    Means, and what resampling draws, are of the same images. `factors`: what each set is scaled by instead, about what
    would replace it.
    """
    left = torch.zeros(len(sets)) if factors is None else torch.tensor(factors)
    chosen = ((1 - left)[:, None] * _indicators(sets, layers, model.visual.heads)).to(model.device)
    bases = model.visual.bases()[list(layers)].flatten(0, 1).float()
    projected = [torch.einsum("hkd,vd->hkv", bases, rows.float()) for rows in texts.embeddings]
    part = _replaced(record.z, mode, seed).flatten(1, 2)
    cut = images.blocking.cut(images.blocking.limit(blocks))
    sums = EffectSums.empty(cut.count, len(sets), len(texts.names))
    step = max(1, _CHUNK // (len(sets) * max(rows.shape[1] for rows in texts.embeddings)))
    for start in range(0, len(part), step):
        rows = slice(start, start + step)
        length = record.embedding[rows].norm(dim=-1, keepdim=True)
        loss = part[rows] / (record.sigma[rows] * length)[..., None]
        for concept, values in enumerate(projected):
            own = record.embedding[rows] / length @ texts.embeddings[concept].float().T
            logits = own[:, None] - torch.einsum("sh,ihv->isv", chosen, torch.einsum("ihk,hkv->ihv", loss, values))
            numbers = record.index[rows]
            labels = torch.from_numpy(images.codes[numbers.numpy(), concept]).to(logits.device)
            sums.add(0, texts.scale * logits, concept, labels, cut.of(numbers))
    return sums


def _replaced(z: Float[Tensor, "image ..."], mode: str, seed: int) -> Float[Tensor, "image ..."]:
    """What cutting takes away: z minus what stands in for it."""
    if mode == "zero":
        return z
    if mode == "mean":
        return z - z.mean(0, keepdim=True)
    donors = torch.randint(len(z), (len(z),), generator=torch.Generator().manual_seed(seed))
    return z - z[donors.to(z.device)]


def _indicators(sets: Sequence[HeadSet], layers: Sequence[int], heads: int) -> Float[Tensor, "set head"]:
    """1 where a set has a head, over the heads of `layers` in order."""
    chosen = torch.zeros(len(sets), len(layers) * heads)
    for row, members in enumerate(sets):
        chosen[row, [layers.index(layer) * heads + head for layer, head in members]] = 1
    return chosen


@torch.inference_mode()
def total_effects(
    model: HookedCLIP,
    images: LabelledImages,
    texts: ValueTexts,
    sets: Sequence[HeadSet],
    reference: HeadReference | None,
    mode: str = "mean",
    seed: int = 0,
    blocks: int = 32,
    batch: int = 64,
    workers: int = 0,
    progress: Progress | None = None,
    factors: Sequence[float] | None = None,
) -> EffectSums:
    """Margins with the heads replaced where they write, and all later layers run again.

    The layers below a set's first one run once a batch. `reference` is needed for all modes but "zero". `factors`: what
    each set is scaled by instead, about what would replace it.
    """
    factors = [0.0] * len(sets) if factors is None else factors
    ablator = Ablator(model, mode, "total", reference, seed)
    cut = images.blocking.cut(images.blocking.limit(blocks))
    sums = EffectSums.empty(cut.count, len(sets), len(texts.names))
    for index, pixels, _ in batches(images.images, batch, workers):
        if not len(index):
            continue
        runs = _TotalRuns(model, ablator, pixels)
        codes = torch.from_numpy(images.codes[index.numpy()])
        for row, (members, factor) in enumerate(zip(sets, factors, strict=True)):
            embedding = runs.embed(members, factor)
            check_rows(embedding, images.images.name, index.tolist())
            for concept, rows in enumerate(texts.embeddings):
                logits = texts.scale * embedding @ rows.float().T
                sums.add(row, logits[:, None], concept, codes[:, concept].to(logits.device), cut.of(index))
        if progress:
            progress(int(index[-1]) + 1, len(images))
    return sums


class _TotalRuns:
    """One batch, run again and again from where a set of heads begins to matter."""

    def __init__(self, model: HookedCLIP, ablator: Ablator, pixels: Float[Tensor, "image 3 height width"]) -> None:
        self.model, self.ablator = model, ablator
        self.residuals = [model.start_images(pixels)]
        self.constant = model.visual.constant().float()
        embedding, self.sigma = self._finish(0, keep=True)
        self.length = embedding.norm(dim=-1, keepdim=True)

    def embed(self, heads: HeadSet, factor: float = 0.0) -> Float[Tensor, "image embed"]:
        """The embedding without these heads, or with them scaled, over the intact image's deviation and length."""
        with self.ablator.cutting(heads, factor):
            first = min((layer for layer, _ in heads), default=len(self.residuals) - 1)
            embedding, sigma = self._finish(first)
        if not self.model.visual.at_row:  # One deviation a token: there is no common factor to hold.
            return embedding / self.length
        return ((embedding - self.constant) * (sigma / self.sigma) + self.constant) / self.length

    def _finish(self, first: int, keep: bool = False) -> tuple[Float[Tensor, "image embed"], Float[Tensor, "image 1"]]:
        """Embedding and deviation, from the residual stream before layer `first`; `keep` stores all such streams."""
        tower, residual = self.model.visual, self.residuals[first]
        for layer in range(first, tower.layers):
            residual = tower.run(residual, [layer])
            if keep:
                self.residuals.append(residual)
        with recording(self.model, {SCALE: torch.clone}) as seen:
            embedding = tower.read(residual[:, 0] if tower.at_row else residual)
        return embedding.float(), first_row(seen[SCALE]).float()
