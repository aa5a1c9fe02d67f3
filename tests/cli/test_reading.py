"""Every command that reads images says first how it reads them, and at the end what was remarked on them."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from headroles import RoleMap

QUICK = ("--layers", "5", "--null-draws", "50", "--bootstraps", "5", "--texts-per-head", "6", "--device", "cpu")
READING = "6 (.png 5, .jfif 1); left out: .txt 2, .heic 1; preprocessing: "


@pytest.fixture
def photos(tmp_path):
    """Two values of a concept, three pictures each, and what lies beside them."""
    rng, folder = np.random.default_rng(0), tmp_path / "photos"
    for number in range(6):
        path = folder / ("red" if number < 3 else "blue") / f"{number}{'.jfif' if number == 4 else '.png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 36, 3), dtype=np.uint8)).save(path)
    for name in ("a.txt", "b.txt", "c.heic"):
        (folder / "red" / name).write_text("x")
    return folder


def test_score_says_how_it_reads_and_a_dry_run_stops_there(run, photos, tmp_path):
    output = tmp_path / "roles"
    code, out, errors = run("score", "--images", photos, "--output", output, "--dry-run", *QUICK)
    assert (code, out) == (0, "") and errors.count("\n") == 1
    assert errors.startswith(f"images: photos, {READING}CLIPImageProcessor")
    assert "preprocessor_config.json" in errors
    assert not output.exists()
    code, _, again = run("score", "--images", photos, "--output", output, *QUICK)
    assert code == 0 and again.startswith(errors)
    code, _, errors = run("score", "--images", photos, "--output", output, "--dry-run", *QUICK)
    assert code == 2 and "overwrite" in errors


def test_remarks_come_once_and_last(run, photos, tmp_path):
    for number in range(3):
        grey = Image.fromarray(np.full((9, 9), number / 4, np.float32))
        grey.save(photos / f"{number}.tif")
    code, _, errors = run("score", "--images", photos, "--output", tmp_path / "roles", *QUICK)
    *_, last = (line for line in errors.splitlines() if not line.startswith("roles of 9 images are rough"))
    assert code == 0 and errors.count("floating-point") == 1
    assert last.startswith("3 remarks on images: floating-point pictures do not say their scale: 0 is black and 1")


def test_a_limit_of_pixels_is_an_option(run, photos, tmp_path):
    Image.new("RGB", (50, 50)).save(photos / "large.png")
    given = ("score", "--images", photos, *QUICK)
    code, _, errors = run(*given, "--output", tmp_path / "a", "--max-pixels", "2000")
    assert code == 0 and "left out 1 broken image files: large.png" in errors
    code, _, errors = run(*given, "--output", tmp_path / "b", "--max-pixels", "2000", "--strict")
    assert code == 2 and "large.png cannot be read" in errors and "more than the limit of 2000; --max-pixels" in errors
    code, _, errors = run(*given, "--output", tmp_path / "c")
    assert code == 0 and "broken" not in errors


def test_a_dry_run_of_every_command_says_how_it_reads_and_writes_nothing(run, photos, tmp_path):
    output, heads = tmp_path / "roles", ("--heads", "L5.H0")
    run("score", "--images", photos, "--output", output, *QUICK)
    role_map = RoleMap.load(output)
    reading = role_map.images.reading
    assert reading["kinds"] == {".jfif": 1, ".png": 5} and reading["left_out"] == {".heic": 1, ".txt": 2}
    assert reading["found_in"] == "preprocessor_config.json"
    assert reading["texts"] == "texts of up to 32 tokens, read at their end <|endoftext|> (510)"
    table = tmp_path / "groups.csv"
    rows = [f"{photos}/{name},{name[:3]},{split}" for name in ("red/0.png", "blue/3.png") for split in ("a", "b")]
    table.write_text("\n".join(("path,class,group", *rows)) + "\n")
    before = sorted(tmp_path.rglob("*"))
    shutil.copytree(photos, tmp_path / "color")
    before += [tmp_path / "color", *(tmp_path / "color").rglob("*")]
    commands = {
        ("attend", output, "--image", photos, *heads): "images: images, " + READING,
        ("retrieve", output, "--query", photos / "red" / "0.png", "--images", photos, *heads): READING,
        ("retrieve", output, "--evaluate", tmp_path / "color", "--k", 2): READING,
        ("debias", output, *heads, "--task", table, "--classifier", "prompts"): "(.png 4); 4 test; preprocessing: ",
        ("explore", output, "--images", photos, "--port", 0): READING,
        ("report", output, "--images", photos): READING,
        ("report", output, "--images", "none"): "images: none",
    }
    for command, expected in commands.items():
        code, out, errors = run(*command, "--dry-run")
        assert (code, out) == (0, "") and expected in errors and errors.count("\n") == 1, (command, errors)
    assert sorted(tmp_path.rglob("*")) == sorted(before)


@pytest.mark.slow
def test_the_other_commands_say_it_too(run, photos, tmp_path):
    output = tmp_path / "roles"
    run("score", "--count", "40", "--output", output, "--roles-by", "quantile", *QUICK)
    heads = ("--heads", "L5.H0")
    shutil.copytree(photos, tmp_path / "color")
    commands = (
        ("attend", output, "--image", photos, *heads, "--json"),
        ("retrieve", output, "--query", photos / "red" / "0.png", "--images", photos, *heads, "--json"),
        ("retrieve", output, "--evaluate", tmp_path / "color", "--k", "2", "--json"),
    )
    for command in commands:
        code, _, errors = run(*command)
        assert code == 0 and READING in errors, errors
    code, out, errors = run("validate", output, "--count", "60", "--dry-run")
    assert (code, out) == (0, "") and "images: shapes, 60; preprocessing: " in errors and "texts of up to" in errors
    assert not (output / "validation.json").exists()
    code, _, errors = run("validate", output, "--count", "60", "--bootstraps", "50", "--draws", "20")
    assert code == 0 and "images: shapes, 60; preprocessing: CLIPImageProcessor" in errors


def test_names_that_are_no_utf8_go_through_all_commands(run, photos, tmp_path):
    odd = tmp_path / os.fsdecode(b"fotos \xe9")
    try:
        shutil.copytree(photos, odd)
    except OSError:
        pytest.skip("this file system has UTF-8 names alone")
    os.rename(odd / "red" / "0.png", odd / "red" / os.fsdecode(b"caf\xe9.png"))
    (odd / os.fsdecode(b"broken \xe9.png")).write_bytes(b"no")
    output = tmp_path / "roles"
    code, _, errors = run("score", "--images", odd, "--output", output, *QUICK)
    assert code == 0 and r"images: fotos \xe9, 7" in errors
    assert r"left out 1 broken image files: broken \xe9.png" in errors
    assert RoleMap.load(output / "role_map.json").images.broken == (r"broken \xe9.png",)
    query = odd / "red" / os.fsdecode(b"caf\xe9.png")
    for command in (
        ("retrieve", output, "--query", query, "--images", odd, "--heads", "L5.H0"),
        ("retrieve", output, "--query", query, "--images", odd, "--heads", "L5.H0", "--output", tmp_path / "a.svg"),
        ("attend", output, "--image", query, "--heads", "L5.H0"),
    ):
        code, out, errors = run(*command)
        assert code == 0 and r"caf\xe9.png" in out, errors


def test_every_command_that_reads_images_has_the_same_limit_of_pixels(run):
    from headroles.cli.main import _COMMANDS

    limited = {name for name in _COMMANDS if "--max-pixels" in run(name, "--help")[1]}
    reading = {"adapt", "attend", "compare", "debias", "edit", "evaluate", "explore", "predict", "report"}
    assert limited == reading | {"merge-adapters", "reproduce", "retrieve", "score", "task-heads", "validate"}
    assert all(run(name, "--max-pixels", 0)[0] == 2 for name in limited)
