"""Constants spread over heads: the numbers of TextSpan's procedure, computed step by step on stored contributions."""

import numpy as np
import pytest
import torch

from headroles import InputError, ProbeBank, ScoreConfig
from headroles.heads.constants import observe_spread, spread_moments
from headroles.heads.moments import HeadMoments, observe
from headroles.models.hooked_clip import HookedCLIP, recording
from headroles.roles.picks import pick_texts

TEXTS = 120


def stored_contributions(model, pixels):
    """(image, layer, head, embed) as the published code makes them: from heads, biases, and the LayerNorm's parts."""
    vision, tower = model.clip.vision_model, model.visual
    names = {f"visual.blocks.{layer}.attn.hook_z": lambda z: z[:, 0] for layer in range(tower.layers)}
    last = f"visual.blocks.{tower.layers - 1}.hook_resid_post"
    with torch.no_grad(), recording(model, {**names, last: lambda rows: rows[:, 0]}) as seen:
        length = model(pixels).norm(dim=-1)
    norm, parts = vision.post_layernorm, (2 * tower.layers + 1) * tower.heads
    mean, deviation = seen[last].mean(-1), (seen[last].var(-1, correction=0) + norm.eps).sqrt()
    rows = []
    for layer, name in enumerate(names):
        out = vision.encoder.layers[layer].self_attn.out_proj
        for head in range(tower.heads):
            own = slice(head * tower.head_width, (head + 1) * tower.head_width)
            written = seen[name][:, head] @ out.weight[:, own].T + out.bias / tower.heads - mean[:, None] / parts
            normed = norm.weight * written / deviation[:, None] + norm.bias / parts
            rows.append(normed @ model.clip.visual_projection.weight.T / length[:, None])
    return torch.stack(rows, 1).unflatten(1, (tower.layers, tower.heads)).detach()


def original_picks(outputs, texts, picks, rank):
    """The published removal of one text after another; `rank` directions, of outputs that are not centred."""
    _, _, directions = np.linalg.svd(outputs, full_matrices=False)
    directions = directions[:rank]
    texts, outputs, found = texts @ directions.T @ directions, outputs - outputs.mean(0), []
    for _ in range(picks):
        best = (outputs @ texts.T).std(0).argmax()
        direction = texts[best] / np.linalg.norm(texts[best])
        outputs = outputs - np.outer(outputs @ direction, direction)
        texts = texts - np.outer(texts @ direction, direction)
        found.append(int(best))
    return found


@pytest.fixture
def wide(make_clip, tokenizer):
    """Heads of width 24 in an embedding of 48."""
    return HookedCLIP(make_clip(layers=2, heads=2, width=48, embed=48).double(), "wide", tokenizer)


@pytest.fixture
def pixels(wide):
    shape = (150, 3, wide.image_size, wide.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def fold(model, pixels):
    moments = spread_moments(model, range(model.visual.layers), 3)
    moments.update(observe_spread(model, pixels, moments.layers), torch.arange(len(pixels)) % 3)
    return moments


@torch.no_grad()
def test_parts_are_those_of_the_published_code(wide, pixels):
    u = observe_spread(wide, pixels[:20], range(2))
    assert torch.equal(u[..., :-3], observe(wide, pixels[:20], range(2)))
    found = torch.einsum("ilhk,lhkd->ilhd", u, wide.visual.spread_bases())
    torch.testing.assert_close(found, stored_contributions(wide, pixels[:20]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rank", [80, 27, 21])
def test_picks_equal_the_published_procedure_on_stored_contributions(wide, pixels, rank):
    """20 of 20 texts of every head. Of 80 directions 27 exist: beyond, the original's are rounding."""
    bank = ProbeBank("general", ProbeBank.load("general").texts[::17][:TEXTS], ("a", "b") * (TEXTS // 2))
    outputs, texts = stored_contributions(wide, pixels).numpy(), wide.embed_texts(bank.texts).numpy()
    config = ScoreConfig(layers="all", constants="heads", rank=rank, texts_per_head=20, bootstraps=2, blocks=3)
    picks = pick_texts(wide, fold(wide, pixels), bank, config)
    for head, found in enumerate(picks.whole.index[0].tolist()):
        assert found == original_picks(outputs[:, head // 2, head % 2], texts, 20, min(rank, 27)), head


def test_the_first_part_of_the_sums_is_that_of_constants_apart(wide, pixels):
    moments, plain = fold(wide, pixels), HeadMoments.empty(wide, range(2), 3)
    plain.update(observe(wide, pixels, range(2)), torch.arange(len(pixels)) % 3)
    bank, config = ProbeBank.load("shapes"), ScoreConfig(layers="all", bootstraps=2, blocks=3)
    ours, theirs = (pick_texts(wide, each, bank, config).whole for each in (moments, plain))
    assert torch.equal(ours.index, theirs.index)
    with pytest.raises(InputError, match="moments: these were made with constants apart; score again"):
        pick_texts(wide, plain, bank, ScoreConfig(layers="all", constants="heads", bootstraps=2, blocks=3))


@pytest.mark.parametrize(
    ("settings", "name"), [({"constants": "heads"}, "constants: heads"), ({"rank": 80}, "rank: 80")]
)
def test_a_tower_that_pools_is_refused(make_siglip, settings, name):
    model = HookedCLIP(make_siglip(), "siglip")
    with pytest.raises(InputError, match=f"{name} is defined for CLIP's CLS token, and siglip pools its patches"):
        ScoreConfig(**settings).resolve_layers(model)
