"""How many images count as one: each image so many times in a row is so many, and independent ones are one."""

import numpy as np
import pytest
import torch

from headroles.heads.value_moments import ValueMoments, sum_shapes
from headroles.roles.explained import Sums, effects
from headroles.roles.likeness import likeness

CONCEPTS = (("color", ("red", "green", "blue")), ("size", ("small", "large")))


def fold(outputs, codes, times, blocks=16):
    """Moments of outputs (image, head, width), each image so many times in a row, in blocks of neighbours."""
    outputs, codes = outputs.repeat(times, 0), codes.repeat(times, 0)
    shapes = sum_shapes(blocks, 5, 3, 1, *outputs.shape[1:])
    sums = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}
    moments = ValueMoments((0,), "0" * 64, CONCEPTS, **sums)
    block = torch.arange(len(outputs)) * blocks // len(outputs)
    moments.update(torch.from_numpy(outputs)[:, None], torch.from_numpy(codes), block)
    return moments


def draw(images, seed):
    """Ten heads: an effect of color, a little of size, and noise."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, 3, images), rng.integers(0, 2, images)], 1)
    means = rng.normal(size=(3, 10, 4))[codes[:, 0]] + 0.2 * rng.normal(size=(2, 10, 4))[codes[:, 1]]
    return means + rng.normal(size=means.shape), codes


@pytest.mark.parametrize("times", [4, 32])
@pytest.mark.parametrize("seed", range(3))
def test_copies_count_as_one_image(times, seed):
    outputs, codes = draw(96, seed)
    once, copies = fold(outputs, codes, 1), fold(outputs, codes, times)
    assert likeness(once) == 1
    found = likeness(copies)
    assert found == pytest.approx(times, rel=0.25)
    for shares in ("marginal", "unique"):
        expected = effects(Sums.of(once), shares)
        known = effects(Sums.of(copies), shares, times)  # With what they are known to be, exactly the same.
        np.testing.assert_allclose(known.left, expected.left)
        np.testing.assert_allclose(known.variances(), expected.variances(), atol=1e-12)
        assert (np.abs(effects(Sums.of(copies), shares, found).variances() - expected.variances()) < 0.05).all()


def test_heads_that_never_change_count_images_one_by_one():
    codes = draw(40, 0)[1]
    assert likeness(fold(np.ones((40, 10, 4)), codes, 1)) == 1
