"""Tables of images are read cell by cell as written, row by row in little memory, or refused by name."""

import tracemalloc

import pytest
from PIL import Image

from headroles import InputError
from headroles.images.grouped import open_grouped
from headroles.images.labelled import open_labelled
from headroles.images.sources.find import find_source


def paths(path):
    images = find_source(path).open(None)
    return [images.name(number) for number in range(len(images))]


def test_cells_may_hold_what_text_holds(tmp_path):
    odd = ["two\nlines.png", "a\u2028b.png", "a\x85b.png", "a\x0cb.png", "a, b.png"]
    for name in odd:
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    rows = "".join(f'"{name}",{"red" if number else "blue"}\n' for number, name in enumerate(odd))
    (tmp_path / "a.csv").write_text("path,color\n" + rows, encoding="utf-8")
    assert paths(tmp_path / "a.csv") == odd
    labelled = open_labelled(tmp_path / "a.csv", lambda image: image)
    assert labelled.codes.ravel().tolist() == [0, 1, 1, 1, 1] and labelled.concepts[0].values == ("blue", "red")
    assert not any(isinstance(labelled.images[number][1], str) for number in range(5))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("path,class,group\na, b.png,x,y\n", "line 2 of .* has 4 cells for 3 columns; put cells that hold a comma"),
        ("path,class,group,path\na,x,y,b\n", "has 2 columns 'path'"),
        ("path,class,group\n", "lists no image|needs rows"),
        ('path,class,group\n"a,b,c\n', "cannot read .*a.csv"),
    ],
)
@pytest.mark.parametrize("kind", ["paths", "labels", "groups"])
def test_wrong_tables_are_one_line(tmp_path, content, expected, kind):
    read = {"paths": find_source, "labels": open_labelled, "groups": open_grouped}[kind]
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(InputError, match=expected):
        read(tmp_path / "a.csv", **({} if kind == "paths" else {"preprocess": None}))


def test_a_long_table_takes_little_memory(tmp_path):
    """Some 50 bytes a row, not a path and a dictionary: a million rows fit anywhere."""
    rows = 20_000
    with (tmp_path / "a.csv").open("w") as file:
        file.write("path,color\n")
        file.writelines(f"photos/{number:08}.jpg,{number % 7}\n" for number in range(rows))
    tracemalloc.start()
    try:
        for read in (find_source, lambda path: open_labelled(path, None)):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            found = read(tmp_path / "a.csv")
            assert (tracemalloc.get_traced_memory()[1] - before) / rows < 200
            del found
    finally:
        tracemalloc.stop()


def test_labels_of_a_sample_are_those_of_the_whole(tmp_path):
    rows = [("red", "a"), ("blue", ""), ("red", "b"), ("green", "a"), ("blue", "b")]
    (tmp_path / "a.csv").write_text("path,x,y\n" + "".join(f"{row}.png,{x},{y}\n" for row, (x, y) in enumerate(rows)))
    labelled = open_labelled(tmp_path / "a.csv", None)
    assert [each.values for each in labelled.concepts] == [("blue", "green", "red"), ("a", "b")]
    assert labelled.codes.tolist() == [[2, 0], [0, -1], [2, 1], [1, 0], [0, 1]]
    few = open_labelled(tmp_path / "a.csv", None, count=2)  # Rows 0 and 2: one value of x, which is no concept then.
    assert [each.values for each in few.concepts] == [("a", "b")] and few.codes.tolist() == [[0], [1]]
    assert [few.images.name(number) for number in range(2)] == ["0.png", "2.png"]
