"""A fingerprint is of the bytes that an image is read from, and nothing is computed where nobody listens."""

import io

import numpy as np
import torch
from PIL import Image

from headroles.images.fingerprints import fingerprint, take, taking
from headroles.images.images import FolderImages, ShapesImages, batches
from headroles.images.pictures import Pictures


def preprocess(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.resize((4, 4)), dtype=np.float32)).permute(2, 0, 1)


def fingerprints_of(images, workers: int = 0) -> dict[int, int]:
    """Number -> fingerprint, as a pass over the images is told."""
    found: dict[int, int] = {}

    def watch(number, prints):
        found.update(zip(number.tolist(), prints.tolist(), strict=True))

    for _ in batches(images, 2, workers, watch):
        pass
    return found


def test_files_have_that_of_their_bytes_and_broken_ones_none(tmp_path):
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"no image")
    own = {number: fingerprint((tmp_path / f"{number}.png").read_bytes()) for number in range(3)}
    for workers in (0, 2):
        assert fingerprints_of(FolderImages(tmp_path, preprocess), workers) == own


def test_scenes_and_pictures_have_that_of_their_pixels(tmp_path):
    scenes = [fingerprints_of(ShapesImages(preprocess, 200, seed)) for seed in (0, 1, 7)]
    assert len({each for found in scenes for each in found.values()}) == 600  # No scene of a seed is one of another.
    black, wide = (np.zeros(shape, np.uint8) for shape in ((4, 8, 3), (8, 4, 3)))
    prints = fingerprints_of(Pictures([black, Image.fromarray(black), wide], preprocess))
    assert prints[0] == prints[1] != prints[2]


def test_images_of_a_class_of_a_users_own_have_that_of_their_pixels():
    class Own:
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return index, torch.full((3, 2, 2), float(index // 2))

    prints = fingerprints_of(Own())
    assert prints[0] == prints[1] != prints[2]


def test_nothing_is_noted_where_nobody_listens():
    take(b"before")
    with taking() as taken:
        take(b"here")
    take(io.BytesIO(b"after").getvalue())
    assert taken == [fingerprint(b"here")]
