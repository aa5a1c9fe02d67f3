"""Averages of one training: all of one mean share, each worth what a measurement by itself says."""

import dataclasses
import itertools

import pytest
import torch

from headroles import load
from headroles.adapt.data.tasks import open_task
from headroles.adapt.methods.clip_cite import ClipCite, ClipCiteConfig
from headroles.adapt.methods.linear_probe import LinearProbe
from headroles.adapt.methods.role_numbers import balance_shares, number_heads
from headroles.adapt.results.average_curve import average_curve
from headroles.adapt.results.measuring import measure
from headroles.errors import InputError

ROWS = [["mixed", "general", "general", "general"], ["mixed", "general", "color", "shape"]]


def test_shares_by_role_are_as_far_apart_as_their_mean_allows(model, make_role_map):
    role_map, tower = make_role_map(model, ROWS), model.visual
    for variant, mean in itertools.product(("role", "random", "inverted"), (0.0, 0.1, 0.5, 0.8, 1.0)):
        numbers = balance_shares(role_map, tower, mean, variant)
        shares = number_heads(role_map, tower, numbers, mean, variant, 3)
        assert shares.mean().item() == pytest.approx(mean)
        assert numbers["attribute"] >= mean >= numbers["generalization"]
        assert numbers["attribute"] == pytest.approx(1) or numbers["generalization"] == pytest.approx(0)
    with pytest.raises(InputError, match="role map: it knows no generalization head of an encoder layer"):
        balance_shares(make_role_map(model, [["color"]]), tower, 0.5)


@pytest.fixture(scope="module")
def task(color_folder):
    return open_task(str(color_folder))


@pytest.fixture(scope="module")
def tuned(clip_folder, task, small_map):
    """A method as a training would leave it."""
    clip = load(str(clip_folder), "cpu")
    method = ClipCite(clip, small_map, ClipCiteConfig(alpha=0.3), classes=task.halves()[0].classes)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return method


def test_a_point_is_what_a_measurement_under_its_settings_says(tuned, task):
    curve = average_curve(tuned, task, [task], alphas=(0.5, 0, 1), roles_seeds=(0, 4))
    assert tuned.config == ClipCiteConfig(alpha=0.3)
    assert [(point.average, point.alpha) for point in curve.points] == [
        (average, alpha) for average in ("uniform", "role", "random", "random", "inverted") for alpha in (0.0, 0.5, 1.0)
    ]
    for point in curve.points:
        if point.alpha in (0, 1):
            same = next(each for each in curve.points if each.alpha == point.alpha)
            assert (point.base, point.novel, point.kept) == (same.base, same.novel, same.kept)
    point = next(each for each in curve.points if each.roles_seed == 4 and each.alpha == 0.5)
    shares = {name: getattr(point, name) for name in ("average", "alpha", "attribute", "generalization", "roles_seed")}
    tuned.config = dataclasses.replace(tuned.config, **shares)
    base, novel, _ = measure(tuned, task, "base-to-novel", 1)
    assert (point.base, point.novel) == (base.adapted, novel.adapted)
    assert (curve.points[0].base, curve.points[0].novel) == (base.zero_shot, novel.zero_shot)
    assert len({(point.base, point.novel, point.kept) for point in curve.points}) > 1
    assert len(curve.to_frame()) == 15 and len(curve.plot().axes) == 2


def test_what_has_no_averages_is_refused(tuned, task):
    with pytest.raises(InputError, match="expected one of clip-cite, whose weights can be averaged, got one of linear"):
        average_curve(LinearProbe(tuned.model, classes=task.classes), task)
    with pytest.raises(InputError, match="averages must be some of uniform, role, random, inverted, got mean"):
        average_curve(tuned, task, averages=("mean",))
    plain = ClipCite(tuned.model, classes=task.halves()[0].classes)
    with pytest.raises(InputError, match="role map: the adapter has none; adapt with --role-map"):
        average_curve(plain, task)
    assert len(average_curve(plain, task, averages=("uniform",), alphas=(0, 1)).points) == 2
