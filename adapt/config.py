"""Settings of methods (DearConfig) and of their training (TrainConfig): frozen, checked, no unknown key. No torch.

DeAR leaves the number of text tokens, beta, the weights of the losses and the training schedule unpublished: the
defaults of those are ours, in the range of MMRL++ (arXiv 2505.10088), and marked so.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_type_hints

from headroles.checks import check_choices, check_least
from headroles.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Self

HARD_MASKS = ("role", "open", "layer", "random", "inverted")
"""Masks that part tokens or do not; see `headroles.adapt.methods.masks.vary_kinds`."""
SOFT, LEARNED = "soft", "learned"
MASKS = (*HARD_MASKS, SOFT, LEARNED)
"""How a role map becomes attention masks; see `headroles.adapt.methods.masks.role_weights`."""
MASK_STARTS = (SOFT, "uniform")
"""Where learned masks begin."""
FUSIONS = ("learned", "fixed", "cls")
"""How the logits of CLS and attributes are weighed."""
PRECISIONS = ("no", "bf16", "fp16")
"""Accelerate's words for mixed precision."""
LAST, VALIDATION = SELECTIONS = ("last", "validation")
"""Which epoch an adapter is of: the last, as is published, or the best on validation images."""
ADAMW, SGD = OPTIMIZERS = ("adamw", "sgd")
"""What takes the steps."""
SCHEDULES = ("cosine", "constant")
"""What the learning rate does after the warm-up."""
ISOLATED, OPEN = "isolated", "open"
"""The kinds of heads that are no core concept's; see `headroles.adapt.methods.masks.head_kinds`."""


@dataclass(frozen=True)
class Settings:
    """Checks and conversions that all settings share; a method without settings of its own has these, none."""

    def __post_init__(self) -> None:
        self._check_types()

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """The opposite of `to_dict`: settings left out take their default, unknown ones are an InputError."""
        known = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(raw, Mapping):
            raise InputError(f"{cls.__name__} needs a mapping of settings, got {type(raw).__name__}")
        unknown = [str(name) for name in raw if name not in known]
        if unknown:
            raise InputError(f"{cls.__name__} has no setting {unknown[0]!r}; settings: {', '.join(known)}")
        return cls(**raw)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON keeps them."""
        values = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def _check_types(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
            if not _fits(getattr(self, name), kind):
                raise InputError(f"{name} must be {_WORDS[kind]}, got {value!r}")

    def _check_above_zero(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) <= 0:
                raise InputError(f"{name} must be above 0, got {getattr(self, name)}")


@dataclass(frozen=True)
class MaskConfig(Settings):
    """Settings of masks from a role map, which several methods share."""

    core: tuple[str, ...] = ("color", "shape", "texture", "object", "position", "place")
    """Core concepts: one attribute token each, as far as the role map's bank knows them. DeAR's fifth and last is
    `location`, which here is two: where in the image, and where in the world."""
    mask: str = "role"
    """"role" (DeAR), "open" (no mask), "layer" (a layer's heads all alike), "random" (roles shuffled), "inverted". Ours
    are "soft" (a head lets a token through in proportion to its share of the token's concept) and "learned" (such
    weights, trained)."""
    mask_seed: int = 0
    """Seed of the "random" mask."""
    mask_floor: float = 0.0
    """Share of a concept, in [0, 1), up to which a "soft" mask parts its token from the originals. Ours."""
    mask_start: str = SOFT
    """Where "learned" weights begin: "soft", at the role map's, or "uniform", all at their mean. Ours."""
    mask_rate: float = 10.0
    """Learning rate of "learned" weights, as a multiple of the training's. Ours."""
    lambda_mask: float = 1.0
    """Weight of the mean squared distance of "learned" weights from the role map's; 0: off. Ours."""

    def _check_masks(self) -> None:
        check_choices(self, mask=MASKS, mask_start=MASK_STARTS)
        check_least(self, mask_seed=0, lambda_mask=0)
        self._check_above_zero("mask_rate")
        if not 0 <= self.mask_floor < 1:
            raise InputError(f"mask_floor must be at least 0 and below 1, got {self.mask_floor}")
        if not self.core or len(set(self.core)) < len(self.core) or {ISOLATED, OPEN} & set(self.core):
            raise InputError(f"core must be distinct concepts, none named {ISOLATED} or {OPEN}, got {self.core}")


@dataclass(frozen=True)
class DearConfig(MaskConfig):
    """All settings of DeAR (arXiv 2603.01111); every part can be switched off by itself."""

    mask: str = SOFT
    """As `MaskConfig.mask`. DeAR's is "role"; the default is ours, by harmonic mean over both bundled models."""
    layer: int | None = None
    """J, the vision layer at whose input the tokens enter, 0-based; None: the first of the last third. Masks start
    there too. A text tower of another depth starts at the same fraction of its layers."""
    enter_after: bool = False
    """Enter one layer later, at the input of J + 1: DeAR's figure 2 allows both readings. J is ours, as figure 1 masks
    heads of layer J itself."""
    vision_tokens: bool = True
    """Attribute tokens in the vision tower; without them images are embedded by the frozen CLIP."""
    text_tokens: int = 4
    """K, learned tokens after BOT in the text tower; 0: texts are embedded by the frozen CLIP. Default ours."""
    beta: float = 0.5
    """Entering a later layer, a token is beta * itself + (1 - beta) * its output of the layer before. The default is
    ours, and so is that text tokens do the same: DeAR says it of attribute tokens alone."""
    train_norm: bool = False
    """Train the LayerNorm before the attribute projection too; DeAR's figure 2 trains the projection alone."""
    token_std: float = 0.02
    """Standard deviation of the tokens at the start."""
    fusion: str = "learned"
    """Weights of CLS and attribute logits: "learned", "fixed" at their start, "cls" (CLS alone)."""
    alpha_cls: float = 0.7
    """Weight of CLS at the start, in (0, 1); the attributes share the rest evenly. Default ours."""
    lambda_image: float = 0.5
    """Weight of 1 - cos(CLS embedding, frozen CLIP's); 0: off. Default ours."""
    lambda_text: float = 0.5
    """Weight of 1 - cos(text embedding, frozen CLIP's); 0: off. Default ours."""
    lambda_fusion: float = 0.1
    """Weight of -log(alpha of CLS), for learned fusion; 0: off. Default ours."""

    def __post_init__(self) -> None:
        self._check_types()
        self._check_masks()
        check_choices(self, fusion=FUSIONS)
        check_least(self, text_tokens=0, lambda_image=0, lambda_text=0, lambda_fusion=0)
        self._check_above_zero("token_std")
        if self.layer is not None:
            check_least(self, layer=0)
        if not 0 <= self.beta <= 1:
            raise InputError(f"beta must be between 0 and 1, got {self.beta}")
        if not 0 < self.alpha_cls < 1:
            raise InputError(f"alpha_cls must lie between 0 and 1, got {self.alpha_cls}; for CLS alone use fusion cls")
        if not self.vision_tokens and not self.text_tokens:
            raise InputError("vision_tokens is off and text_tokens is 0: nothing is left to train; switch one on")


@dataclass(frozen=True)
class TrainConfig(Settings):
    """All settings of training. The defaults are DeAR's: AdamW, warm-up, then a cosine to 0; ours, after MMRL++.

    Other methods begin with their own (`headroles.adapt.methods.method.Method.preset`).
    """

    epochs: int = 10
    """Passes over the training images."""
    batch: int = 4
    """Images of a step, over all processes."""
    lr: float = 1e-3
    """Learning rate after warm-up."""
    weight_decay: float = 5e-4
    """The optimizer's: AdamW's is apart from the gradient, SGD's in it."""
    warmup_epochs: int = 1
    """Epochs at `warmup_lr`; below `epochs`."""
    warmup_lr: float = 1e-5
    """Learning rate of the warm-up."""
    cache_views: int = 0
    """V > 0: V fixed augmented views an image, whose trunk outputs are cached on disk; 0: fresh views, no cache."""
    share_trunk: bool = True
    """Run the layers without learned tokens once for the adapted and the frozen branch; False: twice."""
    select_epoch: str = LAST
    """Which epoch's tensors are taken: "last", or "validation", the first that is best on validation images."""
    precision: str = "no"
    """Mixed precision, in Accelerate's words: "no", "bf16", "fp16"."""
    seed: int = 1
    """Seed of initial tokens, order and augmentation."""
    optimizer: str = ADAMW
    """"adamw" or "sgd"."""
    momentum: float = 0.0
    """SGD's, in [0, 1)."""
    schedule: str = "cosine"
    """After the warm-up: "cosine", half of one down to 0, or "constant"."""
    clip_norm: float = 0.0
    """Gradients longer than this, all together, are shortened to it; 0: they are left as they are."""
    augment: bool = True
    """Crop and mirror the training images, where the task allows it; False: take them as they are tested."""

    def __post_init__(self) -> None:
        self._check_types()
        check_choices(self, precision=PRECISIONS, select_epoch=SELECTIONS, optimizer=OPTIMIZERS, schedule=SCHEDULES)
        check_least(self, epochs=1, batch=1, weight_decay=0, warmup_epochs=0, warmup_lr=0, cache_views=0, seed=0)
        check_least(self, clip_norm=0)
        self._check_above_zero("lr")
        if self.warmup_epochs >= self.epochs:
            raise InputError(f"warmup_epochs must be below epochs ({self.epochs}), got {self.warmup_epochs}")
        if self.cache_views and not self.share_trunk:
            raise InputError(f"cache_views must be 0 where share_trunk is off, got {self.cache_views}")
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum must be at least 0 and below 1, got {self.momentum}")
        if self.momentum and self.optimizer != SGD:
            raise InputError(f"momentum must be 0 with optimizer {self.optimizer}, got {self.momentum}; it is SGD's")

    def to_dict(self) -> dict[str, Any]:
        """Plain values. Settings that came after DeAR are left out at their defaults: files stay what they were."""
        later = ("optimizer", "momentum", "schedule", "clip_norm", "augment")
        whole = super().to_dict()
        return {name: value for name, value in whole.items() if name not in later or value != _default(self, name)}


def split_settings(
    settings: Mapping[str, Any], kind: type[Settings] = DearConfig, preset: Mapping[str, Any] | None = None
) -> tuple[Any, TrainConfig]:
    """A method's settings, of class `kind`, and its training's, from fields of both by name.

    `preset`: what the method's training begins with, where nothing else is given. An unknown name is an InputError,
    with the near one. One epoch has no warm-up.
    """
    known = {field.name: each for each in (kind, TrainConfig) for field in dataclasses.fields(each)}
    del known["seed"]
    for name in settings:
        if name not in known:
            near = get_close_matches(name, [*known, "seeds"], 1)
            advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise InputError(f"{name} is no setting of the method or its training; {advice}")
    if settings.get("epochs") == 1:
        settings = {"warmup_epochs": 0, **settings}
    parts = ({name: value for name, value in settings.items() if known[name] is each} for each in (kind, TrainConfig))
    own, train = parts
    return kind(**own), TrainConfig(**{**(preset or {}), **train})


def read_settings(texts: Mapping[str, str], kind: type[Settings]) -> dict[str, Any]:
    """Values of settings from their texts, such as "0.5", "true", "a,b" or "none", by the types of their fields.

    Names that `kind` and TrainConfig lack are kept as they are, for `split_settings` to refuse.
    """
    types = {**get_type_hints(TrainConfig), **get_type_hints(kind)}
    return {name: _read(name, text, types[name]) if name in types else text for name, text in texts.items()}


def _read(name: str, text: str, kind: Any) -> Any:
    try:
        if kind == int | None:
            return None if text.lower() == "none" else int(text)
        if kind == tuple[str, ...]:
            return tuple(part.strip() for part in text.split(","))
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        raise InputError(f"{name} must be {_WORDS[kind]}, got {text!r}") from None


def _default(settings: Settings, name: str) -> Any:
    return next(field.default for field in dataclasses.fields(settings) if field.name == name)


_WORDS = {
    bool: "true or false",
    int: "a whole number",
    int | None: "a whole number or none",
    float: "a finite number",
    str: "a word",
    tuple[str, ...]: "a list of words",
}
"""What a setting's type expects, for messages."""


def _fits(value: Any, kind: Any) -> bool:
    if kind == int | None:
        return value is None or _fits(value, int)
    if kind == tuple[str, ...]:
        return isinstance(value, tuple) and all(isinstance(word, str) for word in value)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
