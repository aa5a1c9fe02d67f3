"""Running a tower by hand: layers, masks, and single rows of a layer."""

import pytest
import torch

from headroles.models.hooked_clip import HookedCLIP

TEXTS = ["a red circle", "something striped in the top left", "night"]


@pytest.fixture
def double(make_clip, tokenizer) -> HookedCLIP:
    return HookedCLIP(make_clip().double(), "tiny", tokenizer)


def draw_residual(model: HookedCLIP, images: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(images, 9, model.visual.width, generator=generator, dtype=model.dtype, requires_grad=True)


def test_rows_of_a_layer_and_their_gradients_are_those_of_the_whole_layer(double):
    tower, residual, rows = double.visual, draw_residual(double), torch.tensor([0, 7, 8])
    mask = torch.zeros(tower.heads, 9, 9, dtype=torch.float64)
    mask[1, :7, 7:] = mask[2, 8, :7] = -torch.inf
    for each in (None, mask):
        whole, part = tower.run(residual, [1], each)[:, rows], tower.run_rows(residual, 1, rows, each)
        torch.testing.assert_close(part, whole, rtol=1e-12, atol=1e-12)
        one, other = (torch.autograd.grad(found.square().sum(), residual)[0] for found in (part, whole))
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


@torch.no_grad()
def test_every_text_has_a_row_of_its_own_under_the_causal_mask(double):
    ids = double.tokenize(TEXTS)["input_ids"]
    mask, ends = double.causal_mask(ids.shape[1]), double.text_rows(ids)
    assert len(set(ends.tolist())) > 1
    residual = double.text.run(double.start_texts(ids), range(2), mask)
    rows = double.text.run_rows(residual, 2, ends[:, None], mask)[:, 0]
    torch.testing.assert_close(double.text.read(rows), double(input_ids=ids), rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_a_hooked_layer_shows_all_its_tokens_and_edits_act(double):
    tower, residual, rows, seen = double.visual, draw_residual(double), torch.tensor([0]), []

    def silence(z, hook):
        seen.append(z.shape)
        return 0 * z

    with double.hooks(fwd_hooks=[("visual.blocks.1.attn.hook_z", silence)]):
        edited = tower.run_rows(residual, 1, rows)
        torch.testing.assert_close(edited, tower.run(residual, [1])[:, :1], rtol=0, atol=0)
    assert seen[0] == (2, 9, tower.heads, tower.head_width)
    assert not torch.allclose(edited, tower.run_rows(residual, 1, rows))
