"""What a task's images lose when a head is cut: all direct effects from one pass, total effects head by head.

A head that is cut writes its mean over the images instead. Its total effect is what later layers make of that; its
direct effect is that of its own part of the embedding alone (TextSpan, arXiv 2310.05916, sec. 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import DataLoader

from headroles.adapt.data.examples import Example
from headroles.adapt.data.tasks import TaskImages
from headroles.adapt.methods.bypass import read_images
from headroles.adapt.methods.features import unit
from headroles.causal.margins import margin
from headroles.heads.ablate import Ablator
from headroles.heads.contributions import image_contributions
from headroles.heads.names import Head
from headroles.heads.reference import HeadReference
from headroles.images.counting import counted
from headroles.images.images import Preprocess
from headroles.models.finite import check_rows
from headroles.models.hooked_clip import HookedCLIP, recording


@dataclass(frozen=True)
class TaskPixels:
    """Some images of a task, preprocessed and held."""

    pixels: tuple[Float[Tensor, "image 3 height width"], ...]
    """In batches."""
    labels: Int[Tensor, "image"]
    """Their classes."""

    @classmethod
    def open(cls, examples: Sequence[Example], preprocess: Preprocess, batch: int) -> TaskPixels:
        """InputError names a file that cannot be read."""
        loader = DataLoader(TaskImages(examples, preprocess), batch_size=batch)
        rows = list(counted(loader, "reading images", len(examples), size=lambda each: len(each[0])))
        return cls(tuple(pixels for _, pixels, _ in rows), torch.cat([labels for _, _, labels in rows]))


@dataclass(frozen=True)
class HeadCosts:
    """What every image loses without every head; margins are log odds of its class, in nats."""

    right: Float[Tensor, "image"]
    """1 where the intact CLIP names the class."""
    margin: Float[Tensor, "image head"]
    """Margin lost, total effect."""
    accuracy: Float[Tensor, "image head"]
    """1 where a right answer is lost by the total effect, -1 where one is won."""
    direct: Float[Tensor, "image head"]
    """Margin lost, direct effect."""
    logits: Float[Tensor, "image class"]
    """The intact CLIP's."""
    parts: Float[Tensor, "image head class"]
    """What each head adds to them, less its mean over the images."""


@torch.inference_mode()
def measure_costs(
    model: HookedCLIP, images: TaskPixels, texts: Float[Tensor, "class embed"], heads: Sequence[Head]
) -> HeadCosts:
    """Cut each of the heads alone, on all images. `texts`: unit embeddings of the classes; for models read at CLS."""
    scale, tower = model.logit_scale, model.visual
    reference = _mean_outputs(model, images.pixels, sorted({layer for layer, _ in heads}))
    ablator = Ablator(model, "mean", "total", reference)
    whole, cut, parts = [], [], []
    for pixels in counted(images.pixels, "cutting heads", len(images.labels), size=len):
        residuals = [model.start_images(pixels)]
        for layer in range(tower.layers):
            residuals.append(tower.run(residuals[-1], [layer]))
        embedding = read_images(tower, residuals[-1])
        whole.append(scale * unit(embedding) @ texts.T)
        written = image_contributions(model, pixels).heads / embedding.norm(dim=-1)[:, None, None, None]
        parts.append(torch.stack([scale * written[:, layer, head] @ texts.T for layer, head in heads], 1))
        without = []
        for layer, head in heads:
            with ablator.cutting([(layer, head)]):
                last = tower.run(residuals[layer], range(layer, tower.layers))
            without.append(scale * unit(read_images(tower, last)) @ texts.T)
        cut.append(torch.stack(without, 1))
    logits, total, added = torch.cat(whole), torch.cat(cut), torch.cat(parts)
    check_rows(logits, lambda number: f"image {number + 1} of the task")
    added = added - added.mean(0)
    labels = images.labels.to(logits.device)
    before, right = margin(logits, labels)
    after, still = margin(total, labels)
    direct, _ = margin(logits[:, None] - added, labels)
    lost = right.double()[:, None] - still.double()
    return HeadCosts(right.double(), before[:, None] - after, lost, before[:, None] - direct, logits, added)


def _mean_outputs(model: HookedCLIP, batches: Sequence[Tensor], layers: Sequence[int]) -> HeadReference:
    names = [f"visual.blocks.{layer}.attn.hook_z" for layer in layers]
    total, count = torch.zeros((), dtype=torch.float64, device=model.device), 0
    with recording(model, dict.fromkeys(names, lambda z: z.double().sum(0))) as seen:
        for pixels in batches:
            model(pixels.to(model.device, model.dtype))
            total, count = total + torch.stack([seen[name] for name in names]), count + len(pixels)
    mean = (total / count).to(model.dtype)
    return HeadReference(tuple(layers), mean, mean.new_zeros((0, *mean.shape)), count, model.weights_hash())
