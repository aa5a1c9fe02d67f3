"""Tasks: halves and shots as the protocol has them, built-in tasks by name, images as pixels."""

import random
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from headroles.adapt.data.augment import AREA, crop_and_mirror
from headroles.adapt.data.tasks import SHIFTS, TASKS, Example, Task, TaskImages, open_task
from headroles.errors import InputError
from headroles.shapes.tasks import POOL


def preprocess(image: Image.Image) -> torch.Tensor:
    side = image.resize((16, 16)) if image.size != (16, 16) else image
    return torch.from_numpy(np.array(side)).permute(2, 0, 1).float()


def make_task(counts=(5, 9, 7, 6, 8), val=3) -> Task:
    """Classes of uneven size whose images are listed in a mixed order."""
    pool = [Example(f"{label}/{number}.png", label) for label, count in enumerate(counts) for number in range(count)]
    random.Random(0).shuffle(pool)
    rest = {
        split: tuple(Example(f"{split}/{label}/{n}.png", label) for label in range(len(counts)) for n in range(val))
        for split in ("val", "test")
    }
    return Task("mixed", tuple("abcde"[: len(counts)]), "a photo of a {}.", tuple(pool), **rest)


def protocol(task: Task, shots: int, seed: int) -> tuple[list, list]:
    """The few-shot protocol once more, on Python's global random state."""
    random.seed(seed)
    drawn = []
    for pool, size in ((task.train, shots), (task.val, min(shots, 4))):
        by_label = {}
        for example in pool:
            by_label.setdefault(example.label, []).append(example)
        drawn.append([example for items in by_label.values() for example in random.sample(items, size)])
    return tuple(drawn)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("shots", [1, 4, 5])
def test_shots_are_those_of_the_protocol(seed, shots):
    task = make_task(val=6)
    few = task.few_shot(shots, seed)
    train, val = protocol(task, shots, seed)
    assert list(few.train) == train and list(few.val) == val
    assert few.test == task.test


def test_shots_do_not_touch_the_global_random_state():
    random.seed(7)
    expected = random.random()
    random.seed(7)
    make_task().few_shot(2, 1)
    assert random.random() == expected


def test_seeds_draw_different_shots():
    task = make_task()
    assert len({task.few_shot(2, seed).train for seed in (1, 2, 3)}) == 3


def test_more_shots_than_images_are_refused_by_class():
    task = make_task(counts=(5, 3, 7))
    with pytest.raises(InputError, match="has 3 training images, 17 were asked for; give --shots 3 or fewer"):
        task.few_shot(17, 1)
    with pytest.raises(InputError, match="at least 1, got 0"):
        task.few_shot(0, 1)


def test_halves_are_apart_and_relabelled_from_zero():
    task = make_task()
    base, novel = task.halves()
    assert base.classes == ("a", "b", "c") and novel.classes == ("d", "e")
    for half in (base, novel):
        for split in (half.train, half.val, half.test):
            assert {example.label for example in split} == set(range(len(half.classes)))
    for split in ("train", "val", "test"):
        sources = [example.source for half in (base, novel) for example in getattr(half, split)]
        assert sorted(sources) == sorted(example.source for example in getattr(task, split))
    assert {e.source[0] for e in novel.train} == {"3", "4"}
    with pytest.raises(InputError, match="at least two"):
        make_task(counts=(4,)).halves()


def test_prompts_show_class_names_without_underscores():
    task = Task("t", ("sea_lake", "a {b}"), "{} texture.", (), (), (Example("x", 0),))
    assert task.prompts == (("sea lake texture.",), ("a {b} texture.",))
    for template in ("a photo", "{} and {}"):
        with pytest.raises(InputError, match="template: expected one"):
            Task("t", ("a",), template, (), (), (Example("x", 0),))


@pytest.mark.parametrize("spec", TASKS)
def test_built_in_tasks_are_balanced_and_their_splits_apart(spec):
    task = open_task(spec)
    keys = [example.key for split in (task.train, task.val, task.test) for example in split]
    assert len(set(keys)) == len(keys)
    for split, count in POOL.items():
        labels = np.bincount([example.label for example in getattr(task, split)])
        assert labels.tolist() == [count] * len(task.classes)
    assert task.name == spec
    assert open_task(spec).few_shot(16, 2) == task.few_shot(16, 2)


def test_a_shift_keeps_the_picture_s_place_and_class():
    plain, shifted = open_task("shapes:turned"), open_task("shapes:turned@noise")
    assert shifted.name == "shapes:turned@noise" and shifted == plain.shifted("noise")
    assert [e.label for e in shifted.test] == [e.label for e in plain.test]
    a, b = (np.asarray(task.test[3].open(), dtype=float) for task in (plain, shifted))
    assert np.abs(a - b).mean() > 10
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.5


def test_unknown_tasks_and_shifts_are_refused():
    with pytest.raises(InputError, match="no built-in task shapes:nothing"):
        open_task("shapes:nothing")
    with pytest.raises(InputError, match="fog is no shift for shapes:turned; use one of outline"):
        open_task("shapes:turned@fog")
    with pytest.raises(InputError, match="outline hides the texture of shapes:weave"):
        open_task("shapes:weave@outline")
    with pytest.raises(InputError, match="only shapes tasks"):
        make_task().shifted("noise")
    with pytest.raises(InputError, match="there is no nowhere; expected a built-in task"):
        open_task("nowhere")
    assert {"outline", "noise", "blur", "invert"} <= set(SHIFTS)


def test_pixels_depend_on_seed_epoch_and_index_alone():
    task = open_task("shapes:clutter")

    def pixels(seed, epoch, order, workers=0):
        images = TaskImages(task.train[:6], preprocess, True, seed, epoch)
        return {int(i): p for i, p, _ in DataLoader(images, batch_size=None, sampler=order, num_workers=workers)}

    first = pixels(1, 0, range(6))
    for other in (pixels(1, 0, [4, 2, 0, 1, 3, 5]), pixels(1, 0, range(6), workers=2)):
        assert all(torch.equal(first[index], other[index]) for index in range(6))
    for other in (pixels(2, 0, range(6)), pixels(1, 1, range(6))):
        assert not any(torch.equal(first[index], other[index]) for index in range(6))


def test_without_augmentation_pixels_are_the_preprocessed_image():
    task = open_task("shapes:tiny")
    index, pixels, label = TaskImages(task.val, preprocess)[7]
    assert (index, label) == (7, task.val[7].label)
    assert torch.equal(pixels, preprocess(task.val[7].open()))


def test_crops_keep_half_the_image_or_more_and_mirror_half_the_time():
    ramp = np.zeros((60, 80, 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 240, 80).astype(np.uint8)
    ramp[..., 1] = np.linspace(0, 240, 60).astype(np.uint8)[:, None]
    areas, mirrored = [], 0
    for number in range(200):
        crop = np.asarray(crop_and_mirror(Image.fromarray(ramp), 48, np.random.default_rng(number))).astype(float)
        across, down = abs(crop[24, -2, 0] - crop[24, 1, 0]), abs(crop[-2, 24, 1] - crop[1, 24, 1])
        areas.append(across * down * (48 / 45 / 240) ** 2)
        mirrored += crop[24, 0, 0] > crop[24, -1, 0]
    assert AREA[0] - 0.05 < min(areas) < 0.6 and 0.9 < max(areas) < 1.05
    assert 70 < mirrored < 130


def load_error(images: TaskImages, workers: int) -> str:
    """What loading says; a traceback that waits for the garbage collector would keep the workers for seconds."""
    try:
        next(iter(DataLoader(images, num_workers=workers)))
    except InputError as error:
        traceback.clear_frames(error.__traceback__)
        return str(error)
    return ""


def test_broken_files_are_named_in_one_line_from_workers_too(tmp_path):
    (tmp_path / "half.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    for name, why in (("half.png", "cannot identify"), ("gone.png", "No such file")):
        images = TaskImages([Example(str(tmp_path / name), 0)], preprocess)
        for workers in (0, 1):
            message = load_error(images, workers)
            assert message.startswith(f"image: {tmp_path / name} cannot be read (") and why in message
            assert "\n" not in message


def test_listing_tasks_loads_no_model_code():
    code = "import sys, headroles.shapes.tasks; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path("/"))
    assert out.stdout.strip() == "False"
