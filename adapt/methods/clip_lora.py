"""CLIP-LoRA (CVPRW 2024, arXiv 2405.18541): low-rank sums in both towers' attention, by the library `peft`.

Of the vision tower, sums may be those of chosen heads (ours): of B only the rows are there that are theirs, and for
W_O, which reads heads, of A only the columns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from headroles.adapt.config import Settings, TrainConfig
from headroles.adapt.methods.acting import TEXT, VISION, Acting
from headroles.adapt.methods.features import TextTrunk
from headroles.adapt.methods.own_weights import standing_in
from headroles.adapt.methods.role_numbers import ALL, HEADS, free_heads, note_unused
from headroles.adapt.methods.training_data import TrainingData
from headroles.adapt.methods.upper_layers import UpperLayers, UpperMethod
from headroles.checks import check_choices, check_least
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap

_ONLY = "lora"
"""peft's name of the one adapter that a layer has."""


@dataclass(frozen=True)
class ClipLoraConfig(Settings):
    """Settings of CLIP-LoRA, as in its code."""

    rank: int = 2
    """Rank of every sum."""
    strength: float = 1.0
    """LoRA's alpha: the sum is multiplied by alpha / sqrt(rank)."""
    dropout: float = 0.25
    """Share of a sum's input that is dropped in training, in [0, 1)."""
    matrices: tuple[str, ...] = ("q", "k", "v")
    """Which of the attention's matrices get a sum: "q", "k", "v", "o"."""
    vision: bool = True
    """In the vision tower."""
    text: bool = True
    """In the text tower; there all heads have sums, as a role map does not know them."""
    heads: str = ALL
    """Vision heads with sums: "all"; by a role map "attribute" or "generalization", "random", as many as are Attribute,
    or "inverted", all that are scored and not Attribute. Ours."""
    roles_seed: int = 0
    """Seed of "random"."""

    def __post_init__(self) -> None:
        self._check_types()
        check_least(self, rank=1, roles_seed=0)
        check_choices(self, heads=HEADS)
        self._check_above_zero("strength")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        if not self.matrices or not set(self.matrices) <= set("qkvo") or len(set(self.matrices)) < len(self.matrices):
            raise InputError(f"matrices must be some of q, k, v, o, each once, got {', '.join(self.matrices)}")
        if not self.vision and not self.text:
            raise InputError("vision and text are both off: nothing is left to train; switch one on")


class ClipLora(UpperMethod):
    """A + B of every chosen matrix of every layer, around frozen ones; in place of these only while it runs.

    Published are 500 steps a shot. Where all images are trained on, the number of epochs is ours.
    """

    name = "clip-lora"
    title = "CLIP-LoRA"
    source = "https://arxiv.org/abs/2405.18541"
    settings = ClipLoraConfig
    preset: ClassVar[Mapping[str, Any]] = {
        **{"lr": 2e-4, "weight_decay": 1e-2, "batch": 32, "epochs": 50, "warmup_epochs": 0}
    }
    role_maps = "taken"
    preset_by_data = "as many epochs as make 500 steps a shot"
    novel = "by their texts, through the text tower with its sums"

    config: ClipLoraConfig
    sums: nn.ParameterDict
    """Tower, layer, matrix and "A" or "B", with "/" between -> tensor."""
    _layers: dict[str, Any]
    _pairs: list[tuple[nn.Module, nn.Module]]

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: ClipLoraConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        free, texts = self._find_free(), self.text_tower.layers
        self.layer = int(free.any(1).nonzero()[0]) if free.any() else None
        frozen = self._list_matrices(free)
        # Outside the module tree: peft's layers hold the frozen weights that they add to.
        self.__dict__["_layers"] = layers = build_sums(frozen, self.config, seed)
        self.__dict__["_pairs"] = [(frozen[place], layer) for place, layer in layers.items()]
        first = model.visual.layers if self.layer is None else self.layer
        self.__dict__["_upper"] = UpperLayers(model, first, 0 if self.config.text else texts)
        self.sums = nn.ParameterDict()
        for place, layer in layers.items():
            tower, number, matrix = place.split("/")
            heads = free[int(number)] if tower == "vision" else None
            self.sums[f"{place}/A"] = keep_heads(layer.lora_A[_ONLY], 1, heads if matrix == "o" else None)
            self.sums[f"{place}/B"] = keep_heads(layer.lora_B[_ONLY], 0, None if matrix == "o" else heads)
        self.place()

    def _find_free(self) -> Bool[Tensor, "layer head"]:
        """Vision heads with sums."""
        tower, config = self.model.visual, self.config
        if not config.vision:
            return torch.zeros(tower.layers, tower.heads, dtype=torch.bool)
        return free_heads(self.role_map, tower, config.heads, config.roles_seed, self.name)

    def _list_matrices(self, free: Bool[Tensor, "layer head"]) -> dict[str, nn.Linear]:
        """The matrices that get a sum, by tower, layer and letter."""
        places = [("vision", self.model.visual, layer) for layer in free.any(1).nonzero()[:, 0].tolist()]
        places += [("text", self.text_tower, layer) for layer in range(self.text_tower.layers * self.config.text)]
        return {
            f"{name}/{layer}/{matrix}": tower.projections(layer)[matrix]
            for name, tower, layer in places
            for matrix in self.config.matrices
        }

    @classmethod
    def first_layer(cls, model: HookedCLIP, config: ClipLoraConfig) -> int:
        return model.visual.layers if config.heads == ALL else 0

    @classmethod
    def preset_for(cls, data: TrainingData, train: TrainConfig) -> Mapping[str, Any]:
        return {} if data.shots is None else {"epochs": data.epochs(500 * data.shots, train.batch)}

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"A [CLIP-LoRA]({cls.source}) adapter: low-rank sums to matrices of CLIP's attention."

    def train(self, mode: bool = True) -> ClipLora:
        """Also of peft's layers, which drop inputs in training."""
        for layer in self.__dict__.get("_layers", {}).values():
            layer.train(mode)
        return super().train(mode)

    def encode_images(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        with standing_in(self._pairs):
            return self._upper.embed_images(trunk)

    def encode_texts(self, texts: TextTrunk) -> Float[Tensor, "class embed"]:
        if not self.config.text:
            return texts.frozen
        if self.training and texts.alike is not None:
            # What is dropped of a token is drawn for every text.
            texts = dataclasses.replace(texts, alike=texts.alike.apart())
        with standing_in(self._pairs):
            return self._upper.embed_texts(texts)

    def notes(self) -> tuple[str, ...]:
        return note_unused(self.role_map, self.config.heads)

    def acting(self) -> dict[str, Acting]:
        parts = {f"sums.{place}": place.split("/") for place in self.sums}
        places = ((name, TEXT if tower == "text" else VISION, int(layer)) for name, (tower, layer, *_) in parts.items())
        return {name: Acting(tower, (layer,)) for name, tower, layer in places}

    def served_tensors(self) -> dict[str, Tensor]:
        return {f"adapter.{name}": each for name, each in self.state_dict().items() if ".text/" not in name}


def build_sums(frozen: Mapping[str, nn.Linear], config: ClipLoraConfig, seed: int) -> dict[str, Any]:
    """peft's layers over the frozen weights, which they share; the modules themselves are left alone."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise InputError(
            "method: clip-lora needs the package peft, which is not installed; pip install 'headroles[peft]'"
        ) from error
    # A module's name has no "/" in peft, and no "." in torch.
    house = nn.ModuleDict({place.replace("/", "_"): share_weights(module) for place, module in frozen.items()})
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=cast(int, config.strength),  # Any number will do.
        lora_dropout=config.dropout,
        use_rslora=True,
        target_modules=list(house),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(lora, house, adapter_name=_ONLY)
    return {place: house[place.replace("/", "_")] for place in frozen}


def share_weights(module: nn.Linear) -> nn.Linear:
    """Another module, without hooks, of the same weights."""
    other = nn.Linear(module.in_features, module.out_features, bias=module.bias is not None, device="meta")
    other.weight, other.bias = module.weight, module.bias
    return other


class _Kept(nn.Module):
    """A weight of which some rows (`axis` 0) or columns (1) are there, and the others are 0."""

    def __init__(self, axis: int, places: list[int], size: int) -> None:
        super().__init__()
        self.axis, self.places, self.size = axis, places, size

    def forward(self, kept: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        shape = list(kept.shape)
        shape[self.axis] = self.size
        return kept.new_zeros(shape).index_copy(self.axis, torch.tensor(self.places, device=kept.device), kept)

    def right_inverse(self, weight: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """What is kept of a weight."""
        return weight.index_select(self.axis, torch.tensor(self.places, device=weight.device))


def keep_heads(module: nn.Linear, axis: int, heads: Bool[Tensor, "head"] | None) -> nn.Parameter:
    """The trained tensor behind a sum's matrix, whose rows or columns are the heads': all, or those of some heads."""
    if heads is None or heads.all():
        return module.get_parameter("weight")
    size = module.weight.shape[axis]
    places = heads.repeat_interleave(size // len(heads)).nonzero()[:, 0].tolist()
    register_parametrization(module, "weight", _Kept(axis, places, size), unsafe=True)
    return module.get_parameter("parametrizations.weight.original")
