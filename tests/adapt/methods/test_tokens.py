"""Learned tokens: where they come from and what enters a layer."""

import pytest
import torch

from headroles.adapt.methods.tokens import LearnedTokens


def build(beta: float = 0.9, seed: int = 0, count: int = 5) -> LearnedTokens:
    return LearnedTokens(count, 16, 0.02, beta, torch.Generator().manual_seed(seed))


def test_the_seed_alone_draws_them():
    torch.manual_seed(1)
    first = build()
    torch.manual_seed(2)
    assert torch.equal(first.values, build().values)
    assert not torch.equal(first.values, build(seed=1).values)
    assert build(count=4000).values.std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_entering_mixes_the_token_with_its_last_output(beta):
    tokens = build(beta)
    assert torch.equal(tokens.entering(0, 3), tokens.values.expand(3, -1, -1))
    previous = torch.randn(3, 5, 16, requires_grad=True)
    mixed = tokens.entering(1, 3, previous)
    torch.testing.assert_close(mixed, torch.lerp(previous, tokens.values.expand(3, -1, -1), beta))
    mixed.sum().backward()
    torch.testing.assert_close(tokens.values.grad, torch.full((5, 16), 3 * beta))
    torch.testing.assert_close(previous.grad, torch.full((3, 5, 16), 1 - beta))
