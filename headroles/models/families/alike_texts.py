"""AlikeTexts: texts of which each token is computed once, where they begin alike, and none behind a text's end.

No token of a causal tower sees a later one. So what all texts begin with has one and the same output in all of them,
and what stands behind an end, padding, changes nothing that is read.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headroles.models.families.layer_rows import attend


@dataclass(frozen=True)
class AlikeTexts:
    """Where the rows of a residual stream (group, row, width) stand in texts: the common start, then text by text.

    A group has a start of its own, and the same number of texts with the same ends as every other.
    """

    start: int
    """Positions of the common start."""
    length: int
    """Positions of a text behind it."""
    texts: int
    """Texts of a group."""
    places: Int[Tensor, "row"]
    """Of every row behind the start: its text times `length`, and its position behind the start."""
    ends: Int[Tensor, "text"]
    """The row of every text's end."""
    reach: Int[Tensor, "text"]
    """The position of every text's end, the start included."""

    @classmethod
    def of(cls, ids: Int[Tensor, "text token"], ends: Int[Tensor, "text"]) -> AlikeTexts:
        """Of texts as tokens, and where each is read; the ends themselves are never in the start."""
        same = int((ids == ids[:1]).all(0).int().cumprod(0).sum())
        return cls._lay(min(same, int(ends.min())), ids.shape[1], ends)

    @classmethod
    def _lay(cls, start: int, tokens: int, reach: Int[Tensor, "text"]) -> AlikeTexts:
        kept = torch.arange(start, tokens, device=reach.device) <= reach[:, None]
        places, ends = kept.flatten().nonzero()[:, 0], start + kept.sum(1).cumsum(0) - 1
        return cls(start, tokens - start, len(reach), places, ends, reach)

    @property
    def spared(self) -> int:
        """Tokens of a group that are computed less often than there are."""
        return self.texts * (self.start + self.length) - self.start - len(self.places)

    def longer(self, count: int) -> AlikeTexts:
        """With `count` more positions in the start."""
        return dataclasses.replace(self, start=self.start + count, ends=self.ends + count, reach=self.reach + count)

    def apart(self) -> AlikeTexts:
        """The same texts without a common start: what is drawn for a token is drawn for every text's own."""
        return self._lay(0, self.start + self.length, self.reach)

    def pick(self, texts: Int[Tensor, "picked"]) -> AlikeTexts:
        """Some of the texts, in their order."""
        return self._lay(self.start, self.start + self.length, self.reach[texts])

    def gather(self, texts: Float[Tensor, "group_and_text token width"]) -> Float[Tensor, "group row width"]:
        """The rows of texts that are given whole."""
        groups = texts.unflatten(0, (-1, self.texts))
        own = groups[:, :, self.start :].flatten(1, 2).index_select(1, self.places)
        return torch.cat([groups[:, 0, : self.start], own], 1)

    def read(
        self,
        query: Float[Tensor, "group row head width"],
        key: Float[Tensor, "group row head width"],
        value: Float[Tensor, "group row head width"],
        mask: Float[Tensor, "token token"],
        scale: float,
    ) -> Float[Tensor, "group row head width"]:
        """What the attention of every row reads; `mask`: the causal one."""
        (first, own), *others = (self._part(flow) for flow in (query, key, value))
        keys, values = (self._whole(*parts) for parts in others)
        z = attend(self._spread(own), keys, values, mask[None, None, self.start :], scale)
        z = z.unflatten(0, (-1, self.texts)).flatten(1, 2).index_select(1, self.places)
        if not self.start:
            return z
        seen = mask[None, None, : self.start, : self.start]
        return torch.cat([attend(first, others[0][0], others[1][0], seen, scale), z], 1)

    def read_ends(
        self,
        query: Float[Tensor, "group text head width"],
        key: Float[Tensor, "group row head width"],
        value: Float[Tensor, "group row head width"],
        mask: Float[Tensor, "token token"],
        scale: float,
    ) -> Float[Tensor, "group text head width"]:
        """What the attention of the texts' ends alone reads."""
        keys, values = (self._whole(*self._part(flow)) for flow in (key, value))
        seen = mask[self.reach][:, None, None].repeat(query.shape[0], 1, 1, 1)
        return attend(query.flatten(0, 1)[:, None], keys, values, seen, scale).unflatten(0, (-1, self.texts))[:, :, 0]

    def _part(self, flow: Tensor) -> tuple[Tensor, Tensor]:
        """The start, and the rows behind it."""
        start, own = flow.split([self.start, flow.shape[1] - self.start], 1)
        return start, own

    def _spread(self, own: Float[Tensor, "group _ head width"]) -> Float[Tensor, "group_and_text own head width"]:
        """The rows behind the start, text by text; zeros behind the ends."""
        blank = own.new_zeros(own.shape[0], self.texts * self.length, *own.shape[2:])
        return blank.index_copy(1, self.places, own).unflatten(1, (self.texts, self.length)).flatten(0, 1)

    def _whole(
        self, start: Float[Tensor, "group start head width"], own: Float[Tensor, "group _ head width"]
    ) -> Float[Tensor, "group_and_text token head width"]:
        """Text by text, each with the start."""
        return torch.cat([start[:, None].expand(-1, self.texts, -1, -1, -1).flatten(0, 1), self._spread(own)], 1)
