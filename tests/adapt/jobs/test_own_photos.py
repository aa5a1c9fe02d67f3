"""Photos of one's own, from the command line: 16 a class just work, and all that was read is said first."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headroles.adapt import AdapterInfo, adapt, open_task, plan
from headroles.errors import InputError

NAMES = ("red", "green", "blue", "grey", "black", "white")
QUICK = ("--epochs", 1, "--batch", 32)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six classes of 16 pictures."""
    folder, rng = tmp_path_factory.mktemp("own") / "photos", np.random.default_rng(0)
    for label, name in enumerate(NAMES):
        (folder / name).mkdir(parents=True)
        for number in range(16):
            pixels = rng.integers(0, 80, (33, 36, 3)) + 25 * label
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number:02}.jpg")
    return folder


@pytest.fixture(scope="module")
def named(clip_folder, small_map, tmp_path_factory):
    """The options that name the model and its map."""
    folder = tmp_path_factory.mktemp("roles")
    small_map.save(folder / "role_map.json")
    return ("--model", clip_folder, "--role-map", folder / "role_map.json", "--device", "cpu")


def lines_of(photos) -> list[str]:
    return [
        f"task {photos}: 6 classes (black, blue, green ...); 66 train, 0 validation, 30 test images; split here: 30% "
        "of each class test, all others train",
        "shots: 16 a class were asked for; class 'black' has 11, 'blue' has 11, 'green' has 11 and 3 more to train on; "
        "all of these are used",
        "few-shot: trained on 66 images of 6 of 6 classes",
    ]


def test_sixteen_photos_a_class_are_adapted_and_evaluated_as_printed(run, photos, named, tmp_path):
    code, text, errors = run("adapt", *named, "--task", f"{photos}/", *QUICK, "--output", tmp_path / "own")
    assert code == 0, errors
    assert [line for line in errors.splitlines() if line in lines_of(photos)] == lines_of(photos)
    config = json.loads((tmp_path / "own" / "adapter_config.json").read_text())
    assert (config["protocol"], config["task"], len(config["trained_classes"])) == ("few-shot", str(photos), 6)
    (row,) = json.loads((tmp_path / "own" / "metrics.json").read_text())["rows"]
    assert (row["protocol"], row["part"], row["images"]) == ("few-shot", "all", 30)
    code, text, errors = run("evaluate", tmp_path / "own", "--json")
    assert code == 0 and json.loads(text)["rows"] == [row] and "left_out" not in json.loads(text)
    assert lines_of(photos)[0] in errors
    code, text, errors = run("evaluate", tmp_path / "own", "--dry-run")
    assert (code, text.splitlines()[:-1], errors) == (0, lines_of(photos)[:1], "")
    assert text.splitlines()[-1].startswith(f"model {named[1]}: texts of up to 32 tokens")


def test_a_dry_run_says_how_all_is_read_and_writes_nothing(run, photos, named, tmp_path):
    out = ("--output", tmp_path / "own", "--dry-run")
    code, text, errors = run("adapt", *named, "--task", photos, *out)
    assert (code, errors) == (0, "") and text.splitlines()[:-1] == lines_of(photos)
    assert text.splitlines()[-1].startswith(f"model {named[1]}: texts of up to 32 tokens, read at their end ")
    code, text, _ = run("adapt", *named, "--task", photos, "--protocol", "base-to-novel", "--test-share", 0.5, *out)
    assert code == 0 and "48 train, 0 validation, 48 test images; split here: 50% of each class test" in text
    assert text.splitlines()[-2] == "base-to-novel: trained on 24 images of 3 of 6 classes: black, blue, green"
    assert list(tmp_path.iterdir()) == []
    assert list(plan(str(named[1]), str(photos), device="cpu"))[:-1] == lines_of(photos)


def test_the_task_is_read_by_evaluate_as_it_was_by_adapt(run, photos, named, tmp_path):
    names = tmp_path / "names.json"
    names.write_text(json.dumps({name: f"{name} thing" for name in NAMES}))
    options = ("--test-share", 0.5, "--class-names", names, *QUICK, "--output", tmp_path / "own")
    code, _, errors = run("adapt", *named, "--task", photos, *options)
    assert code == 0, errors
    config = json.loads((tmp_path / "own" / "adapter_config.json").read_text())
    assert config["classes"][0] == "black thing" and "?test-share=0.5&class-names=" in config["task"]
    code, text, _ = run("evaluate", tmp_path / "own", "--json")
    assert [row["images"] for row in json.loads(text)["rows"]] == [48]


def test_several_templates_and_texts_of_a_class_are_remembered(run, photos, named, tmp_path):
    given = ("adapt", *named, "--task", photos, *QUICK, "--output", tmp_path / "own")
    code, _, errors = run(*given, "--template", "a {}", "--template", "rde\ta red thing")
    assert code == 2 and "texts for 'rde', which is no class" in errors
    lines = tmp_path / "prompts.txt"
    lines.write_text("a photo of a {}.\na drawing of a {}.\nred\ta red picture\tall is red\n")
    code, _, errors = run(*given, "--template", f"@{lines}")
    assert code == 0, errors
    info = AdapterInfo.load(tmp_path / "own")
    assert info.template == lines.read_text().strip()
    rows = json.loads((tmp_path / "own" / "metrics.json").read_text())["rows"]
    lines.unlink()
    code, text, errors = run("evaluate", tmp_path / "own", "--json")
    assert code == 0 and json.loads(text)["rows"] == rows and "note" not in errors
    code, _, errors = run("evaluate", tmp_path / "own", "--template", "a {}", "--json")
    assert code == 0 and "the template is 'a {}'" in errors
    picture, classes = photos / "red" / "00.jpg", ("--classes", "red,green", "--json")
    shares = []
    for more in ((), ("--template", "a {}"), ("--template", "a {}", "--template", "red\ta fire")):
        code, text, errors = run("predict", tmp_path / "own", picture, *classes, *more)
        assert code == 0, errors
        shares.append(json.loads(text)[0]["probabilities"]["red"])
    assert len(set(shares)) == 3
    code, _, errors = run("predict", tmp_path / "own", picture, *classes, "--template", "a {}", "--template", "x\ty")
    assert code == 2 and "texts for 'x', which is no class" in errors


def test_validation_images_choose_the_epoch_or_are_not_taken(run, photos, named, tmp_path):
    given = ("adapt", *named, "--task", photos, "--select-epoch", "validation", "--epochs", 2, "--batch", 32)
    out = tmp_path / "own"
    code, _, errors = run(*given, "--output", out)
    assert code == 2 and "no validation image" in errors and "--val-share 0.2" in errors and not out.exists()
    code, text, errors = run(*given, "--val-share", 0.2, "--output", out)
    info = AdapterInfo.load(out)
    assert code == 0 and "; 12 validation images choose the epoch" in errors, errors
    assert len(info.validation) == 2 and info.validation[info.epoch - 1] == max(info.validation)
    assert f"epoch {info.epoch} is taken" in text and info.reading["tasks"][info.task]["val"] == 12
    code, _, errors = run("evaluate", out)
    assert code == 0 and "note" not in errors


def test_broken_photos_are_left_out_counted_and_listed(run, photos, named, tmp_path):
    shutil.copytree(photos, tmp_path / "photos")
    victim = open_task(str(tmp_path / "photos")).test[0].source
    Path(victim).write_bytes(b"")
    task, out = ("--task", tmp_path / "photos"), ("--output", tmp_path / "own")
    code, _, errors = run("adapt", *named, *task, *QUICK, *out)
    assert code == 0 and "left out 1 image of" in errors and "(cannot identify image file)" in errors
    (read,) = AdapterInfo.load(tmp_path / "own").reading["tasks"].values()
    metrics = json.loads((tmp_path / "own" / "metrics.json").read_text())
    assert len(read["left_out"]) == 1 and read["left_out"] == metrics["left_out"] and read["test"] == 29
    code, text, errors = run("evaluate", tmp_path / "own", "--json")
    assert "preprocessing: CLIPImageProcessor" in errors and "texts of up to 32 tokens, read at their end" in errors
    assert [row["images"] for row in json.loads(text)["rows"]] == [29] and len(json.loads(text)["left_out"]) == 1
    for command in (("adapt", *named, *task, *out, "--overwrite"), ("evaluate", tmp_path / "own")):
        code, _, errors = run(*command, "--strict")
        assert code == 2 and "1 image of" in errors and "mend them or take them out" in errors
        assert errors.count("\n") == 1


@pytest.mark.parametrize("place", ["", "out", "red/out"])
def test_an_output_in_the_task_s_folder_is_refused(run, photos, named, place):
    for more in ((), ("--dry-run",)):
        code, _, errors = run("adapt", *named, "--task", photos, "--output", photos / place, *more)
        assert code == 2 and "lies in the task's folder" in errors and errors.count("\n") == 1
    assert not (photos / "out").exists()


def test_lists_of_names_are_read_as_they_are_meant(run, photos, named, tmp_path):
    code, _, errors = run("adapt", *named, "--task", photos, "--core", "color,shpae", "--output", tmp_path / "own")
    assert code == 2 and "does not know shpae; its concepts: animal, color" in errors
    from headroles.cli.options.names import split_names

    (tmp_path / "names.txt").write_text("fox, red\n\n owl \n", encoding="utf-8-sig")
    assert split_names(f"@{tmp_path / 'names.txt'}") == split_names('"fox, red", owl') == ("fox, red", "owl")
    with pytest.raises(InputError, match="names: cannot read"):
        split_names("@nowhere")


def test_classes_of_equal_tokens_are_refused_before_training(photos, job, tmp_path):
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / "grey").rename(tmp_path / "photos" / "Red")
    wanted = {**job, "task": str(tmp_path / "photos"), "protocol": None}
    with pytest.raises(InputError, match="'Red' and 'red' are the same tokens"):
        adapt(**wanted, output=tmp_path / "own")
    assert not (tmp_path / "own").exists()
