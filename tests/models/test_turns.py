"""Two threads and one model: hooks of one neither act on the other's numbers nor take its hooks away."""

import copy
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import torch

from headroles import ablating
from headroles.models.hooked_clip import HookedCLIP, recording

Z = "visual.blocks.1.attn.hook_z"


def test_threads_that_cut_heads_and_read_them_wait_for_each_other(make_clip):
    model, pixels = HookedCLIP(make_clip(), "tiny"), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        whole = model(pixels)
        with ablating(model, [(1, 0)], "zero"):
            cut = model(pixels)
    assert not torch.equal(whole, cut)
    cutting = Event()

    def cut_meanwhile() -> torch.Tensor:
        with torch.no_grad(), ablating(model, [(1, 0)], "zero"):
            cutting.set()
            reading = [threads.submit(read), threads.submit(run)]
            assert not any(each.done() for each in reading)
            answers.extend(reading)
            return model(pixels)

    @torch.no_grad()
    def read() -> torch.Tensor:
        with recording(model, {Z: torch.clone}) as seen:
            found = model(pixels)
        assert set(seen) == {Z}
        return found

    @torch.no_grad()
    def run() -> torch.Tensor:
        cutting.wait()
        return model(pixels)

    answers: list = []
    with ThreadPoolExecutor(3) as threads:
        for _ in range(20):
            assert torch.equal(threads.submit(cut_meanwhile).result(), cut)
    assert len(answers) == 40 and all(torch.equal(each.result(), whole) for each in answers)


def test_a_copy_of_a_model_has_turns_of_its_own(make_clip):
    model, pixels = HookedCLIP(make_clip(), "tiny"), torch.randn(1, 3, 32, 32)
    with ablating(model, [(1, 0)], "zero"), ThreadPoolExecutor(1) as threads, torch.no_grad():
        other = copy.deepcopy(model)
        other.reset_hooks()
        assert threads.submit(other, pixels).result(timeout=20).shape == (1, model.visual.embed)
