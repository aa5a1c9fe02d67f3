"""Preprocess: equal to the processor's own, at a bounded cost, and able to say what it is."""


import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil

from headroles.models.preprocess import Preprocess, crop_long

CLIP = CLIPImageProcessorPil(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64})


def noise(width, height):
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (3, 100), (20, 501), (501, 20)])
def test_the_middle_of_a_long_picture_is_all_that_counts(size):
    """Resized lengths are whole pixels, so the middle may shift by less than one; all else is the processor's own."""
    picture = noise(*size)
    own = CLIP(images=picture, return_tensors="pt").pixel_values[0]
    assert max(crop_long(picture, CLIP).size) < max(size)
    assert (Preprocess(CLIP)(picture) - own).abs().mean() < 3 / 255 / max(CLIP.image_std)


def test_other_pictures_and_processors_are_left_alone():
    for picture, processor in ((noise(300, 20), CLIP), (noise(1, 300), SiglipImageProcessorPil())):
        assert crop_long(picture, processor) is picture
        own = processor(images=picture, return_tensors="pt").pixel_values[0]
        assert torch.equal(Preprocess(processor)(picture), own)


def test_a_line_of_pixels_is_cut_before_it_grows():
    line = Image.new("RGB", (1, 20_000))
    assert Preprocess(CLIP)(line).shape == (3, 64, 64)
    assert max(crop_long(line, CLIP).size) <= 8  # Resized whole it would be 64 x 1,280,000.


def test_it_says_what_it_is_and_where_it_is_from():
    expected = "CLIPImageProcessorPil: shortest edge 64, bicubic, crop 64 x 64"
    assert Preprocess(CLIP).describe() == expected
    assert Preprocess(CLIP, "a/preprocessor_config.json").describe() == f"{expected}, from a/preprocessor_config.json"
