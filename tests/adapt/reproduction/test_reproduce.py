"""`headroles reproduce`, from end to end on two data sets in miniature; and what is published."""

import csv
import json
import shutil
import zlib

import numpy as np
import pytest
from PIL import Image

from headroles.adapt.data.coop import DATA_SETS
from headroles.adapt.methods.registry import METHODS
from headroles.adapt.metrics import harmonic_mean
from headroles.adapt.reproduction.benchmark import ELEVEN, TABLES
from headroles.adapt.reproduction.calibration import is_named, why_other
from headroles.adapt.reproduction.published import average_published, find_published, read_published
from headroles.adapt.reproduction.reproduction import Reproduction

NAMED = "headroles.adapt.reproduction.calibration.is_named"
SMALL = ("--methods", "coop,linear-probe", "--seeds", 1, "--shots", 1, "--epochs", 1)
TWO = ("--tables", "zero-shot,base-to-novel,few-shot,cross-dataset")


def save_noise(path) -> None:
    """A picture of its own for every class and number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(f"{path.parent.name}/{path.name}".encode()))
    Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """EuroSAT and DTD, four classes each: 16 images to train on, two to test on."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("eurosat", "dtd"):
        data_set, split = DATA_SETS[name], {"train": [], "val": [], "test": []}
        (folder / name / data_set.images).mkdir(parents=True)
        for label, class_name in enumerate(("banded", "blotchy", "dotted", "woven")):
            for number in range(18):
                path = f"{class_name}{number}.png"
                save_noise(folder / name / data_set.images / path)
                split["train" if number < 16 else "test"].append([path, label, class_name])
        (folder / name / data_set.listing).write_text(json.dumps(split))
    return folder


def test_what_is_published_is_consistent():
    rows = read_published()
    assert {row.table for row in rows} == set(TABLES) and all(0 < row.percent < 100 and row.source for row in rows)
    assert len({(row.table, row.method, row.data_set, row.part, row.shots, row.rerun) for row in rows}) == len(rows)
    # CLIP's averages are those of its data sets, and harmonic means those of the averages, as far as they are rounded.
    base, novel = (average_published("zero-shot", "zero-shot", ELEVEN, part, 16) for part in ("base", "novel"))
    assert base == pytest.approx(69.34, abs=0.01) and novel == pytest.approx(74.22, abs=0.01)
    triples = [row for row in rows if row.part == "hm" and row.data_set == "mean"]
    for row in triples:
        halves = [
            each.percent
            for part in ("base", "novel")
            for each in find_published(row.table, row.method, "mean", part, 16)
            if each.rerun == row.rerun
        ]
        assert harmonic_mean(*halves) == pytest.approx(row.percent, abs=0.02), row
    assert len(triples) > 10
    papers = [row.method for row in rows if row.method not in METHODS]
    assert set(papers) == {"vamp", "promise", "alignednorm", "coprompt"}


def test_the_benchmark_runs_from_end_to_end(run, root, clip_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(NAMED, lambda name: True)
    job = ("reproduce", "--root", root, "--model", clip_folder, *SMALL, "--output", tmp_path / "out")
    code, out, errors = run(*job, *TWO)
    assert code == 0, errors
    places = (f"{name} ({root / name / 'images'})" for name in ("imagenet", "oxford_pets"))
    assert "left out, as these folders of images are not there: imagenet" in errors
    assert all(place in errors for place in places)
    for line in ("no table cross-dataset: it trains on imagenet", "not in base-to-novel, cross-dataset, as they know"):
        assert errors.count(line) == 2  # Before the work and beside the tables.
    with (tmp_path / "out" / "reproduction.csv").open() as file:
        rows = list(csv.DictReader(file))

    def find(table, method, data_set, part):
        (row,) = (
            row
            for row in rows
            if (row["table"], row["method"], row["data_set"], row["part"]) == (table, method, data_set, part)
        )
        return {name: float(row[name]) if row[name] else None for name in ("ours", "published", "difference")} | {
            "over": (row["data_sets"], row["of"])
        }

    with (tmp_path / "out" / "runs.csv").open() as file:
        measured = {
            (row["table"], row["method"], row["task"], row["part"]): 100 * float(row["adapted"])
            for row in csv.DictReader(file)
        }
    own = find("zero-shot", "zero-shot", "eurosat", "novel")
    assert own["published"] == 64.05 and own["difference"] == pytest.approx(own["ours"] - 64.05)
    assert own["ours"] == measured["zero-shot", "zero-shot", "eurosat", "novel"]
    # Of CLIP every data set is published, so that an average over two has its like.
    mean = find("zero-shot", "zero-shot", "mean", "base")
    assert mean["over"] == ("2", "11") and mean["published"] == pytest.approx((56.48 + 53.24) / 2)
    assert mean["difference"] == pytest.approx(mean["ours"] - mean["published"])
    # Of CoOp only the average over eleven is, which says nothing of one over two.
    mean = find("base-to-novel", "coop", "mean", "hm")
    halves = [np.mean([measured["base-to-novel", "coop", name, part] for name in ("dtd", "eurosat")])
              for part in ("base", "novel")]  # fmt: skip
    assert mean["ours"] == pytest.approx(harmonic_mean(*halves)) and mean["published"] == 71.66
    assert mean["difference"] is None and "mean of 2/11" in out
    assert find("base-to-novel", "coop", "mean without eurosat", "base")["over"] == ("1", "10")
    assert find("few-shot", "coop", "mean", "all")["published"] == 68.09
    assert find("few-shot", "linear-probe", "mean", "all")["published"] is None
    assert find("base-to-novel", "vamp", "mean", "hm") == {
        "ours": None, "published": 82.37, "difference": None, "over": ("0", "11"),
    }  # fmt: skip
    code, _, errors = run(*job, *TWO)
    assert code == 2 and "already holds runs; --resume it, --overwrite it or give another --output" in errors
    before = (tmp_path / "out" / "reproduction.json").read_bytes()
    code, again, errors = run("reproduce", "--config", tmp_path / "out", "--resume")
    assert code == 0 and again == out and "training on" not in errors
    assert (tmp_path / "out" / "reproduction.json").read_bytes() == before
    assert Reproduction.load(tmp_path / "out").to_table() in out


@pytest.fixture
def with_imagenet(root, tmp_path):
    """EuroSAT, ImageNet of four classes, and one of its shifts."""
    folder = tmp_path / "data"
    shutil.copytree(root / "eurosat", folder / "eurosat")
    names = "".join(f"n{label} thing {label}\n" for label in range(4))
    for name in ("imagenet", "imagenetv2"):
        (folder / name).mkdir()
        (folder / name / "classnames.txt").write_text(names)
    for label in range(4):
        for number in range(17):
            part = "train" if number < 16 else "val"
            save_noise(folder / "imagenet" / "images" / part / f"n{label}" / f"{number}.png")
        save_noise(folder / "imagenetv2" / DATA_SETS["imagenetv2"].images / f"{label}" / "0.png")
    return folder


def test_what_trains_on_imagenet_is_tested_on_what_is_there(run, with_imagenet, clip_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(NAMED, lambda name: True)
    monkeypatch.setattr(METHODS["mmrl"], "as_published", {"projection": "clip"})
    out = tmp_path / "out"
    job = ("reproduce", "--root", with_imagenet, "--model", clip_folder, "--output", out, "--methods", "mmrl")
    code, table, errors = run(*job, "--seeds", "1", "--epochs", "1", "--tables", "cross-dataset,domain-shift")
    assert code == 0, errors
    rows = {(row.table, row.method, row.data_set): row for row in Reproduction.load(out).rows}
    mean = rows["cross-dataset", "mmrl", "mean"]
    assert (mean.data_sets, mean.of, mean.published, mean.difference) == (1, 10, 67.25, None)
    assert mean.ours == rows["cross-dataset", "mmrl", "eurosat"].ours
    for name, published in (("imagenet", 72.03), ("imagenetv2", 64.47)):
        row = rows["domain-shift", "mmrl", name]
        assert row.published == published and row.difference == pytest.approx(row.ours - published)
    assert rows["domain-shift", "vamp", "imagenet-rendition"].published == 78.01 and "VaMP" in table
    info = json.loads(next(out.glob("runs/domain-shift/mmrl/imagenet/16-shot/seed-1/adapter_config.json")).read_text())
    assert info["mmrl"]["inference"] == "decoupled" and info["targets"] == ["imagenetv2"]
    assert info["mmrl"]["projection"] == "clip"  # As published, whatever the default is.


def test_another_model_has_no_published_column(run, root, clip_folder, tmp_path):
    job = ("reproduce", "--root", root, "--model", clip_folder, "--tables", "zero-shot", "--output", tmp_path / "out")
    code, out, errors = run(*job)
    assert code == 0 and "published" not in out and "difference" not in out
    assert f"they are of OpenAI's ViT-B/16, and {clip_folder} has another shape" in errors
    assert is_named("ViT-B/16") and is_named("openai/clip-vit-base-patch16") and is_named("ViT-B-16:openai")
    assert not is_named("ViT-B-16:laion2b_s34b_b88k") and not is_named(str(clip_folder))


def test_a_folder_of_its_shape_is_taken_for_it_by_its_zero_shot_accuracies(tmp_path, monkeypatch):
    monkeypatch.setattr("headroles.adapt.reproduction.calibration._shape", lambda clip: (12, 12, 768, 512, (14, 14)))

    class Folder:
        model_name = str(tmp_path)

    near = {("dtd", "base"): 53.9, ("dtd", "novel"): 59.9}
    other, line = why_other(Folder, near)
    assert not other and "are at most 0.7 points off" in line
    other, line = why_other(Folder, {**near, ("dtd", "novel"): 57.0})
    assert other and "zero-shot on dtd, novel" in line and "is 2.9 points off" in line
    assert why_other(Folder, {})[0] and "add the table zero-shot" in why_other(Folder, {})[1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--tables", "zeroshot"], "tables must be among zero-shot, base-to-novel"),
        (["--methods", "coop,lora"], "method must be one of dear, zero-shot"),
        (["--methods", "coop,coop"], "methods: coop is named twice"),
        (["--seeds", "few"], "--seeds must be numbers and ranges such as 1-3"),
        (["--shots", "0"], "shots must be different numbers from 1 on, got (0,)"),
        (["--methods", "coop,dear"], "role map: dear needs one of the model; give --role-map FILE"),
        (["--tables", "domain-shift"], "nothing can be trained for domain-shift: left out, as"),
        (["--methods", "linear-probe", "--tables", "base-to-novel"], "they know trained classes alone: linear-probe"),
    ],
)
def test_a_benchmark_without_trainings_is_one_line(run, root, tmp_path, options, expected):
    code, out, error = run("reproduce", "--root", root, "--output", tmp_path / "out", *options)
    assert code == 2 and not out and expected in error and error.count("\n") == 1, error
    assert not (tmp_path / "out").exists()
