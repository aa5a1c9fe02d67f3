"""Shards of every way to describe heads become the role map of one run."""

import numpy as np
import pytest
from PIL import Image

QUICK = ("--bootstraps", "5", "--device", "cpu", "--batch", "4")


class Letters:
    """A sentence encoder that knows letters alone."""

    def encode(self, sentences, **options):
        return np.array([[1.0 + text.count("e"), 3.0 * text.startswith("a"), 0.1] for text in sentences])


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A table of 24 pictures, one of them broken, labelled with color and light."""
    folder, rng = tmp_path_factory.mktemp("labelled"), np.random.default_rng(0)
    rows = ["path,color,light"]
    for number in range(24):
        color, light = number % 2, number // 2 % 2
        level = np.where(np.arange(3) == color, 1.0, 0.2) * (80, 200)[light]
        pixels = (level + rng.integers(0, 50, (36, 32, 3))).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{('red', 'green')[color]},{('dim', 'bright')[light]}")
    (folder / "7.png").write_bytes(b"no")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    (folder / "swapped.csv").write_text("\n".join(rows).replace("3.png,green", "3.png,red") + "\n")
    texts = [f"{'a' if number % 2 else 'the'} thing number {number}" for number in range(60)]
    (folder / "texts.csv").write_text("text\n" + "\n".join(texts) + "\n")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("way", ["images", "discovery"])
def test_merged_shards_equal_one_run(run, clip_folder, labelled, tmp_path, monkeypatch, way):
    monkeypatch.setattr("headroles.jobs.by_discovery.load_encoder", lambda source: Letters())
    own = {
        "images": ("--by", "images"),
        "discovery": ("--concepts", "discover", "--probes", labelled / "texts.csv", "--min-cluster-size", "5"),
    }[way]
    job = ("score", "--model", clip_folder, "--images", labelled / "labels.csv", *QUICK, *own)
    assert run(*job, "--output", tmp_path / "whole")[0] == 0
    for shard in ("2/2", "1/2"):
        code, text, errors = run(*job, "--output", tmp_path / "shards", "--shard", shard)
        assert code == 0 and "shard-" in text, errors
    code, _, errors = run("merge", tmp_path / "shards", "--output", tmp_path / "merged")
    assert code == 0 and "left out 1 broken image files: 7.png" in errors, errors
    whole, merged = (sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("whole", "merged"))
    assert whole == sorted([*merged, "run.yaml"]) and "role_map.json" in merged
    for name in ("role_map.json", "role_map.csv", "probes.csv"):
        if name in whole:
            assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "merged" / name).read_bytes()


@pytest.mark.slow
def test_shards_of_different_ways_labels_or_texts_make_no_whole(run, clip_folder, labelled, tmp_path, monkeypatch):
    monkeypatch.setattr("headroles.jobs.by_discovery.load_encoder", lambda source: Letters())
    job = ("score", "--model", clip_folder, *QUICK)
    by_images = (*job, "--by", "images", "--images", labelled / "labels.csv")
    found = (*job, "--concepts", "discover", "--images", labelled / "labels.csv", "--min-cluster-size", "5")
    swapped = (*job, "--by", "images", "--images", labelled / "swapped.csv")
    shards = {
        "images": (*by_images, "--shard", "1/2"),
        "swapped": (*swapped, "--shard", "2/2"),
        "texts": (*job, "--images", labelled / "labels.csv", "--shard", "2/2"),
        "found": (*found, "--probes", labelled / "texts.csv", "--shard", "1/1"),
    }
    for name, shard in shards.items():
        assert run(*shard, "--output", tmp_path / name)[0] == 0
    mistakes = {
        ("images", "swapped"): "differ in the labels",
        ("images", "texts"): "differ in what heads are described by",
        ("images",): "1 of 2 shards are missing, 2",
    }
    for folders, expected in mistakes.items():
        code, _, errors = run("merge", *(tmp_path / name for name in folders), "--output", tmp_path / "merged")
        assert code == 2 and expected in errors and errors.count("\n") == 1, errors
    code, _, errors = run("merge", tmp_path / "found", "--probes", "general", "--output", tmp_path / "merged")
    assert code == 2 and "general is not the bank of the shards" in errors and errors.count("\n") == 1
    assert not (tmp_path / "merged").exists()
