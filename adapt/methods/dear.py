"""DeAR (arXiv 2603.01111): attribute tokens behind role masks, text tokens, a trained readout and fusion.

The layers before the tokens enter (the trunk) hold nothing that is trained: their output is computed once and shared
by the adapted and the frozen branch, for texts once in a whole run.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from headroles.adapt.config import DearConfig
from headroles.adapt.methods.acting import Acting
from headroles.adapt.methods.branches import ImageBranch, run_texts, start_texts
from headroles.adapt.methods.entry import attribute_names, check_adaptable, core_notes, first_layers
from headroles.adapt.methods.features import Batch, ImageFeatures, TextTrunk, distance, unit
from headroles.adapt.methods.findings import Findings
from headroles.adapt.methods.layer_trunk import LayerTrunk
from headroles.adapt.methods.masks import masked_kinds
from headroles.adapt.methods.role_masks import RoleMasks, split_groups
from headroles.adapt.methods.tokens import LearnedTokens
from headroles.adapt.methods.trained_group import TrainedGroup
from headroles.errors import InputError
from headroles.images.prompts import write_prompts
from headroles.models.hooked_clip import HookedCLIP, Tower
from headroles.models.layers import first_deep_layer
from headroles.models.precision import in_full_precision
from headroles.roles.role_map import RoleMap

_SERVED = ("attribute_tokens.", "readout.", "fusion")
"""What its own tensors behind an image are called; masks are made up."""


class Dear(LayerTrunk):
    """Tokens and a readout around a frozen CLIP. Tensors are float32 whatever the model's half precision.

    Raises InputError where role map, settings and model do not fit each other.
    """

    name = "dear"
    title = "DeAR"
    source = "https://arxiv.org/abs/2603.01111"
    settings = DearConfig
    novel = "by their texts, behind the learned text tokens"
    as_published: ClassVar[Mapping[str, Any]] = {"mask": "role"}
    role_maps = "needed"

    config: DearConfig
    """The method's settings."""
    role_map: RoleMap
    """Whose roles make the masks."""
    attribute_tokens: LearnedTokens | None
    """Of the vision tower."""
    role_masks: RoleMasks | None
    """Which heads let which attribute tokens through; None without vision tokens."""
    readout: nn.Sequential | None
    """"projection" of the attribute tokens, with `train_norm` after "norm"; None where CLIP's own serves."""
    text_tokens: LearnedTokens | None
    """Of the text tower."""
    fusion: nn.Parameter | None
    """Logits of `alpha`, where it is learned."""
    _texts: Tower
    _norm: nn.Module
    _branch: ImageBranch

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap,
        config: DearConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        config, texts = self.config, check_adaptable(model)
        if config.text_tokens > model.context:
            raise InputError(f"text_tokens must be at most the context, {model.context}, got {config.text_tokens}")
        self.__dict__["_texts"] = texts
        self.layer, self.text_layer = first_layers(model, config)
        """The first vision layer and the first text layer that learned tokens run through."""
        self.attributes = attribute_names(role_map, config)
        """The names of the attribute tokens."""
        generator = torch.Generator().manual_seed(seed)
        self.attribute_tokens = self.readout = self.text_tokens = self.fusion = self.role_masks = None
        self._build_vision(generator)
        self._build_fusion()
        if config.text_tokens:
            self.text_tokens = LearnedTokens(config.text_tokens, texts.width, config.token_std, config.beta, generator)
        self.place()

    @classmethod
    def check_model(cls, model: HookedCLIP) -> None:
        """InputError for a model without text tower, or whose images attention pools."""
        check_adaptable(model)

    @classmethod
    def first_layer(cls, model: HookedCLIP, config: DearConfig) -> int:
        """The first vision layer that attribute tokens run through."""
        first = first_deep_layer(model.visual.layers) if config.layer is None else config.layer
        return first + config.enter_after

    @classmethod
    def mask_of(cls, config: DearConfig) -> tuple[str, int, float]:
        """Kind, seed and floor of the role masks."""
        return config.mask, config.mask_seed, config.mask_floor

    @classmethod
    def describe(cls, layer: int | None) -> str:
        """A sentence for the model card."""
        return f"""A [DeAR]({cls.source}) adapter: attribute tokens in the vision tower and text tokens in the text
tower, from layer {layer} on, with masks from the roles of the attention heads (`role_map.json`)."""

    def _build_vision(self, generator: torch.Generator) -> None:
        """Attribute tokens, their masks and their readout."""
        config, tower, patches = self.config, self.model.visual, self.model.patches
        layers = range(self.layer, tower.layers)
        self.kinds = masked_kinds(self.role_map, layers, self.attributes, config.mask, config.mask_seed)
        """Layer -> what each of its heads is to the mask: a core concept's name, "isolated" or "open"."""
        if not self.attributes:
            return
        self.role_masks = RoleMasks(self.role_map, layers, self.attributes, patches, config)
        self.__dict__["_branch"] = ImageBranch(tower, self.layer, self.role_masks.apart)
        count = len(self.attributes)
        self.attribute_tokens = LearnedTokens(count, tower.width, config.token_std, config.beta, generator)
        if config.fusion != "cls":
            self._build_readout()

    def _build_readout(self) -> None:
        """A copy of CLIP's projection to train, and of the LayerNorm before it, trained or frozen."""
        norm, projection = self.model.visual.copy_readout()
        kept = norm.to(torch.promote_types(self.model.dtype, torch.float32))
        trained = {"norm": norm} if self.config.train_norm else {}
        self.readout = nn.Sequential(OrderedDict(**trained, projection=projection)).requires_grad_(True)
        self.__dict__["_norm"] = nn.Identity() if trained else kept

    def _build_fusion(self) -> None:
        """The weights' logits, trained or fixed."""
        count = len(self.attributes)
        start = torch.ones(1 + count)
        if count:
            cls = 1.0 if self.config.fusion == "cls" else self.config.alpha_cls
            start[0], start[1:] = cls, (1 - cls) / count
        if count and self.config.fusion == "learned":
            self.fusion = nn.Parameter(start.log())
        else:
            self.register_buffer("_alpha", start, persistent=False)

    @property
    def alpha(self) -> Float[Tensor, "feature"]:
        """Weights of the logits of CLS and the attributes, in this order; they sum to 1."""
        return self.get_buffer("_alpha") if self.fusion is None else self.fusion.softmax(0)

    @property
    def needs_frozen_images(self) -> bool:
        """Whether the losses use frozen CLIP's image embeddings."""
        return bool(self.attributes and self.config.lambda_image)

    @torch.no_grad()
    def text_trunk(self, prompts: Sequence[str | Sequence[str]]) -> TextTrunk:
        """All of the prompts, one or several a class, that no learned tensor plays a part in; compute it once a run."""
        return start_texts(self.model, self._texts, prompts, self.text_layer)

    def class_trunk(self, names: Sequence[str], template: str) -> TextTrunk:
        """What of classes does not depend on training: their prompts up to the first text layer with tokens."""
        return dataclasses.replace(self.text_trunk(write_prompts(template, names)), names=tuple(names))

    def encode_images(self, trunk: Float[Tensor, "image token width"]) -> ImageFeatures:
        """Adapted unit embeddings of images, with gradients."""
        if self.attribute_tokens is None or self.role_masks is None:
            frozen = self.frozen_images(trunk)
            return ImageFeatures(frozen, frozen[:, None][:, :0])
        originals, tokens = self._branch.run(trunk.to(self.model.dtype), self.attribute_tokens, self.role_masks())
        return ImageFeatures(unit(self.model.visual.read(originals[:, 0])), unit(self._read_attributes(tokens)))

    def _read_attributes(
        self, tokens: Float[Tensor, "image attribute width"]
    ) -> Float[Tensor, "image attribute embed"]:
        if self.readout is None:
            return self.model.visual.read(tokens)
        return self.readout(self._norm(tokens.to(self.readout.get_parameter("projection.weight").dtype)))

    def encode_texts(self, texts: TextTrunk) -> Float[Tensor, "class embed"]:
        """Adapted unit embeddings of classes, with gradients: the mean of several texts."""
        if self.text_tokens is None:
            return texts.frozen
        ends = run_texts(self.model, self._texts, texts, self.text_tokens, self.text_layer)
        return texts.average(unit(self._texts.read(ends)))

    @in_full_precision
    def logits(self, features: ImageFeatures, texts: Float[Tensor, "text embed"]) -> Float[Tensor, "image text"]:
        """Sum over CLS and attributes of alpha * scale * cosine, never in half precision."""
        alpha = self.alpha
        fused = alpha[0] * features.cls + torch.einsum("a,iae->ie", alpha[1:], features.attributes)
        return self.scale * fused @ texts.T

    def losses(
        self,
        logits: Float[Tensor, "image text"],
        labels: Int[Tensor, "image"],
        features: ImageFeatures,
        texts: Float[Tensor, "text embed"],
        frozen_images: Float[Tensor, "image embed"] | None,
        frozen_texts: Float[Tensor, "text embed"],
    ) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms of the loss, to be summed: "ce", "image", "text", "fusion", "mask".

        A term that is switched off, or has nothing to train behind it, is absent. `frozen_images` may be None where
        `needs_frozen_images` is false.
        """
        config = self.config
        terms = {"ce": cross_entropy(logits, labels)}
        if self.needs_frozen_images:
            if frozen_images is None:
                raise InputError("frozen_images: the image loss needs them; give those of Dear.frozen_images")
            terms["image"] = config.lambda_image * distance(features.cls, frozen_images)
        if self.text_tokens is not None and config.lambda_text:
            terms["text"] = config.lambda_text * distance(texts, frozen_texts)
        if self.fusion is not None and config.lambda_fusion:
            terms["fusion"] = -config.lambda_fusion * self.fusion.log_softmax(0)[0]
        return terms | ({} if self.role_masks is None else self.role_masks.losses())

    def forward(self, batch: Batch) -> tuple[Float[Tensor, "image text"], dict[str, Float[Tensor, ""]]]:
        """Logits and losses of a training step; frozen images are computed from the trunk where not given."""
        frozen = batch.frozen
        if frozen is None and self.needs_frozen_images:
            frozen = self.frozen_targets(batch.trunk)
        features, encoded = self.encode_images(batch.trunk), self.encode_texts(batch.texts)
        logits = self.logits(features, encoded)
        return logits, self.losses(logits, batch.labels, features, encoded, frozen, batch.texts.frozen)

    def trained_groups(self) -> tuple[TrainedGroup, ...]:
        """All trained tensors; those of learned masks at a rate of their own."""
        return split_groups(super().trained_groups(), self.role_masks)

    def fusion_weights(self) -> dict[str, float]:
        """`alpha` by name: "cls", then the attributes; they sum to 1."""
        return dict(zip(("cls", *self.attributes), self.alpha.tolist(), strict=True))

    def acting(self) -> dict[str, Acting]:
        """Attribute tokens by themselves, masks layer by layer, the readout at the end, text tokens anywhere."""
        last, deep = self.model.visual.layers - 1, range(self.layer, self.model.visual.layers)
        texts = Acting.text(range(self.text_layer, self._texts.layers))
        found = {"attribute_tokens.values": Acting.vision(deep, "attributes"), "text_tokens.values": texts}
        found["role_masks.logits"] = Acting.vision(deep, "layers")
        return found | {name: Acting.vision(last) for name in self.state_dict() if name.startswith("readout.")}

    def notes(self) -> tuple[str, ...]:
        """Core concepts that get no token, or no head to read them, a line each."""
        return core_notes(self.role_map, self.config, self.layer)

    def findings(self) -> Findings | None:
        """Of learned masks, where their weights ended."""
        return None if self.role_masks is None else self.role_masks.findings(self.name)

    def served_tensors(self) -> dict[str, Tensor]:
        """Tensors behind an image's logits among fixed classes: tokens, readout, masks and `alpha`."""
        masks = {} if self.role_masks is None else self.role_masks.served_tensors()
        own = {f"adapter.{name}": value for name, value in self.state_dict().items() if name.startswith(_SERVED)}
        return {**own, **masks, "alpha": self.alpha}
