"""Heat maps against masks: what perfect, inverted and flat maps score."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from headroles import MapScores
from headroles.errors import InputError
from headroles.uses.map_scores import MEASURES, average_precision, draw_images, item_sums


@pytest.fixture(scope="module")
def masks():
    drawn = torch.rand(5, 16, 16, generator=torch.Generator().manual_seed(0)) > 0.7
    return drawn


def test_the_mask_itself_is_a_perfect_map_and_its_opposite_the_worst(masks):
    once = draw_images(5, 1, 0)[:1]
    perfect, worst = MapScores.of(masks.float(), masks), MapScores.of(1 - masks.float(), masks)
    assert [of(perfect, once)[0] for of in MEASURES.values()] == [1, 1, 1]
    assert worst.pixel_accuracy(once) == worst.mean_iou(once) == 0
    share = masks.double().mean((1, 2))
    assert worst.precision == pytest.approx(share.numpy())  # All items tie at the end.


def test_a_flat_map_is_worth_the_share_of_the_item(masks):
    flat = MapScores.of(torch.ones(5, 4, 4), masks)
    assert flat.precision == pytest.approx(masks.double().mean((1, 2)).numpy())


def test_average_precision_is_that_of_scikit_learn(masks):
    scores = torch.rand(5, 256, generator=torch.Generator().manual_seed(1)).mul(20).round()  # With ties.
    own = average_precision(scores, masks.flatten(1))
    expected = [average_precision_score(*pair) for pair in zip(masks.flatten(1).int(), scores, strict=True)]
    assert own.numpy() == pytest.approx(np.array(expected))


def test_scores_add_up_over_images(masks):
    maps = torch.rand(5, 4, 4, generator=torch.Generator().manual_seed(2))
    whole, twice = MapScores.of(maps, masks), MapScores.of(maps[[0, 0, 3]], masks[[0, 0, 3]])
    weights = np.array([[2.0, 0, 0, 1, 0]])
    for of in MEASURES.values():
        assert of(whole, weights) == pytest.approx(of(twice, np.ones((1, 3))))


def test_a_map_lies_on_the_item_as_far_as_its_patches_do():
    cover = torch.zeros(1, 8, 8)
    cover[0, :4, :2] = 1  # Half of the first of four patches.
    on_first = torch.tensor([[[1.0, 0], [0, 3]]])
    assert item_sums(on_first, cover).tolist() == [[0.5, 4]]
    assert item_sums(torch.ones(1, 2, 2), cover)[0, 0] / 4 == cover.mean()


@pytest.mark.parametrize(
    ("maps", "mask", "message"),
    [
        (torch.ones(2, 4, 4), torch.ones(1, 8, 8) > 0, "masks: expected one a map"),
        (torch.full((1, 4, 4), torch.nan), torch.eye(8)[None] > 0, "maps: some hold numbers that are not finite"),
        (torch.ones(1, 4, 4), torch.ones(1, 8, 8) > 0, "mask 1 has all item"),
        (torch.ones(1, 4, 4), torch.zeros(1, 8, 8) > 0, "mask 1 has no item"),
    ],
)
def test_what_cannot_be_scored_is_said(maps, mask, message):
    with pytest.raises(InputError, match=message):
        MapScores.of(maps, mask)
