"""How far every head has moved: 1 - cosine of its mean contribution to the embedding before and after training.

A head's contribution is z W_O / sigma, read out by the frozen CLIP's final LayerNorm and projection; z, sigma and,
where a method changes it, W_O are those of the adapted CLIP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity
from torch.utils.data import DataLoader

from headroles.adapt.data.augment import TaskImages
from headroles.adapt.data.examples import Example
from headroles.adapt.methods.method import Method
from headroles.images.counting import counted
from headroles.images.images import read_ahead
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.lens import HookPoint

_BATCH = 64


@dataclass
class _Heads:
    """What one forward of the vision tower shows of its heads; the first that is seen of each layer counts."""

    model: HookedCLIP
    outputs: dict[int, Float[Tensor, "image head width"]] = field(default_factory=dict)
    """z at CLS, by layer."""
    writing: dict[int, Float[Tensor, "head width residual"]] = field(default_factory=dict)
    """W_O, by layer."""
    scale: Float[Tensor, "image"] | None = None
    """sigma of the final LayerNorm at CLS."""

    def see_output(self, z: Tensor, hook: HookPoint) -> None:
        """Keep z, and the W_O that is in force now, whatever stands in for the frozen one."""
        layer = int(str(hook.name).split(".")[2])
        if layer in self.outputs:
            return
        self.outputs[layer] = z[:, 0].float()
        module, (heads, width) = self.model.visual.output(layer), z.shape[2:]
        inputs = torch.eye(heads * width, dtype=z.dtype, device=z.device)
        written = module.forward(inputs) - module.forward(torch.zeros_like(inputs[:1]))
        self.writing[layer] = written.float().unflatten(0, (heads, width))

    def see_scale(self, scale: Tensor, hook: HookPoint) -> None:
        """Keep sigma."""
        if self.scale is None:
            self.scale = (scale[:, 0] if scale.ndim > 2 else scale).flatten().float()

    def contributions(self) -> Float[Tensor, "layer head embed"]:
        """Their sums over images."""
        assert self.scale is not None  # Every forward ends with it.
        readout = self.model.visual.readout().float()
        means = [torch.einsum("ihk,hkd,i->hd", self.outputs[n], self.writing[n], 1 / self.scale) for n in self._layers]
        return torch.stack(means) @ readout

    @property
    def _layers(self) -> range:
        return range(self.model.visual.layers)


@contextmanager
def _watching(model: HookedCLIP) -> Iterator[_Heads]:
    seen = _Heads(model)
    hooks = [(f"visual.blocks.{layer}.attn.hook_z", seen.see_output) for layer in range(model.visual.layers)]
    with model.hooks(fwd_hooks=[*hooks, ("visual.ln_final.hook_scale", seen.see_scale)]):
        yield seen


def frozen_means(model: HookedCLIP, pixels: Sequence[Tensor]) -> Float[Tensor, "layer head embed"]:
    """Mean contributions of the frozen CLIP's heads over images, which come as batches of pixels."""
    return _mean(model, pixels, model)


def adapted_means(method: Method, pixels: Sequence[Tensor]) -> Float[Tensor, "layer head embed"]:
    """The same of a method's CLIP."""

    def run(images: Tensor) -> None:
        trunk = method.image_trunk(images)
        method.encode_images(trunk)

    return _mean(method.model, pixels, run)


@torch.inference_mode()
def _mean(
    model: HookedCLIP, pixels: Sequence[Tensor], run: Callable[[Tensor], object]
) -> Float[Tensor, "layer head embed"]:
    total, count = torch.zeros((), device=model.device), 0
    for images in counted(pixels, "drift of heads", sum(map(len, pixels)), size=len):
        with _watching(model) as seen:
            run(images.to(model.device, model.dtype))
        total, count = total + seen.contributions(), count + len(images)
    return total / count


def drift(
    before: Float[Tensor, "layer head embed"], after: Float[Tensor, "layer head embed"]
) -> Float[Tensor, "layer head"]:
    """1 - cosine, in [0, 2]; 0 where a head wrote nothing and writes nothing."""
    silent = (before.norm(dim=-1) == 0) & (after.norm(dim=-1) == 0)
    apart = 1 - cosine_similarity(before.double(), after.double(), dim=-1)
    return torch.where(silent, torch.zeros_like(apart), apart.clamp(0, 2))


def read_pixels(method: Method, examples: Sequence[Example], count: int) -> list[Tensor]:
    """Batches of pixels of `count` of the images, evenly chosen; of all, where there are fewer."""
    rows = range(len(examples))
    chosen = [row * len(examples) // count for row in range(count)] if len(examples) > count else rows
    images = TaskImages([examples[row] for row in chosen], method.preprocess)
    return [pixels for _, pixels, _ in read_ahead(DataLoader(images, batch_size=_BATCH))]
