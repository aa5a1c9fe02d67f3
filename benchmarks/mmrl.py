"""What a training step of MMRL (arXiv 2503.08497), or MMRL++ (2505.10088), computes, written from the papers.

For timing alone: on random weights nothing is learned. It runs on the same CLIP blocks as DeAR, so that a difference
in time is one of the methods and not of their kernels; both branches share one CLIP in memory.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy, linear, normalize

from headroles import HookedCLIP
from headroles.models.hooked_clip import Tower

FIRST = 5
"""Index of the first of twelve layers, in both towers, that tokens enter."""
TOKENS, SPACE = 5, 512
"""Learned tokens and the width of the space that both towers share."""
ALPHA, LAMBDA, SCALE = 0.7, 0.5, 100.0
"""Weight of the CLS loss; of the distances from frozen CLIP (the paper's differ by data set); on cosines."""


class Mmrl(nn.Module):
    """Tokens of a shared space, mapped into every layer from `FIRST` on of both towers, and a second projection.

    `model` is frozen in place and held outside the module tree. On a ViT-B/16 4,992,256 numbers are trained, as
    published.
    """

    beta = 1.0
    """Share of a layer's own tokens where there are earlier ones."""

    def __init__(self, model: HookedCLIP) -> None:
        super().__init__()
        self.__dict__["model"] = model.requires_grad_(False)
        self.first = FIRST * model.visual.layers // 12
        self.space = nn.Parameter(0.02 * torch.randn(TOKENS, SPACE))
        self.norm, self.projection = model.visual.copy_readout()
        self._build()

    def _build(self) -> None:
        self.to_vision, self.to_text = (
            nn.ModuleList(nn.Linear(SPACE, tower.width) for _ in range(self.first, tower.layers))
            for tower in (self.model.visual, self.model.text)
        )
        self.projection.requires_grad_(True)

    def tokens(self, maps: nn.Module) -> list[Float[Tensor, "token width"]]:
        """A tower's tokens, layer by layer."""
        return [mapping(self.space) for mapping in maps]

    def project(self, normed: Float[Tensor, "image width"]) -> Float[Tensor, "image embed"]:
        """The second projection."""
        return self.projection(normed)

    @torch.no_grad()
    def frozen_texts(self, ids: Int[Tensor, "text token"]) -> Float[Tensor, "text embed"]:
        """Frozen CLIP's unit embeddings; needed once a run."""
        return normalize(self.model(input_ids=ids), dim=-1)

    @torch.no_grad()
    def frozen_images(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
        """Frozen CLIP's unit embeddings: all layers, beside the adapted ones."""
        return normalize(self.model(pixel_values=pixels), dim=-1)

    def encode_images(
        self, pixels: Float[Tensor, "image 3 height width"]
    ) -> tuple[Float[Tensor, "image embed"], Float[Tensor, "image embed"]]:
        """Unit embeddings of CLS, read as CLIP does, and of the tokens' mean, read by the trained projection."""
        tower = self.model.visual
        joined = self._run(tower, self.model.start_images(pixels), self.tokens(self.to_vision))
        tokens = self.project(self.norm(joined[:, 1 : 1 + TOKENS]).mean(1))
        return normalize(tower.read(joined[:, 0]), dim=-1), normalize(tokens, dim=-1)

    def encode_texts(self, ids: Int[Tensor, "text token"]) -> Float[Tensor, "text embed"]:
        """Unit embeddings, from the words on."""
        tower = self.model.text
        joined = self._run(tower, self.model.start_texts(ids), self.tokens(self.to_text), causal=True)
        ends = joined[torch.arange(len(ids)), self.model.text_rows(ids) + TOKENS]
        return normalize(tower.read(ends), dim=-1)

    def forward(
        self,
        pixels: Float[Tensor, "image 3 height width"],
        labels: Int[Tensor, "image"],
        ids: Int[Tensor, "text token"],
        frozen_texts: Float[Tensor, "text embed"],
    ) -> Float[Tensor, ""]:
        """The loss of a step: both classifications and both distances from frozen CLIP."""
        cls, tokens = self.encode_images(pixels)
        texts = self.encode_texts(ids)
        right = [cross_entropy(SCALE * images @ texts.T, labels) for images in (cls, tokens)]
        apart = [
            1 - cosine_similarity(*pair, dim=-1).mean()
            for pair in ((cls, self.frozen_images(pixels)), (texts, frozen_texts))
        ]
        return ALPHA * right[0] + (1 - ALPHA) * right[1] + LAMBDA * sum(apart)

    def _run(
        self,
        tower: Tower,
        residual: Float[Tensor, "row token width"],
        tokens: list[Float[Tensor, "token width"]],
        causal: bool = False,
    ) -> Float[Tensor, "row token width"]:
        """All layers; a layer's own tokens follow the first position, mixed by BETA with those of the layer before."""
        length = residual.shape[1]
        plain, longer = ((self.model.causal_mask(n) if causal else None) for n in (length, length + TOKENS))
        joined = tower.run(residual, range(self.first), plain)
        (begin, rest), before = joined.split([1, length - 1], 1), None
        for layer, own in enumerate(tokens, self.first):
            entering = own.expand(len(residual), -1, -1)
            if before is not None and self.beta < 1:
                entering = self.beta * entering + (1 - self.beta) * before
            joined = tower.run(torch.cat([begin, entering, rest], 1), [layer], longer)
            begin, before, rest = joined.split([1, TOKENS, length - 1], 1)
        return joined


class LowRank(nn.Module):
    """One map of a tower, a low-rank sum and a bias a layer."""

    def __init__(self, width: int, layers: int, rank: int = 4) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(width, SPACE))
        self.bias = nn.Parameter(torch.zeros(layers, width))
        self.up, self.down = (
            nn.Parameter(torch.randn(layers, width, rank)),
            nn.Parameter(torch.zeros(layers, rank, SPACE)),
        )


class MmrlPlus(Mmrl):
    """MMRL++: low-rank sums to one map a tower and to CLIP's projection; tokens flow on."""

    beta = 0.9

    def _build(self) -> None:
        vision, text = self.model.visual, self.model.text
        self.to_vision, self.to_text = (LowRank(tower.width, tower.layers - self.first) for tower in (vision, text))
        self.up, self.down = nn.Parameter(torch.randn(vision.width, 64)), nn.Parameter(torch.zeros(64, vision.embed))
        self.projection.requires_grad_(False)

    def tokens(self, maps: LowRank) -> list[Float[Tensor, "token width"]]:
        rows = zip(maps.up, maps.down, maps.bias, strict=True)
        return [linear(self.space, maps.weight + up @ down, bias) for up, down, bias in rows]

    def project(self, normed: Float[Tensor, "image width"]) -> Float[Tensor, "image embed"]:
        return self.projection(normed) + normed @ self.up @ self.down
