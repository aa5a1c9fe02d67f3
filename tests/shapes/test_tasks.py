"""The built-in tasks: deterministic, balanced, true to their class names, in words that the bundled model knows."""

import itertools

import numpy as np
import pytest

from headroles.errors import InputError
from headroles.shapes import CONCEPTS, compositions, render, sample_scene, tasks
from headroles.shapes.items import draw_silhouette, parts_of
from headroles.shapes.render import COLORS, draw_texture, paint, picture_of
from headroles.shapes.shifts import SHIFTS
from headroles.shapes.signs import FABRICS, SIGNS
from headroles.shapes.tasks import POOL, RETENTION, TASKS, find_task, render_example
from headroles.shapes.world import is_held_out

BUILT_IN = tuple(name for name in TASKS if name not in RETENTION)
NEW_WORDS = ("signs", "cloth")


def pictures(name, index, count=12):
    """Several pictures of one class, before they are painted."""
    task = TASKS[name]
    return [task.draw(np.random.default_rng([number, 9]), *task.values[index]) for number in range(count)]


def test_there_are_tasks_enough_and_each_has_two_halves():
    assert len(BUILT_IN) >= 8 and len(RETENTION) == 9
    for name in BUILT_IN:
        classes = TASKS[name].classes
        assert len(set(classes)) == len(classes) == len(TASKS[name].values) >= 12
    assert POOL["train"] >= 32 and POOL["val"] >= 25 and POOL["test"] >= 25


@pytest.mark.parametrize("name", TASKS)
def test_every_picture_has_a_stream_of_its_own(name):
    again = render_example.__wrapped__(name, "test", 3)  # Drawn anew, not remembered.
    assert again.shape == (64, 64, 3) and again.dtype == np.uint8
    assert (render_example(name, "test", 3) == again).all()
    for other in (("val", 3), ("train", 3), ("test", 3 + len(TASKS[name].classes))):
        assert (render_example(name, *other) != again).mean() > 0.2


def test_class_names_are_made_of_words_the_model_knows(tokenizer):
    def known(word):
        return len(tokenizer.tokenize(word)) == 1

    for name, task in TASKS.items():
        words = {word for prompt in map(task.template.format, task.classes) for word in prompt.split()}
        if name in NEW_WORDS:
            assert not any(known(word) for word in task.classes)
        else:
            assert all(known(word) for word in words), (name, [word for word in words if not known(word)])


def test_half_of_the_rare_pairs_are_held_out_from_the_world():
    colors, items = CONCEPTS["color"], compositions.ITEMS
    assert tuple(COLORS) == colors
    held_out = [is_held_out(colors.index(color), items.index(item)) for color, item in TASKS["rare"].values]
    assert sum(held_out[:8]) == sum(held_out[8:]) == 4


def test_base_and_novel_halves_use_other_values():
    for name in ("rare", "order", "stack", "crowd", "place", "lamp", "pastel"):
        values = TASKS[name].values
        base, novel = (set(itertools.chain(*half)) for half in (values[: len(values) // 2], values[len(values) // 2 :]))
        assert base & novel <= set(CONCEPTS["count"])


@pytest.mark.parametrize("concept", RETENTION)
def test_concept_tasks_show_ordinary_scenes_of_their_class(concept, monkeypatch):
    monkeypatch.setattr(tasks, "picture_of", lambda scene: scene)
    for index, value in enumerate(CONCEPTS[concept]):
        scenes = pictures(concept, index, 3)
        assert [scene.value(concept) for scene in scenes] == [value] * 3
        assert len({scene.labels for scene in scenes}) > 1
        assert all(scene.stream[0] >= 2**31 for scene in scenes)


def test_crowds_have_as_many_copies_as_they_say():
    for index, (count, item) in enumerate(TASKS["crowd"].values):
        for picture in pictures("crowd", index):
            assert len(picture.items) == CONCEPTS["count"].index(count) + 1
            assert all(copy.parts == parts_of(item) for copy in picture.items)


def test_order_and_place_are_where_they_say():
    for index, (left, right) in enumerate(TASKS["order"].values):
        for picture in pictures("order", index):
            a, b = sorted(picture.items, key=lambda item: item.places[0][0])
            assert np.abs(a.color - COLORS[left]).max() < 40 and np.abs(b.color - COLORS[right]).max() < 40
    for index, (top, bottom) in enumerate(TASKS["stack"].values):
        for picture in pictures("stack", index):
            a, b = sorted(picture.items, key=lambda item: item.places[0][1])
            assert (a.parts, b.parts) == (parts_of(top), parts_of(bottom))
    columns = {"left": 0, "right": 2}
    rows = {"top": 0, "bottom": 2}
    for index, (item, place) in enumerate(TASKS["place"].values):
        words = place.split()
        column = next((columns[word] for word in words if word in columns), 1)
        row = next((rows[word] for word in words if word in rows), 1)
        for picture in pictures("place", index):
            big = max(picture.items, key=lambda shown: shown.diameter)
            assert big.parts == parts_of(item)
            assert tuple(np.array(big.places[0]) * 3 // 64) == (column, row)


def test_small_items_do_not_hide_the_big_one():
    for picture in pictures("clutter", 3) + pictures("rare", 5):
        *small, big = picture.items
        assert len(small) >= 3
        for item in small:
            assert item.diameter < 0.7 * big.diameter
            assert np.hypot(*np.subtract(item.places[0], big.places[0])) > (item.diameter + big.diameter) / 2


def test_outlines_are_full_at_the_edge_and_half_clear_within():
    for item in compositions.ITEMS:
        full, _ = draw_silhouette(parts_of(item), 30, 0.1)
        line, shade = draw_silhouette(parts_of(item), 30, 0.1, outline=True)
        assert 0.15 * full.sum() < line.sum() < 0.95 * full.sum()
        assert line[full == 0].sum() < 0.2 * line.sum()
        assert np.median(shade[line > 0.99]) == 1
    square, _ = draw_silhouette(parts_of("square"), 30, 0.0, outline=True)
    assert square[19, 19] == pytest.approx(0.5, abs=0.01) and square.max() == 1


def test_scaling_a_texture_by_two_doubles_its_period():
    def period(scale):
        row = np.asarray(draw_texture("striped", 84, np.random.default_rng(0), scale))[0] < 1
        return np.diff(np.flatnonzero(row[1:] & ~row[:-1])).mean()

    assert period(1.0) == 7 and period(2.0) == 14


def test_turning_the_texture_by_a_quarter_mirrors_its_stripes():
    pattern = np.asarray(draw_texture("striped", 40, np.random.default_rng(0), 1.0, np.pi / 4)) < 1
    assert (pattern == pattern[:1]).mean() > 0.95 or (pattern == pattern[:, :1]).mean() > 0.95


def test_every_task_takes_four_shifts_and_refuses_those_that_hide_its_classes():
    for name, task in TASKS.items():
        assert {"noise", "blur", "jpeg", "lines"} <= set(task.shifts)
        for shift in set(SHIFTS) - set(task.shifts):
            with pytest.raises(InputError, match=f"{shift} hides the .* of shapes:{name}"):
                find_task(name, shift)
    assert set(TASKS["turned"].shifts) == set(SHIFTS)
    assert "grey" not in TASKS["lamp"].shifts and "outline" not in TASKS["cloth"].shifts


def test_shifts_do_what_they_say():
    plain = [render_example("turned", "test", index).astype(float) for index in range(16)]
    shifted = {
        shift: [render_example("turned", "test", index, shift).astype(float) for index in range(16)] for shift in SHIFTS
    }
    for before, grey, dark, negative, noise, ruled in zip(
        plain, *(shifted[name] for name in ("grey", "dark", "invert", "noise", "lines")), strict=True
    ):
        assert np.ptp(grey, axis=-1).max() == 0
        assert dark.mean() == pytest.approx(0.4 * before.mean(), abs=1)
        assert (before + negative == 255).all()
        assert 8 < (noise - before).std() < 40
        assert (ruled.max((1, 2)) == 0).sum() >= 16
    blur = [np.abs(np.diff(image, axis=0)).mean() for image in shifted["blur"]]
    assert np.mean(blur) < 0.7 * np.mean([np.abs(np.diff(image, axis=0)).mean() for image in plain])


def test_a_scene_is_its_picture():
    scene = sample_scene(3, 1)
    assert (paint(picture_of(scene))[0] == render(scene)).all()


def test_new_shapes_and_textures_are_told_apart():
    drawn = [draw_silhouette(parts, 32, 0.0)[0] for parts in (*SIGNS.values(), *map(parts_of, compositions.ITEMS))]
    for a, b in itertools.combinations(drawn, 2):
        assert np.minimum(a, b).sum() / np.maximum(a, b).sum() < 0.93
    cloth = [compositions.draw_fabric(name, 40) for name in FABRICS]
    for a, b in itertools.combinations(cloth, 2):
        assert (a != b).mean() > 0.15
