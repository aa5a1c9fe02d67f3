"""Peak memory counts what is held at once, and neither what was there before nor views of it."""

import torch

from headroles.models.memory import peak_bytes

CPU = torch.device("cpu")
KILO = 1000 * 4
"""Bytes of 1,000 numbers."""


def test_tensors_that_live_together_are_added_up():
    assert peak_bytes(lambda: torch.ones(1000), CPU) == KILO
    assert peak_bytes(lambda: torch.ones(1000) + torch.ones(1000), CPU) == 3 * KILO
    assert peak_bytes(lambda: [torch.ones(1000).sum().item() for _ in range(50)], CPU) < 1.1 * KILO
    assert peak_bytes(lambda: [torch.ones(1000) for _ in range(50)], CPU) == 50 * KILO


def test_what_was_there_and_views_of_it_are_not_counted():
    weights = torch.ones(1000)
    assert peak_bytes(lambda: weights.view(10, 100).T.reshape(-1)[:3], CPU) == KILO
    assert peak_bytes(lambda: weights.view(10, 100).T, CPU) == 0
    assert peak_bytes(lambda: weights.mul_(2), CPU) == 0
