"""TextSpan on moments picks what the original picks on stored contributions."""

import pytest
import torch

from headroles.errors import InputError
from headroles.roles.textspan import project_texts, text_span


def naive_text_span(outputs, texts, steps, selection="std"):
    """The algorithm on stored head outputs (image, embed) and texts projected on their span (text, embed)."""
    outputs = outputs - outputs.mean(0)
    total = outputs.pow(2).sum()
    picks, shares = [], []
    for _ in range(steps):
        spread = (outputs @ texts.T).pow(2).sum(0)
        length = texts.pow(2).sum(1)
        if selection == "variance":
            spread = torch.where(length > 1e-9, spread / length, 0)
        pick = int(spread.argmax())
        direction = texts[pick] / texts[pick].norm()
        shares.append(((outputs @ direction).pow(2).sum() / total).item())
        outputs = outputs - (outputs @ direction)[:, None] * direction
        texts = texts - (texts @ direction)[:, None] * direction
        picks.append(pick)
    return picks, shares


def head(width, seed, images=400, embed=96, texts=300):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    u = draw(images, width) * torch.linspace(1.5, 0.3, width) @ draw(width, width)
    bank = torch.nn.functional.normalize(draw(texts, embed) + 0.5 * draw(1, embed), dim=1)
    return u, draw(width, embed), bank


@pytest.mark.parametrize("selection", ["std", "variance"])
@pytest.mark.parametrize("width", [16, 64])
@pytest.mark.parametrize("seed", range(4))
def test_picks_equal_the_naive_ones(width, seed, selection):
    u, basis, bank = head(width, seed)
    projected, factor = project_texts(bank, basis[None])
    found = text_span(projected, factor, torch.cov(u.T, correction=0)[None, None], 24, selection)
    # In the last direction of a head all texts are parallel: by share of variance they tie.
    steps = min(width - (selection == "variance"), 24)
    q = torch.linalg.qr(basis.T)[0]
    picks, shares = naive_text_span(u @ basis, bank @ q @ q.T, steps, selection)
    assert found.index[0, 0, :steps].tolist() == picks
    torch.testing.assert_close(found.share[0, 0, :steps], torch.tensor(shares, dtype=torch.float64))


def test_a_head_is_spent_after_as_many_texts_as_it_is_wide():
    u, basis, bank = head(16, 0)
    projected, factor = project_texts(bank, basis[None])
    found = text_span(projected, factor, torch.cov(u.T, correction=0)[None, None], 40)
    assert found.index.shape[-1] == 16
    assert found.share.sum().item() == pytest.approx(1)


def test_heads_and_draws_are_independent():
    parts = [head(16, seed) for seed in range(3)]
    bank = parts[0][2]
    bases = torch.stack([basis for _, basis, _ in parts])
    covariance = torch.stack([torch.cov(u.T, correction=0) for u, _, _ in parts])
    projected, factor = project_texts(bank, bases)
    together = text_span(projected, factor, torch.stack([covariance, 2 * covariance]), 10)
    for number in range(3):
        alone = text_span(projected[[number]], factor[[number]], covariance[None, [number]], 10)
        assert torch.equal(together.index[0, number], alone.index[0, 0])
        assert torch.equal(together.index[1, number], alone.index[0, 0])
    torch.testing.assert_close(together.variance[1], 2 * together.variance[0])


def test_a_constant_head_gets_no_text():
    _, basis, bank = head(16, 0)
    projected, factor = project_texts(bank, basis[None])
    found = text_span(projected, factor, torch.zeros(1, 1, 16, 16, dtype=torch.float64), 5)
    assert (found.index == -1).all() and (found.share == 0).all()


def test_unknown_selection_is_refused():
    _, basis, bank = head(16, 0)
    with pytest.raises(InputError, match="selection must be one of std, variance"):
        text_span(*project_texts(bank, basis[None]), torch.eye(16)[None, None], 5, "best")
