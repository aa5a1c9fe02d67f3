"""A sketch is the same whatever the order of its images, knows them again, and says how many of others it knows."""

import numpy as np
import pytest

from headroles.files.sketch import KEPT, Sketch, overlap


def draw(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(2**64, size=count, dtype=np.uint64)


@pytest.mark.parametrize("count", (0, 1, 300, KEPT, KEPT + 30_000))
def test_order_parts_and_repetitions_do_not_matter(count):
    prints = draw(count)
    whole = Sketch.of(prints)
    by_units = Sketch()
    for part in np.array_split(prints[::-1], 20):
        by_units = by_units.add(part).add(part[:3])
    shards = Sketch.merge(Sketch.of(part) for part in np.array_split(prints, 7))
    assert whole == by_units == shards
    assert len(whole.kept) == min(count, KEPT)
    assert len(whole.text) <= 4 * -(-5 * KEPT // 3)


def test_an_image_is_known_again_and_no_other_is():
    prints, others = draw(KEPT), draw(1_000_000, seed=1)
    sketch = Sketch.of(prints)
    assert overlap(sketch, prints) == 1
    assert overlap(sketch, np.concatenate([prints[:10], others[:990]])) == 0.01
    assert overlap(sketch, others) <= 1e-6  # A chance of 2e-8 each.
    assert overlap(Sketch(), prints) == overlap(sketch, prints[:0]) == 0


@pytest.mark.parametrize("share", (0.0, 0.05, 0.5, 1.0))
def test_of_more_images_than_are_kept_the_share_is_estimated(share):
    scored, count = draw(200_000), 20_000
    sketch = Sketch.of(scored)
    assert sketch.share == pytest.approx(KEPT / len(scored), rel=0.05)
    same = int(share * count)
    judging = np.concatenate([scored[:same], draw(count - same, seed=2)])
    _, comparable = sketch.count(judging)
    assert comparable == pytest.approx(count * sketch.share, rel=0.1)
    deviation = (share * (1 - share) / comparable) ** 0.5
    assert abs(overlap(sketch, judging) - share) <= 4 * deviation


@pytest.mark.parametrize("text", ("!", "AAAA", Sketch.of(draw(3)).text[:8] * 5, "AAAAAAIAAAAAAQ=="))
def test_a_text_that_is_no_sketch_is_refused(text):
    with pytest.raises(ValueError):
        _ = Sketch(text).kept
