"""A planted cue, heads damped around their mean, matched random heads, and learned factors."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from headroles import FolderImages, HookedCLIP, InputError, ProbeBank, RoleMap, ScoreConfig, ShapesImages, load
from headroles.heads.ablate import ablating
from headroles.heads.moments import observe_with_embedding
from headroles.heads.names import Part
from headroles.heads.reference import HeadReference
from headroles.heads.weights import HeadWeights, LearnConfig, learn_factors
from headroles.images.deep import ImageNote
from headroles.images.grouped import open_grouped
from headroles.images.groups import Groups
from headroles.roles.score_texts import score_texts
from headroles.shapes import cues
from headroles.shapes.cues import CueTask, list_pictures, parse_cue, render_cue
from headroles.uses.cue_bench import CueBench, DebiasConfig
from headroles.uses.debias import debias
from headroles.uses.debiased import MEASURED, Debiased
from headroles.uses.image_blocks import ImageBlocks
from headroles.uses.worst_group import (
    draw_other_heads,
    gain_interval,
    mean_interval,
    measure_debias,
    measure_weights,
    worst_group,
    worst_interval,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("debias")]  # One scored model for all.


@pytest.fixture(scope="module")
def bundled() -> tuple[HookedCLIP, RoleMap]:
    model = load("shapes", "cpu")
    config = ScoreConfig(bootstraps=2, null_draws=19)
    return model, score_texts(model, ShapesImages(model.processor, 200), ProbeBank.load("shapes"), config)[0]


@pytest.fixture(scope="module")
def bench(bundled) -> CueBench:
    """The default task, with fewer pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cues, "SIZES", {"train": 20, "val": 12, "test": 40})
        grouped = open_grouped("shapes", bundled[0].processor)
        return CueBench(*bundled, grouped, DebiasConfig(draws=20, resamples=50))


@pytest.fixture(scope="module")
def role_map(clip_folder, color_folder, tmp_path_factory):
    tiny = load(str(clip_folder), "cpu")
    config = ScoreConfig(layers="1-2", bootstraps=2, null_draws=19)
    path = tmp_path_factory.mktemp("map") / "role_map.json"
    score_texts(tiny, FolderImages(color_folder, tiny.processor), ProbeBank.load("shapes"), config)[0].save(path)
    return path


@pytest.fixture
def table(color_folder, tmp_path):
    """A CSV of the colored noise: class by color, the group is odd or even."""
    rows = ["path,class,group,split"]
    for split, count in (("train", 5), ("val", 1), ("test", 3)):
        for name in ("red", "green"):
            rows += [f"{color_folder}/{split}/{name}/{each}.png,{name},{each % 2},{split}" for each in range(count)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def cue_heads(role_map):
    return [(head.layer, head.head) for head in role_map.heads(concept="background")]


def test_training_pictures_follow_the_cue_and_test_pictures_do_not():
    pictures = list_pictures()
    for split, share in (("train", cues.BIAS), ("val", 0.5), ("test", 0.5)):
        own = [each.label == each.place for each in pictures if each.split == split]
        assert np.mean(own) == pytest.approx(share)
    task, one = CueTask(), pictures[0]
    assert (render_cue(task, one) == render_cue(task, one)).all()
    drawn = [render_cue(task, each) for each in pictures[:40]]
    assert len({image.tobytes() for image in drawn}) == 40
    assert (render_cue(task, one, seed=1) != render_cue(task, one)).any()
    assert parse_cue(CueTask(("fish", "cup"), ("sky", "snow"), "hidden").name).look == "hidden"


@pytest.mark.parametrize(
    "text", ["boat", "boat+grass,boat+sand", "boat+grass,car+moon", "x+grass,car+sand", "boat+grass,car+sand@odd"]
)
def test_wrong_cues_are_refused(text):
    with pytest.raises(InputError, match="task:"):
        parse_cue(text)


def test_dropping_a_head_is_the_mean_ablation_with_the_direct_effect(bench):
    heads = [(6, 3), (7, 1)]
    train = np.flatnonzero(bench.grouped.splits == "train")
    images = bench.grouped.images
    pixels = torch.stack([images[int(row)][1] for row in train])
    u, _ = observe_with_embedding(bench.model, pixels, bench.role_map.layers)
    np.testing.assert_allclose(bench.mean_heads, u.mean(0), rtol=1e-4, atol=1e-6)
    damped = bench.damped(bench.factors_of(heads), train)
    change = sum((u.mean(0) - u)[:, layer - 5, head] @ bench.model.visual.bases()[layer, head] for layer, head in heads)
    expected = torch.nn.functional.normalize(bench.model.embed_images(pixels) + change, dim=-1)
    torch.testing.assert_close(damped, expected, rtol=1e-4, atol=1e-5)
    untouched = bench.damped(torch.ones(3, 8))
    torch.testing.assert_close(untouched, torch.from_numpy(np.array(bench.index.embeddings)))


def test_the_total_effect_is_that_of_mean_ablation(bundled, bench):
    total = CueBench.__new__(CueBench)
    total.__dict__ |= bench.__dict__ | {"config": DebiasConfig(effect="total"), "_reference": None}
    found = total.dropped([(6, 3)])[:4]
    train = np.flatnonzero(bench.grouped.splits == "train")
    images = [bench.grouped.images[int(row)][1] for row in train]
    reference = HeadReference.collect(bundled[0], Listed(images), pool=0)
    with ablating(bundled[0], [(6, 3)], "mean", "total", reference):
        expected = bundled[0].embed_images(torch.stack(images[:4]))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_directions_are_dropped_alone_and_all_of_them_are_the_head(bench):
    whole, split = bench.dropped([(6, 3)]), bench.dropped([Part(6, 3, tuple(range(16)))])
    torch.testing.assert_close(split, whole, rtol=1e-4, atol=1e-5)
    strong, weak = Part(6, 3, (0, 1)), Part(6, 3, tuple(range(2, 16)))
    moved = [(bench.dropped([part]) - bench.damped(torch.ones(3, 8))).norm() for part in (strong, weak)]
    assert 0 < moved[1] < moved[0]
    variance = bench.variances([strong])
    assert set(variance) == {Part(6, head, (0, 1)) for head in range(8)}
    found = measure_debias(bench, [strong])
    assert found.heads == "L6.H3.D0-1" and found.random.distinct > 1


class Listed(list):
    """Pixels as a set of images."""

    def __getitem__(self, index):
        return index, super().__getitem__(index)


def test_the_cues_heads_carry_the_cue_and_matched_heads_do_not(bench):
    found = measure_debias(bench, cue_heads(bench.role_map))
    assert found.before.worst < 0.8 and found.gain > 0.1 and found.gain > found.random.interval[1]
    assert found.gain == pytest.approx(found.after.worst - found.before.worst)
    assert set(found.after.groups) == {"boat, grass", "boat, sand", "car, grass", "car, sand"}
    assert found.before.worst == min(found.before.groups.values())
    assert found == measure_debias(bench, cue_heads(bench.role_map))


def test_scale_one_changes_nothing_and_scales_between_come_between(bench):
    heads = cue_heads(bench.role_map)
    factors = bench.factors_of(heads)
    whole, half, none = (bench.damped(1 + (factors - 1) * (1 - scale)) for scale in (1, 0.5, 0))
    assert torch.equal(whole, torch.nn.functional.normalize(torch.from_numpy(np.array(bench.index.embeddings)), dim=-1))
    assert (half - whole).norm() < (none - whole).norm()


def test_matched_heads_are_of_the_same_layers_other_concepts_and_near_variance(bundled):
    _, role_map = bundled
    heads = cue_heads(role_map)
    variance = {(head.layer, head.head): head.variance for head in role_map}
    background = {head.name for head in role_map.heads(concept="background")}
    draws, ranked = draw_other_heads(role_map, heads, 50, seed=1)
    assert draws == draw_other_heads(role_map, heads, 50, 1)[0] != draw_other_heads(role_map, heads, 50, 2)[0]
    assert len(set(ranked)) == len(ranked) and tuple(sorted(heads)) not in map(tuple, map(sorted, ranked))
    assert not {f"L{layer}.H{head}" for members in ranked for layer, head in {*members} - {*heads}} & background
    for drawn in draws:
        assert sorted(layer for layer, _ in drawn) == sorted(layer for layer, _ in heads)
        assert len(set(drawn)) == len(heads) and not {f"L{layer}.H{head}" for layer, head in drawn} & background
    (one,) = {(layer, head) for layer, head in heads if (layer, head) == (6, 3)}
    for ((layer, head),) in draw_other_heads(role_map, [one], 50, seed=1)[0]:
        far = {other: abs(np.log(value / variance[one])) for other, value in variance.items() if other[0] == 6}
        nearest = sorted((other for other in far if f"L6.H{other[1]}" not in background), key=far.get)[:5]
        assert (layer, head) in nearest or far[layer, head] <= np.log(2)
    with pytest.raises(InputError, match="too few heads"):
        draw_other_heads(role_map, [(6, head) for head in range(8)], 1, 0)


def test_random_heads_never_make_p_smaller_than_their_number_allows(bench):
    found = measure_debias(bench, cue_heads(bench.role_map)).random
    assert 1 / (1 + found.ranked_among) <= found.p_value <= 1 and found.ranked_among >= 5


def test_the_worst_groups_interval_holds_where_groups_are_alike():
    """A bootstrap of the minimum of four like groups covers the truth in six of ten cases."""
    rng, groups = np.random.default_rng(0), np.repeat(range(4), 100)
    ends = [worst_interval(rng.random(400) < 0.8, groups) for _ in range(400)]
    assert np.mean([low <= 0.8 <= high for low, high in ends]) > 0.92
    assert max(high - low for low, high in ends) < 0.25


def test_the_worst_group_is_the_lowest():
    correct = np.array([1, 1, 0, 1, 0, 0], bool)
    assert worst_group(correct, np.array([0, 0, 1, 1, 1, 1])) == 0.25


def test_factors_learn_to_drop_a_head_that_misleads_and_every_group_counts_the_same():
    cue, truth = torch.tensor([1.0, 1, 1, -1]), torch.tensor([1.0, 1, -1, -1])
    labels, groups = (truth < 0).long(), torch.tensor([0, 0, 1, 2])

    def logits(factors):
        margin = factors[0, 0] * cue + 0.5 * factors[0, 1] * truth
        return torch.stack([margin, -margin], 1)

    balanced = learn_factors(logits, (1, 2), labels, groups, LearnConfig(steps=100, decay=0.1))
    assert balanced[0, 0] < 0.5 < 1 < balanced[0, 1]
    skewed = torch.cat([torch.zeros(20, dtype=torch.long), torch.tensor([1, 2])])
    rows = torch.cat([torch.zeros(20, dtype=torch.long), torch.tensor([2, 3])])
    kept = learn_factors(
        lambda f: logits(f)[rows], (1, 2), labels[rows], skewed, LearnConfig(steps=100, decay=0.1, balanced=False)
    )
    assert kept[0, 0] > balanced[0, 0]


def test_learned_factors_help_held_out_images_and_come_back_from_their_file(bench, tmp_path):
    weights = bench.learn(LearnConfig(steps=60))
    found = measure_weights(bench, weights, "learned")
    assert found.gain > 0.1 and found.random.draws == 20
    weights.save(tmp_path / "weights.json")
    assert HeadWeights.load(tmp_path / "weights.json") == weights
    full = weights.full(8)
    assert full.shape == (8, 8) and (full[:5] == 1).all() and full[6, 3].item() == pytest.approx(weights.factors[1][3])


def test_prompts_need_no_training_images(bundled, bench):
    zero_shot = bench.with_config(DebiasConfig(classifier="prompts", draws=2, resamples=5))
    assert zero_shot.class_vectors(torch.empty(0), np.empty(0)).shape == (2, 128)
    assert measure_debias(zero_shot, [(6, 3)]).before.mean > 0.9


def test_the_command_reads_a_table_learns_and_applies(run, role_map, table, tmp_path):
    code, out, _ = run("debias", role_map, "--heads", "L1.H0", "--task", table, "--draws", 3, "--json")
    found = json.loads(out)
    assert code == 0 and found["heads"] == "L1.H0" and len(found["after"]["groups"]) == 4
    weights = tmp_path / "new" / "weights.json"
    code, out, _ = run("debias", role_map, "--learn", weights, "--task", table, "--steps", 3)
    assert code == 0 and f"wrote {weights}" in out and "the same factors shuffled" in out
    code, out, _ = run("debias", role_map, "--head-weights", weights, "--task", table, "--classifier", "prompts")
    assert code == 0 and "learned factors" in out
    code, out, _ = run("debias", role_map, "--heads", "L2.H1", "--task", table, "--draws", 2, "--effect", "total")
    assert code == 0 and "total effect" in out


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        (("--heads", "L9.H0"), "no such layer"),
        (("--heads", "L0.H0"), "not in this role map"),
        (("--concept", "sound"), "concept must be one of"),
        (("--heads", "L1.H0", "--concept", "color"), "either heads by name"),
        ((), "give one of"),
        (("--heads", "L1.H0", "--learn", "w.json"), "give one of"),
        (("--heads", "L1.H0", "--task", "nowhere.csv"), "no file nowhere.csv"),
        (("--heads", "L1.H0", "--task", "no_group.csv"), "it has no group"),
        (("--heads", "L1.H0", "--task", "one.csv"), "the one group"),
        (("--heads", "L1.H0", "--task", "bad.csv"), "has split 'dev'"),
        (("--heads", "L1.H0", "--task", "no_train.csv"), "no train image of"),
        (("--heads", "L1.H0", "--task", "shapes:boat"), "is no cue"),
        (("--heads", "L1.H0", "--scale", 2), "scale must be in 0..1"),
        (("--heads", "L1.H0", "--scale", 0.5, "--effect", "total"), "known for 0 alone"),
        (("--heads", "L1.H0", "--effect", "odd"), "effect must be one of"),
        (("--heads", "L1.H0", "--classifier", "odd"), "classifier must be one of"),
        (("--heads", "L1.H0", "--model", "shapes"), "it is of"),
        (("--head-weights", "nowhere.json"), "no file nowhere.json"),
        (("--head-weights", "bad.json"), "holds none"),
        (("--learn", "taken.json"), "exists already"),
        (("--learn", "w.txt"), "must end in .json"),
        (("--learn", "new/w.json", "--steps", 0), "steps must be at least 1"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(run, role_map, table, tmp_path, monkeypatch, extra, word):
    monkeypatch.chdir(tmp_path)
    tables = {
        "no_group": "path,class\na.png,x\n", "one": "path,class,group\na.png,x,o\nb.png,y,o\n",
        "bad": "path,class,group,split\na.png,x,o,dev\nb.png,y,p,\n",
        "no_train": "\n".join(line for line in table.read_text().splitlines() if not line.endswith(",train")),
    }  # fmt: skip
    for name, text in tables.items():
        (tmp_path / f"{name}.csv").write_text(text)
    (tmp_path / "taken.json").write_text("mine")
    (tmp_path / "bad.json").write_text("{}")
    code, _, error = run("debias", role_map, "--task", table, *extra)
    assert code == 2 and word in error and len(error.splitlines()) == 1
    assert (tmp_path / "taken.json").read_text() == "mine" and not (tmp_path / "new").exists()


def test_broken_files_are_named_and_left_out(run, role_map, table):
    (table.parent / "torn.png").write_bytes(b"no picture")
    table.write_text(table.read_text() + "torn.png,red,0,test\n")
    code, out, _ = run("debias", role_map, "--heads", "L1.H0", "--task", table, "--draws", 2)
    assert code == 0 and "left out 1 broken image files: torn.png" in out
    Image.new("RGB", (32, 32)).save(table.parent / "torn.png")
    code, out, _ = run("debias", role_map, "--heads", "L1.H0", "--task", table, "--draws", 2)
    assert code == 0 and "left out" not in out


def test_the_call_gives_what_the_command_prints(run, role_map, table, tmp_path):
    code, out, _ = run("debias", role_map.parent, "--heads", "L1.H0", "--task", table, "--draws", 3, "--json")
    found = debias(role_map.parent, table, heads="L1.H0", draws=3)
    facts = found.to_dict()
    assert code == 0 and json.loads(out) == {name: facts[name] for name in MEASURED}
    found.save(tmp_path / "debiased.json")
    assert Debiased.load(tmp_path / "debiased.json") == found
    assert found.to_frame().worst.tolist() == [found.before.worst, found.after.worst]
    assert "L1.H0" in repr(found) and "worst group" in found._repr_html_()
    assert found.plot().axes[0].get_yticklabels()[0].get_text() in found.before.groups


def test_factors_are_learned_kept_and_applied(role_map, table, tmp_path):
    file = tmp_path / "new" / "weights.json"
    found = debias(role_map, table, learn=LearnConfig(steps=3), weights=file, draws=2)
    assert found.learned == HeadWeights.load(file) and found.heads == str(file)
    again = debias(role_map, table, weights=found.learned, draws=2)
    assert again.after == found.after and again.learned is None and again.heads == "learned factors"
    with pytest.raises(InputError, match="exists already"):
        debias(role_map, table, learn=LearnConfig(steps=3), weights=file)
    with pytest.raises(InputError, match="give one of heads or concept"):
        debias(role_map, table)
    with pytest.raises(InputError, match=r"draw is no setting of DebiasConfig; did you mean draws\?"):
        debias(role_map, table, heads="L1.H0", draw=2)


def test_copies_leave_the_intervals_as_wide(bench):
    """The test images 16 times in a row, in blocks of neighbours or with a group an image."""
    test = bench.splits == "test"
    draws = np.random.default_rng(0).random((20, 2, test.sum())) < 0.7

    def widths(times, groups):
        other = bench.with_config(replace(bench.config, blocks=10))
        other.splits, other.groups = bench.splits.repeat(times), bench.groups.repeat(times)
        other.numbers = np.arange(len(other.splits))
        together = Groups.of(np.arange(len(bench.splits)).repeat(times)) if groups else None
        other.grouped = replace(bench.grouped, together=together)
        found, rows = ImageBlocks.of(other), []
        for before, after in draws.repeat(times, 2):
            alike = found.likeness(before)
            ends = [each(before, found.group, alike) for each in (worst_interval, mean_interval)]
            ends.append(gain_interval(before, after, found.group, 300, 0, found.block if times > 1 else None))
            rows.append([high - low for low, high in ends])
        return found.how, np.mean(rows, 0)

    _, once = widths(1, None)
    for groups, how in ((None, "contiguous within values"), (True, "groups: given")):
        found, many = widths(16, groups)
        assert found == how
        assert (many / once >= 0.8).all() and (many / once <= 1.25).all()


def test_groups_of_the_table_are_drawn_together(run, role_map, table):
    rows = table.read_text().splitlines()
    films = [f"{rows[0]},film", *(f"{row},{number // 2}" for number, row in enumerate(rows[1:]))]
    table.write_text("\n".join(films) + "\n")
    options = ("--heads", "L1.*", "--task", table, "--draws", "5")
    with pytest.warns(ImageNote, match="groups: 3 by film; under 10, intervals and stability are rough"):
        found = debias(role_map, table, heads="L1.H0", draws=5, groups="film", resamples=20)
    assert found.settings["blocks_by"] == "groups: film" and found.settings["blocks"] == 3
    code, _, errors = run("debias", role_map, *options, "--groups", "class")
    assert code == 2 and errors.count("\n") == 1 and "groups: expected a column" in errors


ROWS = 60_000


def test_a_long_table_is_read_row_by_row(tmp_path):
    cells = ((number, "ab"[number % 2], "xy"[number % 3 == 0], "test" * (number > 0)) for number in range(ROWS))
    rows = ("{:09d}.png,{},{},{}".format(*each) for each in cells)
    (tmp_path / "long.csv").write_text("\n".join(("path,class,group,split", *rows)))
    tracemalloc.start()
    grouped = open_grouped(tmp_path / "long.csv", None)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 120 * ROWS  # A row kept as a dict takes 500 bytes and more.
    assert grouped.images.paths[7] == tmp_path / "000000007.png"
    assert grouped.group_name(int(grouped.groups[7])) == "b, x"
    assert set(grouped.splits.tolist()) == {"test"} and len(grouped.images) == ROWS
