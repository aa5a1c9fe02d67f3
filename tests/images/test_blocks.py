"""Blocks: neighbours lie together, groups are never cut, values are in every block, and readers do not matter."""

import numpy as np
import pytest
import torch
from PIL import Image

from headroles import InputError
from headroles.images.blocks import RUN, Blocking
from headroles.images.grouped import open_grouped
from headroles.images.groups import Groups, find_groups
from headroles.images.labelled import open_labelled
from headroles.images.sources.find import find_source
from headroles.images.sources.stream import StreamedImages


def blocks_of(blocking, blocks, images):
    cut = blocking.cut(blocking.limit(blocks))
    return cut.count, cut.of(torch.arange(images)).numpy()


@pytest.mark.parametrize("images", [2, 31, 33, 40, 1000])
def test_blocks_are_runs_of_neighbours_of_even_size(images):
    count, block = blocks_of(Blocking(images), 32, images)
    assert count == 32 and block[0] == 0 and set(np.diff(block)) <= {0, 1} | ({16} if images == 2 else set())
    sizes = np.bincount(block)
    assert images < 32 or sizes.max() - sizes.min() <= 1
    several = Blocking(images).cut(32).of(torch.tensor([images - 1, 0]))
    assert several.tolist() == [block[-1], 0]  # An image's block does not depend on what is read beside it.


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_whole_and_blocks_as_even_as_groups_let_them(seed):
    rng = np.random.default_rng(seed)
    groups, blocks = int(rng.integers(2, 80)), int(rng.integers(2, 40))
    codes = rng.permutation(np.repeat(np.arange(groups), rng.integers(1, 30, groups)))
    found = Groups.of(codes.tolist(), "film")
    count, block = blocks_of(Blocking(len(codes), found), blocks, len(codes))
    assert count == min(blocks, groups)
    assert all(len(set(block[codes == group])) == 1 for group in range(groups))
    sizes = np.bincount(block, minlength=count)
    assert (sizes > 0).all() and sizes.max() <= np.ceil(len(codes) / count) + np.bincount(codes).max()
    again = Groups.of([f"film {code}" for code in codes], "film")
    assert (blocks_of(Blocking(len(codes), again), blocks, len(codes))[1] == block).all()


def test_values_are_in_every_block_and_their_neighbours_together():
    sizes = (64, 100, 32, 5)
    values = np.repeat(np.arange(4), sizes)
    _, block = blocks_of(Blocking(len(values), None, values), 32, len(values))
    for value, size in enumerate(sizes):
        own = block[values == value]
        assert len(set(own)) == min(size, 32)
        assert (np.diff(np.flatnonzero(np.diff(own))) >= size // 32).all()  # Pieces of neighbours.
        assert np.ptp(np.bincount(own, minlength=32)[np.unique(own)]) <= 1
    many = np.repeat(np.arange(200), 5)  # Few images a value: the pieces do not all fall into the same blocks.
    sizes = np.bincount(blocks_of(Blocking(1000, None, many), 32, 1000)[1], minlength=32)
    assert sizes.min() > 1000 / 32 / 2


def test_a_stream_is_cut_by_what_it_says_of_its_length_else_into_runs():
    cells = dict(identity="here", cells=lambda first: iter(()))
    for stream, images in ((StreamedImages(**cells, stated=100), 100), (StreamedImages(**cells, count=50), 50)):
        blocking = Blocking.of(stream)
        assert blocking.images == images and blocking.how == "contiguous"
    unknown = Blocking.of(StreamedImages(**cells))
    _, block = blocks_of(unknown, 4, 5 * RUN)
    assert unknown.how == f"runs of {RUN}" and block.tolist() == np.repeat([0, 1, 2, 3, 0], RUN).tolist()


@pytest.fixture
def films(tmp_path):
    """Two films of three frames in each of two folders, and a table of them; every film shows things of one color."""
    rows = ["path,film,color,shape"]
    for color in ("red", "blue"):
        for film in ("a", "b"):
            (tmp_path / "color" / color / film).mkdir(parents=True)
            for frame in range(3):
                name = f"color/{color}/{film}/{frame}.png"
                Image.new("RGB", (8, 8), color).save(tmp_path / name)
                rows.append(f"{name},{color} {film},{color},{('round', 'square', 'flat')[frame]}")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_groups_come_from_folders_columns_and_lists(films):
    codes = np.repeat(range(4), 3).tolist()
    table = find_source(films / "table.csv").open(None)
    assert find_groups(table, "film").codes.tolist() == codes
    assert find_groups(table, ["x"] * 3 + ["y"] * 9).count == 2
    few = find_source(films / "table.csv", count=4).open(None)
    assert find_groups(few, "film").codes.tolist() == [0, 1, 2, 3]
    labelled = open_labelled(films / "table.csv", None, groups="film")
    assert labelled.names == ("color", "shape") and labelled.groups.codes.tolist() == codes  # A film is no concept.
    folder = find_source(films).open(None)
    assert find_groups(folder, "folder").codes.tolist() == codes
    assert open_labelled(films, None, groups="folder").blocking.how == "groups: folder"
    assert open_labelled(films, None).blocking.how == "contiguous within values"
    assert open_labelled(films / "table.csv", None).blocking.how == "contiguous"


def test_groups_come_from_parquet_files_and_data_sets(films, tmp_path):
    import datasets

    from headroles.images.sources.dataset import streamed

    rows = {"image": [str(path) for path in sorted((films / "color").rglob("*.png"))], "film": list("aaabbbaaabbb")}
    data = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())
    data.save_to_disk(tmp_path / "saved")
    data.to_parquet(tmp_path / "rows.parquet")
    stream = streamed(data.to_iterable_dataset(), "here", None, 7)(None)
    for images, count in (("saved", 12), ("rows.parquet", 12), (stream, 7)):
        opened = find_source(tmp_path / images).open(None) if isinstance(images, str) else images
        found = find_groups(opened, "film")
        assert found.codes.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1][:count]
        with pytest.raises(InputError, match=r"no column 'scene'; its columns: .*film"):
            find_groups(opened, "scene")


@pytest.mark.parametrize(
    ("place", "by", "expected"),
    [
        ("table.csv", "scene", "groups: .* has no column 'scene'; its columns: path, film, color, shape"),
        (".", "film", "groups: a folder of image files has no column 'film'; give folder"),
        ("color/red/a", "folder", "puts all 3 images into one group"),
        ("shapes", "folder", "groups: these images have no 'folder'"),
        (".", [1, 2], "groups: 2 are given for 12 images"),
    ],
)
def test_groups_that_are_not_there_are_one_line(films, place, by, expected):
    images = find_source("shapes" if place == "shapes" else films / place).open(None)
    with pytest.raises(InputError, match=expected):
        find_groups(images, by)


def test_groups_that_are_labels_are_refused(films):
    labelled = open_labelled(films, None)
    with pytest.raises(InputError, match="are the values of color, and a resample would lose whole values"):
        labelled.with_groups(labelled.codes[:, 0].tolist())
    with pytest.raises(InputError, match=r"groups: .* has no column 'path'"):
        open_labelled(films / "table.csv", None, groups="path")
    (films / "gaps.csv").write_text("path,film,color\na.png,x,red\nb.png,,blue\n")
    for read in (open_labelled, lambda path, _, groups: find_groups(find_source(path).open(None), groups)):
        with pytest.raises(InputError, match=r"line 3 of .* has no film"):
            read(films / "gaps.csv", None, groups="film")


def test_groups_of_a_task_are_another_column(tmp_path):
    rows = [f"{n}.png,{'ab'[n % 2]},{'xy'[n // 2 % 2]},{n // 4}" for n in range(12)]
    (tmp_path / "task.csv").write_text("path,class,group,film\n" + "\n".join(rows) + "\n")
    found = open_grouped(tmp_path / "task.csv", None, groups="film")
    assert found.together.codes.tolist() == np.repeat(range(3), 4).tolist()
    for column in ("class", "group", "scene"):
        with pytest.raises(InputError, match=r"groups: expected a column of .* beside path, class, group and split"):
            open_grouped(tmp_path / "task.csv", None, groups=column)
