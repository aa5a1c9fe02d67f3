"""Linear probe (arXiv 2103.00020, section 3.2): a linear layer from frozen CLIP's image embeddings to the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from headroles.adapt.config import Settings
from headroles.adapt.methods.features import ClassTrunk
from headroles.adapt.methods.method import Look, Method
from headroles.checks import check_choices
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.precision import in_full_precision
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
    weights: Float[Tensor, "class embed+1"]
    """Of every trained class, its bias behind them: one tensor costs an optimizer less than two."""

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: LinearProbeConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        self.weights = nn.Parameter(torch.zeros(len(self.classes), model.visual.embed + 1))
        self.place()

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"A [linear probe]({cls.source}) on the image embeddings, which knows the trained classes alone."

    def start(self, look: Look) -> None:
        if self.config.begin == "texts":
            texts = next(look(None)).texts
            self.weights.data[:, :-1] = texts.frozen

    def class_trunk(self, names: Sequence[str], template: str) -> TrainedClasses:
        return TrainedClasses.find(self, names, template)

    def encode_texts(self, texts: TrainedClasses) -> Int[Tensor, "class"] | None:
        return texts.places

    @in_full_precision
    def logits(
        self, images: Float[Tensor, "image embed"], classes: Int[Tensor, "class"] | None
    ) -> Float[Tensor, "image class"]:
        weights = self.weights if classes is None else self.weights[classes]
        return linear(pad(self.scale * images, (0, 1), value=1.0), weights)


@dataclass(frozen=True, kw_only=True)
class TrainedClasses(ClassTrunk):
    """Classes of a method that knows those alone that it was trained on."""

    places: Int[Tensor, "class"] | None
    """Where each is among these; None of all of them, in order."""

    @classmethod
    def find(cls, method: Method, names: Sequence[str], template: str) -> TrainedClasses:
        """InputError for a name that the method was not trained on."""
        places = _find_trained(method, names)
        known = ClassTrunk.of(method.model, names, template)
        where = None if known.names == method.classes else torch.tensor(places, device=method.device)
        return cls(frozen=known.frozen, names=known.names, places=where)


def _find_trained(method: Method, names: Sequence[str]) -> list[int]:
    unknown = [name for name in names if name not in method.classes]
    if unknown:
        known = ", ".join(method.classes[:12]) + (", ..." if len(method.classes) > 12 else "")
        raise InputError(
            f"classes: {method.name} knows the classes that it was trained on alone ({known}), not {unknown[0]!r}; "
            "name these, or adapt with a method that names classes by texts"
        )
    return [method.classes.index(name) for name in names]
