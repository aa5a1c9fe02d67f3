"""Which heads a task uses: what a cut costs, what is said of it, and what roles foretell."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch.nn.functional import normalize

from headroles import HeadReference, ablating, load
from headroles.adapt import TaskHeads, open_task, task_heads
from headroles.adapt.uses.agreement import agree, mean_agreement, shuffle_within
from headroles.adapt.uses.asked import asked_concepts
from headroles.adapt.uses.costs import TaskPixels, measure_costs
from headroles.adapt.uses.learned import learn_direct_factors
from headroles.causal.margins import margin
from headroles.errors import InputError

SMALL = {"images": 12, "resamples": 200, "shots": 2, "steps": 5}


@pytest.fixture(scope="module")
def clip(clip_folder):
    return load(str(clip_folder), "cpu")


@pytest.fixture(scope="module")
def task(color_folder):
    return open_task(str(color_folder))


@pytest.fixture(scope="module")
def wide_map(clip, make_role_map):
    return make_role_map(clip, [["mixed", "general", "color", "shape"], ["shape", "silent", "object", "color"]])


@pytest.fixture(scope="module")
def found(clip, task, wide_map):
    return task_heads(clip, task, wide_map, concepts=["color"], learn=["ltv", "talo"], **SMALL)


@pytest.fixture(scope="module")
def measured(clip, task):
    """Twelve images, random class texts, some heads, and what cutting them costs."""
    images = TaskPixels.open(task.train[:12], clip.processor, 5)
    texts = normalize(torch.randn(4, clip.visual.embed, generator=torch.Generator().manual_seed(0)), dim=-1)
    heads = [(0, 1), (1, 0), (clip.visual.layers - 1, 2)]
    return images, texts, heads, measure_costs(clip, images, texts, heads)


def lost(clip, images, texts, cut):
    """Margin that is lost where the unit embeddings `cut` stand in for the images' own."""
    logits = [clip.logit_scale * each @ texts.T for each in (clip.embed_images(torch.cat(images.pixels)), cut)]
    before, after = (margin(each, images.labels)[0] for each in logits)
    return before - after


def test_total_costs_are_those_of_the_ablation_itself(clip, measured):
    images, texts, heads, costs = measured
    pixels = torch.cat(images.pixels)
    reference = HeadReference.collect(clip, Held(pixels), pool=0)
    for number, head in enumerate(heads):
        with ablating(clip, [head], "mean", "total", reference):
            cut = clip.embed_images(pixels)
        torch.testing.assert_close(costs.margin[:, number], lost(clip, images, texts, cut), atol=1e-3, rtol=1e-3)


def test_direct_costs_take_a_heads_own_part_to_its_mean(clip, measured):
    images, texts, heads, costs = measured
    pixels = torch.cat(images.pixels)
    with torch.no_grad():
        whole = clip(pixels)
        for number, head in enumerate(heads):
            with ablating(clip, [head], "zero", "direct"):
                part = (whole - clip(pixels)) / whole.norm(dim=-1, keepdim=True)
            cut = normalize(whole, dim=-1) - (part - part.mean(0))
            torch.testing.assert_close(costs.direct[:, number], lost(clip, images, texts, cut), atol=1e-3, rtol=1e-3)


class Held:
    """Pixels as images."""

    def __init__(self, pixels):
        self.pixels = pixels

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, number):
        return number, self.pixels[number]

    def name(self, number):
        return str(number)


def test_parts_have_no_mean_and_a_factor_of_one_changes_nothing(measured):
    images, _, heads, costs = measured
    torch.testing.assert_close(costs.parts.mean(0), torch.zeros_like(costs.parts[0]), atol=1e-4, rtol=0)
    factors = learn_direct_factors(costs, images.labels, 60)
    before, after = (
        torch.nn.functional.cross_entropy(
            costs.logits + torch.einsum("h,ihc->ic", each - 1, costs.parts), images.labels
        )
        for each in (torch.ones(len(heads)), factors)
    )
    assert after < before


def test_every_head_has_a_verdict_that_follows_from_its_numbers(found, wide_map):
    assert {use.head for use in found.heads} == {head.name for head in wide_map if head.role != "silent"}
    for use in found.heads:
        assert use.low <= use.cost <= use.high and use.asked == wide_map[use.head].distribution["color"]
        free = use.low >= -0.05 and use.high <= 0.05
        sure = use.q_value <= 0.05
        assert use.verdict == ("free" if free else ["harmful", "needed"][use.cost > 0] if sure else "unclear")
    assert sum(len(found.of_verdict(each)) for each in ("needed", "harmful", "free", "unclear")) == len(found.heads)
    assert found.images == 12 and found.concepts == ("color",)


def test_what_is_learned_is_there_and_what_is_not_is_none(found):
    assert all(use.weight is not None and use.weight >= 0 for use in found.heads)
    assert all(use.gate is None for use in found.heads) and len(found.values("delta")) == len(found.heads)
    with pytest.raises(InputError, match="gate was not learned; run task-heads again with --learn head-purification"):
        found.plot(use="gate")
    rho = spearmanr([use.asked for use in found.heads], [use.cost for use in found.heads]).statistic
    assert next(each for each in found.agreement if each.use == "cost").rho == pytest.approx(rho)


def test_it_is_saved_read_and_drawn(found, tmp_path):
    found.save(tmp_path / "found.json")
    assert TaskHeads.load(tmp_path / "found.json") == found
    assert len(found.to_frame()) == len(found.heads) and set(found.agreement_frame()["use"]) >= {"cost", "direct"}
    for kind in found.kinds:
        assert found.plot(kind).axes
    assert "asks for color" in found.to_table() and "verdict" in found._repr_html_()


def test_the_same_seed_gives_the_same_result(clip, task, wide_map, found):
    again = task_heads(clip, task, wide_map, concepts=["color"], **SMALL)
    strip = {"weight": None, "delta": None}
    assert again.heads == tuple(dataclasses.replace(use, **strip) for use in found.heads)


def test_shuffling_keeps_layers():
    layers = np.array([5, 7, 5, 6, 7, 5])
    drawn = shuffle_within(layers, 200, np.random.default_rng(0))
    assert (layers[drawn] == layers).all() and (np.sort(drawn, 1) == np.arange(6)).all()
    assert len({tuple(row) for row in drawn}) == 12  # 3! orders of layer 5, 2! of layer 7.


def test_depth_alone_makes_no_small_p():
    layers = np.repeat([5, 6, 7], 8)
    share, use = layers + np.tile(np.arange(8), 3) / 100, layers + np.tile(np.arange(8)[::-1], 3) / 100
    by_depth = agree("cost", use.tolist(), share.tolist(), layers.tolist(), 500, 0)
    assert by_depth.rho > 0.7 and by_depth.p_value > 0.5
    told = agree("cost", share.tolist(), share.tolist(), layers.tolist(), 500, 0)
    assert told.rho == pytest.approx(1) and told.p_value == pytest.approx(1 / 501)
    assert agree("cost", [1.0] * 24, share.tolist(), layers.tolist(), 500, 0) is None


def test_tasks_that_share_their_heads_are_no_new_evidence():
    rng = np.random.default_rng(0)
    layers, share, use = np.zeros(12, int), rng.random(12), rng.random(12)
    once = mean_agreement(use[None], share[None], layers, 400, 1)
    often = mean_agreement(np.tile(use, (9, 1)), np.tile(share, (9, 1)), layers, 400, 1)
    assert often == pytest.approx(once)


def test_a_built_in_task_says_what_it_asks_for(small_map, task):
    assert asked_concepts(open_task("shapes:rare"), small_map) == ("color", "object", "shape")
    assert asked_concepts(open_task("shapes:weave"), small_map) == ("texture",)
    with pytest.raises(InputError, match="shapes:count asks for count, and the role map's bank by hand knows"):
        asked_concepts(open_task("shapes:count"), small_map)
    with pytest.raises(InputError, match="differ in is not known; name some of animal"):
        asked_concepts(task, small_map)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"concepts": ["tint"]}, r"concepts: expected some of the role map's \(animal, .*got 'tint'"),
        ({"learn": ["dear"]}, "learn: expected some of ltv, head-purification, talo, got 'dear'"),
        ({"images": 9}, "images must be at least 10, got 9"),
        ({"tolerance": -1.0}, "tolerance must be at least 0, got -1.0"),
        ({"role_map": None}, "role map: none for model"),
    ],
)
def test_wrong_input_is_one_line(clip, task, small_map, wrong, message):
    given = {"role_map": small_map, "concepts": ["color"], **SMALL, **wrong}
    with pytest.raises(InputError, match=message):
        task_heads(clip, task, **given)


def test_what_is_broken_is_left_out_and_said(run, clip_folder, color_folder, small_map, tmp_path):
    small_map.save(tmp_path / "role_map.json")
    shutil.copytree(color_folder, tmp_path / "photos")
    (tmp_path / "photos" / "train" / "red" / "broken.png").write_bytes(b"no picture")
    options = [
        "--model",
        clip_folder,
        "--role-map",
        tmp_path,
        "--images",
        "12",
        "--device",
        "cpu",
        "--concepts",
        "color",
    ]
    code, _, error = run("task-heads", tmp_path / "photos", *options)
    assert code == 0 and "broken.png" in error
    code, out, error = run("task-heads", tmp_path / "photos", *options, "--strict")
    assert code == 2 and not out and "broken.png" in error


def test_heads_of_a_folder_of_photos(run, clip_folder, color_folder, small_map, tmp_path):
    small_map.save(tmp_path / "role_map.json")
    options = ["--model", clip_folder, "--role-map", tmp_path, "--images", "12", "--device", "cpu"]
    code, _, error = run("task-heads", color_folder, *options)
    assert code == 2 and "name some of animal, color" in error
    options += ["--concepts", "color", "--output", tmp_path / "found.csv", "--json"]
    code, out, _ = run("task-heads", color_folder, *options)
    heads = json.loads(out)["heads"]
    assert code == 0 and len(heads) == len(small_map)
    assert len((tmp_path / "found.csv").read_text().splitlines()) == 1 + len(heads)
