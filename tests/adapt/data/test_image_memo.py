"""A memo of images: the same tensors once, as long as task and seed stay, up to its limit; no method notices it."""

from contextlib import nullcontext

import pytest
import torch

from headroles import load
from headroles.adapt import open_task
from headroles.adapt.comparison.bed import Bed
from headroles.adapt.comparison.entries import read_entries, with_settings
from headroles.adapt.comparison.grid import Cell, Grid
from headroles.adapt.comparison.run import run_cell
from headroles.adapt.data.image_memo import ImageMemo, recall, sharing
from headroles.adapt.methods.registry import METHODS
from headroles.adapt.training.cost import metering


def made(value: float):
    return lambda: torch.full((2, 3), value)


def test_what_is_there_is_found_until_the_task_or_of_a_view_the_seed_is_another():
    memo = ImageMemo()
    memo.turn_to("a", 1)
    with sharing(memo):
        assert recall("tested", made(1.0))[0, 0] == recall("tested", made(2.0))[0, 0] == 1
        assert recall("tested", made(2.0), view=True)[0, 0] == 2
        memo.turn_to("a", 2)
        assert (recall("tested", made(3.0))[0, 0], recall("tested", made(3.0), view=True)[0, 0]) == (1, 3)
        memo.turn_to("b", 2)
        assert (recall("tested", made(4.0))[0, 0], recall("tested", made(4.0), view=True)[0, 0]) == (4, 4)
    assert recall("tested", made(5.0))[0, 0] == 5, "without a memo all is made"


def test_no_more_is_kept_than_the_limit_but_for_what_is_small_and_tested():
    memo = ImageMemo(limit=40)  # A tensor here has 24 bytes.
    kinds = {"first": {}, "second": {}, "small": {"always": True}}
    kinds |= {"view": {"view": True}, "small view": {"view": True, "always": True}}
    with sharing(memo):
        again = [[recall(name, made(one), **kind)[0, 0].item() for name, kind in kinds.items()] for one in (1.0, 2.0)]
    assert again == [[1] * 5, [1, 2, 1, 1, 2]] and memo.held(torch.device("cpu")) == 72


def test_a_tensor_of_inference_mode_has_no_part_in_a_training():
    with sharing(ImageMemo()):
        with torch.inference_mode():
            recall("tested", made(1.0))
        weight = torch.ones(2, 3, requires_grad=True)
        (recall("tested", made(1.0)) * weight).sum().backward()
    assert weight.grad.sum() == 6


def test_seconds_of_what_was_found_count_as_if_it_had_been_made(monkeypatch):
    memo, device = ImageMemo(), torch.device("cpu")
    now = iter((0.0, 5.0, 100.0, 101.0))  # Made in 5 s; then a training of 1 s, which finds it.
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    with sharing(memo):
        recall("tested", made(1.0))
        with metering(device) as cost:
            recall("tested", made(1.0))
    assert cost.seconds == 6.0


@pytest.mark.xdist_group("memo")
@pytest.mark.parametrize("name", METHODS)
def test_a_method_after_all_others_gives_what_it_gives_alone(name, shared_runs, tmp_path, monkeypatch):
    """Its rows and its adapter, byte for byte, as without a memo."""
    open_bed, place, cell, in_company = shared_runs
    monkeypatch.setattr("headroles.adapt.comparison.run.sharing", lambda memo: nullcontext())
    alone = run_cell(open_bed(), cell(name), tmp_path)
    assert in_company[name].rows == alone.rows
    folder = cell(name).place
    assert (place / folder / "adapter_model.safetensors").read_bytes() == (
        tmp_path / folder / "adapter_model.safetensors"
    ).read_bytes()


@pytest.fixture(scope="module")
def shared_runs(clip_folder, color_folder, small_map, tmp_path_factory):
    """Every method on one bed: all with another seed, all the last first, and all after what these have kept."""
    model, task, place = load(str(clip_folder), "cpu"), open_task(color_folder), tmp_path_factory.mktemp("shared")
    entries = {each.name: each for each in with_settings(read_entries(METHODS), {"epochs": 2, "batch": 4}, {})}
    options = {"protocol": "few-shot", "shots": 2, "retention": ()}

    def open_bed() -> Bed:
        return Bed.open(Grid(model, tuple(entries.values()), (task,), (1, 2), options), "cpu", small_map)

    def cell(name: str, seed: int = 1) -> Cell:
        return Cell(entries[name], task.name, seed)

    bed, before = open_bed(), tmp_path_factory.mktemp("before")
    for seed in (2, 1):
        for name in reversed(entries):
            run_cell(bed, cell(name, seed), before)
    found = {name: run_cell(bed, cell(name), place) for name in entries}
    assert bed.memo.spared_seconds > 0
    return open_bed, place, cell, found
