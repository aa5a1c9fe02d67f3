"""Random sets of heads are like the set that they are held against, and reproducible."""

import numpy as np

from headroles.heads.matched import draw_any, draw_matched


def test_matched_sets_share_layers_and_number_and_are_near_in_variance():
    variance = {(layer, head): 1.0 + head for layer in (4, 5) for head in range(12)}
    own = [(4, 0), (5, 1), (5, 2)]
    sets = draw_matched(own, variance, 100, np.random.default_rng(0))
    assert len(sets) == 100 and len(set(sets)) > 20
    for members in sets:
        assert [layer for layer, _ in members] == [4, 5, 5] and not set(members) & set(own)
        assert 1 / 2 <= sum(variance[head] for head in members) / 6 <= 2
    assert sets == draw_matched(own, variance, 100, np.random.default_rng(0))


def test_where_few_sets_are_near_the_nearest_are_kept_and_where_none_is_left_none_is_drawn():
    variance = {(0, 0): 100.0, **{(0, head): float(head) for head in range(1, 9)}}
    sets = draw_matched([(0, 0)], variance, 50, np.random.default_rng(0))
    assert set(sets) <= {((0, head),) for head in (4, 5, 6, 7, 8)} and len(sets) == 50
    assert draw_matched(list(variance), variance, 50, np.random.default_rng(0)) == []
    assert draw_any([(0, 1)], 2, 5, np.random.default_rng(0)) == []
    assert all(len(set(members)) == 2 for members in draw_any(list(variance), 2, 5, np.random.default_rng(0)))


def test_of_very_many_sets_some_are_drawn():
    variance = {(0, head): 1.0 for head in range(64)}
    sets = draw_matched([(0, head) for head in range(6)], variance, 30, np.random.default_rng(0))
    assert len(set(sets)) == 30 and all(min(members)[1] >= 6 for members in sets)


def test_a_set_that_may_share_heads_is_as_good_as_any_other_of_its_pool():
    """Of 8 heads each pair costs the sum of its heads: among all pairs, the rank of a random pair is uniform."""
    variance, rng = {(0, head): 1.0 for head in range(8)}, np.random.default_rng(0)
    sets = draw_matched([(0, 1), (0, 4)], variance, 200, rng, apart=False)
    assert len(set(sets)) == 27 and ((0, 1), (0, 4)) not in sets and any((0, 1) in members for members in sets)
    top = 0
    for _ in range(2000):
        cost = dict(zip(variance, rng.random(8), strict=True))
        own = cost[0, 1] + cost[0, 4]
        top += all(own > sum(cost[head] for head in members) for members in set(sets))
    assert abs(top / 2000 - 1 / 28) < 0.012
    assert draw_matched(list(variance), variance, 5, rng, apart=False) == []
