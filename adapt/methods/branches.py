"""The layers that learned tokens run through: beside an image's tokens, behind masks, and within a text's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.adapt.methods.features import TextTrunk, embed_classes, list_texts
from headroles.adapt.methods.tokens import Tokens
from headroles.models.hooked_clip import HookedCLIP, Tower


@dataclass(frozen=True)
class ImageBranch:
    """The vision layers from the one on at whose input the attribute tokens enter."""

    tower: Tower
    first: int
    """That layer."""
    apart: frozenset[int]
    """Layers that part all learned tokens from all originals."""

    def run(
        self,
        trunk: Float[Tensor, "image token width"],
        learned: Tokens,
        masks: Mapping[int, Float[Tensor, "head token token"]],
    ) -> tuple[Float[Tensor, "image token width"], Float[Tensor, "image attribute width"]]:
        """The last residual stream of the originals, CLS first, and of the attribute tokens."""
        originals, tokens = trunk, None
        for layer in range(self.first, self.tower.layers):
            entering = learned.entering(layer, originals.shape[0], tokens).to(originals.dtype)
            originals, tokens = self._run_layer(layer, originals, entering, masks.get(layer))
        assert tokens is not None  # `first_layers` leaves a layer at the least.
        return originals, tokens

    def _run_layer(
        self,
        layer: int,
        originals: Float[Tensor, "image token width"],
        tokens: Float[Tensor, "image attribute width"],
        mask: Float[Tensor, "head token token"] | None,
    ) -> tuple[Float[Tensor, "image token width"], Float[Tensor, "image attribute width"]]:
        """One vision layer. Where all of its heads are isolated, originals and tokens run as two batches.

        That is cheaper, and exact: kernels round the same row differently in a longer sequence, so a masked joint
        run would leave the embedding of a wholly isolated tower equal to frozen CLIP's only up to rounding. Of the
        last layer's originals nobody reads any but CLS, so no other is computed or returned.
        """
        tower, count = self.tower, originals.shape[1]
        if layer in self.apart:
            return tower.run(originals, [layer]), tower.run(tokens, [layer])
        joined = torch.cat([originals, tokens], 1)
        if layer == tower.layers - 1:
            rows = torch.tensor([0, *range(count, joined.shape[1])], device=joined.device)
            kept, tokens = tower.run_rows(joined, layer, rows, mask).split([1, tokens.shape[1]], 1)
        else:
            kept, tokens = tower.run(joined, [layer], mask).split([count, tokens.shape[1]], 1)
        return kept, tokens


def start_texts(model: HookedCLIP, tower: Tower, prompts: Sequence[str | Sequence[str]], first: int) -> TextTrunk:
    """All of the prompts, one or several a class, below text layer `first`, the first with learned tokens."""
    texts, classes = list_texts(prompts)
    ids = model.tokenize(texts)["input_ids"]
    residual = tower.run(model.start_texts(ids), range(first), model.causal_mask(ids.shape[1]))
    return TextTrunk(
        residual=residual,
        rows=model.text_rows(ids),
        frozen=embed_classes(model, prompts),
        classes=None if classes is None else classes.to(model.device),
    )


def run_texts(
    model: HookedCLIP, tower: Tower, texts: TextTrunk, learned: Tokens, first: int
) -> Float[Tensor, "text width"]:
    """The last residual stream at the texts' ends, with learned tokens after BOT from layer `first` on."""
    tokens, count = None, learned.count
    begin, rest = texts.residual[:, :1], texts.residual[:, 1:]
    mask = model.causal_mask(1 + count + rest.shape[1])
    for layer in range(first, tower.layers - 1):
        joined = _join_texts(layer, begin, learned, tokens, rest)
        begin, tokens, rest = tower.run(joined, [layer], mask).split([1, count, rest.shape[1]], 1)
    # Of the last layer nobody reads any other row than the texts' ends.
    joined = _join_texts(tower.layers - 1, begin, learned, tokens, rest)
    return tower.run_rows(joined, tower.layers - 1, (texts.rows + count)[:, None], mask)[:, 0]


def _join_texts(
    layer: int,
    begin: Float[Tensor, "text 1 width"],
    learned: Tokens,
    previous: Float[Tensor, "text token width"] | None,
    rest: Float[Tensor, "text token width"],
) -> Float[Tensor, "text token width"]:
    return torch.cat([begin, learned.entering(layer, begin.shape[0], previous).to(begin.dtype), rest], 1)
