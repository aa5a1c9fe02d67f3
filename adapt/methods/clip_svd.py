"""CLIP-SVD (arXiv 2509.03740) in a form of heads: the singular values of each head's own W_V W_O are trained.

The published method trains those of whole matrices, which belong to no head. Here a head's M = W_V W_O = U S V', of
rank k, becomes U S* V'. As its z is x W_V + b_V, that is an edit of W_O alone: with W_V = Q R (QR) and M's
decomposition from that of the k x k matrix, W_O* = W_O + R^-1 U' (S* - S) V'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from headroles.adapt.config import Settings
from headroles.adapt.methods.acting import Acting
from headroles.adapt.methods.features import TextTrunk
from headroles.adapt.methods.own_weights import swapped
from headroles.adapt.methods.role_numbers import ALL, HEADS, free_heads, note_unused
from headroles.adapt.methods.upper_layers import UpperLayers, UpperMethod
from headroles.checks import check_choices, check_least
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP, Tower
from headroles.roles.role_map import RoleMap

_ROUNDING = 1e-10
"""Singular values of this share of a head's largest are zero, and stay so: their directions mean nothing."""


@dataclass(frozen=True)
class ClipSvdConfig(Settings):
    """Settings of CLIP-SVD in its form of heads; all ours."""

    heads: str = ALL
    """Free vision heads: "all"; by a role map "attribute" or "generalization", "random", as many as are Attribute, or
    "inverted", all that are scored and not Attribute."""
    roles_seed: int = 0
    """Seed of "random"."""
    vision: bool = True
    """Train heads of the vision tower."""
    text: bool = True
    """Train all heads of the text tower, which a role map does not know."""

    def __post_init__(self) -> None:
        self._check_types()
        check_choices(self, heads=HEADS)
        check_least(self, roles_seed=0)
        if not self.vision and not self.text:
            raise InputError("vision and text are both off: nothing is left to train; switch one on")


class HeadValues(nn.Module):
    """The singular values of free heads of one tower, and the output projections that they make."""

    model: HookedCLIP
    """The frozen CLIP."""
    tower: Tower
    """One of its towers."""
    values: Float[Tensor, "free width"]
    """Trained singular values of the free heads, layer by layer."""

    def __init__(self, model: HookedCLIP, tower: Tower, free: Bool[Tensor, "layer head"]) -> None:
        super().__init__()
        names = {id(weight): name for name, weight in model.clip.named_parameters()}
        self.places: list[tuple[str, list[int]]] = []
        """Of every layer with a free head, the name of its output projection and its free heads."""
        parts, layers = [], []
        for layer in range(tower.layers):
            heads = free[layer].nonzero()[:, 0].tolist()
            if heads:
                self.places.append((names[id(tower.projections(layer)["o"].weight)], heads))
                layers += [layer] * len(heads)
                parts.append(decompose_heads(tower, layer, heads))
        self.layers = tuple(layers)
        """The layer of every row of `values`."""
        sigma, left, right = (torch.cat(part).float() for part in zip(*parts, strict=True))
        self.__dict__["model"], self.__dict__["tower"] = model, tower
        self.values = nn.Parameter(sigma.clone())
        for name, tensor in (("_sigma", sigma), ("_left", left), ("_right", right)):
            self.register_buffer(name, tensor, persistent=False)

    def tensors(self) -> dict[str, Tensor]:
        """The output projections, by the CLIP's names."""
        sigma, left, right = (self.get_buffer(name) for name in ("_sigma", "_left", "_right"))
        edits = (left * (self.values - sigma)[:, None]) @ right
        found, begin = {}, 0
        for name, heads in self.places:
            weight = self.model.clip.get_parameter(name).detach().to(edits.dtype)
            edit = edits[begin : begin + len(heads)]
            if len(heads) < self.tower.heads:
                still = edits.new_zeros(self.tower.heads, *edits.shape[1:])
                edit = still.index_copy(0, torch.tensor(heads, device=edit.device), edit)
            found[name], begin = weight + edit.flatten(0, 1).T, begin + len(heads)
        return found


class ClipSvd(UpperMethod):
    """Everything else stays as it is. The published schedule is for whole matrices' values; its warm-up is ours."""

    name = "clip-svd"
    title = "CLIP-SVD of heads"
    source = "https://arxiv.org/abs/2509.03740"
    settings = ClipSvdConfig
    preset: ClassVar[Mapping[str, Any]] = {"lr": 4e-4, "weight_decay": 1e-2, "batch": 32, "epochs": 20}
    role_maps = "taken"
    novel = "by their texts, through the text tower's trained heads"

    config: ClipSvdConfig
    vision: HeadValues | None
    """Of the vision tower."""
    text: HeadValues | None
    """Of the text tower."""

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: ClipSvdConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        free, texts = self._find_free(), self.text_tower
        self.layer = int(free.any(1).nonzero()[0]) if free.any() else None
        self.vision = HeadValues(model, model.visual, free) if free.any() else None
        every = torch.ones(texts.layers, texts.heads, dtype=torch.bool)
        self.text = HeadValues(model, texts, every) if self.config.text else None
        first = model.visual.layers if self.layer is None else self.layer
        self.__dict__["_upper"] = UpperLayers(model, first, 0 if self.config.text else texts.layers)
        self.place()

    def _find_free(self) -> Bool[Tensor, "layer head"]:
        """Free heads of the vision tower; InputError where a role map is needed or names none."""
        tower, config = self.model.visual, self.config
        if not config.vision:
            return torch.zeros(tower.layers, tower.heads, dtype=torch.bool)
        return free_heads(self.role_map, tower, config.heads, config.roles_seed, self.name)

    @classmethod
    def first_layer(cls, model: HookedCLIP, config: ClipSvdConfig) -> int:
        return model.visual.layers if config.heads == ALL else 0

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"An adapter after [CLIP-SVD]({cls.source}): singular values of single heads' W_V W_O."

    def encode_images(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        with swapped(self.model, {} if self.vision is None else self.vision.tensors()):
            return self._upper.embed_images(trunk)

    def encode_texts(self, texts: TextTrunk) -> Float[Tensor, "class embed"]:
        if self.text is None:
            return texts.frozen
        with swapped(self.model, self.text.tensors()):
            return self._upper.embed_texts(texts)

    def acting(self) -> dict[str, Acting]:
        found = {}
        if self.vision is not None:
            found["vision.values"] = Acting.vision(self.vision.layers, "layers")
        if self.text is not None:
            found["text.values"] = Acting.text(self.text.layers, "layers")
        return found

    def notes(self) -> tuple[str, ...]:
        return note_unused(self.role_map, self.config.heads)

    def served_tensors(self) -> dict[str, Tensor]:
        return {} if self.vision is None else {f"adapter.{name}": each for name, each in self.vision.tensors().items()}


@torch.no_grad()
def decompose_heads(
    tower: Tower, layer: int, heads: Sequence[int]
) -> tuple[Float[Tensor, "free width"], Float[Tensor, "free width width"], Float[Tensor, "free width residual"]]:
    """Singular values S of heads' W_V W_O, and the factors with W_O = left diag(S) right; in float64.

    Columns of `left` are zero where S is.
    """
    modules, shape = tower.projections(layer), (tower.heads, tower.head_width)
    reading = modules["v"].weight.double().unflatten(0, shape)[list(heads)].mT
    writing = modules["o"].weight.double().T.unflatten(0, shape)[list(heads)]
    inner, outer = torch.linalg.qr(reading).R, torch.linalg.qr(writing.mT)
    turned, sigma, back = torch.linalg.svd(inner @ outer.R.mT)
    sigma = torch.where(sigma > _ROUNDING * sigma[:, :1], sigma, 0.0)
    left = torch.linalg.pinv(inner) @ turned * (sigma > 0)[:, None]
    return sigma, left, back @ outer.Q.mT
