"""MeanTower: a tower without CLS and pooling head, whose embedding is the mean of its final tokens.

With residuals r_t of T tokens and their final LayerNorm's deviations sigma_t, the embedding is
sum over t of (r_t C / sigma_t + beta) / T, projected where there is a projection; C = (I - 11'/D) diag(gamma). It is
linear in r_t given sigma_t, so a head's part is (sum over t of z_t / (T sigma_t)) times a constant basis of its width.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from headroles.models.families.hook_points import copy_unhooked
from headroles.models.families.tower import Tower


class MeanTower(Tower):
    """A tower that is read by the mean of all its tokens: `read` and `finish` take (image, token, D)."""

    at_row = False

    def finish(self, normed: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        """The mean of the final LayerNorm's outputs, projected."""
        return super().finish(normed.mean(1))

    def copy_readout(self) -> nn.Sequential:
        """As in `Tower`, of all tokens."""
        return copy_unhooked(self._norm, _TokenMean(), self._projection or nn.Identity())

    def weigh(self, sigma: Float[Tensor, "image token 1"]) -> Float[Tensor, "image pooling token"]:
        """1 / (T sigma_t): what each token's residual counts; one row, as of one pooling head."""
        return 1 / (sigma.shape[1] * sigma.transpose(1, 2))

    def pool_rows(
        self, rows: Float[Tensor, "... token width"], weights: Float[Tensor, "... pooling token"]
    ) -> Float[Tensor, "... embed"]:
        """Part of the embedding of a part of the last residual stream; `weights` as `weigh` gives them."""
        return (weights @ rows)[..., 0, :] @ self.readout()

    def pool_heads(
        self, z: Float[Tensor, "image token head width"], weights: Float[Tensor, "image pooling token"]
    ) -> Float[Tensor, "image head width"]:
        """Each head's z, summed over tokens with `weights`: times its basis it is its part of the embedding."""
        return torch.einsum("int,ithk->ihk", weights, z)

    def pool_head_outputs(
        self, z: Float[Tensor, "image token head width"], weights: Float[Tensor, "image pooling token"], layer: int
    ) -> Float[Tensor, "image head embed"]:
        """Part of the embedding of each head of a layer, over all tokens."""
        return torch.einsum("ihk,hkd->ihd", self.pool_heads(z, weights), self.bases()[layer])

    def pool_biases(self, weights: Float[Tensor, "image pooling token"]) -> Float[Tensor, "image layer embed"]:
        """Part of the embedding of every layer's attention output bias."""
        return weights.sum((1, 2))[:, None, None] * self.biases()


class _TokenMean(nn.Module):
    def forward(self, tokens: Float[Tensor, "image token width"]) -> Float[Tensor, "image width"]:
        return tokens.mean(1)
