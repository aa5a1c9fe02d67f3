"""Directions as non-negative combinations of texts: least squares as scipy's, picks as the definition says."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls as scipy_nnls
from torch.nn.functional import normalize

from headroles.roles.pursuit import nnls, pursue


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("rows", "columns"), [(20, 8), (6, 5), (5, 5), (40, 12)])
def test_many_problems_at_once_are_solved_as_scipy_solves_each(rows, columns):
    a, b = draw(60, rows, columns), draw(60, rows, seed=1)
    found = nnls(a.mT @ a, (a.mT @ b[..., None])[..., 0])
    expected = np.stack([scipy_nnls(*pair)[0] for pair in zip(a.numpy(), b.numpy(), strict=True)])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert ((expected == 0).any(0) & (expected > 0).any(0)).any()


def test_columns_that_depend_on_others_do_no_harm():
    a, b = draw(40, 6, 5), draw(40, 6, seed=1)
    a[:, :, 3], a[:, :, 4] = a[:, :, 0], 0
    found = nnls(a.mT @ a, (a.mT @ b[..., None])[..., 0])
    left = ((a @ found[..., None])[..., 0] - b).norm(dim=1)
    assert (found >= 0).all()
    np.testing.assert_allclose(left, [scipy_nnls(*pair)[1] for pair in zip(a.numpy(), b.numpy(), strict=True)])


def one_by_one(target, texts, picks, coherence):
    """The definition, for one target, with scipy."""
    chosen, left = [], target
    for _ in range(picks):
        score = texts @ left + (coherence * (texts @ texts[chosen].T).mean(1) if chosen else 0)
        score[chosen] = -np.inf
        chosen.append(int(score.argmax()))
        weight, _ = scipy_nnls(texts[chosen].T, target)
        left = target - weight @ texts[chosen]
    return chosen, weight


@pytest.mark.parametrize("coherence", [0.0, 0.3])
def test_picks_are_those_of_the_definition(coherence):
    texts, targets = normalize(draw(50, 10), dim=-1), normalize(draw(30, 10, seed=1), dim=-1)
    found = pursue(targets, texts, 4, coherence)
    for row, target in enumerate(targets.numpy()):
        chosen, weight = one_by_one(target, texts.numpy(), 4, coherence)
        assert found.index[row].tolist() == chosen
        np.testing.assert_allclose(found.weight[row], weight, atol=1e-9)
    left = targets - (found.weight[:, None] @ texts[found.index])[:, 0]
    torch.testing.assert_close(found.fidelity, 1 - left.square().sum(-1))


def test_a_combination_of_texts_is_found_again():
    texts = torch.eye(12, dtype=torch.float64)[torch.randperm(12, generator=torch.Generator().manual_seed(0))]
    weight = torch.tensor([0.8, 0.5, 0.3, 0.1])
    found = pursue(normalize(weight.double() @ texts[[7, 2, 9, 4]], dim=0)[None], texts, 4, 0.0)
    assert found.index.tolist() == [[7, 2, 9, 4]]
    torch.testing.assert_close(found.fidelity, torch.ones(1, dtype=torch.float64))


def test_what_no_text_points_to_is_explained_by_none():
    texts = normalize(draw(20, 8).abs(), dim=-1)
    found = pursue(torch.stack([-texts.mean(0), torch.zeros(8).double()]), texts, 5, 0.3)
    assert found.fidelity.tolist() == [0, 0] and (found.weight == 0).all()
