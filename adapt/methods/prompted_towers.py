"""What methods share whose prompts begin with the first layer of both towers: behind BOT, and behind the patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.adapt.methods.coop import NamedClasses, begin_context
from headroles.adapt.methods.features import TextTrunk
from headroles.adapt.methods.tokens import LayerTokens
from headroles.adapt.methods.two_towers import TwoTowers
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP


class PromptedTowers(TwoTowers):
    """A subclass gives the prompts of both towers, layer by layer; the settings `context` and `init` are known here."""

    novel = "by their names behind the learned prompts"
    layer = text_layer = 0

    def text_vectors(self) -> Sequence[Float[Tensor, "token width"]]:
        """The prompts of the text tower's first layers, without positions."""
        raise NotImplementedError

    def image_vectors(self) -> Sequence[Float[Tensor, "token width"]]:
        """The prompts of the vision tower's first layers."""
        raise NotImplementedError

    def class_trunk(self, names: Sequence[str], template: str) -> PromptedClasses:
        """The template makes frozen CLIP's embeddings alone: here `init` stands in its place."""
        count, words = self.config.context, self.config.init
        return PromptedClasses.read(self.model, names, template, count, words, count if words else 0)

    def text_tokens(self, texts: PromptedClasses) -> LayerTokens:
        first, *deeper = self.text_vectors()
        return LayerTokens(dict(enumerate([first + texts.positions, *deeper])))

    def image_tokens(self) -> LayerTokens:
        first, *deeper = self.image_vectors()
        return LayerTokens(dict(enumerate([self.model.start_vectors(first), *deeper])))

    def served_tensors(self) -> dict[str, Tensor]:
        return {f"adapter.image_tokens.{layer}": values for layer, values in self.image_tokens().values.items()}


@dataclass(frozen=True, kw_only=True)
class PromptedClasses(TextTrunk):
    """Class names with room for vectors behind BOT: the residual stream before layer 0, without that room."""

    positions: Float[Tensor, "token width"]
    """What vectors there get for their positions."""

    @classmethod
    def read(
        cls, model: HookedCLIP, names: Sequence[str], template: str, room: int, words: str = "", replaced: int = 0
    ) -> PromptedClasses:
        """`headroles.adapt.methods.coop.NamedClasses.read`, with `room` vectors' positions."""
        named = NamedClasses.read(model, names, template, room, words, replaced)
        begin, rest = named.embedded[:, :1], named.embedded[:, 1:]
        blank = torch.zeros(len(begin), room, begin.shape[2], dtype=begin.dtype, device=begin.device)
        with torch.no_grad():
            begin, blank, rest = model.start_embedded(torch.cat([begin, blank, rest], 1)).split(
                [1, room, rest.shape[1]], 1
            )
        residual = torch.cat([begin, rest], 1)
        return cls(
            frozen=named.frozen,
            names=named.names,
            residual=residual,
            rows=named.rows,
            alike=named.alike,
            positions=blank[0].clone(),
        )


def draw_prompts(layers: int, count: int, width: int, generator: torch.Generator) -> list[Float[Tensor, "token width"]]:
    """`count` vectors for every one of so many layers, from N(0, .02)."""
    return list(0.02 * torch.randn(layers, count, width, generator=generator))


def begin_words(model: HookedCLIP, words: str, count: int, generator: torch.Generator) -> Float[Tensor, "token width"]:
    """The embeddings of the first `count` tokens of words; without words, drawn from N(0, .02).

    InputError where words have fewer.
    """
    begun = begin_context(model, words, count, generator)
    if len(begun) < count:
        raise InputError(
            f"context: {count} vectors are to begin with the words of init, and {words!r} has {len(begun)} tokens; "
            "take fewer, or an empty init"
        )
    return begun[:count]


def prompt_depth(model: HookedCLIP, depth: int | None) -> int:
    """The number of layers with prompts of their own: `depth`; None: three quarters of the shallower tower's.

    InputError where a tower has fewer.
    """
    assert model.text is not None  # `TwoTowers.check_model` refuses such a model.
    layers = min(model.visual.layers, model.text.layers)
    if depth is not None and depth > layers:
        raise InputError(f"depth must be at most the {layers} layers of {model.model_name}'s towers, got {depth}")
    return max(1, 3 * layers // 4) if depth is None else depth
