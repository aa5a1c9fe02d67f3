"""Explained shares: what a head shares with the span of a concept's texts, whatever the number of these."""

import numpy as np
import pytest
import torch

from headroles.heads.contributions import image_contributions
from headroles.heads.moments import HeadMoments, observe
from headroles.roles.concept_span import common_rank, explained_shares, span_share, split_texts


def unit(rows) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.as_tensor(rows, dtype=torch.float64), dim=-1)


@pytest.fixture(scope="module")
def texts() -> torch.Tensor:
    """Eight texts of concept 0 in the first three axes, five of concept 1 in the next three."""
    drawn = torch.randn(13, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = torch.zeros(13, 8, dtype=torch.float64)
    rows[:8, :3], rows[8:, 3:6] = drawn[:8], drawn[8:]
    return unit(rows)


CODES = [0] * 8 + [1] * 5


def shares(texts, covariance, rank, codes=CODES) -> torch.Tensor:
    return torch.stack([span_share(group, covariance, rank) for group in split_texts(texts, codes)], -1)


def random_covariance(heads=4, width=8) -> torch.Tensor:
    root = torch.randn(heads, width, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return root @ root.mT


def test_a_head_within_the_span_is_explained_by_that_concept_alone(texts):
    within = torch.diag(torch.tensor([3.0, 2, 1, 0, 0, 0, 0, 0], dtype=torch.float64))[None]
    torch.testing.assert_close(shares(texts, within, 3), torch.tensor([[1.0, 0]], dtype=torch.float64))
    assert shares(texts, torch.zeros(1, 8, 8, dtype=torch.float64), 3).tolist() == [[0, 0]]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_shares_of_orthogonal_concepts_sum_to_at_most_one(texts, rank):
    found = shares(texts, random_covariance(), rank)
    assert (found > 0).all() and (found.sum(1) <= 1).all()
    if rank == 3:  # The axes of both concepts and the two others hold everything.
        spread = random_covariance().diagonal(dim1=1, dim2=2)
        torch.testing.assert_close(found.sum(1), 1 - spread[:, 6:].sum(1) / spread.sum(1))


def test_repeated_texts_change_nothing(texts):
    again = torch.cat([texts, texts[:3], texts[:1], texts[9:11]])
    codes = [*CODES, 0, 0, 0, 0, 1, 1]
    for rank in (1, 3):
        torch.testing.assert_close(
            shares(again, random_covariance(), rank, codes), shares(texts, random_covariance(), rank)
        )


def test_concepts_have_as_many_directions_as_the_smallest(texts):
    assert common_rank(split_texts(texts, CODES), 9) == 4 and common_rank(split_texts(texts, CODES), 2) == 2
    assert common_rank(split_texts(texts, [0] * 12 + [1]), 9) == 1
    # A single text explains what it is of, about the middle of all concepts.
    alone = split_texts(texts, [0] * 12 + [1])[1]
    assert len(alone) == 1 and alone.norm() > 0.1


@torch.inference_mode()
def test_moments_give_what_the_contributions_themselves_do(model):
    """For each head: the variance of its parts of the unit embedding along the span's directions, image by image."""
    drawn = torch.Generator().manual_seed(2)
    pixels, layers = torch.randn(30, 3, 32, 32, generator=drawn), (1, 2)
    moments = HeadMoments.empty(model, layers, 2)
    moments.update(observe(model, pixels, layers), torch.arange(30) % 2)
    groups = split_texts(unit(torch.randn(9, model.visual.embed, generator=drawn)), [0] * 5 + [1] * 4)
    found = explained_shares(model, moments, groups, 2)
    parts = image_contributions(model, pixels)
    heads = (parts.heads / model(pixels).norm(dim=-1)[:, None, None, None])[:, 1:].flatten(1, 2).double()
    for head, rows in enumerate(heads.unbind(1)):
        base = torch.linalg.qr(model.visual.bases()[1:].flatten(0, 1)[head].double().T).Q
        rows = rows - rows.mean(0)
        for concept, group in enumerate(groups):
            directions = base @ torch.linalg.svd(group @ base).Vh[:2].T
            expected = float(((rows @ directions) ** 2).sum() / (rows**2).sum())
            assert found[head, concept] == pytest.approx(expected, abs=1e-4)
    assert found.shape == (8, 2) and np.isfinite(found).all()
