"""Numbers by role, and what of the attention's weights is a head's own."""

import pytest
import torch

from headroles.adapt.methods.own_weights import swapped
from headroles.adapt.methods.role_numbers import number_heads, spread_over_weights
from headroles.errors import InputError

ROW = ["mixed", "general", "color", "silent"]
NUMBERS = {"attribute": 1.0, "generalization": 0.0}


def test_heads_have_the_number_of_their_role(model, make_role_map):
    role_map, tower = make_role_map(model, [ROW, ["general", "general", "shape", "mixed"]]), model.visual
    expected = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0, 1, 0.5]])
    assert torch.equal(number_heads(role_map, tower, NUMBERS, 0.5), expected)
    inverted = number_heads(role_map, tower, NUMBERS, 0.5, "inverted")
    assert torch.equal(inverted, 1 - expected)
    shuffled = [number_heads(role_map, tower, NUMBERS, 0.5, "random", seed) for seed in range(4)]
    assert all(torch.equal(each[1:].flatten().sort().values, expected[1:].flatten().sort().values) for each in shuffled)
    assert any(not torch.equal(each, expected) for each in shuffled) and all(
        (each[0] == 0.5).all() for each in shuffled
    )
    with pytest.raises(InputError, match="variant must be one of role, random, inverted, got 'roles'"):
        number_heads(role_map, tower, NUMBERS, 0.5, "roles")


def test_scaling_a_heads_own_weights_to_zero_cuts_it_and_leaves_the_others(model):
    """With its W_V, b_V and W_O at 0 a head's z is 0; the other heads' are what they were."""
    numbers, seen = torch.ones(model.visual.layers, model.visual.heads), {}
    numbers[0, 2] = 0
    weights = dict(model.clip.named_parameters())
    scaled = {name: weights[name] * number for name, number in spread_over_weights(model, numbers).items()}
    assert len(scaled) == 7 * model.visual.layers
    pixels = torch.randn(2, 3, model.image_size, model.image_size, generator=torch.Generator().manual_seed(0))
    name = "visual.blocks.0.attn.hook_z"
    with torch.no_grad():
        _, before = model.run_with_cache(pixels, names_filter=name)
        with swapped(model, scaled):
            _, seen = model.run_with_cache(pixels, names_filter=name)
    kept = [0, 1, 3]
    assert torch.allclose(seen[name][:, :, kept], before[name][:, :, kept], atol=1e-6) and not seen[name][:, :, 2].any()
    edited = {
        name: (tensor != weights[name]).flatten(1).any(1).sum() for name, tensor in scaled.items() if tensor.ndim == 2
    }
    width, residual = model.visual.head_width, model.visual.width
    assert sorted(int(count) for count in edited.values() if count) == sorted([width, width, width, residual])
