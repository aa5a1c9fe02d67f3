"""Facts about explained variance: which concept a made-up head follows, by both shares, and the F-test."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from headroles import InputError
from headroles.heads.value_moments import ValueMoments
from headroles.roles.blindness import p_values
from headroles.roles.chance import LEAST_P
from headroles.roles.explained import Sums, dependence, effects, value_parts

CONCEPTS = (("color", ("red", "green", "blue")), ("size", ("small", "large")))


def fold(outputs, codes, concepts=CONCEPTS, blocks=4):
    """Moments of outputs (image, head, width) that are given in an orthonormal basis."""
    images, heads, width = outputs.shape
    values, kinds = sum(len(names) for _, names in concepts), len(concepts) + 1
    shapes = {
        "count": (blocks,), "first": (blocks, 1, heads, width), "pairs": (blocks, values, values),
        "value_first": (blocks, values, 1, heads, width), "square": (blocks, kinds, 1, heads),
        "second": (1, heads, width, width), "sample": (images, 1, heads, width), "sample_codes": (images, kinds - 1),
    }  # fmt: skip
    sums = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}
    moments = ValueMoments((0,), "0" * 64, concepts, **sums)
    moments.update(
        torch.from_numpy(outputs)[:, None], torch.from_numpy(codes), torch.arange(images) % blocks, torch.arange(images)
    )
    return moments


def labels(images, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, 3, images), rng.integers(0, 2, images)], 1)


def test_a_head_that_is_a_function_of_one_concept_is_explained_by_it_alone():
    codes = labels(600)
    rng = np.random.default_rng(1)
    outputs = rng.normal(size=(3, 1, 5))[codes[:, 0]]
    moments = fold(outputs, codes)
    for shares in ("marginal", "unique"):
        found = effects(Sums.of(moments), shares).shares()[0]
        assert found[0] == pytest.approx(1, abs=0.01) and found[1] < 0.01
        p = p_values(moments, shares)[0]
        assert p[0] == LEAST_P and p[1] > 1e-3


def test_independent_concepts_share_as_their_variances_do():
    codes = np.array(np.meshgrid(range(3), range(2), range(200))).reshape(3, -1).T[:, :2]
    color, size = np.eye(3)[codes[:, 0]] * 3, np.eye(2)[codes[:, 1]]
    noise = np.random.default_rng(0).normal(size=(len(codes), 5)) * 0.3
    moments = fold((np.concatenate([color, size], 1) + noise)[:, None], codes)
    parts = np.array([9 * 2 / 3, 1 / 2])
    expected = parts / (parts.sum() + 5 * 0.09)
    for shares in ("marginal", "unique"):
        np.testing.assert_allclose(effects(Sums.of(moments), shares).shares()[0], expected, atol=0.01)


def test_unique_shares_see_through_labels_that_depend_on_each_other():
    rng = np.random.default_rng(0)
    color = rng.integers(0, 3, 3000)
    size = np.where(rng.random(3000) < 0.9, color > 0, rng.integers(0, 2, 3000))
    codes = np.stack([color, size], 1)
    outputs = np.eye(3)[color][:, None] + 0.1 * rng.normal(size=(3000, 1, 3))
    moments = fold(outputs, codes)
    marginal, unique = (effects(Sums.of(moments), shares).shares()[0] for shares in ("marginal", "unique"))
    assert marginal[1] > 0.3 and unique[1] < 0.002 and unique[0] > 0.3
    assert p_values(moments, "unique")[0, 1] > 1e-3 > p_values(moments)[0, 1]
    assert dependence(moments)[0, 1] > 0.7
    np.testing.assert_allclose(dependence(fold(outputs, labels(3000)))[0, 1], 0, atol=0.05)


def test_concepts_that_determine_each_other_are_credited_to_neither():
    color = np.random.default_rng(0).integers(0, 2, 200)
    concepts = (("color", ("red", "blue")), ("warmth", ("warm", "cold")))
    outputs = np.eye(2)[color][:, None] + 0.1 * np.random.default_rng(1).normal(size=(200, 1, 2))
    moments = fold(outputs, np.stack([color, color], 1), concepts)
    assert (effects(Sums.of(moments)).shares() > 0.9).all()
    assert (effects(Sums.of(moments), "unique").shares() == 0).all()
    assert (p_values(moments, "unique") == 1).all() and dependence(moments)[0, 1] == pytest.approx(1)


def test_images_without_a_label_do_not_count_for_the_concept():
    codes, rng = labels(400), np.random.default_rng(2)
    outputs = np.eye(3)[codes[:, 0]][:, None] + rng.normal(size=(400, 1, 3))
    codes[300:, 0] = -1
    found = effects(Sums.of(fold(outputs, codes))).shares()[0, 0]
    assert found == pytest.approx(effects(Sums.of(fold(outputs[:300], codes[:300]))).shares()[0, 0])


def test_variances_of_concepts_with_other_images_can_be_compared():
    """Color moves the head on half of the images, size on the other half by a third: eta squared is 1 for both."""
    codes = np.full((600, 2), -1)
    codes[:300, 0], codes[300:, 1] = np.arange(300) % 3, np.arange(300) % 2
    outputs = np.zeros((600, 1, 5))
    outputs[np.arange(300), 0, codes[:300, 0]] = 3
    outputs[np.arange(300, 600), 0, 3 + codes[300:, 1]] = 1
    found = effects(Sums.of(fold(outputs, codes)))
    np.testing.assert_allclose(found.shares()[0], 1)
    np.testing.assert_allclose(found.variances()[0], [6, 0.5])


def test_p_values_of_a_blind_head_are_uniform_however_its_directions_depend():
    rng = np.random.default_rng(3)
    scale = np.array([5.0, 1, 1, 0.2])
    outputs = rng.standard_t(6, size=(120, 400, 4)) * scale @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    codes = labels(120)
    for shares in ("marginal", "unique"):
        p = p_values(fold(outputs, codes), shares)
        for concept in range(2):
            assert kstest(p[:, concept], "uniform").pvalue > 0.01
        assert 0.02 < (p < 0.05).mean() < 0.08


def test_bias_correction_makes_chance_nothing_on_average():
    outputs = np.random.default_rng(4).normal(size=(60, 500, 4))
    found = effects(Sums.of(fold(outputs, labels(60))))
    raw, corrected = found.explained / found.whole, found.variances() * 60 / found.whole
    assert raw[:, 0].mean() > 0.03 and corrected[:, 0].mean() < raw[:, 0].mean() / 2


def test_a_constant_head_is_explained_by_nothing():
    moments = fold(np.full((50, 1, 3), 0.7), labels(50))
    for shares in ("marginal", "unique"):
        assert (effects(Sums.of(moments), shares).shares() == 0).all()
        assert (p_values(moments, shares) == 1).all()


def test_value_parts_sum_to_one_and_name_the_value_that_stands_apart():
    codes = labels(300)
    outputs = np.zeros((300, 1, 3))
    outputs[codes[:, 0] == 2, 0, 0] = 1
    parts = value_parts(fold(outputs, codes))[0]
    assert parts[:3].sum() == pytest.approx(1) and parts[3:].sum() == pytest.approx(1) and parts[:3].argmax() == 2


def test_unknown_shares_are_refused():
    with pytest.raises(InputError, match="shares must be one of marginal, unique"):
        effects(Sums.of(fold(np.zeros((9, 1, 2)), labels(9))), "most")


@pytest.mark.parametrize("shape", ["lognormal", "heavy"])
def test_a_blind_head_keeps_the_level_with_skewed_outputs_and_few_images_of_a_value(shape):
    """The F-test of the same outputs fires at fifteen times a level of 0.001 here."""
    rng = np.random.default_rng(5)
    outputs = rng.standard_t(2, size=(205, 3000, 4))
    outputs = np.exp(rng.normal(size=outputs.shape)) if shape == "lognormal" else outputs
    codes = np.stack([np.repeat([0, 1], [5, 200]), np.arange(205) % 2], 1)
    p = p_values(fold(outputs, codes))[:, 0]
    assert 0.03 < (p <= 0.05).mean() < 0.07 and (p <= 1e-3).mean() < 4e-3


def test_p_is_never_below_what_the_ways_to_deal_the_labels_allow():
    codes = np.array([0, 0, 1, 1])
    outputs = np.array([0.0, 0, 1, 1])[:, None, None] * np.ones((1, 1, 2))
    assert p_values(fold(outputs, np.stack([codes, codes[[0, 2, 1, 3]]], 1)))[0, 0] == pytest.approx(1 / 6)
