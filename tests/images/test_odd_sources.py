"""Odd but real shards, tables and data sets are read right, or refused by name."""

import io
import json
import struct
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from headroles import InputError
from headroles.images.images import batches
from headroles.images.sources.find import find_source
from headroles.images.sources.stream import StreamedImages

PIXELS = np.random.default_rng(0).integers(0, 255, (9, 9, 3), dtype=np.uint8)


def preprocess(image):
    return torch.from_numpy(np.array(image.resize((8, 8)))).permute(2, 0, 1)


def encode(kind="png"):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind)
    return file.getvalue()


def write_tar(path, *names):
    with tarfile.open(path, "w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(encode())
            tar.addfile(info, io.BytesIO(encode()))
    return path


def names(path, **options):
    images = find_source(path, **options).open(preprocess)
    return [images.name(number).partition("/")[2] for number in range(len(images))]


def test_a_key_chooses_among_the_images_of_a_sample(tmp_path):
    members = [f"{number:04}.{key}" for number in range(3) for key in ("jpg", "seg.png", "json")]
    path = write_tar(tmp_path / "a.tar", *members)
    with pytest.raises(InputError, match=r"3 samples of .* have several images, jpg, seg.png; choose with --key jpg"):
        find_source(path)
    assert names(path, key="jpg") == ["0000.jpg", "0001.jpg", "0002.jpg"]
    assert names(path, key=".seg.PNG") == ["0000.seg.png", "0001.seg.png", "0002.seg.png"]
    assert len(names(path, key="jpg,seg.png")) == 6
    with pytest.raises(InputError, match=r"key: no image of key png in .*; there are jpg, seg.png"):
        find_source(path, key="png")
    images = find_source(path, key="jpg").open(preprocess)
    assert images.kinds == {"jpg": 3} and images.left_out == {"seg.png": 3, ".json": 3}
    prints = {find_source(path, key=key).open(preprocess).fingerprint() for key in ("jpg", "seg.png")}
    assert len(prints) == 2
    (tmp_path / "sizes.json").write_text(json.dumps({"a.tar": 3}))
    assert len(names(path, key="jpg")) == 3
    with pytest.raises(InputError, match="choose with --key"):
        find_source(path)
    with pytest.raises(InputError, match="key: shapes has no keys"):
        find_source("shapes", key="jpg")


def test_names_that_merely_hold_dots_are_no_samples(tmp_path):
    plain = ("Shot 10.01.22.png", "Shot 10.01.23.png", "my.cat.jpg", "my.dog.jpg", "e.png")
    assert names(write_tar(tmp_path / "a.tar", *plain)) == list(plain)


def test_a_shard_has_all_suffixes_and_no_waste_of_systems(tmp_path):
    waste = ("__MACOSX/a.jpg", "@eaDir/a.jpg", "._a.jpg")
    path = write_tar(tmp_path / "a.tar", "a.jfif", "b.avif", "c.ppm", "d.heic", *waste)
    images = find_source(path).open(preprocess)
    assert len(images) == 3 and images.left_out == {".heic": 1, "hidden or of a system": 3}


def test_all_kinds_of_bytes_in_parquet(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    content = encode()
    plain = pa.array([content, b"no", content], pa.binary())
    same = pa.array([content] * 3, pa.binary())
    kinds = {
        "view": plain.cast(pa.binary_view()),
        "large": plain.cast(pa.large_binary()),
        "dictionary": plain.dictionary_encode(),
        "fixed": same.cast(pa.binary(len(content))),
    }
    for kind, column in kinds.items():
        parquet.write_table(pa.table({"image": column}), tmp_path / f"{kind}.parquet")
        ((_, pixels, errors),) = batches(find_source(tmp_path / f"{kind}.parquet").open(preprocess), 4)
        assert torch.equal(pixels[0], preprocess(Image.fromarray(PIXELS)))
        assert [number for number, _ in errors] == ([] if kind == "fixed" else [1])


def test_a_damaged_page_of_parquet_costs_its_rows_alone(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 255, (30, 30, 3), dtype=np.uint8)) for _ in range(6)]
    cells = []
    for each in noise:
        file = io.BytesIO()
        each.save(file, "png")
        cells.append(file.getvalue())
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"image": pa.array(cells, pa.binary())}), path, row_group_size=2, use_dictionary=False)
    content, start = bytearray(path.read_bytes()), parquet.read_metadata(path).row_group(1).column(0).data_page_offset
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(content)
    images = find_source(path).open(preprocess)
    found = [images[number][1] for number in range(6)]
    assert [isinstance(each, str) for each in found] == [False, False, True, True, False, False]


def test_damaged_buffers_of_arrow_are_refused(tmp_path):
    """They would end the process with signal 11."""
    import datasets

    rows = [{"bytes": encode(), "path": None}] * 5
    folder = tmp_path / "saved"
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict({"image": rows}, features).save_to_disk(str(folder))
    (path,) = folder.glob("*.arrow")
    whole, size = path.read_bytes(), len(encode())
    offsets = struct.pack("<6i", *range(0, 6 * size, size))
    place = whole.index(offsets)
    for wrong in (0x7FFFFFF0, -5):
        path.write_bytes(whole[: place + 4] + struct.pack("<i", wrong) + whole[place + 8 :])
        with pytest.raises(InputError, match=r"the data of .* are damaged"):
            find_source(folder)
    for cut in (len(whole) // 2, 10):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match=r"images: (cannot load|the data of) "):
            find_source(folder)


def test_a_stream_that_fails_is_one_line():
    def cells(first):
        yield encode()
        raise TypeError("lost\nconnection")

    with pytest.raises(InputError, match=r"here ends at image 1 .TypeError: lost connection"):
        list(StreamedImages("here", cells, preprocess).items())
