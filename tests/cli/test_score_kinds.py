"""`headroles score --by images` and `--concepts discover`: results on a good call, one line and exit 2 on a bad one."""

import json

import numpy as np
import pytest
from PIL import Image

from headroles import ProbeBank, RoleMap
from headroles.heads.value_moments import ValueMoments

QUICK = ("--bootstraps", "5", "--layers", "all")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Folder CONCEPT/VALUE/IMAGE and a table of the same images."""
    folder, rng = tmp_path_factory.mktemp("labelled"), np.random.default_rng(0)
    rows = ["path,color,light"]
    for number in range(24):
        color, light = ("red", "green")[number % 2], ("dim", "bright")[number // 2 % 2]
        level = np.where(np.arange(3) == ("red", "green").index(color), 1.0, 0.2) * (80 if light == "dim" else 200)
        pixels = (level + rng.integers(0, 50, (36, 32, 3))).astype(np.uint8)
        for concept, value in (("color", color), ("light", light)):
            (folder / concept / value).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / concept / value / f"{number}.png")
        rows.append(f"color/{color}/{number}.png,{color},{light}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_table_of_labels_becomes_a_role_map_that_can_be_drawn(run, clip_folder, labelled, tmp_path):
    own = ("score", "--by", "images", "--model", clip_folder, *QUICK)
    code, text, errors = run(*own, "--images", labelled / "labels.csv", "--output", tmp_path / "a")
    assert code == 0, errors
    assert "wrote" in text and "value_moments.safetensors" in text
    role_map = RoleMap.load(tmp_path / "a" / "role_map.json")
    assert role_map.probe_kind == "image" and role_map.concepts == ("color", "light")
    assert role_map.images.count == 24 and role_map.bank.counts == {"color": 24, "light": 24}
    assert ValueMoments.load(tmp_path / "a" / "value_moments.safetensors").images == 24
    assert run(*own, "--images", labelled / "labels.csv", "--output", tmp_path / "b")[0] == 0
    for name in ("role_map.json", "role_map.csv", "value_moments.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    code, text, _ = run("plot", tmp_path / "a", "--output", tmp_path / "f.svg")
    assert code == 0 and text.count("wrote") == 5
    code, _, errors = run(*own, "--images", labelled / "labels.csv", "--output", tmp_path / "a")
    assert code == 2 and "already holds" in errors


def test_folders_of_concepts_are_labels_too_and_dependent_labels_are_named(run, clip_folder, labelled, tmp_path):
    own = ("score", "--by", "images", "--model", clip_folder, *QUICK)
    code, _, errors = run(*own, "--images", labelled, "--output", tmp_path / "o")
    assert code == 0 and "depend on each other" not in errors
    assert RoleMap.load(tmp_path / "o" / "role_map.json").images.count == 48
    rows = (labelled / "labels.csv").read_text().replace("light", "warmth")
    for color, warmth in (("red", "warm"), ("green", "cold")):
        rows = "\n".join(
            row.rsplit(",", 1)[0] + f",{warmth}" if f",{color}," in row else row for row in rows.splitlines()
        )
    (labelled / "bound.csv").write_text(rows + "\n")
    code, _, errors = run(*own, "--images", labelled / "bound.csv", "--output", tmp_path / "p")
    assert code == 0 and "labels color and warmth depend on each other (Cramer's V 1.00)" in errors
    code, _, errors = run(*own, "--images", labelled / "bound.csv", "--shares", "unique", "--output", tmp_path / "q")
    assert code == 0 and "credited to neither" in errors
    assert {head.entropy for head in RoleMap.load(tmp_path / "q" / "role_map.json")} == {1.0}


@pytest.mark.slow
def test_discovered_concepts_make_a_bank_beside_the_map(run, clip_folder, labelled, tmp_path, monkeypatch):
    class Letters:
        def encode(self, sentences, **options):
            return np.array([[1.0 + text.count("e"), 3.0 * text.startswith("a"), 0.1] for text in sentences])

    monkeypatch.setattr("headroles.jobs.by_discovery.load_encoder", lambda source: Letters())
    texts = [f"{'a' if n % 2 else 'the'} thing number {n}" for n in range(60)]
    (tmp_path / "texts.csv").write_text("text\n" + "\n".join(texts) + "\n")
    own = ("score", "--model", clip_folder, "--images", labelled, "--null-draws", "20", *QUICK)
    found = ("--concepts", "discover", "--probes", tmp_path / "texts.csv", "--min-cluster-size", "5")
    code, text, errors = run(*own, *found, "--output", tmp_path / "o")
    assert code == 0, errors
    assert "discovered" in text and "lie in no cluster" in text
    bank, role_map = ProbeBank.load(tmp_path / "o" / "probes.csv"), RoleMap.load(tmp_path / "o" / "role_map.json")
    assert bank.texts == tuple(texts) and bank.hash == role_map.bank.hash
    assert role_map.settings["discovery"]["min_cluster_size"] == 5
    code, _, errors = run(*own, "--probes", tmp_path / "o" / "probes.csv", "--output", tmp_path / "again")
    assert code == 0, errors
    again = json.loads((tmp_path / "again" / "role_map.json").read_text())
    assert again["head_roles"] == role_map.to_dict()["head_roles"]


def test_mistakes_are_one_line_and_exit_2_and_leave_no_folder(run, clip_folder, labelled, tmp_path):
    (tmp_path / "flat").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "flat" / "0.png")
    (tmp_path / "one.csv").write_text("path,color\nflat/0.png,red\n")
    (tmp_path / "single.csv").write_text("path,color\nflat/0.png,red\nflat/1.png,blue\n")
    images = ("score", "--by", "images", "--model", clip_folder)
    finds = ("score", "--concepts", "discover", "--model", clip_folder)
    mistakes = {
        (*images, "--images", tmp_path / "flat"): "unlabelled images",
        (*images, "--images", tmp_path / "one.csv"): "no concept with two values",
        (*images, "--images", tmp_path / "single.csv"): "one concept color; entropy needs at least two",
        (*images, "--images", labelled / "color"): "the one concept color",
        (*images, "--images", tmp_path / "nowhere"): "no folder and no file",
        (*images, "--roles-by", "null"): "threshold, quantile with image probes",
        (*images, "--shares", "most"): "shares must be one of",
        (*images, "--probes", "general"): "--probes has no effect here; it belongs to --by texts",
        (*images, "--weights", "count"): "--weights has no effect here",
        (*images, "--concepts", "discover"): "clusters texts",
        ("score", "--shares", "unique"): "belongs to --by images",
        ("score", "--encoder", "x"): "belongs to --concepts discover",
        (*images, "--split", "train"): "labelled images are a folder or a CSV",
        ("score", "--by", "smell"): "by must be one of",
        (*finds, "--noise", "loud"): "noise must be one of nearest, own",
        (*finds, "--min-cluster-size", "1"): "min_cluster_size must be at least 2",
        (*finds, "--probes", tmp_path / "one.csv"): "no column 'text'",
    }
    for arguments, expected in mistakes.items():
        code, _, errors = run(*arguments, "--output", tmp_path / "o")
        assert code == 2, arguments
        assert expected in errors and errors.count("\n") == 1, errors
        assert not (tmp_path / "o").exists(), arguments


def test_unreadable_encoders_and_too_few_texts_are_one_line(run, clip_folder, labelled, tmp_path, monkeypatch):
    (tmp_path / "few.csv").write_text("text\n" + "\n".join(f"text {n}" for n in range(5)) + "\n")
    finds = ("score", "--concepts", "discover", "--model", clip_folder, "--images", labelled, "--layers", "all")
    pytest.importorskip("sentence_transformers")
    code, _, errors = run(*finds, "--encoder", tmp_path, "--output", tmp_path / "o")
    assert code == 2 and "holds no sentence encoder" in errors and errors.count("\n") == 1
    code, _, errors = run(*finds, "--encoder", tmp_path / "nowhere", "--output", tmp_path / "o")
    assert code == 2 and "no folder" in errors and errors.count("\n") == 1
    monkeypatch.setattr("headroles.jobs.by_discovery.load_encoder", lambda source: None)
    code, _, errors = run(*finds, "--probes", tmp_path / "few.csv", "--output", tmp_path / "o")
    assert code == 2 and "discovery needs at least 10" in errors.splitlines()[-1]
    assert not (tmp_path / "o").exists()


def test_weights_need_no_images_and_refuse_what_only_images_have(run, clip_folder, tmp_path):
    own = ("score", "--by", "weights", "--model", clip_folder, "--layers", "1", "--null-draws", "19")
    code, text, errors = run(*own, "--output", tmp_path / "a")
    assert code == 0 and "described by their weights" in errors and "role_map.json, role_map.csv\n" in text
    assert not (tmp_path / "a" / "moments.safetensors").exists()
    assert RoleMap.load(tmp_path / "a").images.count == 0
    assert run(*own, "--dry-run", "--output", tmp_path / "b")[0] == 0 and not (tmp_path / "b").exists()
    for options, expected in (
        (("--by", "weights", "--count", "4"), "--count has no effect here; it belongs to images (--images)"),
        (("--by", "weights", "--bootstraps", "4"), "--bootstraps has no effect here"),
        (("--by", "weights", "--shares", "unique"), "--shares has no effect here; it belongs to --by images"),
        (("--by", "weights", "--concepts", "discover"), "it needs --by texts"),
        (("--by", "weights", "--as", "dear"), "--as has no effect here"),
        (("--texts", "x"), "--texts has no effect here; it belongs to --by texts --tower text"),
    ):
        code, _, errors = run("score", *options, "--output", tmp_path / "c")
        assert code == 2 and expected in errors and not (tmp_path / "c").exists()
