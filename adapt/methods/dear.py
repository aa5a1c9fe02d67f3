"""DeAR (arXiv 2603.01111): attribute tokens behind role masks, text tokens, a trained readout and fusion.

The layers before the tokens enter (the trunk) hold nothing that is trained: their output is computed once and shared
by the adapted and the frozen branch, for texts once in a whole run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from headroles.adapt.config import DearConfig
from headroles.adapt.methods.masks import build_masks, check_role_map, is_isolating, masked_kinds
from headroles.adapt.methods.tokens import LearnedTokens
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.layers import first_deep_layer
from headroles.roles.role_map import RoleMap


@dataclass(frozen=True)
class TextTrunk:
    """What of the classes' texts does not depend on training."""

    residual: Float[Tensor, "text token width"]
    """The residual stream before the first layer with text tokens."""
    rows: Int[Tensor, "text"]
    """Where each text ends (EOT) in `residual`."""
    frozen: Float[Tensor, "text embed"]
    """Frozen CLIP's unit embeddings."""


@dataclass(frozen=True)
class ImageFeatures:
    """Unit embeddings of images."""

    cls: Float[Tensor, "image embed"]
    """CLS, through the frozen readout."""
    attributes: Float[Tensor, "image attribute embed"]
    """The attribute tokens, through the trained readout, in the order of `Dear.attributes`."""


class Dear(nn.Module):
    """An adapter around a frozen CLIP. Its parameters and `state_dict` are the trained tensors alone.

    `model` is frozen in place (no weight asks for gradients) and stays outside the module tree: move or cast it
    before. `seed` draws the first tokens. Trained tensors are float32 whatever the model's half precision. Raises
    InputError where role map, settings and model do not fit each other.
    """

    def __init__(self, model: HookedCLIP, role_map: RoleMap, config: DearConfig | None = None, seed: int = 1) -> None:
        super().__init__()
        config = config or DearConfig()
        check_adaptable(model)
        check_role_map(role_map, model)
        if config.text_tokens > model.context:
            raise InputError(f"text_tokens must be at most the context, {model.context}, got {config.text_tokens}")
        self.__dict__["model"] = model.requires_grad_(False)
        self.config, self.role_map = config, role_map
        self.layer, self.text_layer = _first_layers(model, config)
        """The first vision layer and the first text layer that learned tokens run through."""
        self.attributes = _attributes(role_map, config)
        """The names of the attribute tokens."""
        self.scale = model.logit_scale
        generator = torch.Generator().manual_seed(seed)
        self.attribute_tokens = self.readout = self.text_tokens = self.fusion = None
        self._build_vision(generator)
        self._build_fusion()
        if config.text_tokens:
            self.text_tokens = LearnedTokens(
                config.text_tokens, model.text.width, config.token_std, config.beta, generator
            )
        self.to(model.device, torch.promote_types(model.dtype, torch.float32))

    def _build_vision(self, generator: torch.Generator) -> None:
        """Attribute tokens, their masks and their readout."""
        config, tower = self.config, self.model.visual
        layers = range(self.layer, tower.layers)
        self.kinds = masked_kinds(self.role_map, layers, self.attributes, config.mask, config.mask_seed)
        """Layer -> what each of its heads is to the mask: a core concept's name, "isolated" or "open"."""
        self._masked: set[int] = set()
        self._apart: set[int] = set()
        if not self.attributes:
            return
        patches = self.model.patches
        masks = build_masks(self.role_map, layers, self.attributes, patches, config.mask, config.mask_seed)
        self._masked = set(masks)
        self._apart = {layer for layer, mask in masks.items() if is_isolating(mask, 1 + patches)}
        for layer, mask in masks.items():
            self.register_buffer(f"mask_{layer}", mask, persistent=False)
        self.attribute_tokens = LearnedTokens(
            len(self.attributes), tower.width, config.token_std, config.beta, generator
        )
        if config.fusion != "cls":
            norm, projection = tower.copy_readout()
            self.readout = nn.Sequential(OrderedDict(norm=norm, projection=projection)).requires_grad_(True)

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
    def device(self) -> torch.device:
        """Where CLIP's weights, and so images and features, are."""
        return self.model.device

    @property
    def alpha(self) -> Float[Tensor, "feature"]:
        """Weights of the logits of CLS and the attributes, in this order; they sum to 1."""
        return self._alpha if self.fusion is None else self.fusion.softmax(0)

    @property
    def needs_frozen_images(self) -> bool:
        """Whether the losses use frozen CLIP's image embeddings."""
        return bool(self.attributes and self.config.lambda_image)

    @torch.no_grad()
    def image_trunk(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        """The residual stream before the first layer with attribute tokens; no learned tensor plays a part."""
        return self.model.visual.run(self.model.start_images(pixels), range(self.layer))

    @torch.no_grad()
    def text_trunk(self, prompts: Sequence[str]) -> TextTrunk:
        """All of the prompts that no learned tensor plays a part in; compute it once a run."""
        model = self.model
        ids = model.tokenize(prompts)["input_ids"]
        residual = model.text.run(model.start_texts(ids), range(self.text_layer), model.causal_mask(ids.shape[1]))
        frozen = model.embed_texts(prompts).clone()  # A tensor of inference mode could not enter autograd.
        return TextTrunk(residual, model.text_rows(ids), _float(frozen))

    @torch.no_grad()
    def frozen_images(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        """Frozen CLIP's own unit embeddings, from where the trunk ends."""
        tower = self.model.visual
        return _unit(tower.read(tower.run(trunk.to(self.model.dtype), range(self.layer, tower.layers))[:, 0]))

    def encode_images(self, trunk: Float[Tensor, "image token width"]) -> ImageFeatures:
        """Adapted unit embeddings of images, with gradients."""
        if self.attribute_tokens is None:
            frozen = self.frozen_images(trunk)
            return ImageFeatures(frozen, frozen[:, None][:, :0])
        tower, tokens = self.model.visual, None
        originals = trunk.to(self.model.dtype)
        for layer in range(self.layer, tower.layers):
            tokens = self.attribute_tokens.entering(len(originals), tokens).to(originals.dtype)
            originals, tokens = self._run_layer(layer, originals, tokens)
        return ImageFeatures(_unit(tower.read(originals[:, 0])), _unit(self._read_attributes(tokens)))

    def _run_layer(
        self,
        layer: int,
        originals: Float[Tensor, "image token width"],
        tokens: Float[Tensor, "image attribute width"],
    ) -> tuple[Float[Tensor, "image token width"], Float[Tensor, "image attribute width"]]:
        """One vision layer. Where all of its heads are isolated, originals and tokens run as two batches.

        That is cheaper, and exact: kernels round the same row differently in a longer sequence, so a masked joint
        run would leave the embedding of a wholly isolated tower equal to frozen CLIP's only up to rounding. Of the
        last layer's originals nobody reads any but CLS, so no other is computed or returned.
        """
        tower, count = self.model.visual, originals.shape[1]
        if layer in self._apart:
            return tower.run(originals, [layer]), tower.run(tokens, [layer])
        mask = self.get_buffer(f"mask_{layer}") if layer in self._masked else None
        joined = torch.cat([originals, tokens], 1)
        if layer == tower.layers - 1:
            rows = torch.tensor([0, *range(count, joined.shape[1])], device=joined.device)
            return tower.run_rows(joined, layer, rows, mask).split([1, tokens.shape[1]], 1)
        return tower.run(joined, [layer], mask).split([count, tokens.shape[1]], 1)

    def _read_attributes(
        self, tokens: Float[Tensor, "image attribute width"]
    ) -> Float[Tensor, "image attribute embed"]:
        if self.readout is None:
            return self.model.visual.read(tokens)
        return self.readout(tokens.to(self.readout.norm.weight.dtype))

    def encode_texts(self, texts: TextTrunk) -> Float[Tensor, "text embed"]:
        """Adapted unit embeddings of texts, with gradients."""
        if self.text_tokens is None:
            return texts.frozen
        tower, count, tokens = self.model.text, self.config.text_tokens, None
        begin, rest = texts.residual[:, :1], texts.residual[:, 1:]
        mask = self.model.causal_mask(1 + count + rest.shape[1])
        for layer in range(self.text_layer, tower.layers):
            tokens = self.text_tokens.entering(len(begin), tokens).to(begin.dtype)
            joined = torch.cat([begin, tokens, rest], 1)
            if layer == tower.layers - 1:  # Nobody reads any other row than the texts' ends.
                ends = tower.run_rows(joined, layer, (texts.rows + count)[:, None], mask)
                return _unit(tower.read(ends[:, 0]))
            begin, tokens, rest = tower.run(joined, [layer], mask).split([1, count, rest.shape[1]], 1)

    def logits(self, features: ImageFeatures, texts: Float[Tensor, "text embed"]) -> Float[Tensor, "image text"]:
        """Sum over CLS and attributes of alpha * scale * cosine, never in half precision."""
        with torch.autocast(texts.device.type, enabled=False):
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
        """The weighted terms of the loss, to be summed: "ce", "image", "text", "fusion".

        A term that is switched off, or has nothing to train behind it, is absent. `frozen_images` may be None where
        `needs_frozen_images` is false.
        """
        config = self.config
        terms = {"ce": cross_entropy(logits, labels)}
        if self.needs_frozen_images:
            terms["image"] = config.lambda_image * _distance(features.cls, frozen_images)
        if self.text_tokens is not None and config.lambda_text:
            terms["text"] = config.lambda_text * _distance(texts, frozen_texts)
        if self.fusion is not None and config.lambda_fusion:
            terms["fusion"] = -config.lambda_fusion * self.fusion.log_softmax(0)[0]
        return terms

    def forward(
        self,
        trunk: Float[Tensor, "image token width"],
        labels: Int[Tensor, "image"],
        texts: TextTrunk,
        frozen_images: Float[Tensor, "image embed"] | None = None,
    ) -> tuple[Float[Tensor, "image text"], dict[str, Float[Tensor, ""]]]:
        """Logits and losses of a training step; `frozen_images` are computed from the trunk where not given."""
        if frozen_images is None and self.needs_frozen_images:
            frozen_images = self.frozen_images(trunk)
        features, encoded = self.encode_images(trunk), self.encode_texts(texts)
        logits = self.logits(features, encoded)
        return logits, self.losses(logits, labels, features, encoded, frozen_images, texts.frozen)

    @torch.no_grad()
    def predict(
        self, pixels: Float[Tensor, "image 3 height width"], texts: TextTrunk | Float[Tensor, "text embed"]
    ) -> Float[Tensor, "image text"]:
        """Probabilities of the texts for preprocessed images; `texts` from `text_trunk` or `encode_texts`."""
        encoded = self.encode_texts(texts) if isinstance(texts, TextTrunk) else texts
        return self.logits(self.encode_images(self.image_trunk(pixels)), encoded).softmax(-1)

    def trainable_summary(self) -> str:
        """How many numbers are trained, of CLIP's and the adapter's together, in PEFT's words."""
        trained = sum(parameter.numel() for parameter in self.parameters())
        whole = trained + sum(parameter.numel() for parameter in self.model.parameters())
        return f"trainable params: {trained:,} || all params: {whole:,} || trainable%: {100 * trained / whole:.4f}"


def check_adaptable(model: HookedCLIP) -> None:
    """InputError where DeAR cannot act on a model: it classifies CLIP's CLS token by texts."""
    if model.text is None:
        raise InputError(
            f"model: {model.model_name} is a {model.family.title} without a text tower; adapters classify images by "
            "their classes' texts, so take a CLIP"
        )
    if model.visual.pooling:
        raise InputError(
            f"model: {model.model_name} is a {model.family.title}, which has no CLS token: attention pools its "
            "patches, and role masks shield a CLS token; take a CLIP"
        )


def _first_layers(model: HookedCLIP, config: DearConfig) -> tuple[int, int]:
    """The first layer with learned tokens of the vision and of the text tower."""
    layers, texts = model.visual.layers, model.text.layers
    entry = first_deep_layer(layers) if config.layer is None else config.layer
    if entry + config.enter_after >= layers:
        raise InputError(f"layer: tokens cannot enter at layer {entry + config.enter_after}; the last is {layers - 1}")
    return entry + config.enter_after, min(entry * texts // layers + config.enter_after, texts - 1)


def _attributes(role_map: RoleMap, config: DearConfig) -> tuple[str, ...]:
    """The core concepts that the role map's bank knows; none without vision tokens."""
    if not config.vision_tokens:
        return ()
    known = tuple(concept for concept in config.core if concept in role_map.concepts)
    if not known:
        raise InputError(
            f"core: the role map's bank {role_map.bank.name} knows none of {', '.join(config.core)}; its concepts: "
            f"{', '.join(role_map.concepts)}"
        )
    return known


def _float(embeddings: Float[Tensor, "... embed"]) -> Float[Tensor, "... embed"]:
    """At least single precision."""
    return embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))


def _unit(embeddings: Float[Tensor, "... embed"]) -> Float[Tensor, "... embed"]:
    return normalize(_float(embeddings), dim=-1)


def _distance(rows: Float[Tensor, "row embed"], frozen: Float[Tensor, "row embed"]) -> Float[Tensor, ""]:
    """Mean of 1 - cosine of unit rows."""
    return 1 - (rows * frozen).sum(-1).mean()
