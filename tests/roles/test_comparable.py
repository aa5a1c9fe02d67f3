"""Entropies and roles mean the same whatever the number of concepts: 9 of them, 27, or every text its own."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from headroles import ProbeBank, ScoreConfig, ShapesImages, load
from headroles.roles.role_map import ImagesInfo
from headroles.roles.score_texts import collect_moments, explain

pytestmark = pytest.mark.slow

SAME = 0.7
"""Least share of heads with the same role; with log2 C as unit 38% to 62% were."""


def thirds(bank):
    """Every concept cut into three, at random."""
    parts = np.random.default_rng(0).integers(0, 3, len(bank.texts))
    return [f"{label} {part}" for label, part in zip(bank.labels, parts, strict=True)]


@pytest.fixture(scope="module")
def maps():
    model, bank = load("shapes", "cpu"), ProbeBank.load("shapes")
    config = ScoreConfig(bootstraps=1, null_draws=400)
    moments, _ = collect_moments(model, ShapesImages(model.processor, 400), config)
    alone = [f"text {row}" for row in range(len(bank.texts))]
    labels = {"concepts": bank.labels, "thirds": thirds(bank), "texts": alone}
    banks = {name: ProbeBank(name, bank.texts, tuple(each)) for name, each in labels.items()}
    return {name: explain(model, moments, each, config, ImagesInfo("shapes", 400, ())) for name, each in banks.items()}


@pytest.mark.parametrize("other", ["thirds", "texts"])
def test_heads_keep_order_and_roles_under_more_concepts(maps, other):
    one, more = maps["concepts"], maps[other]
    assert spearmanr([head.entropy for head in one], [head.entropy for head in more]).statistic >= 0.7
    assert np.mean([a.role == b.role for a, b in zip(one, more, strict=True)]) >= SAME
    swapped = [a.name for a, b in zip(one, more, strict=True) if {a.role, b.role} == {"attribute", "generalization"}]
    assert not swapped


def test_no_bank_makes_all_heads_attribute_or_none_generalization(maps):
    for role_map in maps.values():
        counts = role_map.counts()
        assert 1 <= counts["attribute"] <= 12 and counts["generalization"] >= 6
