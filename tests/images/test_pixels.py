"""Pixels that can be read are read right, whatever the file says beside them; all else is named and counted."""

import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, TiffImagePlugin

from headroles import FolderImages, InputError
from headroles.images.decoders import overheard
from headroles.images.deep import ImageNote
from headroles.images.images import batches
from headroles.images.pixels import MAX_PIXELS, UNREADABLE, open_image, suffixes, to_rgb

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8))


def preprocess(image):
    return torch.from_numpy(np.array(image.resize((8, 8)))).permute(2, 0, 1)


def encode(kind, picture=PICTURE, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def decode(content):
    return np.asarray(open_image(io.BytesIO(content)))


def chunk(kind, body, spoilt=False):
    check = zlib.crc32(kind + body) ^ spoilt
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)


def png_with(*chunks):
    whole = encode("png")
    return whole[:33] + b"".join(chunks) + whole[33:]  # Behind the header.


def ifd(*entries, order="<"):
    """A TIFF block of (tag, type, count, value) entries, as EXIF has it."""
    body = b"".join(struct.pack(f"{order}HHI4s", *each) for each in entries)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + body + b"\0\0\0\0"


TURNED = (0x0112, 3, 1, struct.pack("<HH", 6, 0))
ODD_EXIF = {
    "orientation as text": ifd((0x0112, 2, 4, b"six\0")),
    "orientation of several": ifd((0x0112, 3, 2, struct.pack("<HH", 6, 7))),
    "orientation as fraction": ifd((0x0112, 5, 1, struct.pack("<I", 0))),
    "a date as number, turned": ifd(TURNED, (0x0132, 4, 1, b"\1\2\3\4")),
    "a pointer to nowhere": ifd((0x8769, 4, 1, b"\xff\xff\xff\x7f")),
    "a type that is none": ifd((0x010F, 99, 1, b"abcd")),
    "text": b"not tiff at all",
    "empty": b"",
}


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("name", ODD_EXIF)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Possibly corrupt EXIF data")
def test_odd_exif_costs_no_picture(kind, name):
    options = {"lossless": True} if kind == "webp" else {}
    found = decode(encode(kind, exif=b"Exif\0\0" + ODD_EXIF[name], **options))
    plain = decode(encode(kind, **options))
    assert sorted(found.shape) == sorted(plain.shape)
    turned = found.shape != plain.shape
    assert np.array_equal(np.rot90(plain, -1) if turned else plain, found)
    assert turned or "turned" not in name


def test_an_odd_orientation_of_webp_without_its_head_costs_no_picture():
    plain = encode("webp", lossless=True, exif=b"Exif\0\0" + ifd(TURNED))
    assert np.array_equal(decode(plain.replace(b"II*\0", b"XX*\0")), np.asarray(PICTURE))


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"iCCP", b"name\0\7nothing"),
        chunk(b"iCCP", b"no end of the name"),
        chunk(b"tEXt", b"a\0b", spoilt=True),
        chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * (80 << 20))),
        chunk(b"pHYs", b"\0"),
        chunk(b"gAMA", b"\1"),
        chunk(b"cHRM", b"\1\2\3"),
        chunk(b"tRNS", b"\1"),
        chunk(b"sRGB", b""),
        chunk(b"eXIf", b"nothing"),
        chunk(b"acTL", b"\0"),
    ],
    ids=lambda each: each[4:8].decode(),
)
def test_odd_png_chunks_cost_no_picture(extra):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.array_equal(decode(png_with(extra)), np.asarray(PICTURE))


def test_odd_jpeg_segments_cost_no_picture():
    whole = encode("jpeg")
    odd = ((0xE2, b"MPF\0II*\0\xff"), (0xE2, b"ICC_PROFILE\0"), (0xED, b"Photoshop 3.0\0008BIM\1"), (0xFE, b""))
    for marker, body in odd:
        segment = b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body
        assert np.array_equal(decode(whole[:2] + segment + whole[2:]), decode(whole))


def test_odd_tiff_tags_cost_no_picture():
    whole, grey = tiff(np.full((4, 4), 99, np.uint8), {306: "2020", 274: 1}), np.full((4, 4, 3), 99, np.uint8)
    place = whole.index(struct.pack("<HHI", 306, 2, 5))
    for kind in (3, 5, 7, 12, 99):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert np.array_equal(decode(whole[: place + 2] + struct.pack("<H", kind) + whole[place + 4 :]), grey)
    place = whole.index(struct.pack("<HHI", 274, 3, 1))
    for kind in (1, 2, 4, 5, 7, 13, 99):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert np.array_equal(decode(whole[: place + 2] + struct.pack("<H", kind) + whole[place + 4 :]), grey)


def test_damaged_pixels_stay_broken():
    """What is passed over is beside the pixels alone."""
    noise = Image.effect_noise((120, 120), 50)
    for kind in ("png", "jpeg", "webp"):
        whole = encode(kind, noise)
        with pytest.raises(UNREADABLE):
            decode(whole[: len(whole) // 2])
    spoilt = bytearray(encode("png", noise))
    spoilt[-20] ^= 1
    with pytest.raises(UNREADABLE):
        decode(bytes(spoilt))


def test_errors_of_any_kind_are_counted(tmp_path, monkeypatch):
    PICTURE.save(tmp_path / "a.png")
    PICTURE.save(tmp_path / "b.bmp")

    def fail(self):
        raise TypeError("of no use")

    monkeypatch.setattr("PIL.BmpImagePlugin.BmpImageFile.load", fail, raising=False)
    (_, pixels, errors), = batches(FolderImages(tmp_path, preprocess), 4)
    assert len(pixels) == 1 and errors == [(1, "OSError: TypeError: of no use")]


def tiff(values, tags=None, **options):
    file, info = io.BytesIO(), TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in (tags or {}).items():
        info[tag] = value
    Image.fromarray(values).save(file, "tiff", tiffinfo=info, **options)
    return file.getvalue()


def test_a_deep_picture_is_as_bright_as_its_file_says():
    """16 bits have 65535 for white, however dark the picture; 12 bits where a tag says so."""
    for value in (3, 200, 255, 256, 40_000, 65_535):
        grey = np.full((4, 4), value, np.uint16)
        expected = value * 255 // 65535
        assert decode(encode("png", Image.fromarray(grey))).max() == expected
        with pytest.warns(ImageNote, match="0 is black and 65535 white"):
            assert decode(tiff(grey)).max() == expected
    twelve = np.full((4, 4), 2048, np.uint16)
    assert decode(tiff(twelve, {281: 4095})).max() == 127
    with pytest.warns(ImageNote):
        assert decode(tiff(twelve, {281: 2048})).max() == 2048 * 255 // 65535  # That is its own maximum.
    assert decode(b"P5 1 1 4095\n\x08\x00").max() == 127


def test_white_is_zero_where_the_file_says_so():
    with pytest.warns(ImageNote):
        assert decode(tiff(np.full((4, 4), 65_535, np.uint16), {262: 0})).max() == 0


def test_floats_are_from_0_to_1_unless_a_tag_says_else():
    half = np.full((4, 4), 0.5, np.float32)
    with pytest.warns(ImageNote, match="floating-point pictures do not say their scale: 0 is black and 1 white"):
        assert decode(tiff(half)).max() == 127
    assert decode(tiff(half * 255, {341: 255.0})).max() == 127
    for wrong in (half * 255, half - 1, half * np.nan):
        with pytest.raises(ValueError, match="do not fit the scale 0 to 1 of mode F"):
            decode(tiff(wrong))
    with pytest.raises(ValueError, match="do not fit the scale"):
        decode(tiff(np.full((4, 4), 1 << 20, np.int32)))


def test_lab_is_read_as_colours():
    lab = Image.merge("LAB", [Image.new("L", (4, 4), level) for level in (136, 208, 195)])
    red, green, blue = to_rgb(lab).getpixel((0, 0))
    assert red > 200 and green < 60 and blue < 60


def test_large_pictures_have_a_limit_and_an_option(monkeypatch):
    header = struct.pack(">IIBBBBB", 20_000, 10_001, 1, 0, 0, 0, 0)
    whole = encode("png")
    bomb = whole[:8] + chunk(b"IHDR", header) + whole[33:]
    assert MAX_PIXELS == 200_000_000
    with pytest.raises(Image.DecompressionBombError, match="200020000 pixels, more than the limit of 200000000"):
        decode(bomb)
    monkeypatch.setenv("HEADROLES_MAX_PIXELS", "600")
    assert decode(whole).shape == (20, 30, 3)
    monkeypatch.setenv("HEADROLES_MAX_PIXELS", "599")
    with pytest.raises(Image.DecompressionBombError, match="600 pixels, more than the limit of 599; --max-pixels"):
        decode(whole)
    monkeypatch.setenv("HEADROLES_MAX_PIXELS", "many")
    with pytest.raises(InputError, match="expected a number of pixels"):
        decode(whole)


@pytest.mark.parametrize("workers", [0, 2])
def test_remarks_are_collected_to_one_line(tmp_path, workers):
    for number in range(3):
        (tmp_path / f"{number}.tif").write_bytes(tiff(np.full((4, 4), number / 4, np.float32)))
    images = FolderImages(tmp_path, preprocess)
    with pytest.warns(ImageNote, match="3 remarks on images") as found:
        list(batches(images, 2, workers))
    assert len(found) == 1 and "floating-point pictures do not say their scale" in str(found[0].message)


def test_all_that_pillow_opens_is_read(tmp_path):
    for suffix in (".jfif", ".jpe", ".avif", ".jp2", ".ppm", ".tga", ".JPG"):
        PICTURE.save(tmp_path / f"a{suffix}")
    for name in ("a.txt", "b.txt", "c.heic", "d.eps", "noname", "Thumbs.db", ".hidden.png"):
        (tmp_path / name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")
    (tmp_path / "@eaDir").mkdir()
    PICTURE.save(tmp_path / "@eaDir" / "SYNOPHOTO_THUMB_M.jpg")
    images = FolderImages(tmp_path, preprocess)
    assert len(images) == 7 and {".jfif", ".avif", ".webp", ".psd"} < set(suffixes())
    assert images.left_out == {
        ".txt": 2, ".heic": 1, ".eps": 1, "without suffix": 1, "hidden or of a system": 3
    }  # fmt: skip
    assert [errors for _, _, errors in batches(images, 16)] == [[]]
    os.rename(tmp_path / "d.eps", tmp_path / "d.jpg")  # Is not given to another program.
    assert [number for _, _, errors in batches(FolderImages(tmp_path, preprocess), 16) for number, _ in errors] == [7]


def test_odd_places_neither_hang_nor_end_a_pass(tmp_path):
    PICTURE.save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "round").mkdir()
    (tmp_path / "round" / "again").symlink_to(tmp_path)
    (tmp_path / "itself.png").symlink_to("itself.png")
    (tmp_path / "nothing.png").symlink_to("nowhere.png")
    images = FolderImages(tmp_path, preprocess)
    assert [images.name(number) for number in range(len(images))] == ["a.png", "itself.png", "nothing.png"]
    assert images.left_out == {"pipes and devices": 1, "links in a circle": 1}
    (_, pixels, errors), = batches(images, 4)
    assert len(pixels) == 1 and [number for number, _ in errors] == [1, 2]
    with pytest.raises(OSError, match=r"b\.png is no regular file"):
        open_image(tmp_path / "b.png")


def test_names_that_are_no_utf8(tmp_path):
    try:
        PICTURE.save(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    except OSError:
        pytest.skip("this file system has UTF-8 names alone")
    images = FolderImages(tmp_path, preprocess)
    assert images.name(0) == r"caf\xe9.png" and isinstance(images[0][1], torch.Tensor)


def test_what_libtiff_prints_is_a_remark_and_not_on_the_terminal(tmp_path, capfd):
    content = encode("tiff", PICTURE.resize((64, 64)).convert("1"), compression="group4")
    middle = slice(len(content) // 3, len(content) // 3 + 40)
    (tmp_path / "fax.tif").write_bytes(content.replace(content[middle], bytes(byte ^ 0x5A for byte in content[middle])))
    with pytest.warns(ImageNote, match="remarks on images: Fax4Decode"):
        list(batches(FolderImages(tmp_path, preprocess), 4))
    assert capfd.readouterr().err == ""
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


def test_pictures_that_threads_decode_at_once_leave_the_terminal_as_it_was():
    before = os.fstat(2)
    first, second = overheard(), overheard()
    with first:
        second.__enter__()
        os.write(2, b"odd\n")
    with pytest.warns(ImageNote, match="odd"):
        second.__exit__(None, None, None)
    assert (os.fstat(2).st_dev, os.fstat(2).st_ino) == (before.st_dev, before.st_ino)
