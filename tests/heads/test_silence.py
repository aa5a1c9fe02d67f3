"""Facts about heads that say nothing, and about the number of directions that a head writes along."""

import pytest
import torch

from headroles.heads.silence import Outputs


def outputs_of(u):
    """u (image, head, width)."""
    mean = u.mean(0)
    centred = u - mean
    return Outputs(mean, torch.einsum("ihk,ihm->hkm", centred, centred) / len(u))


def speaking(images=200, heads=5, width=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(images, heads, width, generator=generator, dtype=torch.float64) + 1


def test_effective_rank_counts_equal_directions():
    covariance = torch.diag_embed(torch.tensor([[1.0, 0, 0, 0], [1, 1, 0, 0], [5, 5, 5, 5], [0, 0, 0, 0]]))
    found = Outputs(torch.zeros(4, 4), covariance).effective_rank()
    torch.testing.assert_close(found, torch.tensor([1.0, 2, 4, 0]))


def test_heads_with_outputs_of_their_own_speak():
    assert not outputs_of(speaking()).silent().any()


def test_a_constant_is_silent_whatever_the_scale_of_the_images():
    u = speaking()
    scale = torch.rand(len(u), 1, dtype=torch.float64) + 0.5
    u[:, 1] = scale * torch.arange(8.0)
    u[:, 3] = 0
    assert outputs_of(u).silent().tolist() == [False, True, False, True, False]


@pytest.mark.parametrize(("precision", "noise"), [("no", 1e-7), ("fp16", 1e-3), ("bf16", 1e-2)])
def test_rounding_is_no_speech(precision, noise):
    u = speaking()
    u[:, 2] = 3 + 3 * noise * torch.randn(len(u), 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert outputs_of(u).silent(precision).tolist() == [False, False, True, False, False]


def test_all_heads_are_silent_where_all_images_are_one():
    assert outputs_of(speaking(images=1).expand(40, -1, -1)).silent().all()


def test_a_head_a_thousand_times_fainter_than_the_others_is_silent():
    u = speaking()
    u[:, 4] = 5e-4 * (u[:, 4] - 1)
    assert outputs_of(u).silent().tolist() == [False, False, False, False, True]
