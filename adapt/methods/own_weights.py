"""A CLIP's own weights, trained: copies that stand in the model's place while a method runs it, and no longer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from headroles.adapt.methods.acting import TEXT, VISION, Acting
from headroles.adapt.methods.averaging import mix
from headroles.models.hooked_clip import HookedCLIP


@contextmanager
def swapped(model: HookedCLIP, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """While open, `tensors`, with their gradients, are the weights of these names (`model.clip.named_parameters()`).

    They are cast to the model's type. What makes them may be trained: copies, low-rank sums, edits of a head.
    """
    before: list[tuple[nn.Module, str, nn.Parameter | None]] = []
    owners, kind = dict(model.clip.named_modules()), model.dtype
    try:
        for name, tensor in tensors.items():
            place, _, leaf = name.rpartition(".")
            owner = owners[place]
            before.append((owner, leaf, owner._parameters[leaf]))
            owner._parameters[leaf] = tensor.to(kind)
        yield
    finally:
        for owner, leaf, parameter in before:
            owner._parameters[leaf] = parameter


@contextmanager
def standing_in(places: Iterable[tuple[nn.Module, nn.Module]]) -> Iterator[None]:
    """While open, what passes the first module of each pair runs the second one's forward; hooks stay as they are."""
    pairs = list(places)
    try:
        for module, other in pairs:
            module.__dict__["forward"] = other.forward
        yield
    finally:
        for module, _ in pairs:
            module.__dict__.pop("forward", None)


def names_within(model: HookedCLIP, modules: Iterable[nn.Module]) -> list[str]:
    """The CLIP's names of all weights within modules of it, in its order."""
    within = {id(weight) for module in modules for weight in module.parameters()}
    return [name for name, weight in model.clip.named_parameters() if id(weight) in within]


class OwnWeights(nn.Module):
    """Trained copies of a CLIP's weights, by its names with "/" for "."."""

    model: HookedCLIP
    """The frozen CLIP."""
    names: tuple[str, ...]
    """The CLIP's names of the weights."""

    def __init__(self, model: HookedCLIP, names: Iterable[str]) -> None:
        super().__init__()
        self.__dict__["model"] = model
        self.names = tuple(names)
        for name in self.names:
            frozen = model.clip.get_parameter(name).detach()
            single = torch.promote_types(frozen.dtype, torch.float32)
            self.register_parameter(name.replace(".", "/"), nn.Parameter(frozen.to(single, copy=True)))

    def tensors(self) -> dict[str, Tensor]:
        """The copies by the CLIP's names."""
        own = dict(self.named_parameters())
        return {name: own[name.replace(".", "/")] for name in self.names}

    def acting(self, prefix: str) -> dict[str, Acting]:
        """Where each acts, by PREFIX.NAME: in its layer; before the first one, there; behind the last one, there."""
        text, found = self.model.text, dict[str, Acting]()
        for side, tower in ((VISION, self.model.visual), (TEXT, text)):
            if tower is None:
                continue
            found |= dict.fromkeys(self.model.tower_weights(side == TEXT), Acting(side, (0,)))
            for layer in range(tower.layers):  # Each takes from the one before what lies in it, or behind it.
                found |= dict.fromkeys(names_within(self.model, tower.upper_modules(layer)), Acting(side, (layer,)))
        return {f"{prefix}.{name.replace('.', '/')}": found[name] for name in self.names if name in found}

    def averaged(self, shares: Mapping[str, Tensor | float]) -> dict[str, Tensor]:
        """New tensors of these shares of the trained weights, the rest of the frozen ones, in the model's type."""
        # Callers keep them, and tensors of inference mode cannot enter autograd later.
        with torch.inference_mode(False), torch.no_grad():
            frozen = {name: self.model.clip.get_parameter(name) for name in self.names}
            mixed = {name: mix(tensor, frozen[name], shares[name]) for name, tensor in self.tensors().items()}
            return {name: tensor.to(self.model.dtype) for name, tensor in mixed.items()}

    @torch.no_grad()
    def average(self, share: float, names: Iterable[str] | None = None) -> None:
        """Keep `share` of the trained weights and take the rest from the frozen ones; of these names, None: of all."""
        chosen = self.names if names is None else names
        for name in chosen:
            tensor = self.get_parameter(name.replace(".", "/"))
            tensor.copy_(mix(tensor, self.model.clip.get_parameter(name), share))
