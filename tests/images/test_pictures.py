"""Pictures in memory: of any kind the same pixels, and nothing lost where a result keeps them as text."""

import numpy as np
import pytest
import torch
from PIL import Image

from headroles import FolderImages, InputError, load
from headroles.images.images import with_preprocess
from headroles.images.pictures import decode_picture, encode_picture, encode_pixels, open_given, to_picture


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_a_pil_image_and_arrays_of_bytes_or_shares_are_the_same_picture(pixels):
    for given in (Image.fromarray(pixels), pixels, pixels / 255, (pixels / 255).astype(np.float32)):
        assert (np.asarray(to_picture(given)) == pixels).all()
    assert np.asarray(to_picture(pixels[..., 0])).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (np.zeros((3, 32, 32)), "must be"),
        (np.full((4, 4, 3), 7.0), "in \\[0, 1\\]"),
        (np.zeros((4, 4), int), "got int"),
    ],
)
def test_arrays_that_are_no_picture_are_refused(given, word):
    with pytest.raises(InputError, match=word):
        to_picture(given)


def test_a_kept_picture_loses_no_pixel(pixels, clip_folder):
    processor = load(str(clip_folder), "cpu").processor
    assert (decode_picture(encode_picture(Image.fromarray(pixels))) == pixels).all()
    assert (decode_picture(encode_pixels(processor(Image.fromarray(pixels)), processor)) == pixels).all()


def test_files_folders_pictures_and_open_images_can_be_given(pixels, color_folder, clip_folder):
    processor = load(str(clip_folder), "cpu").processor
    files = with_preprocess(open_given(color_folder / "val"), processor)
    assert len(files) == 4 and files.name(0) == "blue/0.png" and isinstance(files[0][1], torch.Tensor)
    two = with_preprocess(open_given([pixels, Image.fromarray(pixels)]), processor)
    assert len(two) == 2 and torch.equal(two[0][1], two[1][1]) and two.name(1) == "picture 2"
    opened = FolderImages(color_folder, processor)
    assert open_given(opened) is opened
    with pytest.raises(InputError, match="mixed"):
        open_given([pixels, color_folder])


def test_pictures_without_a_scale_or_without_pixels_are_refused():
    for wrong in (
        np.full((4, 4), np.nan), np.zeros((0, 4)), np.zeros((4, 0, 3), np.uint8),
        Image.fromarray(np.full((4, 4), 200, np.float32)), Image.fromarray(np.full((4, 4), -1, np.int32)),
    ):  # fmt: skip
        with pytest.raises(InputError, match="images: "):
            to_picture(wrong)
