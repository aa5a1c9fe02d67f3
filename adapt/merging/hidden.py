"""Hidden states of an adapted CLIP, layer by layer: what its method makes of images and of classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader

from headroles.adapt.data.augment import TaskImages
from headroles.adapt.data.examples import Example
from headroles.adapt.methods.acting import TEXT, VISION
from headroles.adapt.methods.method import Method
from headroles.images.counting import counted
from headroles.images.images import read_ahead
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.lens import HookPoint

_BATCH = 64
Place = tuple[str, int]
"""Tower and layer."""


@dataclass(frozen=True)
class HiddenStates:
    """Of one adapted CLIP; layers below the first that its method runs anew are the frozen CLIP's, and not here."""

    layers: Mapping[Place, Float[Tensor, "sample width"]]
    """Mean over tokens of the residual stream behind a layer; samples are images, or classes in the text tower."""
    attributes: Float[Tensor, "attribute sample layered_width"] | None
    """The attribute tokens behind all of their layers, one after the other; None of a method without."""


@contextmanager
def listening(model: HookedCLIP, tower: str) -> Iterator[dict[int, list[Tensor]]]:
    """While open, the residual streams behind every layer of a tower, in the order in which they are computed."""
    seen: dict[int, list[Tensor]] = {}

    def keep(tensor: Tensor, hook: HookPoint) -> None:
        seen.setdefault(int(str(hook.name).split(".")[2]), []).append(tensor.detach())

    names = [f"{tower}.blocks.{layer}.hook_resid_post" for layer in range(getattr(model, tower).layers)]
    with model.hooks(fwd_hooks=[(name, keep) for name in names]):
        yield seen


@torch.inference_mode()
def read_hidden(method: Method, examples: Sequence[Example], classes: Sequence[str], template: str) -> HiddenStates:
    """What the method makes of these images, and of these classes' texts."""
    parts: dict[Place, list[Tensor]] = {}
    tokens: list[Tensor] = []
    for trunk in _trunks(method, examples):
        with listening(method.model, VISION) as seen:
            method.encode_images(trunk)
        for layer, streams in seen.items():
            parts.setdefault((VISION, layer), []).append(streams[0].double().mean(1))
        if method.attributes and seen:
            # Where a layer runs them apart from the others, they come last, alone; else they are its last rows.
            rows = [streams[-1][:, -len(method.attributes) :].double() for _, streams in sorted(seen.items())]
            tokens.append(torch.cat(rows, -1))
    with listening(method.model, TEXT) as seen:
        texts = method.class_trunk(classes, template)
        seen.clear()  # Those are the frozen CLIP's.
        method.encode_texts(texts)
    for layer, streams in seen.items():
        parts[TEXT, layer] = [streams[0].double().mean(1)]
    layers = {place: torch.cat(several) for place, several in parts.items()}
    return HiddenStates(layers, torch.cat(tokens).transpose(0, 1) if tokens else None)


@torch.inference_mode()
def represent(method: Method, examples: Sequence[Example]) -> Float[Tensor, "sample width"]:
    """Mean over tokens of the last layer's residual stream, adapted where the method adapts images."""
    last, rows = method.model.visual.layers - 1, []
    with listening(method.model, VISION) as seen:
        for trunk in _trunks(method, examples):
            below = seen.pop(last, [])
            method.encode_images(trunk)
            rows.append((seen.pop(last, []) or below)[0].double().mean(1))
            seen.clear()
    return torch.cat(rows)


def _trunks(method: Method, examples: Sequence[Example]) -> Iterator[Tensor]:
    loader = DataLoader(TaskImages(examples, method.preprocess), batch_size=_BATCH)
    for _, pixels, _ in counted(read_ahead(loader), "reading images", len(examples), size=lambda each: len(each[1])):
        yield method.image_trunk(pixels)
