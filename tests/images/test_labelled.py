"""Labels of images: scenes, folders, CSV files."""

import numpy as np
import pytest
from PIL import Image

from headroles import InputError
from headroles.images.labelled import open_labelled
from headroles.shapes import NAMES, sample_scene
from headroles.shapes.world import ABSENT


def preprocess(image):
    import torch

    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), "red").save(path)


def test_scenes_have_the_worlds_labels_and_texts():
    found = open_labelled("shapes", preprocess, 6, seed=5)
    assert found.names == NAMES and len(found) == 6
    assert found.codes.tolist() == [list(sample_scene(5, index).labels) for index in range(6)]
    color = found.concepts[0]
    assert color.values[0] == "red" and all("red" in text for text in color.prompts[0])


def test_a_folder_of_values_is_one_concept_and_a_folder_of_concepts_several(tmp_path):
    for value in ("red", "dark_blue"):
        picture(tmp_path / "color" / value / "0.png")
    (one,) = open_labelled(tmp_path / "color", preprocess).concepts
    assert (one.name, one.values) == ("color", ("dark_blue", "red"))
    assert one.prompts == (("a photo of dark blue.",), ("a photo of red.",))
    for value in ("cat", "dog"):
        picture(tmp_path / "animal" / value / "deep" / "0.png")
    both = open_labelled(tmp_path, preprocess)
    assert both.names == ("animal", "color")
    assert both.codes.tolist() == [[0, ABSENT], [1, ABSENT], [ABSENT, 0], [ABSENT, 1]]
    assert both.images.name(0) == "animal/cat/deep/0.png"


def test_a_table_has_a_column_a_concept_and_empty_cells_are_absent(tmp_path):
    for name in "abc":
        picture(tmp_path / f"{name}.png")
    table = tmp_path / "labels.csv"
    table.write_text("path,color,kind,same\na.png,red,,x\nb.png,blue,cat,x\nc.png,red,dog,\n")
    found = open_labelled(table, preprocess)
    assert found.names == ("color", "kind")  # "same" has one value: it tells nothing apart
    assert found.codes.tolist() == [[1, ABSENT], [0, 0], [1, 1]]
    assert found.images[1][1].shape == (3, 4, 4)
    assert len(open_labelled(table, preprocess, count=2)) == 2


@pytest.mark.parametrize(
    ("text", "word"),
    [("", "unlabelled"), ("path\na.png\n", "unlabelled"), ("path,color\n,red\n", "line 2"), ("path,color\na.png,red\n",
     "two values")],
)  # fmt: skip
def test_tables_without_labels_are_refused(tmp_path, text, word):
    table = tmp_path / "labels.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=word):
        open_labelled(table, preprocess)


def test_unlabelled_folders_and_missing_places_are_refused(tmp_path):
    picture(tmp_path / "0.png")
    with pytest.raises(InputError, match="unlabelled"):
        open_labelled(tmp_path, preprocess)
    with pytest.raises(InputError, match="no folder and no file"):
        open_labelled(tmp_path / "nowhere", preprocess)
