"""Data of one's own: read as a person would, or refused by name; splits that stay; lists, tables and split files."""

import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headroles.adapt.data.tasks import open_task
from headroles.errors import InputError


def save_image(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_folder(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 4) -> Path:
    for label, name in enumerate(classes):
        for number in range(count):
            save_image(folder / name / f"{number:02}.png", 100 * label + number)
    return folder


def sizes(task) -> tuple[int, int, int]:
    return len(task.train), len(task.val), len(task.test)


def test_sixteen_photos_a_class_just_work(tmp_path):
    task = open_task(str(write_folder(tmp_path / "photos", tuple("abcdef"), 16)))
    assert sizes(task) == (66, 0, 30) and task.default_protocol == "few-shot"
    assert task.summary == (
        f"task {tmp_path / 'photos'}: 6 classes (a, b, c ...); 66 train, 0 validation, 30 test images; split here: 30% "
        "of each class test, all others train"
    )
    few = task.few_shot(16, 1)
    assert sizes(few) == (66, 0, 30)
    assert few.notes == (
        "shots: 16 a class were asked for; class 'a' has 11, 'b' has 11, 'c' has 11 and 3 more to train on; all of "
        "these are used",
    )


def test_the_share_that_tests_is_chosen_and_is_part_of_the_name(tmp_path):
    folder = write_folder(tmp_path / "photos", count=10)
    task = open_task(f"{folder}?test-share=0.5")
    assert sizes(task) == (10, 0, 10) and task.name == f"{folder}?test-share=0.5"
    assert open_task(task.name) == task
    for share in ("0", "1", "nan", "much"):
        with pytest.raises(InputError, match="test-share: expected a number between 0 and 1"):
            open_task(f"{folder}?test-share={share}")
    with pytest.raises(InputError, match=r"sets 'shots' behind its \?"):
        open_task(f"{folder}?shots=3")
    write_folder(tmp_path / "split" / "train")
    write_folder(tmp_path / "split" / "test")
    with pytest.raises(InputError, match="brings a split of its own; leave --test-share out"):
        open_task(f"{tmp_path / 'split'}?test-share=0.5")
    with pytest.raises(InputError, match="has splits and class names of its own"):
        open_task("shapes:tiny?test-share=0.5")


def test_a_share_of_what_trains_validates(tmp_path):
    write_folder(tmp_path, ("ant", "bee"), 10)
    plain, task = open_task(str(tmp_path)), open_task(f"{tmp_path}?val-share=0.25")
    assert [len(part) for part in (task.train, task.val, task.test)] == [10, 4, 6] and task.test == plain.test
    assert {*task.train, *task.val} == set(plain.train) and task.name == f"{tmp_path}?val-share=0.25"
    assert task.split.endswith("30% of each class test, all others train, 25% of these validate")
    for share in ("0", "1", "x"):
        with pytest.raises(InputError, match="val-share: expected a number between 0 and 1"):
            open_task(f"{tmp_path}?val-share={share}")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("train", "validation", "testing"), (8, 8, 8)),
        (("Training", "TEST"), (8, 0, 8)),
        (("train", "dev"), (8, 0, 8)),
        (("test",), (0, 0, 8)),
    ],
)
def test_split_names_are_splits_in_any_combination(tmp_path, parts, expected):
    for part in parts:
        write_folder(tmp_path / part)
    task = open_task(str(tmp_path))
    assert task.classes == ("cat", "dog") and sizes(task) == expected


def test_what_is_neither_class_nor_split_is_named(tmp_path):
    for part in ("train", "test"):
        write_folder(tmp_path / part)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "boxes.txt").write_text("x")
    (tmp_path / "@eaDir" / "thumb").mkdir(parents=True)
    save_image(tmp_path / "@eaDir" / "thumb" / "a.jpg")
    task = open_task(str(tmp_path))
    assert sizes(task) == (8, 0, 8)
    assert [note.partition("tmp")[0] for note in task.notes] == ["left out /", "left out /"]
    assert "a folder of the operating system" in task.notes[0] and "annotations: it holds no image" in task.notes[1]
    save_image(tmp_path / "unsorted" / "a.png")
    with pytest.raises(InputError, match=r"unsorted lies beside test/, which is a split, and is none"):
        open_task(str(tmp_path))
    shutil.rmtree(tmp_path / "unsorted")
    write_folder(tmp_path / "training")
    with pytest.raises(InputError, match=r"train and training in .* are both the train split"):
        open_task(str(tmp_path))


def test_our_own_outputs_are_no_classes(tmp_path):
    folder = write_folder(tmp_path / "photos")
    for place in ("headroles-output/report", "own/seed-1"):
        save_image(folder / place / "figure.png")
    (folder / "own" / "seed-1" / "adapter_config.json").write_text("{}")
    save_image(folder / "loose.png")
    (folder / "cat" / "notes.txt").write_text("x")
    task = open_task(str(folder))
    assert task.classes == ("cat", "dog")
    assert [note.rpartition(": ")[2] for note in task.notes[:2]] == ["an output of headroles"] * 2
    assert task.notes[2] == f"images of {folder} outside class folders are left out: 1, such as loose.png"
    assert task.notes[3].endswith("left out: .txt 1")


def test_one_class_is_no_task(tmp_path):
    write_folder(tmp_path / "zip" / "photos")
    with pytest.raises(InputError, match=r"has one class, 'photos'; a task needs two or more"):
        open_task(str(tmp_path / "zip"))


@pytest.mark.parametrize("count", [2, 3])
def test_halves_of_one_class_are_refused(tmp_path, count):
    task = open_task(str(write_folder(tmp_path, tuple("abc")[:count])))
    with pytest.raises(InputError, match=f"has {count} classes; base and novel halves need at least two each"):
        task.halves()


def test_a_picture_more_or_less_moves_at_most_one_other(tmp_path):
    folder = write_folder(tmp_path / "photos", count=12)
    before = {e.key for e in open_task(str(folder)).test}
    for number in range(12):
        path = folder / "cat" / f"{number:02}.png"
        content = path.read_bytes()
        path.unlink()
        after = {e.key for e in open_task(str(folder)).test} - {f"cat/{number:02}.png"}
        assert len(after - before) <= 1 and len(before - after - {f"cat/{number:02}.png"}) <= 1
        path.write_bytes(content)


def write_list(path: Path, rows: list[tuple[str, ...]], columns: str = "path,label") -> str:
    path.write_text("\n".join([columns, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return str(path)


def test_a_split_does_not_depend_on_where_the_data_lie_or_how_paths_are_written(tmp_path):
    tests = set()
    for place in ("a", "b/c"):
        folder = write_folder(tmp_path / place / "photos", count=8)
        names = [f"{label}/{number:02}.png" for label in ("cat", "dog") for number in range(8)]
        for number, start in enumerate((f"{folder}/", "photos/", "./photos/../photos/")):
            rows = [(start + name, name[:3]) for name in names]
            task = open_task(write_list(tmp_path / place / f"{number}.csv", rows))
            tests.add(tuple(e.key for e in task.test))
    assert len(tests) == 1


@pytest.mark.parametrize("second", ["photos/./cat/00.png", "photos/dog/../cat/00.png"])
def test_one_file_twice_is_named_however_it_is_written(tmp_path, second):
    write_folder(tmp_path / "photos")
    rows = [("photos/cat/00.png", "cat", "train"), (second, "dog", "test"), ("photos/dog/01.png", "dog", "train")]
    with pytest.raises(InputError, match=r"00.png is listed 2 times in .*, as 'cat' train and 'dog' test"):
        open_task(write_list(tmp_path / "list.csv", rows, "path,label,split"))


def test_windows_separators_are_read(tmp_path):
    write_folder(tmp_path / "photos")
    rows = [(f"photos\\{label}\\{number:02}.png", label) for label in ("cat", "dog") for number in range(4)]
    task = open_task(write_list(tmp_path / "list.csv", rows))
    assert all(Path(e.source).is_file() for e in (*task.train, *task.test))


@pytest.mark.parametrize(
    ("columns", "row", "message"),
    [
        ("path,label", ("photos/cat/00.png", "cat", " tabby"), "line 2 of .* has 3 cells for 2 columns; put cells"),
        ("path,label,label", ("photos/cat/00.png", "cat", "dog"), "has 2 columns 'label'"),
        (
            "path,label,class",
            ("photos/cat/00.png", "cat", "dog"),
            "several columns of classes, label, class; choose one",
        ),
    ],
)
def test_lists_that_can_be_read_in_two_ways_are_refused(tmp_path, columns, row, message):
    with pytest.raises(InputError, match=message):
        open_task(write_list(tmp_path / "list.csv", [row], columns))


def test_a_label_column_is_chosen_and_what_is_not_read_is_said(tmp_path):
    write_folder(tmp_path / "photos")
    rows = [(f"photos/{c}/{n:02}.png", "animal", c) for c in ("cat", "dog") for n in range(4)]
    task = open_task(write_list(tmp_path / "list.csv", rows, "path,label,kind") + "?label=kind")
    assert task.classes == ("cat", "dog") and "that are not read: label" in task.notes[0]
    with pytest.raises(InputError, match="has no column 'breed'; its columns: path, label, kind"):
        open_task(str(tmp_path / "list.csv") + "?label=breed")


def test_other_lists_give_the_same_task(tmp_path):
    write_folder(tmp_path / "photos")
    rows = [(f"photos/{c}/{n:02}.png", c) for c in ("cat", "dog") for n in range(4)]
    plain = open_task(write_list(tmp_path / "list.csv", rows))
    (tmp_path / "list.tsv").write_text("path\tlabel\n" + "".join(f"{path}\t{c}\n" for path, c in rows))
    lines = [json.dumps({"file_name": path, "label": c}) for path, c in rows]
    (tmp_path / "list.jsonl").write_text("\ufeff" + "\n".join(lines) + "\n\n")
    for name in ("list.tsv", "list.jsonl"):
        task = open_task(str(tmp_path / name))
        assert (task.classes, task.train, task.test) == (plain.classes, plain.train, plain.test)
    (tmp_path / "list.jsonl").write_text("{\n")
    with pytest.raises(InputError, match=r"line 1 of .*list.jsonl is no JSON"):
        open_task(str(tmp_path / "list.jsonl"))
    (tmp_path / "list.txt").write_text("x")
    with pytest.raises(InputError, match=r"list.txt is no .csv, .tsv, .jsonl, .json or .parquet file"):
        open_task(str(tmp_path / "list.txt"))


def test_metadata_beside_images_says_their_classes(tmp_path):
    for part in ("train", "test"):
        for number in range(4):
            save_image(tmp_path / part / f"{number}.png", number)
        rows = [(f"{number}.png", "cat" if number % 2 else "dog") for number in range(4)]
        write_list(tmp_path / part / "metadata.csv", rows, "file_name,label")
    task = open_task(str(tmp_path))
    assert task.classes == ("cat", "dog") and sizes(task) == (4, 0, 4)
    write_folder(tmp_path / "captions")
    write_list(tmp_path / "captions" / "metadata.csv", [("cat/00.png", "a cat")], "file_name,text")
    task = open_task(str(tmp_path / "captions"))
    assert task.classes == ("cat", "dog") and "folders are the classes" in task.notes[0]


def test_parquet_files_and_the_hub_are_tasks(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["dog", "cat"])})
    images = [Image.new("RGB", (8, 8), (20 * number, 0, 0)) for number in range(8)]
    data = datasets.Dataset.from_dict({"image": images, "label": [n % 2 for n in range(8)]}, features=features)
    for part in ("train-00000-of-00001", "test-00000-of-00001"):
        data.to_parquet(tmp_path / "data" / f"{part}.parquet")
    task = open_task(str(tmp_path / "data"))
    assert task.classes == ("dog", "cat") and sizes(task) == (8, 0, 8)
    alone = open_task(str(tmp_path / "data" / "test-00000-of-00001.parquet"))
    assert sizes(alone) == (6, 0, 2) and alone.test[0].open().size == (8, 8)
    monkeypatch.setattr(datasets, "load_dataset", lambda name, config: {"train": data, "test": data})
    assert sizes(open_task("hf:someone/pets:small")) == (8, 0, 8)
    two = data.add_column("breed", [n % 2 for n in range(8)]).cast_column("breed", features["label"])
    two.save_to_disk(tmp_path / "two")
    with pytest.raises(InputError, match="several columns of classes, label, breed; choose one with --label"):
        open_task(str(tmp_path / "two"))
    assert open_task(f"{tmp_path / 'two'}?label=breed").classes == ("dog", "cat")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"cannot read .*bad.parquet as a parquet file"):
        open_task(str(tmp_path / "bad.parquet"))


def write_split_file(path: Path, **parts: list) -> str:
    path.write_text("\ufeff" + json.dumps(parts), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("place", ["images", "pictures", ""])
def test_coops_layout_is_a_task_by_its_path(tmp_path, place):
    write_folder(tmp_path / "own" / place)
    part = [[f"{c}\\{n:02}.png", label, c] for label, c in enumerate(("cat", "dog")) for n in range(4)]
    path = write_split_file(tmp_path / "own" / "split_mine.json", train=part[1::2], test=part[::2])
    for spec in (path, str(tmp_path / "own")):
        task = open_task(spec)
        assert task.classes == ("cat", "dog") and sizes(task) == (4, 0, 4) and task.own
        assert all(Path(e.source).is_file() for e in (*task.train, *task.test))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train": [["cat/00.png", 0, "cat"]], "test": [["a.png", 0]]}, r"entry 0 of test is \['a.png', 0\]; expected"),
        ({"train": 3, "test": []}, "train holds no list"),
        ({"train": [["no.png", 0, "cat"]], "test": [["a.png", 1, "dog"]]}, "the first image of .* lies neither in"),
        ({"test": [["cat/00.png", 0, "cat"], ["dog/00.png", 1, "cat"]]}, "two labels of .* are named 'cat'"),
        ({"test": [["cat/00.png", 0, "cat"]]}, "has one class, 'cat'"),
        (
            {"train": [["cat/00.png", 0, "cat"]], "test": [["./cat/00.png", 1, "dog"]]},
            "./cat/00.png is listed twice in .*, as 'cat' in train and 'dog' in test",
        ),
        ({"classes": []}, "is no split file; expected"),
    ],
)
def test_split_files_that_are_wrong_say_where(tmp_path, parts, message):
    write_folder(tmp_path / "images")
    with pytest.raises(InputError, match=message) as found:
        open_task(write_split_file(tmp_path / "split.json", **parts))
    assert "Error:" not in str(found.value)


def test_names_have_one_spelling_and_odd_ones_are_said(tmp_path):
    for form in ("NFC", "NFD"):
        write_folder(tmp_path / form, (unicodedata.normalize(form, "café"), "bar"))
    assert open_task(str(tmp_path / "NFC")).classes == open_task(str(tmp_path / "NFD")).classes == ("bar", "café")
    numbers = open_task(str(write_folder(tmp_path / "numbers", ("0", "1"))))
    assert numbers.notes == (
        "2 classes have a number for a name: a prompt reads 'a photo of a 0.'; give names with --class-names",
    )
    birds = write_folder(tmp_path / "birds", ("001.Black_footed_Albatross", "002.Laysan_Albatross"))
    assert "class names begin with numbers" in open_task(str(birds)).notes[0]
    clean = open_task(f"{birds}?class-names=clean")
    assert clean.prompts[0] == ("a photo of a Black footed Albatross.",) and clean.notes == ()
    assert open_task(clean.name) == clean


def test_class_names_come_from_a_file(tmp_path):
    folder = write_folder(tmp_path / "photos", ("0", "1"))
    table = tmp_path / "names.csv"
    table.write_text('label,name\n0,"fox, red"\n1,owl\n')
    (tmp_path / "names.json").write_text('{"0": "fox, red", "1": "owl"}')
    for path in (table, tmp_path / "names.json"):
        assert open_task(f"{folder}?class-names={path}").classes == ("fox, red", "owl")
    table.write_text("label,name\n0,owl\n")
    with pytest.raises(InputError, match="has no name for class '1'"):
        open_task(f"{folder}?class-names={table}")
    table.write_text("label,name\n0,owl\n1,owl\n")
    with pytest.raises(InputError, match=r"gives two classes of .* the name 'owl'"):
        open_task(f"{folder}?class-names={table}")
