"""What methods share whose learned tokens run through both towers of a CLIP."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from headroles.adapt.methods.branches import ImageBranch, run_texts
from headroles.adapt.methods.features import TextTrunk, unit
from headroles.adapt.methods.layer_trunk import LayerTrunk
from headroles.adapt.methods.tokens import LayerTokens
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP


class TwoTowers(LayerTrunk):
    """Tokens enter the vision tower at `layer` and the text tower at `text_layer`; all below is computed once.

    A subclass sets both and gives `image_tokens` and `text_tokens`.
    """

    text_layer: int
    """The first text layer with learned tokens."""
    apart: frozenset[int] = frozenset()
    """Vision layers whose masks part all learned tokens from all others."""

    @classmethod
    def check_model(cls, model: HookedCLIP) -> None:
        super().check_model(model)
        if model.visual.pooling:
            raise InputError(
                f"model: {model.model_name} is a {model.family.title}, which has no CLS token: attention pools its "
                f"patches, and {cls.title} was made for a CLS token; take a CLIP"
            )

    def image_tokens(self) -> LayerTokens:
        """The tokens of the vision tower, layer by layer, with gradients."""
        raise NotImplementedError

    def text_tokens(self, texts: Any) -> LayerTokens:
        """The tokens of the text tower, layer by layer, with gradients."""
        raise NotImplementedError

    def masks(self) -> dict[int, Float[Tensor, "... token token"]]:
        """Vision layer -> what is added to attention scores; here none."""
        return {}

    def run_images(
        self, trunk: Float[Tensor, "image token width"]
    ) -> tuple[Float[Tensor, "image width"], Float[Tensor, "image token width"]]:
        """The last residual stream of CLS and of the learned tokens."""
        branch = ImageBranch(self.model.visual, self.layer, self.apart)
        originals, tokens = branch.run(trunk.to(self.model.dtype), self.image_tokens(), self.masks())
        return originals[:, 0], tokens

    def encode_images(self, trunk: Float[Tensor, "image token width"]) -> Any:
        return unit(self.model.visual.read(self.run_images(trunk)[0]))

    def embed_texts(self, texts: TextTrunk) -> Float[Tensor, "class embed"]:
        """Unit embeddings of classes, with gradients: the mean of several texts."""
        tower = self.text_tower
        ends = run_texts(self.model, tower, texts, self.text_tokens(texts), self.text_layer)
        return texts.average(unit(tower.read(ends)))

    def encode_texts(self, texts: TextTrunk) -> Any:
        return self.embed_texts(texts)

    def given_frozen(
        self, frozen: Float[Tensor, "image embed"] | None, trunk: Float[Tensor, "image token width"]
    ) -> Float[Tensor, "image embed"]:
        """A batch's frozen embeddings, computed where they are not given."""
        return self.frozen_targets(trunk) if frozen is None else frozen
