"""Importance of heads for concepts: the heads that carry a concept, whatever else the heads do."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from headroles.roles.importance import ReadOut, rarity, split_rows, value_directions


def sums(outputs, codes):
    """As much of ValueMoments as is read: the sample, without values where codes are negative."""
    return SimpleNamespace(
        sample=torch.from_numpy(outputs.astype(np.float32))[:, None], sample_codes=torch.from_numpy(codes) + 2
    )


@pytest.fixture(scope="module")
def built():
    """Head 0 writes color, head 1 nothing, head 2 color faintly and size, head 3 loud noise."""
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, 4, 600), rng.integers(0, 2, 600)], 1)
    color, size = np.eye(4)[codes[:, 0]], np.eye(4)[codes[:, 1]]
    noise = rng.normal(size=(600, 4, 4)) * np.array([0.1, 0.0, 0.1, 1.0])[:, None]
    outputs = np.stack([color, 0 * color, 0.3 * color + np.roll(size, 2, 1), 0 * color], 1) + noise
    return outputs, codes


@pytest.fixture(scope="module")
def found(built):
    return ReadOut.of(sums(*built))


def test_heads_count_for_what_they_write(found):
    np.testing.assert_allclose(found.importance.sum(0), 1)
    color, size = found.importance.T
    assert color[0] > 0.9 and color[2] < 0.1 and size[2] > 0.98
    assert (found.importance[[1, 3]] < 0.01).all() and (found.importance >= 0).all()
    assert (found.told > 0.98).all() and found.chance == pytest.approx([0.25, 0.5], abs=0.05)


def test_sharing_prefers_the_head_that_another_concept_needs():
    """Heads 0 and 1 write color alike, head 1 size too: with sharing color is read off head 1."""
    rng = np.random.default_rng(2)
    codes = np.stack([rng.integers(0, 3, 400), rng.integers(0, 2, 400)], 1)
    color, size = np.eye(5)[codes[:, 0]], np.eye(5)[codes[:, 1] + 3]
    outputs = np.stack([color, color + size], 1) + 0.3 * rng.normal(size=(400, 2, 5))
    plain, shared = (ReadOut.of(sums(outputs, codes), sharing).importance[:, 0] for sharing in (0.0, 1.0))
    assert plain == pytest.approx([0.5, 0.5], abs=0.1) and shared[1] > plain[1] + 0.1
    np.testing.assert_allclose(rarity(np.ones((4, 2))), 0, atol=1e-12)
    assert rarity(np.array([[0.9, 0.9], [0.1, 0.1]]))[0] < 0 < rarity(np.array([[0.9, 0.9], [0.1, 0.1]]))[1]


def test_blind_heads_tell_no_more_than_chance():
    rng = np.random.default_rng(1)
    found = ReadOut.of(sums(rng.normal(size=(900, 3, 5)), rng.integers(0, 3, (900, 1))))
    assert found.told[0] == pytest.approx(1 / 3, abs=0.06)


def test_the_order_of_the_heads_does_not_matter(built, found):
    outputs, codes = built
    order = [2, 0, 3, 1]
    again = ReadOut.of(sums(outputs[:, order], codes))
    np.testing.assert_allclose(again.importance, found.importance[order], atol=1e-3)


def test_thirds_hold_every_value_and_rare_values_are_left_out():
    codes = np.array([0] * 40 + [1] * 31 + [2] * 29 + [-1] * 9)
    rows, labels, thirds = split_rows(codes)
    assert rows.tolist() == list(range(71)) and labels.tolist() == [0] * 40 + [1] * 31
    for label in (0, 1):
        own = thirds[labels == label]
        assert (np.diff(own) >= 0).all() and np.bincount(own).min() >= 10
    few = ReadOut.of(sums(np.ones((60, 2, 3)), np.array([[0] * 31 + [1] * 29]).T))
    assert np.isnan(few.told).all() and (few.importance == 0).all()


def test_directions_hold_the_differences_of_the_means(built):
    outputs, codes = built
    directions = value_directions(outputs, codes[:, 0])
    assert directions.shape == (4, 4, 3)
    np.testing.assert_allclose(directions[0].T @ directions[0], np.eye(3), atol=1e-9)
    means = np.stack([outputs[codes[:, 0] == value, 0].mean(0) for value in range(4)])
    means -= means.mean(0)
    np.testing.assert_allclose(means @ directions[0] @ directions[0].T, means, atol=1e-9)
