"""Linear probe (arXiv 2103.00020, section 3.2): a linear layer from frozen CLIP's image embeddings to the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from headroles.adapt.config import Settings
from headroles.adapt.methods.features import ClassTrunk, unit
from headroles.adapt.methods.method import Look, Method
from headroles.checks import check_choices
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap

STARTS = ("zero", "texts")
"""What the weights begin with."""


@dataclass(frozen=True)
class LinearProbeConfig(Settings):
    """Settings of the linear probe; ours."""

    begin: str = "zero"
    """The weights at the start: "zero", or "texts", the classes' text embeddings, which is zero-shot CLIP."""

    def __post_init__(self) -> None:
        self._check_types()
        check_choices(self, begin=STARTS)


class LinearProbe(Method):
    """Weights and biases of the trained classes, on unit embeddings times CLIP's own factor on cosines.

    CLIP's authors fit logistic regression by L-BFGS with a penalty that they search; here steps are taken, as in all
    methods, over embeddings that are computed once. The schedule is ours.
    """

    name = "linear-probe"
    title = "linear probe"
    source = "https://arxiv.org/abs/2103.00020"
    settings = LinearProbeConfig
    preset: ClassVar[Mapping[str, Any]] = {
        **{"lr": 1e-3, "weight_decay": 1e-2, "batch": 32, "epochs": 50},
        **{"augment": False, "cache_views": 1},
    }
    novel = ""
    needs_classes = True

    config: LinearProbeConfig
    weight: Float[Tensor, "class embed"]
    """Of every trained class."""
    bias: Float[Tensor, "class"]
    """Of every trained class."""

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: LinearProbeConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        self.weight = nn.Parameter(torch.zeros(len(self.classes), model.visual.embed))
        self.bias = nn.Parameter(torch.zeros(len(self.classes)))
        self.place()

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"A [linear probe]({cls.source}) on the image embeddings, which knows the trained classes alone."

    def start(self, look: Look) -> None:
        if self.config.begin == "texts":
            texts = next(look(None)).texts
            self.weight.data.copy_(texts.frozen)

    def class_trunk(self, names: Sequence[str], template: str) -> ClassTrunk:
        find_trained(self, names)
        return super().class_trunk(names, template)

    def encode_texts(self, texts: ClassTrunk) -> Int[Tensor, "class"]:
        """The classes' places among those that were trained."""
        return torch.tensor(find_trained(self, texts.names), device=self.device)

    def logits(
        self, images: Float[Tensor, "image embed"], classes: Int[Tensor, "class"]
    ) -> Float[Tensor, "image class"]:
        with torch.autocast(self.device.type, enabled=False):
            return self.scale * unit(images) @ self.weight[classes].T + self.bias[classes]


def find_trained(method: Method, names: Sequence[str]) -> list[int]:
    """The places of names among the classes that a method was trained on; InputError for another one."""
    unknown = [name for name in names if name not in method.classes]
    if unknown:
        known = ", ".join(method.classes[:12]) + (", ..." if len(method.classes) > 12 else "")
        raise InputError(
            f"classes: {method.name} knows the classes that it was trained on alone ({known}), not {unknown[0]!r}; "
            "name these, or adapt with a method that names classes by texts"
        )
    return [method.classes.index(name) for name in names]
