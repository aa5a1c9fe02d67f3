"""Two threads and one model: hooks of one are never taken away by the other, nor act on it under a turn of its own."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from headroles import InputError, ablating
from headroles.models import turns
from headroles.models.hooked_clip import HookedCLIP, recording

Z = "visual.blocks.1.attn.hook_z"


@pytest.fixture
def model(make_clip) -> HookedCLIP:
    return HookedCLIP(make_clip(), "tiny")


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def run(model, pixels, head=None) -> torch.Tensor:
    if head is None:
        return model(pixels)
    with ablating(model, [head], "zero"):
        return model(pixels)


@torch.no_grad()
def test_threads_that_cut_heads_and_read_them_wait_for_each_other(model, pixels):
    whole, cut = run(model, pixels), run(model, pixels, (1, 0))
    assert not torch.equal(whole, cut)

    @torch.no_grad()
    def read() -> torch.Tensor:
        with recording(model, {Z: torch.clone}) as seen:
            found = model(pixels)
        assert set(seen) == {Z}
        return found

    @torch.no_grad()
    def run_alone() -> torch.Tensor:
        with model.turns:
            return model(pixels)

    with ThreadPoolExecutor(2) as threads:
        for _ in range(20):
            with ablating(model, [(1, 0)], "zero"):
                waiting = [threads.submit(read), threads.submit(run_alone)]
                assert torch.equal(model(pixels), cut)
            assert all(torch.equal(each.result(timeout=20), whole) for each in waiting)


@torch.no_grad()
def test_a_cut_acts_on_all_threads_that_it_starts(model, pixels):
    cut = run(model, pixels, (1, 0))
    with ablating(model, [(1, 0)], "zero"), ThreadPoolExecutor(2) as threads:
        found = list(threads.map(torch.no_grad()(model), [pixels, pixels], timeout=20))
    assert all(torch.equal(each, cut) for each in found)


def test_a_thread_that_waits_too_long_says_why(model, monkeypatch):
    monkeypatch.setattr(turns, "WAIT", 0.05)
    with ThreadPoolExecutor(1) as threads, ablating(model, [(1, 0)], "zero"):
        other = threads.submit(run, model, torch.zeros(1, 3, 32, 32), (1, 1))
        with pytest.raises(InputError, match=r"another thread has had hooks on it for 0\.05 s"):
            other.result(timeout=20)


def test_a_copy_of_a_model_has_turns_of_its_own(model, pixels):
    with ablating(model, [(1, 0)], "zero"), ThreadPoolExecutor(1) as threads:
        other = copy.deepcopy(model)
        other.reset_hooks()
        assert threads.submit(run, other, pixels, (1, 1)).result(timeout=20).shape == (2, model.visual.embed)
