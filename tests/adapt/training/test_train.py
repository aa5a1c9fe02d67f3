"""Training: what the schedule is, that it learns, and that stopping, resuming, caching and sharing change nothing."""

import dataclasses
import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from headroles import load
from headroles.adapt.config import DearConfig, TrainConfig
from headroles.adapt.data.tasks import TaskImages, open_task
from headroles.adapt.methods.dear import Dear
from headroles.adapt.training.checkpoint import Checkpoint
from headroles.adapt.training.train import epoch_order, fit, learning_rate
from headroles.adapt.training.validation import choose_epoch, validation_accuracy
from headroles.errors import InputError

QUICK = TrainConfig(epochs=3, batch=8, lr=5e-3)


class Stopped(Exception):
    """Stands for a kill: raised in the middle of an epoch."""


@pytest.fixture
def task(color_folder):
    return open_task(str(color_folder))


@pytest.fixture
def make_dear(clip_folder, make_role_map):
    def make(**settings) -> Dear:
        model = load(str(clip_folder), "cpu")
        role_map = make_role_map(model, [["mixed", "general", "color", "shape"]])
        return Dear(model, role_map, DearConfig(**settings), 1)

    return make


@pytest.fixture
def train(make_dear, task, tmp_path):
    """A function that trains a fresh adapter in a folder of its own, and gives it back with its history."""

    def run(name: str, config: TrainConfig = QUICK, **options):
        dear = make_dear()
        return dear, fit(dear, task, config, tmp_path / name, **options)

    return run


def stop_at(step: int):
    def progress(state) -> None:
        if state.step == step:
            raise Stopped

    return progress


def same(one: Dear, other: Dear) -> bool:
    """Equal to the last bit."""
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def test_the_rate_warms_up_and_falls_like_a_cosine():
    config = TrainConfig(epochs=5, lr=0.1, warmup_epochs=1, warmup_lr=0.001)
    rates = [learning_rate(config, step, 10) for step in range(50)]
    assert rates[:10] == [0.001] * 10
    assert rates[10] == 0.1 and rates[30] == pytest.approx(0.05) and rates[49] < 0.001
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_an_epoch_visits_every_image_once_in_an_order_of_its_own():
    orders = [epoch_order(50, seed, epoch).tolist() for seed, epoch in ((1, 0), (1, 1), (2, 0))]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len(set(map(tuple, orders))) == 3
    assert orders[0] == epoch_order(50, 1, 0).tolist()


@pytest.mark.slow
def test_it_learns_and_reports(make_dear, task, tmp_path):
    dear, steps = make_dear(lambda_image=0.5), []
    frozen = dear.model.weights_hash()
    before = {name: tensor.clone() for name, tensor in dear.state_dict().items()}
    history = fit(dear, task, TrainConfig(epochs=60, batch=10, lr=2e-2), tmp_path, progress=steps.append)
    assert history[-1].losses["ce"] < history[0].losses["ce"] - 0.1
    assert dear.model.weights_hash() == frozen
    assert all(not torch.equal(before[name], tensor) for name, tensor in dear.state_dict().items())
    assert [step.step for step in steps] == list(range(1, 121)) and {step.steps for step in steps} == {120}
    assert [step.record for step in steps if step.record] == list(history)
    for record in history:
        assert record.loss == pytest.approx(sum(record.losses.values()))
        assert list(record.alpha) == ["cls", *dear.attributes] and sum(record.alpha.values()) == pytest.approx(1)
        assert 0 <= record.accuracy <= 1


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 4, 9])
@pytest.mark.parametrize("views", [0, 2])
def test_resuming_gives_the_same_bits(train, make_dear, task, tmp_path, step, views):
    config = dataclasses.replace(QUICK, cache_views=views)
    whole, history = train("whole", config)
    with pytest.raises(Stopped):
        train("stopped", config, progress=stop_at(step))
    dear = make_dear()
    assert fit(dear, task, config, tmp_path / "stopped", resume=True) == history
    assert same(dear, whole)


def test_the_epoch_is_chosen_by_validation_images(make_dear, task, tmp_path):
    chosen = dataclasses.replace(QUICK, epochs=4, lr=0.05, select_epoch="validation")
    dear = make_dear()
    history = fit(dear, task, chosen, tmp_path / "whole")
    assert len({record.loss for record in history}) == 4
    best = choose_epoch(history)
    found = [record.validation for record in history]
    assert best == found.index(max(found)) + 1 and validation_accuracy(dear, task) == max(found)
    with pytest.raises(Stopped):  # In the epoch after the best one, or after the first.
        fit(make_dear(), task, chosen, tmp_path / "parts", progress=stop_at(3 * min(best, 3) + 2))
    again = make_dear()
    assert fit(again, task, chosen, tmp_path / "parts", resume=True) == history and same(again, dear)
    last = make_dear()
    fit(last, task, dataclasses.replace(chosen, select_epoch="last"), tmp_path / "last")
    assert same(last, dear) == (best == 4)
    with pytest.raises(InputError, match=r"class 'blue' of .* no validation image .* --val-share 0.2"):
        fit(make_dear(), dataclasses.replace(task, val=()), chosen, tmp_path / "none")


def test_a_checkpoint_cut_off_in_writing_does_no_harm(train, make_dear, task, tmp_path, monkeypatch):
    whole, history = train("whole")
    moves, replace = [], os.replace

    def die(source, target):
        if Path(target).name == "checkpoint.safetensors":
            moves.append(target)
            if len(moves) == 2:
                Path(source).write_bytes(Path(source).read_bytes()[:100])
                raise Stopped
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        with pytest.raises(Stopped):
            train("stopped")
    dear = make_dear()
    assert fit(dear, task, QUICK, tmp_path / "stopped", resume=True) == history
    assert same(dear, whole)


def test_resume_refuses_other_settings_and_a_damaged_checkpoint(train, make_dear, task, tmp_path):
    train("out")
    kept = Checkpoint(tmp_path / "out").path.read_bytes()
    with pytest.raises(InputError, match=r"begun with lr 0\.005, got 0\.1"):
        train("out", dataclasses.replace(QUICK, lr=0.1), resume=True)
    fewer = dataclasses.replace(task, train=task.train[:-1])
    with pytest.raises(InputError, match="begun with training images"):
        fit(make_dear(), fewer, QUICK, tmp_path / "out", resume=True)
    with pytest.raises(InputError, match=r"begun with beta 0\.5, got 0\.8"):
        fit(make_dear(beta=0.8), task, QUICK, tmp_path / "out", resume=True)
    assert Checkpoint(tmp_path / "out").path.read_bytes() == kept
    for torn in (kept[:-10], kept[:-10] + bytes([kept[-10] ^ 1]) + kept[-9:]):
        Checkpoint(tmp_path / "out").path.write_bytes(torn)
        with pytest.raises(InputError, match="is damaged"):
            train("out", resume=True)
    Checkpoint(tmp_path / "out").path.write_bytes(kept)
    settings = Checkpoint(tmp_path / "out").folder / "settings.json"
    settings.write_bytes(b"\xff" + settings.read_bytes())
    with pytest.raises(InputError, match=r"settings\.json is no UTF-8 text"):
        train("out", resume=True)


def test_without_resume_it_starts_afresh(train):
    first, history = train("out")
    second, again = train("out")
    assert again == history and same(first, second)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(train, make_dear, task, tmp_path):
    with pytest.raises(InputError, match=r"not a number in epoch 2; lower lr \(now 1e\+30\); the state after epoch 1"):
        train("out", dataclasses.replace(QUICK, lr=1e30))
    tensors, state = Checkpoint(tmp_path / "out").load()
    assert [record["epoch"] for record in state["history"]] == [1]
    assert all(tensor.isfinite().all() for tensor in tensors.values())


@pytest.mark.slow
def test_cached_views_are_the_same_views_and_are_opened_once(train, task, tmp_path, monkeypatch):
    fresh, history = train("fresh")
    opened = []
    monkeypatch.setattr(
        TaskImages, "__getitem__", lambda self, row, get=TaskImages.__getitem__: opened.append(row) or get(self, row)
    )
    cached, records = train("cached", dataclasses.replace(QUICK, cache_views=3))
    assert [record.loss for record in records] == pytest.approx([record.loss for record in history], rel=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(fresh.parameters(), cached.parameters(), strict=True))
    assert sorted(opened) == sorted([*range(len(task.train))] * 3)
    opened.clear()
    config = dataclasses.replace(QUICK, cache_views=1)
    with pytest.raises(Stopped):
        train("stopped", config, progress=stop_at(5))
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "stopped").rglob("views/*")}
    train("stopped", config, resume=True)
    assert files and {path: path.stat().st_mtime_ns for path in files} == files
    assert sorted(opened) == list(range(len(task.train)))


def test_sharing_the_trunk_changes_nothing(train):
    shared, history = train("shared")
    apart, records = train("apart", dataclasses.replace(QUICK, share_trunk=False))
    assert [record.loss for record in records] == pytest.approx([record.loss for record in history], rel=1e-6)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(shared.parameters(), apart.parameters(), strict=True))


def test_without_the_image_loss_nothing_frozen_is_kept(make_dear, task, tmp_path):
    histories = []
    for views in (0, 3):
        config = dataclasses.replace(QUICK, cache_views=views)
        histories.append(fit(make_dear(lambda_image=0.0), task, config, tmp_path / str(views)))
    assert set(histories[0][0].losses) == {"ce", "text", "fusion"}
    for fresh, cached in zip(*histories, strict=True):
        assert cached.losses == pytest.approx(fresh.losses, rel=1e-5)
    (path,) = (tmp_path / "3").rglob("views/0-*")
    assert set(load_file(path)) == {"trunk"}


def test_trainings_may_share_their_views(make_dear, task, tmp_path):
    """A training with another mask, on the views of one before it, is as if it had made its own."""
    config, views = dataclasses.replace(QUICK, cache_views=2), tmp_path / "views"
    fit(make_dear(), task, config, tmp_path / "first", views=views)
    written = {path: path.stat().st_mtime_ns for path in views.iterdir()}
    shared = fit(make_dear(mask="open"), task, config, tmp_path / "second", views=views)
    assert written and {path: path.stat().st_mtime_ns for path in views.iterdir()} == written
    assert shared == fit(make_dear(mask="open"), task, config, tmp_path / "third")


def test_precision_can_change_within_a_process(train):
    _, full = train("full")
    _, half = train("half", dataclasses.replace(QUICK, precision="bf16"))
    assert half[0].loss != full[0].loss
    assert half[0].loss == pytest.approx(full[0].loss, rel=0.02)
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        train("fp16", dataclasses.replace(QUICK, precision="fp16"))


SCRIPT = """
import dataclasses, json, sys
from pathlib import Path
from headroles import RoleMap, load
from headroles.adapt.config import DearConfig, TrainConfig
from headroles.adapt.methods.dear import Dear
from headroles.adapt.results.measuring import measure
from headroles.adapt.training.processes import is_main, join
from headroles.adapt.data.tasks import open_task
from headroles.adapt.training.train import fit

def train(clip, role_map, colors, out):
    dear = Dear(load(clip, join("cpu")), RoleMap.load(role_map), DearConfig(), 1)
    task = open_task(colors)
    task = dataclasses.replace(task, train=task.train[:19])
    history = fit(dear, task, TrainConfig(epochs=3, batch=3, lr=5e-3, cache_views=2), Path(out))
    numbers = [[record.loss, record.accuracy, *record.losses.values(), *record.alpha.values()] for record in history]
    weights = [parameter.flatten()[:9].tolist() for parameter in dear.parameters()]
    measures = measure(dear, task, "few-shot", 1)
    return [*numbers, *weights, *([row.images, row.zero_shot, row.adapted] for row in measures)]
"""
TAIL = """
numbers = train(*sys.argv[1:])
if is_main():
    print(json.dumps(numbers))
"""


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
def test_two_processes_are_one(clip_folder, make_dear, color_folder, tmp_path):
    """19 images in batches of 3: shares of 1 and 2, and in the last batch of none and 1."""
    make_dear().role_map.save(tmp_path / "role_map.json")
    given = [str(clip_folder), str(tmp_path / "role_map.json"), str(color_folder)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT + TAIL, *given, str(tmp_path / "two")],
            env={**os.environ, **place, "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    scope: dict = {}
    exec(SCRIPT, scope)
    one = scope["train"](*given, str(tmp_path / "one"))
    (out, errors), (nothing, more_errors) = (worker.communicate(timeout=300) for worker in workers)
    assert [worker.returncode for worker in workers] == [0, 0], errors + more_errors
    assert nothing == ""
    two = json.loads(out.strip().splitlines()[-1])
    for row, other in zip(one, two, strict=True):
        assert row == pytest.approx(other, abs=1e-5)


def test_a_training_that_cannot_be_marked_as_begun_leaves_nothing(tmp_path, random_role_map, monkeypatch):
    def full(path, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("headroles.adapt.training.checkpoint.write_text", full)
    with pytest.raises(OSError, match="No space left"):
        Checkpoint(tmp_path / "out").begin({}, random_role_map(), resume=False)
    assert not list((tmp_path / "out").rglob("*"))
