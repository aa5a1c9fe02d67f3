"""Data sets on disk: every layout in miniature, made splits, and what is refused."""

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headroles.adapt.data.coop import DATA_SETS
from headroles.adapt.data.tasks import open_task
from headroles.errors import InputError

EUROSAT = ("AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture", "PermanentCrop",
           "Residential", "River", "SeaLake")  # fmt: skip


def save_image(path: Path, level: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 7), (level, 20, 30)).save(path)


def write_split(root: Path, name: str, classes: tuple[str, ...], images: int = 2, prefix: str = "") -> None:
    """A split file of CoOp's kind and the images that it names; labels run in the classes' order."""
    data_set = DATA_SETS[name]
    split = {part: [] for part in ("train", "val", "test")}
    for label, class_name in enumerate(classes):
        for part, entries in split.items():
            for number in range(images):
                path = f"{prefix}{class_name}/{part}{number}.jpg"
                save_image(root / name / data_set.images / path, 10 * label)
                entries.append([path, label, class_name])
    (root / name / data_set.listing).write_text(json.dumps(split))


def write_synsets(root: Path, name: str, folders: dict[str, str], listed: dict[str, str]) -> None:
    """Folders of images by class; `listed` is classnames.txt."""
    for place in folders:
        for number in (2, 1):
            save_image(root / name / DATA_SETS[name].images / place / f"ILSVRC_{number}.JPEG")
    text = "".join(f"{synset} {class_name}\n" for synset, class_name in listed.items())
    (root / name / "classnames.txt").write_text(text)


SPLIT_FILES = {
    "caltech-101": (("face", "wild_cat"), "a photo of a wild cat."),
    "oxford_pets": (("abyssinian", "basset_hound"), "a photo of a basset hound, a type of pet."),
    "stanford_cars": (("2012 Audi S4", "2011 BMW X6 SUV"), "a photo of a 2011 BMW X6 SUV."),
    "oxford_flowers": (("pink primrose", "canna lily"), "a photo of a canna lily, a type of flower."),
    "food-101": (("apple_pie", "baby_back_ribs"), "a photo of baby back ribs, a type of food."),
    "sun397": (("abbey", "indoor airport_terminal"), "a photo of a indoor airport terminal."),
    "dtd": (("banded", "blotchy"), "blotchy texture."),
    "eurosat": (("Annual Crop Land", "Highway or Road"), "a centered satellite photo of Highway or Road."),
    "ucf101": (("Apply_Eye_Makeup", "Archery"), "a photo of a person doing Archery."),
}


@pytest.mark.parametrize("name", SPLIT_FILES)
def test_data_sets_with_a_split_file(tmp_path, name):
    classes, prompt = SPLIT_FILES[name]
    write_split(tmp_path, name, classes, prefix="cars_train/" if name == "stanford_cars" else "")
    task = open_task(name, root=tmp_path)
    assert task.prompts[1] == (prompt,) and task.name == name
    for split in ("train", "val", "test"):
        assert [example.label for example in getattr(task, split)] == [0, 0, 1, 1]
    assert task.test[2].open().getpixel((3, 3))[0] in range(5, 16)
    assert open_task(str(tmp_path / name)).train == task.train


def test_aircraft_has_variant_files(tmp_path):
    folder = tmp_path / "fgvc_aircraft"
    for number in range(6):
        save_image(folder / "images" / f"000{number}.jpg", 40 * number)
    (folder / "variants.txt").write_text("707-320\nA340-200\nF-A 18\n")
    listed = {"train": ("0002 A340-200", "0000 F-A 18", "0001 707-320"), "val": (), "test": ("0005 F-A 18",)}
    for split, lines in listed.items():
        (folder / f"images_variant_{split}.txt").write_text("\n".join(lines) + "\n")
    task = open_task("FGVC Aircraft", root=tmp_path)
    assert [example.label for example in task.train] == [1, 2, 0]
    assert task.prompts[2] == ("a photo of a F-A 18, a type of aircraft.",)
    assert task.test[0].open().getpixel((3, 3))[0] in range(190, 210)
    (folder / "images_variant_test.txt").write_text("0005 Spitfire\n")
    with pytest.raises(InputError, match=r"names variant 'Spitfire', which variants.txt lacks"):
        open_task("fgvc_aircraft", root=tmp_path)


def test_imagenet_tests_on_its_val_folder_and_is_sorted(tmp_path):
    names = {"n02": "tench", "n01": "great_white", "n03": "hen", "n04": "ray"}
    write_synsets(tmp_path, "imagenet", {f"{part}/{s}": "" for part in ("train", "val") for s in names}, names)
    (tmp_path / "imagenet" / "images" / "train" / "n02" / ".hidden.JPEG").write_text("")
    task = open_task("imagenet", root=tmp_path)
    assert task.classes == ("great white", "tench", "hen", "ray")
    expected = [f"train/n0{synset}/ILSVRC_{number}.JPEG" for synset in (1, 2, 3, 4) for number in (1, 2)]
    assert [example.key for example in task.train] == expected
    assert {example.key.split("/")[0] for example in task.test} == {"val"} and task.val == ()
    assert [len(half.classes) for half in task.few_shot(2, 1).halves()] == [2, 2]


def test_the_shifts_of_imagenet_only_test(tmp_path):
    names = {"n01": "tench", "n02": "shark", "n03": "hen"}
    write_synsets(tmp_path, "imagenetv2", dict.fromkeys(("0", "1", "2")), names)
    write_synsets(tmp_path, "imagenet-sketch", names, names)
    write_synsets(tmp_path, "imagenet-adversarial", dict.fromkeys(("n03", "n01")), names)
    write_synsets(tmp_path, "imagenet-rendition", dict.fromkeys(("n02", "n03")), names)
    (tmp_path / "imagenet-adversarial" / "imagenet-a" / "README.txt").write_text("200 classes")
    expected = {
        "imagenetv2": ("tench", "shark", "hen"), "ImageNet-Sketch": ("tench", "shark", "hen"),
        "ImageNet-A": ("tench", "hen"), "ImageNet-R": ("shark", "hen"),
    }  # fmt: skip
    for name, classes in expected.items():
        task = open_task(name, root=tmp_path)
        assert task.classes == classes and task.train == task.val == ()
        assert [example.label for example in task.test] == [label for label in range(len(classes)) for _ in range(2)]
        with pytest.raises(InputError, match=r"has no training images; it only tests"):
            task.few_shot(1, 1)
    (tmp_path / "imagenetv2" / DATA_SETS["imagenetv2"].images / "7").mkdir()
    with pytest.raises(InputError, match=r"7 is no class folder; expected 0 to 2"):
        open_task("imagenetv2", root=tmp_path)


def test_all_fifteen_data_sets_are_known():
    assert len(DATA_SETS) == 15
    assert set(SPLIT_FILES) < set(DATA_SETS)


def write_eurosat(root: Path) -> dict[str, list]:
    """A split file of EuroSAT's size, of which no image is on disk."""
    (root / "eurosat" / "2750").mkdir(parents=True)
    sizes = {"Pasture": 2000, "Highway": 2500, "Industrial": 2500, "PermanentCrop": 2500, "River": 2500}
    split = {part: [] for part in ("train", "val", "test")}
    for label, class_name in enumerate(EUROSAT):
        size = sizes.get(class_name, 3000)
        for number in range(size):
            part = "train" if number < size * 0.5 else "val" if number < size * 0.7 else "test"
            split[part].append([f"{class_name}/{class_name}_{number}.jpg", label, class_name])
    for part in split.values():
        random.Random(3).shuffle(part)
    (root / "eurosat" / "split_zhou_EuroSAT.json").write_text(json.dumps(split))
    return split


def test_eurosat_has_the_counts_and_shots_of_the_protocol(tmp_path):
    split = write_eurosat(tmp_path)
    task = open_task("eurosat", root=tmp_path)
    assert len(task.train) + len(task.val) + len(task.test) == 27_000
    assert task.classes[:2] == ("Annual Crop Land", "Forest") and task.classes[3] == "Highway or Road"
    for seed in (1, 2, 3):
        few = task.few_shot(16, seed)
        base, novel = few.halves()
        assert [len(part) for part in (base.train, base.val, base.test)] == [80, 20, 4200]
        assert [len(part) for part in (novel.train, novel.val, novel.test)] == [80, 20, 3900]
        random.seed(seed)
        drawn = []
        for part, shots in (("train", 16), ("val", 4)):
            for label in dict.fromkeys(entry[1] for entry in split[part]):
                drawn += random.sample([entry[0] for entry in split[part] if entry[1] == label], shots)
        assert [example.key for example in (*few.train, *few.val)] == drawn


def test_damaged_benchmark_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"eurosat needs the folder that holds the data sets"):
        open_task("eurosat")
    with pytest.raises(InputError, match=r"needs its images in .*2750; there is no such folder"):
        open_task("eurosat", root=tmp_path)
    write_split(tmp_path, "eurosat", ("Forest", "River"))
    path = tmp_path / "eurosat" / "split_zhou_EuroSAT.json"
    split = json.loads(path.read_text())
    for broken in ("{", "{}", json.dumps({**split, "val": [["a.jpg", 0]]}), json.dumps({**split, "val": 3})):
        path.write_text(broken)
        with pytest.raises(InputError, match=r"is no split file"):
            open_task("eurosat", root=tmp_path)
    path.write_text(json.dumps({**split, "val": [["a.jpg", 0, "River"]]}))
    with pytest.raises(InputError, match=r"label 0 of .* names both 'Forest' and 'River'"):
        open_task("eurosat", root=tmp_path)
    path.unlink()
    with pytest.raises(InputError, match=r"cannot read .*split_zhou_EuroSAT.json"):
        open_task("eurosat", root=tmp_path)


def write_folder(folder: Path, counts: dict[str, int]) -> Path:
    for number, (name, count) in enumerate(counts.items()):
        for image in range(count):
            save_image(folder / name / f"{image:02}.png", 20 * number)
    return folder


def test_class_folders_without_splits_are_shared_7_to_3(tmp_path):
    folder = write_folder(tmp_path / "pets", {"cat": 10, "big_dog": 20})
    (folder / ".cache").mkdir()
    (folder / "notes.txt").write_text("x")
    task = open_task(str(folder))
    assert task.classes == ("big_dog", "cat") and task.prompts == (("a photo of a big dog.",), ("a photo of a cat.",))
    sizes = {split: Counter(e.label for e in getattr(task, split)) for split in ("train", "val", "test")}
    assert sizes == {"train": {0: 14, 1: 7}, "val": {}, "test": {0: 6, 1: 3}}
    keys = [example.key for split in (task.train, task.val, task.test) for example in split]
    assert len(set(keys)) == 30
    assert all((np.asarray(e.open())[0, 0, 0] == 20) == (e.label == 0) for e in task.test)


def test_a_made_split_stays_when_the_folder_moves(tmp_path):
    tasks = [open_task(str(write_folder(tmp_path / name, {"a": 9, "b": 9}))) for name in ("here", "there")]
    assert [e.key for e in tasks[0].test] == [e.key for e in tasks[1].test]
    write_folder(tmp_path / "there", {"c": 9})
    grown = open_task(str(tmp_path / "there"))
    assert [e.key for e in grown.test if e.label < 2] == [e.key for e in tasks[0].test]


@pytest.mark.parametrize(
    ("parts", "sizes"),
    [
        (("train", "val", "test"), (10, 10, 10)),
        (("train", "validation", "test"), (10, 10, 10)),
        (("Train", "Test"), (10, 0, 10)),
        (("train", "val"), (10, 0, 10)),
        (("train",), (6, 0, 4)),
    ],
)
def test_split_folders_and_what_is_made_where_one_is_missing(tmp_path, parts, sizes):
    for part in parts:
        write_folder(tmp_path / part, {"a": 5, "b": 5})
    task = open_task(str(tmp_path))
    assert (len(task.train), len(task.val), len(task.test)) == sizes
    assert {example.label for example in task.train} == {example.label for example in task.test} == {0, 1}


def test_a_class_may_be_called_train(tmp_path):
    task = open_task(str(write_folder(tmp_path, {"bus": 4, "car": 4, "train": 4})))
    assert task.classes == ("bus", "car", "train")


def test_small_classes_are_refused_by_name(tmp_path):
    folder = write_folder(tmp_path / "one", {"cat": 8, "dog": 1})
    with pytest.raises(InputError, match=r"class 'dog' of .*one has 1 image; .* needs at least 2"):
        open_task(str(folder))
    write_folder(tmp_path / "two" / "train", {"cat": 8, "dog": 1})
    write_folder(tmp_path / "two" / "test", {"cat": 8, "dog": 1})
    assert Counter(e.label for e in open_task(str(tmp_path / "two")).train) == {0: 8, 1: 1}
    (tmp_path / "three" / "empty").mkdir(parents=True)
    with pytest.raises(InputError, match=r"class folder .*empty holds no image"):
        open_task(str(tmp_path / "three"))
    save_image(tmp_path / "four" / "lost.png")
    with pytest.raises(InputError, match=r"four holds no class folders with images; expected .*four/CLASS/IMAGE"):
        open_task(str(tmp_path / "four"))
    for part in ("train", "val", "test"):
        write_folder(tmp_path / "five" / part, {"cat": 3, "dog": 3} if part != "test" else {"cat": 3})
    with pytest.raises(InputError, match=r"class 'dog' of .*five has no test image"):
        open_task(str(tmp_path / "five"))


def test_seventeen_shots_where_three_exist_are_three_and_said(tmp_path):
    for part in ("train", "val", "test"):
        write_folder(tmp_path / part, {"cat": 20, "dog": 3})
    few = open_task(str(tmp_path)).few_shot(17, 1)
    assert Counter(e.label for e in few.train) == {0: 17, 1: 3}
    assert few.notes == ("shots: 17 a class were asked for; class 'dog' has 3 to train on; all of these are used",)


def write_csv(folder: Path, lines: list[str], header: str = "path,label,split") -> Path:
    path = folder / "list.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8-sig")
    return path


def test_a_csv_with_and_without_splits(tmp_path):
    save_image(tmp_path / "images" / "test a, 0.png", 60)
    lines = [
        f'"images/{part} {label}, {number}.png",{label},{part}'
        for part in ("train", "val", "test")
        for label in "ba"
        for number in range(3)
    ]
    task = open_task(str(write_csv(tmp_path, lines)))
    assert task.classes == ("a", "b") and len(task.train) == len(task.val) == len(task.test) == 6
    assert [example.label for example in task.test] == [1, 1, 1, 0, 0, 0]
    assert task.test[3].open().getpixel((0, 0))[0] == 60
    with pytest.raises(InputError, match=r"image: .*images/test b, 0.png cannot be read .No such file"):
        task.test[0].open()
    loose = open_task(str(write_csv(tmp_path, [line.rpartition(",")[0] for line in lines], "path,label")))
    assert [len(part) for part in (loose.train, loose.val, loose.test)] == [12, 0, 6]


@pytest.mark.parametrize(
    ("header", "lines", "message"),
    [
        ("file,label", ["a.png,cat"], "has no column 'path'; expected path,label.*, got file, label"),
        ("path,label", ["a.png,"], "line 2 of .* has no label"),
        ("path,label", [",cat"], "line 2 of .* has no path"),
        ("path,label", [], "holds no labelled image"),
        ("path,label", ["a.png,cat", "a.png,dog"], "a.png is listed 2 times"),
        ("path,label,split", ["a.png,cat,train", "b.png,cat,exam"], "split 'exam' of line 3 .* is unknown"),
        ("path,label,split", ["a.png,cat,train", "b.png,cat,"], "b.png of .* has no split, others have one"),
        ("path,label,split", ["a.png,cat,val"], "validation images and no training images"),
    ],
)
def test_faulty_csv_files_are_refused(tmp_path, header, lines, message):
    with pytest.raises(InputError, match=message):
        open_task(str(write_csv(tmp_path, lines, header)))


def test_a_csv_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"path,label\n\xff\xfe,\x80\n")
    with pytest.raises(InputError, match=r"cannot read .*expected UTF-8 text"):
        open_task(str(tmp_path / "list.csv"))


@pytest.fixture
def make_dataset():
    datasets = pytest.importorskip("datasets")

    def make(count: int, names: list[str] | None, start: int = 0):
        labels = [number % 2 for number in range(count)]
        feature = datasets.ClassLabel(names=names) if names else datasets.Value("string")
        values = labels if names else [("wolf", "ape")[label] for label in labels]
        images = [Image.new("RGB", (8, 8), (start + 10 * number, 0, 0)) for number in range(count)]
        features = datasets.Features({"image": datasets.Image(), "label": feature})
        return datasets.Dataset.from_dict({"image": images, "label": values}, features=features)

    return make


def test_a_hugging_face_folder_with_splits(tmp_path, make_dataset):
    import datasets

    names = ["zebra", "ant", "unused"]
    parts = {"train": make_dataset(8, names), "validation": make_dataset(4, names), "test": make_dataset(6, names, 100)}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "set")
    task = open_task(str(tmp_path / "set"))
    assert task.classes == ("zebra", "ant")
    assert [len(part) for part in (task.train, task.val, task.test)] == [8, 4, 6]
    assert [(e.label, e.open().getpixel((0, 0))[0], e.key) for e in task.test[:2]] == [
        (0, 100, "test/0"), (1, 110, "test/1"),
    ]  # fmt: skip


def test_a_hugging_face_folder_without_splits(tmp_path, make_dataset):
    make_dataset(10, None).save_to_disk(tmp_path / "set")
    task = open_task(str(tmp_path / "set"))
    assert task.classes == ("ape", "wolf")
    assert [len(part) for part in (task.train, task.val, task.test)] == [6, 0, 4]
    assert all(e.open().getpixel((0, 0))[0] % 20 == (10 if e.label == 0 else 0) for e in task.train)


def test_rows_of_a_data_set_keep_their_split_wherever_they_stand(tmp_path, make_dataset):
    whole = make_dataset(20, ["wolf", "ape"])

    def tested(rows, name: str, query: str = "") -> set:
        whole.select(rows).save_to_disk(tmp_path / name)
        task = open_task(str(tmp_path / name) + query)
        return {(e.label, e.open().getpixel((0, 0))) for e in (task.val if query else task.test)}

    for query, most in (("", 1), ("?val-share=0.3", 2)):
        first = tested(range(20), f"all{len(query)}", query)
        assert first == tested(reversed(range(20)), f"back{len(query)}", query)
        fewer = tested([row for row in range(20) if row != 2], f"fewer{len(query)}", query)
        assert len(first - fewer) <= most and len(fewer - first) <= most


def test_a_hugging_face_folder_without_labels_is_refused(tmp_path, make_dataset):
    make_dataset(4, None).rename_column("label", "caption").save_to_disk(tmp_path / "set")
    with pytest.raises(InputError, match=r"needs a column of images and one named label; it has image \(Image\), cap"):
        open_task(str(tmp_path / "set"))


def test_a_missing_datasets_package_is_named_with_its_remedy(tmp_path, make_dataset, monkeypatch):
    make_dataset(4, None).save_to_disk(tmp_path / "set")
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(InputError, match=r"needs the package datasets; pip install 'headroles\[datasets\]'"):
        open_task(str(tmp_path / "set"))
