"""An adapter knows its task by content, keeps its base and novel classes, and says what is different now."""

import json
import shutil

import pytest

from headroles.adapt import evaluate, open_task
from headroles.errors import InputError


@pytest.fixture
def moved(color_folder, tmp_path):
    """The task's folder, somewhere else."""
    return shutil.copytree(color_folder, tmp_path / "elsewhere")


def add_class(folder, name, like):
    for split in ("train", "val", "test"):
        shutil.copytree(folder / split / like, folder / split / name)


def test_a_task_that_moved_is_the_same(adapted, moved, monkeypatch):
    monkeypatch.chdir(moved.parent)
    for spelled in (str(moved), "elsewhere/", "./elsewhere"):
        found = evaluate(adapted[0], spelled, "base-to-novel")
        assert [(row.part, row.zero_shot, row.adapted) for row in found] == [
            (row.part, row.zero_shot, row.adapted) for row in adapted[0].measures
        ]
        assert found.notes == ()


def test_the_trained_template_goes_with_it_unless_another_is_given(adapted, job, moved, tmp_path):
    from headroles.adapt import adapt

    one = adapt(**{**job, "epochs": 1}, template="a drawing of {}")[0]
    assert evaluate(one, str(moved), "base-to-novel").notes == ()
    (note,) = evaluate(one, str(moved), "base-to-novel", template="a scan of {}").notes
    assert "template is 'a scan of {}', the adapter was trained with 'a drawing of {}'" in note


def test_a_new_class_is_novel_and_named(adapted, moved):
    add_class(moved, "amber", "red")  # In the first half, by its name.
    shutil.copytree(moved, moved.parent / "own")
    own = adapted[0].info.task
    task = open_task(str(moved))
    found = evaluate(adapted[0], type(task)(**{**vars(task), "name": own}), "base-to-novel")
    base, novel, _ = found
    assert set(base.per_class["adapted"]) == set(adapted[0].info.trained_classes)
    assert set(novel.per_class["adapted"]) == {"amber", *adapted[0].info.novel_classes}
    assert base.adapted == adapted[0].measures[0].adapted
    assert any("1 class new since training: amber" in note for note in found.notes)
    assert json.loads(found.to_json())["notes"] == list(found.notes)


def test_a_trained_class_that_is_gone_is_refused(adapted, moved):
    for split in ("train", "val", "test"):
        shutil.rmtree(moved / split / adapted[0].info.trained_classes[0])
    task = open_task(str(moved))
    with pytest.raises(InputError, match="class 'blue', which the adapter was trained on, is not in"):
        evaluate(adapted[0], type(task)(**{**vars(task), "name": adapted[0].info.task}), "base-to-novel")


def test_trained_images_among_the_test_images_are_named(adapted, moved):
    for number, path in enumerate(sorted((moved / "train" / "blue").iterdir())):
        shutil.copy(path, moved / "test" / "blue" / f"new-{number}.png")
    task = open_task(str(moved))
    found = evaluate(adapted[0], type(task)(**{**vars(task), "name": adapted[0].info.task}), "base-to-novel")
    assert any("the test split had 12 images and has 17" in note for note in found.notes)
    assert any("4 test images were trained on: test/blue/new-" in note for note in found.notes)


def test_other_tasks_are_not_compared(adapted):
    assert evaluate(adapted[0], "shapes:brightness").notes == ()


def test_a_task_that_is_gone_says_what_to_type(adapted, job, color_folder, tmp_path):
    from headroles.adapt import adapt

    place = shutil.copytree(color_folder, tmp_path / "photos")
    one = adapt(**{**job, "task": str(place), "epochs": 1})[0]
    place.rename(tmp_path / "moved")
    with pytest.raises(InputError, match="it is the adapter's own task: where it has moved to, say --task"):
        evaluate(one)


def test_an_adapter_without_a_memory_is_read(adapted, tmp_path):
    adapted[0].save(tmp_path)
    path = tmp_path / "adapter_config.json"
    raw = json.loads(path.read_text())
    assert raw["split"]["test"]["images"] == 12 and len(raw["trained_images"]) == 8
    path.write_text(json.dumps({name: raw[name] for name in raw if name not in ("split", "trained_images")}))
    found = evaluate(tmp_path, device="cpu")
    assert found.rows == adapted[0].measures and found.notes == ()
