"""HeadReference: what heads write on other images, to stand in for a head that is cut out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from headroles.errors import InputError
from headroles.images.images import Images, Watch, batches, count_images
from headroles.models.finite import check_rows
from headroles.models.hooked_clip import HookedCLIP, recording


@dataclass(frozen=True)
class HeadReference:
    """Outputs z of the heads of some layers, at every token: their mean, and those of a few images."""

    layers: tuple[int, ...]
    """Which layers, in the order of the tensors."""
    mean: Float[Tensor, "layer token head width"]
    """Mean over all images."""
    pool: Float[Tensor, "image layer token head width"]
    """Those of images drawn from them; none where the reference was collected for means alone."""
    images: int
    """How many images the mean is over."""
    weights_hash: str
    """Hash of the model whose heads these are."""
    broken: tuple[str, ...] = ()
    """Names of the files that could not be read."""

    @classmethod
    @torch.no_grad()  # Tensors of inference mode could not enter autograd.
    def collect(
        cls,
        model: HookedCLIP,
        images: Images,
        layers: Sequence[int] | None = None,
        pool: int = 64,
        seed: int = 0,
        batch: int = 64,
        workers: int = 0,
        watch: Watch | None = None,
    ) -> HeadReference:
        """One pass over the images; broken files are left out.

        `layers`: those to keep, all by default. `pool`: how many images to keep whole, drawn with `seed` (each takes
        tokens x width numbers a layer); 0 for the mean alone. A pooling layer (SigLIP) sees one token, so
        it is collected alone.
        """
        layers = tuple(range(model.visual.layers)) if layers is None else tuple(sorted(set(layers)))
        names = [f"visual.blocks.{layer}.attn.hook_z" for layer in layers]
        drawn = np.random.default_rng([seed, 3]).permutation(len(images))[:pool]
        if model.visual.pooling and model.visual.layers in layers and len(layers) > 1:
            raise InputError(f"layers: layer {model.visual.layers}, of the pooling head, is to be collected alone")
        total, count, kept, broken = torch.zeros((), dtype=torch.float64), 0, [], []
        with recording(model, {name: torch.clone for name in names}) as seen:
            read = batches(images, batch, workers, watch)
            for index, pixels, errors in count_images(read, "what heads write", len(images)):
                broken += [images.name(number) for number, _ in errors]
                if not len(index):
                    continue
                model(pixels.to(model.device, model.dtype))
                z = torch.stack([seen[name] for name in names], 1)
                check_rows(z, lambda number: images.name(number), index.tolist())
                total = total + z.double().sum(0)
                count += len(index)
                kept.append(z[torch.from_numpy(np.isin(index.numpy(), drawn)).to(z.device)])
        if not count:
            raise InputError(
                f"images: none of {len(images)} can be read; a reference needs at least one",
                page="no-images",
            )
        return cls(layers, (total / count).to(model.dtype), torch.cat(kept), count, model.weights_hash(), tuple(broken))

    def check(self, model: HookedCLIP) -> None:
        """InputError where this is another model's reference."""
        if self.weights_hash != model.weights_hash():
            raise InputError(f"reference: it is not of model {model.model_name}; collect one with that model")

    def check_layers(self, layers: Iterable[int]) -> None:
        """InputError where it lacks one of the layers."""
        lacking = sorted(set(layers) - set(self.layers))
        if lacking:
            raise InputError(f"reference: it lacks layer {lacking[0]}; collect it with that layer")

    def mean_of(self, layer: int) -> Float[Tensor, "token head width"]:
        """The mean of a layer's heads."""
        return self.mean[self.layers.index(layer)]

    def pool_of(self, layer: int) -> Float[Tensor, "image token head width"]:
        """The kept images' outputs of a layer's heads."""
        return self.pool[:, self.layers.index(layer)]
