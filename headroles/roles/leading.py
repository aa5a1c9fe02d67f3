"""The leading directions of a head's outputs, on which TextSpan's code (2310.05916) projects texts: its `--w_ov_rank`.

The code takes them from a singular value decomposition of the stored outputs, not centred. Those are the eigenvectors
of the outputs' mean square, which the moments give. It asks for 80 directions: of a head that is 64 wide, with the
three of spread constants, 67 exist, and the code fills up with 13 that hold rounding alone, which texts and removals
then leak into; here there are no more than exist. Of a head that is 80 wide the last 3 of 83 are left out.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_EXHAUSTED = 1e-12
"""Share of the largest eigenvalue below which a direction holds rounding alone."""


def keep_leading(
    projected: Float[Tensor, "head text width"],
    factor: Float[Tensor, "head width width_of_u"],
    square: Float[Tensor, "head width_of_u width_of_u"],
    rank: int | None = None,
) -> tuple[Float[Tensor, "head text rank"], Float[Tensor, "head rank width_of_u"]]:
    """What `headroles.roles.textspan.project_texts` gives, in the `rank` leading directions; None: in all that exist.

    `square` is the mean of u u'. Where a head has fewer directions, the last columns are 0.
    """
    values, vectors = torch.linalg.eigh(factor @ square.to(factor) @ factor.mT)
    values, vectors = values.flip(-1)[..., :rank], vectors.flip(-1)[..., :rank]
    vectors = vectors * (values > _EXHAUSTED * values[..., :1])[..., None, :]
    return projected @ vectors.to(projected), vectors.mT @ factor
