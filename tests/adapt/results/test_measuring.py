"""Accuracies and protocols, against plain loops over single images."""

from types import SimpleNamespace

import pytest
import torch

from headroles import load
from headroles.adapt.config import DearConfig
from headroles.adapt.data.tasks import TASKS, open_task
from headroles.adapt.methods.dear import Dear
from headroles.adapt.metrics import harmonic_mean
from headroles.adapt.results.measuring import compare, measure, measure_retention
from headroles.adapt.results.protocols import PROTOCOLS, choose_protocol, default_targets
from headroles.errors import InputError


@pytest.fixture(scope="module")
def dear(clip_folder, make_role_map, color_folder):
    model = load(str(clip_folder), "cpu")
    center_images(model, open_task(str(color_folder)).train)
    dear = Dear(model, make_role_map(model, [["mixed", "general", "color", "shape"]]), DearConfig(), 1)
    with torch.no_grad():
        for parameter in dear.parameters():  # as if trained, so that the adapted branch differs from the frozen one
            parameter += 0.5 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    return dear


@torch.no_grad()
def center_images(model, examples) -> None:
    """Take the images' mean embedding off, by the final bias: a random CLIP would else give all the same class."""
    mean = model(torch.stack([model.processor(example.open()) for example in examples])).mean(0)
    model.clip.vision_model.post_layernorm.bias -= torch.linalg.pinv(model.clip.visual_projection.weight) @ mean


@pytest.fixture
def task(color_folder):
    return open_task(str(color_folder))


def count(dear, task, examples, frozen: bool) -> list[int]:
    """Right answers by class, one image at a time."""
    right = [0] * len(task.classes)
    for example in examples:
        pixels = dear.model.processor(example.open())[None]
        if frozen:
            scores = dear.model.embed_images(pixels) @ dear.model.embed_texts([text for (text,) in task.prompts]).T
        else:
            scores = dear.predict(pixels, dear.text_trunk(task.prompts))
        right[example.label] += int(scores.argmax() == example.label)
    return right


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_counts_are_those_of_single_images(dear, task, batch):
    examples = task.test + task.train
    frozen, adapted = compare(dear, task, examples, batch)
    assert frozen.right == tuple(count(dear, task, examples, True))
    assert adapted.right == tuple(count(dear, task, examples, False))
    assert frozen.right != adapted.right
    assert frozen.total == adapted.total == (8, 8, 8, 8) and frozen.classes == task.classes


def test_base_to_novel_tests_each_half_among_its_own_classes(dear, task):
    base, novel, hm = measure(dear, task, "base-to-novel", 7)
    assert [row.part for row in (base, novel, hm)] == ["base", "novel", "hm"]
    assert {(row.seed, row.protocol, row.task) for row in (base, novel, hm)} == {(7, "base-to-novel", task.name)}
    for row, half in zip((base, novel), task.halves(), strict=True):
        assert row.adapted == sum(count(dear, half, half.test, False)) / 6
        assert row.zero_shot == sum(count(dear, half, half.test, True)) / 6
        assert list(row.per_class["adapted"]) == list(half.classes)
    assert hm.adapted == pytest.approx(harmonic_mean(base.adapted, novel.adapted))
    assert (base.images, novel.images, hm.images) == (6, 6, 12)


def test_joint_tests_every_image_among_the_names_of_both_halves(dear, task):
    tested = []
    base, novel, hm, whole = measure(dear, task, "joint", 7, shots=4, tested=tested)
    assert [row.part for row in (base, novel, hm, whole)] == ["base", "novel", "hm", "all"]
    assert {(row.protocol, row.task, row.shots) for row in (base, novel, hm, whole)} == {("joint", task.name, 4)}
    assert (base.images, novel.images, whole.images) == (6, 6, 12) and len(tested) == 12
    for model, frozen in (("zero_shot", True), ("adapted", False)):
        right = count(dear, task, task.test, frozen)
        parts = [round(getattr(row, model) * row.images) for row in (base, novel, whole)]
        assert parts == [sum(right[:2]), sum(right[2:]), sum(right)]
        assert getattr(hm, model) == pytest.approx(harmonic_mean(getattr(base, model), getattr(novel, model)))
    assert list(base.per_class["adapted"]) + list(novel.per_class["adapted"]) == list(whole.per_class["adapted"])


def test_more_names_make_no_image_right(dear, task):
    """What is right among all names is right among its half of them."""
    for joint, alone in zip(measure(dear, task, "joint", 1), measure(dear, task, "base-to-novel", 1), strict=False):
        assert joint.part == alone.part
        assert joint.adapted <= alone.adapted and joint.zero_shot <= alone.zero_shot


def test_names_that_no_image_takes_change_nothing(dear, task, monkeypatch):
    names = task.halves()[1].classes
    plain = dear.logits
    far = torch.tensor([-1e4 * (name in names) for name in task.classes])
    monkeypatch.setattr(dear, "logits", lambda images, texts: plain(images, texts) + far)
    joint = measure(dear, task, "joint", 1)
    monkeypatch.setattr(dear, "logits", plain)
    assert joint[0].adapted == measure(dear, task, "base-to-novel", 1)[0].adapted and joint[1].adapted == 0


def test_few_shot_tests_all_classes(dear, task):
    (row,) = measure(dear, task, "few-shot", 1)
    assert (row.part, row.images, row.adapted) == ("all", 12, sum(count(dear, task, task.test, False)) / 12)


def test_other_tasks_come_with_their_mean(dear, task):
    halves = task.halves()
    first, second, mean = measure(dear, task, "cross-dataset", 1, halves)
    assert (first.task, second.task, mean.task) == (halves[0].name, halves[1].name, "mean")
    assert mean.adapted == pytest.approx((first.adapted + second.adapted) / 2)
    shifted = measure(dear, task, "domain-shift", 1, halves)
    assert [row.task for row in shifted] == [task.name, halves[0].name, halves[1].name, "mean"]
    assert {row.protocol for row in measure_retention(dear, halves, 1)} == {"retention"}
    assert measure_retention(dear, [], 1) == []


def test_built_in_tasks_have_targets():
    assert len(default_targets("shapes:signs", "domain-shift")) >= 4
    for name in default_targets("shapes:signs", "domain-shift"):
        assert open_task(name).classes == open_task("shapes:signs").classes
    peers = default_targets("shapes:signs", "cross-dataset")
    assert set(peers) < set(TASKS) and "shapes:signs" not in peers and "shapes:color" not in peers
    assert default_targets("shapes:signs", "few-shot") == default_targets("a folder", "cross-dataset") == ()


def test_coops_data_sets_have_the_targets_of_papers():
    others = default_targets("imagenet", "cross-dataset")
    assert len(others) == 10 and "imagenet" not in others and "eurosat" in others
    assert set(default_targets("EuroSAT", "cross-dataset")) == {*others, "imagenet"} - {"eurosat"}
    shifts = ("imagenetv2", "imagenet-sketch", "imagenet-adversarial", "imagenet-rendition")
    assert default_targets("imagenet", "domain-shift") == shifts
    assert default_targets("eurosat", "domain-shift") == default_targets("imagenetv2", "cross-dataset") == ()


def test_tasks_that_are_given_choose_the_protocol():
    info = SimpleNamespace(task="shapes:signs", protocol="base-to-novel", targets=())
    own, shift, other = "shapes:signs", "shapes:signs@blur", "shapes:color"
    assert choose_protocol([], None, info) == ("base-to-novel", [own], [])
    assert choose_protocol([other, shift], None, info) == ("cross-dataset", [own], [other, shift])
    assert choose_protocol([shift], None, info) == ("domain-shift", [own], [shift])
    assert choose_protocol([other], "few-shot", info) == ("few-shot", [other], [])


def test_mistakes_name_what_is_wrong(dear, task):
    with pytest.raises(InputError, match="protocol must be one of base-to-novel"):
        measure(dear, task, "zero-shot", 1)
    for protocol in ("cross-dataset", "domain-shift"):
        assert protocol in PROTOCOLS
        with pytest.raises(InputError, match=f"targets: {protocol} of .* needs tasks"):
            measure(dear, task, protocol, 1)
