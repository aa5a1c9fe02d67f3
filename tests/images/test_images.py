"""Every common kind of image file is read as upright RGB; broken ones are named."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from headroles import FolderImages, InputError
from headroles.images.images import batches, find_images, open_image


def preprocess(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.resize((8, 8)))).permute(2, 0, 1)


@pytest.fixture
def folder(tmp_path):
    """JPEG and PNG files of many modes, a hidden one, a text file and two broken ones."""
    red = Image.new("RGB", (40, 20), (250, 10, 10))
    red.save(tmp_path / "rgb.jpg")
    red.convert("L").save(tmp_path / "grey.png")
    red.convert("CMYK").save(tmp_path / "cmyk.jpg")
    red.convert("P").save(tmp_path / "palette.png")
    red.convert("1").save(tmp_path / "bits.png")
    clear = red.convert("RGBA")
    clear.putalpha(0)
    clear.save(tmp_path / "clear.png")
    Image.fromarray(np.full((20, 40), 40_000, np.uint16)).save(tmp_path / "deep16.png")
    (tmp_path / "sub").mkdir()
    turned = Image.new("RGB", (40, 20), "white")
    turned.paste("blue", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # To be shown turned by 90 degrees clockwise.
    turned.save(tmp_path / "sub" / "turned.jpg", exif=exif)
    (tmp_path / "empty.jpg").write_bytes(b"")
    whole = io.BytesIO()
    Image.effect_noise((200, 200), 50).convert("RGB").save(whole, "jpeg")
    (tmp_path / "half.jpg").write_bytes(whole.getvalue()[:3000])
    (tmp_path / "notes.txt").write_text("not an image")
    red.save(tmp_path / ".hidden.png")
    return tmp_path


def test_all_modes_become_rgb(folder):
    for path in find_images(folder):
        if path.name not in ("empty.jpg", "half.jpg"):
            assert open_image(path).mode == "RGB"
    assert open_image(folder / "clear.png").getpixel((0, 0)) == (255, 255, 255)
    assert abs(open_image(folder / "deep16.png").getpixel((0, 0))[0] - 40_000 * 255 // 65535) <= 1


def test_exif_rotation_is_applied(folder):
    upright = open_image(folder / "sub" / "turned.jpg")
    assert upright.size == (20, 40)
    assert upright.getpixel((10, 5))[2] > 200 and upright.getpixel((10, 5))[0] < 60
    assert upright.getpixel((10, 35))[0] > 200


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_files_are_named_and_the_rest_is_read(folder, workers):
    images = FolderImages(folder, preprocess)
    seen, broken = [], []
    for index, pixels, errors in batches(images, 3, workers):
        assert len(index) == len(pixels)
        seen += index.tolist()
        broken += [images.name(number) for number, _ in errors]
    assert broken == ["empty.jpg", "half.jpg"]
    assert len(seen) == 8 and "sub/turned.jpg" in [images.name(number) for number in seen]


def test_a_limit_is_spread_over_the_folder(folder):
    images = FolderImages(folder, preprocess, limit=3)
    assert [images.name(number) for number in range(3)] == ["bits.png", "deep16.png", "half.jpg"]


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="is no folder"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no image file below"):
        find_images(tmp_path)
