"""The layers that learned tokens run through: beside an image's tokens, behind masks, and within a text's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.adapt.methods.features import TextTrunk, embed_classes, list_texts, unit
from headroles.adapt.methods.tokens import Tokens
from headroles.models.families.alike_texts import AlikeTexts
from headroles.models.hooked_clip import HookedCLIP, Tower

WORTHWHILE = 2**22
"""Tokens that are spared, times the tower's width squared, from which on computing alike ones once takes less time.

On two processors and towers of 128 it did from 2^21 (fine-tuning, MMRL) to 2^23 on (CoOp).
"""


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
        tower, count, more = self.tower, originals.shape[1], tokens.shape[1]
        if layer in self.apart:
            return tower.run(originals, [layer]), tower.run(tokens, [layer])
        if layer < tower.layers - 1 and tokens.requires_grad and not originals.requires_grad:
            kept, tokens = tower.run_pieces([originals, tokens], layer, mask).split([count, more], 1)
            return kept, tokens
        joined = torch.cat([originals, tokens], 1)
        if layer == tower.layers - 1:
            rows = torch.tensor([0, *range(count, joined.shape[1])], device=joined.device)
            kept, tokens = tower.run_rows(joined, layer, rows, mask).split([1, more], 1)
        else:
            kept, tokens = tower.run(joined, [layer], mask).split([count, more], 1)
        return kept, tokens


def run_to_cls(
    tower: Tower, residual: Float[Tensor, "image token width"], first: int
) -> Float[Tensor, "image width"]:
    """The last residual stream of CLS, from layer `first` on: of the last layer nobody reads any other row."""
    last = tower.layers - 1
    if first > last:
        return residual[:, 0]
    rows = torch.zeros(1, dtype=torch.long, device=residual.device)
    return tower.run_rows(tower.run(residual, range(first, last)), last, rows)[:, 0]


def embed_from(
    tower: Tower, residual: Float[Tensor, "image token width"], first: int
) -> Float[Tensor, "image embed"]:
    """Unit embeddings from layer `first` on, to rounding: of the last layer the row that is read alone, if one is."""
    if not tower.at_row:
        return unit(tower.read(tower.run(residual, range(first, tower.layers))))
    return unit(tower.read(run_to_cls(tower, residual, first)))


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
        alike=model.find_alike(ids),
    )


def run_texts(
    model: HookedCLIP, tower: Tower, texts: TextTrunk, learned: Tokens | None, first: int
) -> Float[Tensor, "text width"]:
    """The last residual stream at the texts' ends, with learned tokens after BOT, if any, from layer `first` on."""
    alike = pick_alike(texts.alike, tower, first, learned.count if learned else 0)
    if alike is None:
        return _run_whole(model, tower, texts, learned, first)
    return run_alike(model, tower, texts.residual, alike, learned, first)


def pick_alike(
    alike: AlikeTexts | None, tower: Tower, first: int, learned: int = 0, groups: int = 1
) -> AlikeTexts | None:
    """How to compute each token of texts once, `learned` ones among them; None where whole texts are better.

    They are where a hook from layer `first` on asks for all tokens, and where so few are spared that laying them out
    takes longer. In an export the number of `groups` is not known, and any may come.
    """
    if alike is None or tower.is_hooked(*range(first, tower.layers)):
        return None
    if torch.compiler.is_exporting():
        return alike
    return alike if groups * alike.longer(learned).spared * tower.width**2 >= WORTHWHILE else None


def run_alike(
    model: HookedCLIP,
    tower: Tower,
    residual: Float[Tensor, "text token width"],
    alike: AlikeTexts,
    learned: Tokens | None = None,
    first: int = 0,
) -> Float[Tensor, "text width"]:
    """`run_texts` of texts' residual stream before `first`, each token once, equal to rounding."""
    stream, count = alike.gather(residual), learned.count if learned else 0
    rows, last = stream.shape[1] - 1, tower.layers - 1
    alike = alike.longer(count)
    mask = model.causal_mask(alike.start + alike.length)
    for layer in range(first, tower.layers):
        pieces = [stream]
        if learned:
            begin, *tokens, rest = stream.split([1, rows] if layer == first else [1, count, rows], 1)
            pieces = _enter(layer, begin, learned, tokens[0] if tokens else None, rest)
        # Of the last layer nobody reads any other row than the texts' ends.
        stream = tower.run_alike(pieces, layer, alike, mask, ends=layer == last)
    return stream.flatten(0, 1)


def _run_whole(
    model: HookedCLIP, tower: Tower, texts: TextTrunk, learned: Tokens | None, first: int
) -> Float[Tensor, "text width"]:
    """`run_texts` where hooks ask for all tokens of all texts, or tokens see later ones."""
    tokens, count = None, learned.count if learned else 0
    begin, rest = texts.residual[:, :1], texts.residual[:, 1:]
    mask = model.causal_mask(1 + count + rest.shape[1])
    for layer in range(first, tower.layers - 1):
        joined = torch.cat(_enter(layer, begin, learned, tokens, rest), 1)
        begin, tokens, rest = tower.run(joined, [layer], mask).split([1, count, rest.shape[1]], 1)
    joined = torch.cat(_enter(tower.layers - 1, begin, learned, tokens, rest), 1)
    return tower.run_rows(joined, tower.layers - 1, (texts.rows + count)[:, None], mask)[:, 0]


def _enter(
    layer: int,
    begin: Float[Tensor, "text 1 width"],
    learned: Tokens | None,
    previous: Float[Tensor, "text token width"] | None,
    rest: Float[Tensor, "text row width"],
) -> list[Float[Tensor, "text _ width"]]:
    """What enters a layer, in order."""
    entering = [] if learned is None else [learned.entering(layer, begin.shape[0], previous).to(begin.dtype)]
    return [begin, *entering, rest]
