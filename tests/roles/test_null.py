"""Facts about the null model: eigenvalues stay, directions mean nothing, random heads stand out as often as p says."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from headroles.roles.concepts import concept_distribution, concept_entropy, p_values
from headroles.roles.null import null_picks, random_frames
from headroles.roles.textspan import Root, Sigma, span_head

WIDTH, TEXTS, CONCEPTS = 12, 120, 6


def clustered_texts(seed=0):
    """Texts (text, width) that lie close to those of their concept, and their concepts."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.arange(TEXTS) % CONCEPTS
    centres = torch.randn(CONCEPTS, WIDTH, generator=generator)
    texts = centres[codes] + 0.4 * torch.randn(TEXTS, WIDTH, generator=generator)
    return torch.nn.functional.normalize(texts, dim=1), codes.numpy()


def random_covariance(seed, width=WIDTH):
    frame = random_frames(1, width, width, (seed, 99))[0].double()
    sizes = torch.linspace(1, 0.05, width, dtype=torch.float64) ** 3
    return (frame * sizes) @ frame.T


def entropies(picks, codes):
    index, share = picks.index[:, 0].numpy(), picks.share[:, 0].numpy()
    labels = np.broadcast_to(codes, (len(index), len(codes)))
    return concept_entropy(concept_distribution(index, np.where(index >= 0, share, 0), labels, CONCEPTS))


def test_frames_are_orthonormal_and_uniform():
    frames = random_frames(400, 6, 3, (0, 0)).double()
    torch.testing.assert_close(frames.mT @ frames, torch.eye(3).double().expand(400, -1, -1), rtol=0, atol=1e-5)
    # A coordinate of a uniform unit vector in 6 dimensions: x^2 is Beta(1/2, 5/2).
    for direction in range(3):
        assert kstest((frames[:, 2, direction] ** 2).numpy(), "beta", args=(0.5, 2.5)).pvalue > 0.01


def test_a_turned_head_keeps_its_variance_and_how_it_is_spread():
    texts, _ = clustered_texts()
    covariance = random_covariance(1)
    found = null_picks(texts, covariance, 70, WIDTH, "std", 0)
    assert found.index.shape == (70, 1, WIDTH)
    torch.testing.assert_close(found.variance, covariance.trace().float().expand(70, 1), rtol=1e-4, atol=0)
    torch.testing.assert_close(found.share.sum(-1), torch.ones(70, 1), rtol=1e-3, atol=0)
    assert len(found.index[:, 0, 0].unique()) > 5


def test_draws_are_those_of_the_seed_and_the_same_for_more_draws():
    texts, covariance = clustered_texts()[0], random_covariance(1)
    few, many = (null_picks(texts, covariance, draws, 4, "std", 3) for draws in (10, 130))
    assert torch.equal(few.index, many.index[:10])
    assert not torch.equal(few.index, null_picks(texts, covariance, 10, 4, "std", 4).index)


@pytest.mark.parametrize("selection", ["std", "variance"])
def test_a_root_gives_the_picks_of_its_covariance(selection):
    texts = clustered_texts()[0]
    root = torch.randn(9, WIDTH, 3, generator=torch.Generator().manual_seed(0))
    by_root, by_sigma = (span_head(texts, each, 3, selection) for each in (Root(root), Sigma(root @ root.mT)))
    assert torch.equal(by_root.index, by_sigma.index)
    torch.testing.assert_close(by_root.share, by_sigma.share, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("selection", ["std", "variance"])
def test_random_heads_stand_out_as_often_as_their_p_values_say(selection):
    """Where texts of one concept lie close together, shuffled labels let random heads stand out in most cases."""
    texts, codes = clustered_texts()
    p = []
    for seed in range(150):
        covariance = random_covariance(seed)
        null = entropies(null_picks(texts, covariance, 99, 6, selection, seed), codes)
        observed = entropies(span_head(texts, Sigma(covariance[None].float()), 6, selection), codes)
        p.append(p_values(observed, null[:, None])[0])
    assert kstest(p, "uniform").pvalue > 0.01


def test_a_head_that_writes_in_the_plane_of_one_concept_stands_out():
    generator = torch.Generator().manual_seed(0)
    codes = np.arange(TEXTS) % CONCEPTS
    texts = 0.05 * torch.randn(TEXTS, WIDTH, generator=generator)
    for concept in range(CONCEPTS):
        texts[codes == concept, 2 * concept : 2 * concept + 2] += torch.randn(20, 2, generator=generator)
    covariance = torch.zeros(WIDTH, WIDTH, dtype=torch.float64)
    covariance[[4, 5], [4, 5]] = 1
    null = entropies(null_picks(texts, covariance, 199, 6, "std", 0), codes)
    observed = entropies(span_head(texts, Sigma(covariance[None].float()), 6, "std"), codes)
    assert p_values(observed, null[:, None])[0] <= 0.01


def test_a_head_without_variance_picks_nothing():
    assert (null_picks(clustered_texts()[0], torch.zeros(WIDTH, WIDTH), 5, 4, "std", 0).index == -1).all()
