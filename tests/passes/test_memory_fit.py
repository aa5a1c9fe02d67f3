"""A batch that does not fit is forwarded in halves, and images come out in order."""

import pytest
import torch

from headroles import InputError
from headroles.passes.memory_fit import FittingForward


def forward_that_takes(most, sizes):
    def forward(pixels):
        sizes.append(len(pixels))
        if len(pixels) > most:
            raise torch.OutOfMemoryError("no memory")
        return pixels * 2

    return forward


@pytest.mark.parametrize("most", [1, 3, 5, 100])
def test_halves_until_it_fits_and_remembers(most):
    sizes = []
    forward = FittingForward(forward_that_takes(most, sizes))
    pixels = torch.arange(13)
    assert torch.equal(forward(pixels), 2 * pixels)
    tried = len(sizes)
    assert torch.equal(forward(pixels), 2 * pixels) and max(sizes[tried:]) <= most
    assert torch.equal(forward(pixels[:2]), 2 * pixels[:2])


def test_what_cannot_fit_is_said():
    with pytest.raises(InputError, match="1 images do not fit"):
        FittingForward(forward_that_takes(0, []))(torch.arange(4))
    with pytest.raises(InputError, match=r"4 images do not fit .*; give --batch auto"):
        FittingForward(forward_that_takes(2, []), may_split=False)(torch.arange(4))
