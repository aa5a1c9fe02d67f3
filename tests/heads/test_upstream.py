"""Facts about what earlier heads write along what a direction reads."""

import pytest
import torch

from headroles.heads.directions import Directions
from headroles.heads.upstream import strengths
from headroles.models.hooked_clip import HookedCLIP


@pytest.fixture(scope="module")
def tower(make_clip, tokenizer):
    return HookedCLIP(make_clip().double(), "tiny", tokenizer).visual


def test_strength_is_the_variance_that_random_outputs_of_earlier_heads_become(tower):
    """Layer 2 reads what heads of layers 0 and 1 write of independent inputs of unit variance."""
    found = Directions.of(tower, [2])
    total = torch.zeros(32, 32, dtype=torch.float64)
    for layer in range(2):
        reading, output = (part.detach() for part in tower.circuit(layer))
        written = reading @ output  # Inputs are the rows of the identity: all of unit variance.
        total += (written.mT @ written).sum(0)
    read = torch.einsum("rs,hrj,hsj->hj", total, found.reads[0], found.reads[0]) * 32 / total.trace()
    torch.testing.assert_close(strengths(tower, found)[0], found.sigma[0] ** 2 * read)


def test_the_first_layer_has_nothing_before_it(tower):
    found = Directions.of(tower, [0, 1])
    squares = found.sigma**2
    assert torch.equal(strengths(tower, found)[0], squares[0])
    assert torch.equal(strengths(tower, found, "equal"), squares)
    assert not torch.allclose(strengths(tower, found)[1], squares[1])
