"""Full fine-tuning by class texts (arXiv 2212.00638), and its mean with the frozen weights (WiSE-FT, 2109.01903)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headroles.adapt.config import Settings
from headroles.adapt.methods.acting import Acting
from headroles.adapt.methods.branches import embed_from, pick_alike, run_alike
from headroles.adapt.methods.features import ClassTrunk, average_classes, list_texts, pick_texts, unit
from headroles.adapt.methods.method import Method
from headroles.adapt.methods.own_weights import OwnWeights, swapped
from headroles.errors import InputError
from headroles.images.prompts import write_prompts
from headroles.models.families.alike_texts import AlikeTexts
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap


@dataclass(frozen=True)
class FineTuningConfig(Settings):
    """Settings of full fine-tuning."""

    vision: bool = True
    """Train the vision tower and its projection."""
    text: bool = True
    """Train the text tower and its projection."""
    tuned: float = 1.0
    """Share of the tuned weights at the end, in [0, 1]; the rest is frozen CLIP's (WiSE-FT)."""

    def __post_init__(self) -> None:
        self._check_types()
        if not 0 <= self.tuned <= 1:
            raise InputError(f"tuned must be between 0 and 1, got {self.tuned}")
        if not self.vision and not self.text:
            raise InputError("vision and text are both off: nothing is left to train; switch one on")


@dataclass(frozen=True, kw_only=True)
class TokenTrunk(ClassTrunk):
    """The classes' texts as tokens."""

    tokens: Mapping[str, Int[Tensor, "text token"]]
    """What the model takes."""
    classes: Int[Tensor, "text"] | None
    """The class of each text; None where each text is a class."""
    alike: AlikeTexts | None = None
    """How to compute each of their tokens once; None where the tower is not causal."""


class WholeMethod(Method):
    """A method that tunes both towers whole, so that images are their pixels to it and texts their tokens."""

    weights: OwnWeights
    """The tuned weights."""
    layer = 0

    def tensors(self) -> dict[str, Tensor]:
        """What stands in for the CLIP's weights."""
        return self.weights.tensors()

    def acting(self) -> dict[str, Acting]:
        return self.weights.acting("weights")

    def image_trunk(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image 3 height width"]:
        return pixels.to(self.device, self.model.dtype)

    def frozen_images(self, trunk: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
        with torch.no_grad():
            return unit(self.model(trunk))

    @torch.no_grad()
    def frozen_targets(self, trunk: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
        """`frozen_images` to rounding: of the last layer the row that is read alone."""
        return self._run_images(trunk)

    def _run_images(self, trunk: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
        """Unit embeddings by the weights that the model has now."""
        return embed_from(self.model.visual, self.model.start_images(trunk), 0)

    def class_trunk(self, names: Sequence[str], template: str) -> TokenTrunk:
        return read_tokens(self.model, names, template)

    def encode_images(self, trunk: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
        with swapped(self.model, self.tensors()):
            return self._run_images(trunk)

    def encode_texts(self, texts: TokenTrunk) -> Float[Tensor, "class embed"]:
        with swapped(self.model, self.tensors()):
            return embed_tokens(self.model, texts)


class FineTuning(WholeMethod):
    """All weights of both towers, by cross-entropy over the classes' texts. The schedule is ours."""

    name = "fine-tuning"
    title = "full fine-tuning"
    source = "https://arxiv.org/abs/2212.00638"
    settings = FineTuningConfig
    novel = "by their texts, through the tuned text tower"
    preset: ClassVar[Mapping[str, Any]] = {"lr": 1e-5, "weight_decay": 0.1, "batch": 32, "epochs": 10}

    config: FineTuningConfig

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: FineTuningConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        vision, text = (model.tower_weights(text) for text in (False, True))
        self.weights = OwnWeights(model, (*vision * self.config.vision, *text * self.config.text))
        self.place()

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"Weights of a [full fine-tuning]({cls.source}) of CLIP's towers, in place of its own."

    def finish(self) -> None:
        if self.config.tuned < 1:
            self.weights.average(self.config.tuned)


def read_tokens(model: HookedCLIP, names: Sequence[str], template: str) -> TokenTrunk:
    """The classes' texts by the task's prompt, for a text tower that is tuned from its first weight on."""
    frozen = ClassTrunk.of(model, names, template)
    texts, classes = list_texts(write_prompts(template, names))
    where = None if classes is None else classes.to(model.device)
    tokens = model.tokenize(texts)
    alike = model.find_alike(tokens["input_ids"])
    return TokenTrunk(frozen=frozen.frozen, names=frozen.names, tokens=tokens, classes=where, alike=alike)


def embed_tokens(model: HookedCLIP, texts: TokenTrunk) -> Float[Tensor, "class embed"]:
    """Unit embeddings of the classes by the weights that the model has now."""
    tower = model.text
    assert tower is not None  # Methods refuse models without texts.
    alike = pick_alike(texts.alike, tower, 0)
    if alike is None:
        return average_classes(unit(model(**texts.tokens)), texts.classes)
    ends = run_alike(model, tower, model.start_texts(texts.tokens["input_ids"]), alike)
    return average_classes(unit(tower.read(ends)), texts.classes)


def pick_tokens(texts: TokenTrunk, numbers: Int[Tensor, "picked"]) -> TokenTrunk:
    """Some classes alone, in the rising order of their numbers."""
    rows, classes = pick_texts(texts.classes, numbers)
    tokens = {name: value[rows] for name, value in texts.tokens.items()}
    names = tuple(texts.names[number] for number in numbers.tolist())
    alike = None if texts.alike is None else texts.alike.pick(rows)
    return TokenTrunk(frozen=texts.frozen[numbers], names=names, tokens=tokens, classes=classes, alike=alike)
