"""What heads write on the images of a gallery, along a text or at all, and where on an image."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from headroles.errors import InputError
from headroles.explore.gallery import Gallery
from headroles.heads.names import Head, head_name
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import HeadRole, RoleMap
from headroles.uses.head_views import HeadViews, view_heads

_TEXTS = 2000
"""Embeddings of texts that are kept, the latest."""


class Texts:
    """Unit embeddings of texts, each computed once."""

    def __init__(self, model: HookedCLIP) -> None:
        self.model = model
        self._known: OrderedDict[str, Tensor] = OrderedDict()

    @property
    def can_read(self) -> bool:
        """Whether the model reads texts."""
        return self.model.text is not None and self.model.tokenizer is not None

    def embed(self, texts: Sequence[str]) -> Float[Tensor, "text embed"]:
        """In the given order; InputError of a model that reads none, and of a text that is longer than it reads."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if cut := self.model.find_cut(new):
            raise InputError(
                f"text: {cut[0][:40]!r} ... is longer than the {self.model.context} tokens that are read; shorten it"
            )
        if new:
            self._known |= dict(zip(new, self.model.embed_texts(new), strict=True))
        found = torch.stack([self._known[text] for text in texts])
        while len(self._known) > _TEXTS:
            self._known.popitem(last=False)
        return found


class Writing:
    """The heads of a role map on a gallery: numbers come from the gallery's one pass, maps from one forward each."""

    def __init__(self, model: HookedCLIP, role_map: RoleMap, gallery: Gallery, texts: Texts) -> None:
        self.model, self.role_map, self.gallery, self.texts = model, role_map, gallery, texts
        self.heads: tuple[Head, ...] = tuple((head.layer, head.head) for head in role_map)

    def text_of(self, head: HeadRole, text: str | None) -> str | None:
        """The text along which a head is looked at: the given one, its own first one, or None."""
        own = head.texts[0].text if head.texts else None
        return (text or own) if self.texts.can_read else None

    def amounts(self, head: HeadRole, text: str | None) -> Float[ndarray, "image"]:
        """What it adds to the cosine of every image with a text; without one, how long what it writes is beyond its
        mean."""
        layer = self.role_map.layers.index(head.layer)
        written, basis = self.gallery.heads[:, layer, head.head], self.gallery.bases[layer, head.head]
        if text is None:
            return np.linalg.norm((written - self.gallery.mean[layer, head.head]) @ basis, axis=1)
        return written @ (basis @ self._direction(text))

    def along(self, text: str) -> Float[ndarray, "image head"]:
        """What every scored head adds to every image's cosine with a text; heads as in `heads`."""
        reading = self.gallery.bases @ self._direction(text)
        parts = np.einsum("ilhk,lhk->ilh", self.gallery.heads, reading, optimize=True)
        places = np.array([(self.role_map.layers.index(layer), head) for layer, head in self.heads])
        return parts[:, places[:, 0], places[:, 1]]

    def look(self, rows: Sequence[int], heads: Sequence[Head], text: str | None) -> HeadViews | None:
        """What every token of some images adds to heads along a text: one forward. None where no row is read, as in
        SigLIP, of which `attend` says why."""
        if not self.model.visual.at_row:
            return None
        pixels = torch.stack([self.gallery.pixels(row) for row in rows])
        directions = None if text is None else self.texts.embed([text]).expand(len(heads), -1)
        return view_heads(self.model, pixels, heads, directions)

    def _direction(self, text: str) -> Float[ndarray, "embed"]:
        return self.texts.embed([text])[0].float().cpu().numpy()


def describe_look(views: HeadViews, image: int, head: int, text: str | None) -> dict[str, Any]:
    """Plain numbers of one image and head: grids, rows of patches from the top, and what no patch holds."""
    quantities = ("attention",) if text is None else ("attention", "contribution")
    return {
        "head": head_name(views.heads[head]),
        **{name: views.grid(name)[image, head].tolist() for name in quantities},
        "rest": {name: views.rest(name)[image, head].item() for name in quantities},
    }
