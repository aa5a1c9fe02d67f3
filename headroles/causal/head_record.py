"""HeadRecord: what the heads of some layers wrote into CLS, image by image, from one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headroles.errors import InputError
from headroles.heads.moments import observe
from headroles.images.images import Watch, batches
from headroles.images.labelled import LabelledImages
from headroles.models.finite import check_rows
from headroles.models.hooked_clip import HookedCLIP, recording
from headroles.passes.image_pass import Progress

SCALE = "visual.ln_final.hook_scale"
"""Where the final LayerNorm's deviation is read."""


@dataclass(frozen=True)
class HeadRecord:
    """What the heads of some layers wrote into CLS, image by image."""

    z: Float[Tensor, "image layer head width"]
    """Outputs before the output projection; of a tower that pools, each head's part of the embedding."""
    sigma: Float[Tensor, "image 1"]
    """The final LayerNorm's deviation; of a tower that pools, whose parts are whole, 1."""
    embedding: Float[Tensor, "image embed"]
    """Not normalised."""
    index: Int[Tensor, "image"]
    """Numbers of the readable images."""
    broken: tuple[str, ...]
    """Names of the others."""

    @classmethod
    @torch.inference_mode()
    def collect(
        cls,
        model: HookedCLIP,
        images: LabelledImages,
        layers: Sequence[int],
        batch: int = 64,
        workers: int = 0,
        progress: Progress | None = None,
        watch: Watch | None = None,
    ) -> HeadRecord:
        """One pass over the images."""
        parts: list[tuple[Tensor, ...]] = []
        broken: list[str] = []
        for index, pixels, errors in batches(images.images, batch, workers, watch):
            broken += [images.images.name(number) for number, _ in errors]
            if len(index):
                parts.append((*_observe(model, pixels, layers), index))
                for outputs in parts[-1][:3]:
                    check_rows(outputs, images.images.name, index.tolist())
            if progress:
                progress(sum(len(part[-1]) for part in parts) + len(broken), len(images))
        if sum(len(part[-1]) for part in parts) < 2:
            raise InputError(
                f"images: fewer than two of {len(images)} can be read; name readable image files", page="no-images"
            )
        z, sigma, embedding, index = (torch.cat(part) for part in zip(*parts, strict=True))
        return cls(z, sigma, embedding, index, tuple(broken))


def _observe(
    model: HookedCLIP, pixels: Float[Tensor, "image 3 height width"], layers: Sequence[int]
) -> tuple[Float[Tensor, "image layer head width"], Float[Tensor, "image 1"], Float[Tensor, "image embed"]]:
    """z, sigma and embeddings of a batch."""
    with recording(model, {SCALE: torch.clone, "visual.hook_embed": torch.clone}) as seen:
        u = observe(model, pixels, layers).float()
        embedding = seen["visual.hook_embed"].float()
    length = embedding.norm(dim=-1, keepdim=True)
    sigma = torch.ones_like(length) if not model.visual.at_row else first_row(seen[SCALE]).float()
    return u * (sigma * length)[..., None, None], sigma, embedding


def first_row(scale: Float[Tensor, "image *token 1"]) -> Float[Tensor, "image 1"]:
    """The final LayerNorm's deviation at CLS, whether the tower normalises CLS alone or all tokens."""
    return scale if scale.ndim == 2 else scale[:, 0]
