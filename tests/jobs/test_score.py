"""score() from plain names and from objects: the role map of the command, and one clear error for each mistake."""

import numpy as np
import pytest
from PIL import Image

from headroles import FolderImages, InputError, ProbeBank, RoleMap, ScoreConfig, load
from headroles.images.labelled import open_labelled
from headroles.jobs.score import score

QUICK = {"null_draws": 20, "bootstraps": 5}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for color in ("red", "green"):
        for light in ("dim", "bright"):
            (folder / "color" / color).mkdir(parents=True, exist_ok=True)
            (folder / "light" / light).mkdir(parents=True, exist_ok=True)
            for number in range(6):
                level = np.array([200 * (color == "red"), 200 * (color == "green"), 40]) // (1 + (light == "dim"))
                pixels = (level + rng.integers(0, 50, (36, 32, 3))).astype(np.uint8)
                kind, value = ("color", color) if number % 2 else ("light", light)
                Image.fromarray(pixels).save(folder / kind / value / f"{color}-{light}-{number}.png")
    return folder


@pytest.mark.slow
def test_names_objects_and_the_command_give_one_role_map(run, clip_folder, photos, tmp_path):
    by_name = score(str(clip_folder), photos, "shapes", **QUICK)
    model = load(str(clip_folder))
    images = FolderImages(photos, model.processor)
    assert score(model, images, ProbeBank.load("shapes"), config=ScoreConfig(**QUICK)) == by_name
    options = [str(word) for name, value in QUICK.items() for word in (f"--{name.replace('_', '-')}", value)]
    where = ("--model", clip_folder, "--images", photos, "--probes", "shapes", "--output", tmp_path / "o")
    assert run("score", *where, *options)[0] == 0
    assert RoleMap.load(tmp_path / "o" / "role_map.json") == by_name
    assert by_name.images.source == photos.name


def test_labels_by_name_or_open_give_one_role_map(clip_folder, photos):
    model = load(str(clip_folder))
    by_name = score(model, photos, by="images", bootstraps=5)
    assert by_name.probe_kind == "image"
    assert score(model, open_labelled(photos, model.processor), by="images", bootstraps=5) == by_name


def test_mistakes_are_said_before_anything_is_computed(clip_folder, photos):
    model = load(str(clip_folder))
    images = FolderImages(photos, model.processor)
    mistakes = (
        ({"layer": "all"}, "layer is no setting of ScoreConfig; did you mean layers"),
        ({"coutn": 3}, "coutn is no setting of ScoreConfig; did you mean count"),
        ({"count": "many", "images": photos}, "count must be a whole number or None, got 'many'"),
        ({"images": ["cat.jpg"]}, "expected a place, shapes, or images as .* opens them, got a list"),
        ({"layers": "9"}, "not within this model's layers"),
        ({"by": "smell"}, "by must be one of texts, images"),
        ({"by": "images", "concepts": "discover"}, "leave it out with by images"),
        ({"by": "images", "images": images}, "scoring by images needs labels, got FolderImages"),
        ({"config": ScoreConfig(), "seed": 1}, "give either config or seed"),
        ({"config": ScoreConfig(), "by": "images"}, "expected ImageScoreConfig, got ScoreConfig"),
        ({"count": 3}, "count: the images are opened already"),
        ({"probes": "no-such-bank"}, "no bank named no-such-bank"),
    )
    for wrong, expected in mistakes:
        with pytest.raises(InputError, match=expected):
            score(**{"model": model, "images": images, "probes": "shapes", **wrong})
