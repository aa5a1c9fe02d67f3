"""CoOp (arXiv 2109.01134): learned vectors stand for the words before the class name; images are frozen CLIP's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from headroles.adapt.config import Settings, TrainConfig
from headroles.adapt.methods.acting import Acting
from headroles.adapt.methods.branches import pick_alike, run_alike
from headroles.adapt.methods.features import ClassTrunk, unit
from headroles.adapt.methods.method import Method
from headroles.adapt.methods.training_data import TrainingData
from headroles.checks import check_least
from headroles.errors import InputError
from headroles.models.families.alike_texts import AlikeTexts
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap

SCHEDULE: Mapping[str, Any] = {
    **{"optimizer": "sgd", "momentum": 0.9, "weight_decay": 5e-4},
    **{"warmup_epochs": 1, "warmup_lr": 1e-5},
}
"""What those who followed have kept of CoOp's training: all but learning rate, batch and epochs."""


@dataclass(frozen=True)
class CoopConfig(Settings):
    """Settings of CoOp, as published for base-to-novel."""

    context: int = 4
    """Learned vectors before the class name; where `init` gives words, as many as these have tokens."""
    init: str = "a photo of a"
    """Words whose token embeddings the vectors begin with; "": drawn from N(0, .02)."""

    def __post_init__(self) -> None:
        self._check_types()
        check_least(self, context=1)


@dataclass(frozen=True, kw_only=True)
class NamedClasses(ClassTrunk):
    """Class names as token embeddings, for vectors to be put before them."""

    embedded: Float[Tensor, "class token width"]
    """BOT, the name, a full stop, EOT; positions are not added yet."""
    rows: Int[Tensor, "class"]
    """Where each ends (EOT) in `embedded`."""
    alike: AlikeTexts | None
    """How to compute each of their tokens once; None where the tower is not causal."""

    @classmethod
    def read(
        cls, model: HookedCLIP, names: Sequence[str], template: str, room: int, words: str = "", replaced: int = 0
    ) -> NamedClasses:
        """`room`: how many vectors will be put behind BOT; InputError where they do not fit.

        `words` stand before the names; of their tokens, the first `replaced` are left out.
        """
        ids = model.tokenize([f"{words} {name.replace('_', ' ')}.".lstrip() for name in names])["input_ids"]
        ids = torch.cat([ids[:, :1], ids[:, 1 + replaced :]], 1)
        if ids.shape[1] + room > model.context:
            raise InputError(
                f"context: {room} vectors and {ids.shape[1]} tokens of the longest class name do not fit into the "
                f"model's {model.context}; take fewer, or shorter names"
            )
        frozen = ClassTrunk.of(model, names, template)
        with torch.no_grad():
            embedded = model.embed_tokens(ids)
        rows, alike = model.text_rows(ids), model.find_alike(ids)
        return cls(frozen=frozen.frozen, names=frozen.names, embedded=embedded, rows=rows, alike=alike)


class Coop(Method):
    """The context vectors are all that is trained."""

    name = "coop"
    title = "CoOp"
    source = "https://arxiv.org/abs/2109.01134"
    settings = CoopConfig
    novel = "by the learned context before their names"
    preset: ClassVar[Mapping[str, Any]] = {**SCHEDULE, "lr": 2e-3, "batch": 32, "epochs": 200}
    preset_by_data = "50 epochs for ImageNet and for one shot, 100 for up to four"

    config: CoopConfig
    context: Float[Tensor, "token width"]
    """The learned vectors."""

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: CoopConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        generator = torch.Generator().manual_seed(seed)
        self.context = nn.Parameter(begin_context(model, self.config.init, self.config.context, generator))
        self._build(generator)
        self.place()

    def _build(self, generator: torch.Generator) -> None:
        """What a method that conditions the context adds."""

    @classmethod
    def check_model(cls, model: HookedCLIP) -> None:
        super().check_model(model)
        if not model.family.reads_at_end:
            raise InputError(
                f"model: {model.model_name} is a {model.family.title}, which reads texts at their last position and "
                "has no room for context vectors; take a CLIP"
            )

    @classmethod
    def preset_for(cls, data: TrainingData, train: TrainConfig) -> Mapping[str, Any]:
        if data.task == "imagenet" or data.shots == 1:
            return {"epochs": 50}
        return {"epochs": 100} if data.shots is not None and data.shots <= 4 else {}

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"A [CoOp]({cls.source}) adapter: learned context vectors before the class name in the text tower."

    def class_trunk(self, names: Sequence[str], template: str) -> NamedClasses:
        """The template makes frozen CLIP's embeddings alone: here the vectors stand in its place."""
        return NamedClasses.read(self.model, names, template, len(self.context))

    def encode_texts(self, texts: NamedClasses) -> Float[Tensor, "class embed"]:
        return embed_named(self, texts, self.context.expand(len(texts.embedded), -1, -1))

    def acting(self) -> dict[str, Acting]:
        return {"context": Acting.text(range(self.text_tower.layers))}

    def served_tensors(self) -> dict[str, Tensor]:
        return {}


def embed_named(
    method: Method, texts: NamedClasses, context: Float[Tensor, "class token width"]
) -> Float[Tensor, "class embed"]:
    """Unit embeddings of class names behind context vectors, with gradients, by a method's frozen CLIP.

    Where texts.alike is of fewer names than there are, they come again and again, each time behind another context.
    """
    model, tower = method.model, method.text_tower
    begin, rest = texts.embedded[:, :1], texts.embedded[:, 1:]
    residual = model.start_embedded(torch.cat([begin, context.to(begin.dtype), rest], 1))
    groups = context.shape[0] // texts.alike.texts if texts.alike else 1
    alike = pick_alike(texts.alike, tower, 0, context.shape[1], groups)
    if alike is not None:
        return unit(tower.read(run_alike(model, tower, residual, alike.longer(context.shape[1]))))
    mask = model.causal_mask(residual.shape[1])
    residual = tower.run(residual, range(tower.layers - 1), mask)
    # Of the last layer nobody reads any other row than the texts' ends.
    ends = (texts.rows + context.shape[1])[:, None]
    return unit(tower.read(tower.run_rows(residual, tower.layers - 1, ends, mask)[:, 0]))


def begin_context(
    model: HookedCLIP, words: str, count: int, generator: torch.Generator
) -> Float[Tensor, "token width"]:
    """Context vectors at the start: the token embeddings of words; without words, `count` drawn from N(0, .02)."""
    if not words:
        assert model.text is not None  # Methods refuse such a model.
        return 0.02 * torch.randn(count, model.text.width, generator=generator)
    ids = model.tokenize([words])["input_ids"]
    with torch.no_grad():
        return model.embed_tokens(ids[:, 1 : int(model.text_rows(ids)[0])])[0].float().clone()
