"""Method: what a way of adapting a CLIP is to training, checkpoints, evaluation, prediction, adapter folder and export.

They ask of a method what stands here and nothing else. What a method does not override is the frozen CLIP's, so that a
class that overrides nothing is zero-shot CLIP.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from headroles.adapt.config import Settings, TrainConfig
from headroles.adapt.methods.acting import Acting
from headroles.adapt.methods.branches import embed_from
from headroles.adapt.methods.features import EMBEDDED, Batch, ClassTrunk
from headroles.adapt.methods.findings import Findings
from headroles.adapt.methods.masks import check_role_map
from headroles.adapt.methods.trained_group import TrainedGroup
from headroles.adapt.methods.training_data import TrainingData
from headroles.errors import InputError
from headroles.images.images import Preprocess
from headroles.models.hooked_clip import HookedCLIP, Tower
from headroles.models.precision import in_full_precision
from headroles.roles.role_map import RoleMap

Look = Callable[[int | None], Iterator[Batch]]
"""All training images in order, batch by batch, as they are tested (None), or with the augmentation of that epoch."""


class Method(nn.Module):
    """A way of adapting a CLIP, around a frozen one. Its parameters and `state_dict` are the trained tensors alone.

    `model` is frozen in place (no weight asks for gradients, and none is ever changed) and stays outside the module
    tree: move or cast it before. Trained tensors are at least float32. `seed` draws the first of them; `classes` are
    the names that training sees. Raises InputError where model, role map and settings do not fit each other.

    A subclass calls this `__init__` first, builds its tensors and calls `place`.
    """

    name: ClassVar[str]
    """Its name in `METHODS`, in settings and in files."""
    title: ClassVar[str]
    """How people write it."""
    source: ClassVar[str]
    """Where it was published: a link."""
    settings: ClassVar[type[Settings]] = Settings
    """Class of its settings; no name of TrainConfig's is among them."""
    preset: ClassVar[Mapping[str, Any]] = {}
    """Fields of TrainConfig that its training begins with, as published; the others have TrainConfig's defaults."""
    as_published: ClassVar[Mapping[str, Any]] = {}
    """Settings that the publication has otherwise than `settings` by default; `reproduce` trains by them."""
    preset_by_data: ClassVar[str] = ""
    """In words, what of the preset depends on the data (`preset_for`); "" where nothing does."""
    steps: ClassVar[bool] = True
    """Whether gradient steps are taken; False: what `start` takes from the training images is all."""
    role_maps: ClassVar[Literal["needed", "taken", "none"]] = "none"
    """Whether it needs a role map, takes one that is given, or has no use for one."""
    novel: ClassVar[str] = "by their texts"
    """How it names classes that training did not see; "" where it cannot."""
    needs_classes: ClassVar[bool] = False
    """Whether its tensors are of the trained classes, so that it has to be told them."""

    model: HookedCLIP
    """The frozen CLIP."""
    layer: int | None = None
    """The first vision layer that it changes; None: it changes none."""
    attributes: tuple[str, ...] = ()
    """Names of what is fused with CLS in the logits, in order."""
    begun_with: str | None = None
    """sha256 of the adapter_model.safetensors whose tensors it begins with; None: its own first ones."""

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: Settings | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.check_model(model)
        if self.needs_classes and not classes:
            raise InputError(f"classes: {self.name} has to be told the names that are trained; got none")
        self._check_role_map(model, role_map)
        # A plain reference: the CLIP is no part of the adapter.
        self.__dict__["model"] = model.requires_grad_(False)
        self.config: Any = config or self.settings()
        self.role_map, self.seed, self.classes = role_map, seed, tuple(classes)

    def _check_role_map(self, model: HookedCLIP, role_map: RoleMap | None) -> None:
        if role_map is None and self.role_maps == "needed":
            raise InputError(f"role map: {self.name} needs one; make it: headroles score")
        if role_map is not None and self.role_maps == "none":
            raise InputError(f"role map: {self.name} has no use for one; leave it out")
        if role_map is not None:
            check_role_map(role_map, model)

    def place(self) -> None:
        """Put the trained tensors where the CLIP is, at least in float32."""
        self.to(self.model.device, torch.promote_types(self.model.dtype, torch.float32))

    @property
    def text_tower(self) -> Tower:
        """The frozen CLIP's, which `check_model` has seen."""
        assert self.model.text is not None
        return self.model.text

    # Before anything is built

    @classmethod
    def check_model(cls, model: HookedCLIP) -> None:
        """InputError where the method cannot act on a model."""
        if model.text is None:
            raise InputError(
                f"model: {model.model_name} is a {model.family.title} without a text tower; adapters classify images "
                "by their classes' texts, so take a CLIP"
            )

    @classmethod
    def first_layer(cls, model: HookedCLIP, config: Any) -> int:
        """The first vision layer whose roles it reads in a role map; the number of layers where it reads none."""
        return model.visual.layers

    @classmethod
    def mask_of(cls, config: Any) -> tuple[str, int, float] | None:
        """Kind, seed and floor of its role masks (`headroles.adapt.methods.masks.build_masks`); None: it has none."""
        return None

    @classmethod
    def describe(cls, layer: int | None) -> str:
        """A sentence for the model card: what is trained; `layer`: the instance's."""
        return f"A [{cls.title}]({cls.source}) adapter."

    @classmethod
    def preset_for(cls, data: TrainingData, train: TrainConfig) -> Mapping[str, Any]:
        """Fields of TrainConfig that differ from `preset` for these data, as published, given the training so far.
        What a user sets stays."""
        return {}

    @classmethod
    def validates(cls, config: Any) -> str:
        """What `settle` chooses by validation images, in words; "" where it looks at none."""
        return ""

    # What is computed once

    def image_trunk(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image ..."]:
        """What of images does not depend on training, without gradients; may be kept on disk. Here: unit embeddings."""
        with torch.no_grad():
            return embed_from(self.model.visual, self.model.start_images(pixels), 0)

    @property
    def trunk_kind(self) -> Hashable:
        """What `image_trunk` gives: methods that say the same of one CLIP may share it. None: nobody may.

        It speaks of the `image_trunk` of the class where it stands: of one that a subclass overrides alone, none does
        (`headroles.adapt.methods.shared_trunks.kind_of`).
        """
        return EMBEDDED

    def frozen_images(self, trunk: Float[Tensor, "image ..."]) -> Float[Tensor, "image embed"]:
        """Frozen CLIP's own unit embeddings, from where the trunk ends."""
        return trunk

    def frozen_targets(self, trunk: Float[Tensor, "image ..."]) -> Float[Tensor, "image embed"]:
        """`frozen_images` as the losses need them, equal to rounding; a method overrides it where that costs less."""
        return self.frozen_images(trunk)

    @property
    def needs_frozen_images(self) -> bool:
        """Whether the losses use frozen CLIP's image embeddings."""
        return False

    def class_trunk(self, names: Sequence[str], template: str) -> ClassTrunk:
        """What of classes does not depend on training, once a list of classes; `template`: the task's prompt.

        InputError for a name that the method cannot know.
        """
        return ClassTrunk.of(self.model, names, template)

    # Answers

    def encode_images(self, trunk: Float[Tensor, "image ..."]) -> Any:
        """Adapted images, with gradients: what `logits` takes. Here: the trunk, unit embeddings."""
        return trunk

    def encode_texts(self, texts: Any) -> Any:
        """Adapted classes, from a `class_trunk`, with gradients: what `logits` takes. Here: frozen CLIP's."""
        return texts.frozen

    @in_full_precision
    def logits(self, images: Any, classes: Any) -> Float[Tensor, "image class"]:
        """Of every image and class, never in half precision. Here: scale * cosine."""
        return linear(self.scale * images, classes)

    @torch.no_grad()
    def predict(self, pixels: Float[Tensor, "image 3 height width"], classes: Any) -> Float[Tensor, "image class"]:
        """Probabilities for preprocessed images; `classes` from `class_trunk` or `encode_texts`."""
        encoded = self.encode_texts(classes) if isinstance(classes, ClassTrunk) else classes
        return self.logits(self.encode_images(self.image_trunk(pixels)), encoded).softmax(-1)

    # Training

    def start(self, look: Look) -> None:
        """Take from the training images what is not learned by steps; before the first step, on every process alike."""

    def make_room(self, tensors: Mapping[str, Tensor]) -> None:
        """Before `tensors` of an earlier `state_dict` are loaded: give tensors whose shape only data know theirs."""

    def take_up(self, tensors: Mapping[str, Tensor], sha256: str) -> None:
        """Begin with the tensors of an earlier training; `sha256` of their file."""
        self.make_room(tensors)
        self.load_state_dict(tensors)
        self.begun_with = sha256

    def forward(self, batch: Batch) -> tuple[Float[Tensor, "image class"], dict[str, Float[Tensor, ""]]]:
        """A step's logits, and the weighted terms of its loss, to be summed. Here: "ce", cross-entropy."""
        logits = self.logits(self.encode_images(batch.trunk), self.encode_texts(batch.texts))
        return logits, {"ce": cross_entropy(logits, batch.labels)}

    def trained_groups(self) -> tuple[TrainedGroup, ...]:
        """All trained tensors, by learning rate."""
        trained = tuple(parameter for parameter in self.parameters() if parameter.requires_grad)
        return (TrainedGroup(trained),) if trained else ()

    def epoch_weights(self, epochs: int) -> Sequence[float] | None:
        """Weights, which sum to 1, of the mean over epochs' tensors that the adapter gets; None: one epoch's alone."""
        return None

    def finish(self) -> None:
        """Change the tensors once more when the last step is done and the epoch is chosen."""

    def settle(self, look: Look, validation: Look | None) -> None:
        """After `finish`, on every process alike, without gradients: choose, or note, what all that is learned gives.

        `look`: as `start` has it. `validation`: the same of the validation images, where `validates` says that they are
        used and the task has any.
        """

    # What it says of itself

    @property
    def device(self) -> torch.device:
        """Where CLIP's weights, and so images and features, are."""
        return self.model.device

    @property
    def preprocess(self) -> Preprocess:
        """From a PIL image to what `image_trunk` takes, one image's pixels."""
        if self.model.processor is None:
            raise InputError(f"model: {self.model.model_name} has no image preprocessing; set its `processor`")
        return self.model.processor

    @cached_property
    def scale(self) -> float:
        """The factor on cosines, CLIP's own."""
        return self.model.logit_scale

    @cached_property
    def model_hash(self) -> str:
        """sha256 over the frozen CLIP's weights."""
        return self.model.weights_hash()

    def fusion_weights(self) -> dict[str, float]:
        """Weights in the logits, "cls" first, then `attributes`; they sum to 1. None where nothing is fused."""
        return {}

    def acting(self) -> Mapping[str, Acting]:
        """Where tensors of `state_dict` act, by name; those that are not here act on the whole, as far as is known."""
        return {}

    def notes(self) -> tuple[str, ...]:
        """What is odd about how role map, model and settings fit, a line each."""
        return ()

    def findings(self) -> Findings | None:
        """What it has found out about the task, from its tensors; None where there is nothing to tell."""
        return None

    def served_tensors(self) -> dict[str, Tensor]:
        """Every tensor of its own behind an image's logits among fixed classes, by the name that an export gives it."""
        return {f"adapter.{name}": value for name, value in self.state_dict().items()}

    @property
    def trained_count(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    def trainable_summary(self) -> str:
        """How many numbers are trained, of CLIP's and the adapter's together, in PEFT's words."""
        trained = self.trained_count
        whole = trained + sum(parameter.numel() for parameter in self.model.parameters())
        return f"trainable params: {trained:,} || all params: {whole:,} || trainable%: {100 * trained / whole:.4f}"
