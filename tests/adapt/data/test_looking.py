"""Every file is looked at before work: what is broken or there twice is left out and named, or refused."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headroles.adapt.data.looking import look, look_at_test
from headroles.adapt.data.tasks import open_task
from headroles.adapt.data.told_apart import check_told_apart
from headroles.errors import InputError


@pytest.fixture
def photos(tmp_path) -> Path:
    """Two classes of ten different pictures."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def test_whole_tasks_stay_as_they_are(photos):
    for task in (open_task(str(photos)), open_task("shapes:tiny")):
        assert look(task, strict=True) == task


def test_broken_files_of_any_kind_are_left_out_and_named(photos):
    before = open_task(str(photos))
    whole = (photos / "cat" / "0.png").read_bytes()
    (photos / "cat" / "0.png").write_bytes(whole[:60])
    (photos / "cat" / "1.png").unlink()
    (photos / "cat" / "1.png").symlink_to("nowhere")
    (photos / "cat" / "2.png").write_bytes(b"")
    task = open_task(str(photos))
    found = look(task)
    assert set(found.left_out) == {"cat/0.png", "cat/1.png", "cat/2.png"}
    assert len(found.train) + len(found.test) == 17
    assert "left out 3 images of" in found.notes[0] and "cat/1.png (No such file or directory)" in found.notes[0]
    kept = {e.key for e in before.test} - set(found.left_out)
    assert {e.key for e in found.test} == kept
    with pytest.raises(InputError, match=r"task: 3 images of .* cannot be read: .*; mend them or take them out"):
        look(task, strict=True)


def test_a_listed_pipe_is_not_waited_for(photos, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    rows = [f"photos/{c}/{n}.png,{c}" for c in ("cat", "dog") for n in range(10)] + ["pipe.png,cat"]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]))
    found = look(open_task(str(tmp_path / "list.csv")))
    assert found.left_out == ("pipe.png",) and "pipe.png (no regular file)" in found.notes[0]


def test_a_class_that_loses_all_is_named(photos):
    for path in (photos / "dog").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(InputError, match=r"class 'dog' of .* has no training image left, as none can be read"):
        look(open_task(str(photos)))


def test_a_listed_file_that_lacks_is_left_out(photos, tmp_path):
    rows = [f"photos/{c}/{n}.png,{c}" for c in ("cat", "dog") for n in range(10)] + ["photos/cat/gone.png,cat"]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]))
    found = look(open_task(str(tmp_path / "list.csv")))
    assert found.left_out == ("cat/gone.png",) and "cat/gone.png (No such file or directory)" in found.notes[0]


def test_pictures_that_are_trained_on_do_not_test_where_the_split_is_ours(photos):
    task = open_task(str(photos))
    trained, tested = (Path(part[0].source) for part in (task.train, task.test))
    shutil.copy(trained, tested)
    found = look(open_task(str(photos)))
    assert len(found.test) == len(task.test) - 1 and found.left_out == (task.test[0].key,)
    assert f"left out of the test: {task.test[0].key} is {task.train[0].key}" in found.notes[0]
    again = look_at_test(open_task(str(photos)))
    assert again.test == found.test
    with pytest.raises(InputError, match="holds test images that are trained on too, once"):
        look(open_task(str(photos)), strict=True)


def test_given_splits_are_kept_and_what_is_twice_is_named(photos, tmp_path):
    for part in ("train", "test"):
        shutil.copytree(photos, tmp_path / "split" / part)
    found = look(open_task(str(tmp_path / "split")))
    assert len(found.test) == 20
    assert "trained on too, 20 times, their accuracy says nothing: test/cat/0.png is train/cat/0.png" in found.notes[0]


def test_one_picture_in_two_classes_is_named(photos):
    shutil.copy(photos / "cat" / "3.png", photos / "dog" / "3.png")
    notes = look(open_task(str(photos))).notes
    assert notes[0].startswith("the same picture under two classes, once: ")
    assert "cat/3.png of 'cat', and dog/3.png of 'dog'" in notes[0] or "dog/3.png of 'dog', and cat" in notes[0]


@pytest.mark.parametrize("names", [("Cat", "cat"), ("cat ", "cat"), ("犬", "猫"), ("a_b", "a b")])
def test_classes_of_equal_tokens_are_refused(model, names):
    with pytest.raises(InputError, match="are the same tokens to model tiny"):
        check_told_apart(model, ("red", *names), "a photo of a {}.")
    assert "are the same tokens" in check_told_apart(model, ("red", *names), "a photo of a {}.", strict=False)[-1]


def test_classes_that_are_cut_to_equal_texts_are_refused(model):
    long = "a " * 80 + "{}"
    with pytest.raises(InputError, match="cut to its context; name them apart, or shorten the template"):
        check_told_apart(model, ("red", "blue"), long)
    assert check_told_apart(model, ("red", "blue"), "a photo of a {}.") == ()


def test_names_that_a_model_does_not_know_are_said(model):
    (note,) = check_told_apart(model, ("red", "犬"), "a photo of a {}.")
    assert note == "class names that model tiny does not know, as they are unknown tokens alone: '犬'"
