"""Facts about what heads read and write by their weights alone."""

import copy

import pytest
import torch

from headroles import InputError, image_contributions
from headroles.heads.ablate import ablating
from headroles.heads.directions import Directions
from headroles.models.hooked_clip import HookedCLIP, recording

LAYERS = (0, 2)


@pytest.fixture(scope="module")
def built(make_clip, tokenizer):
    return HookedCLIP(make_clip().double(), "tiny", tokenizer)


@pytest.fixture(scope="module")
def found(built):
    return Directions.of(built.visual, LAYERS)


@pytest.fixture(scope="module")
def pixels():
    return torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def change(model, layer, edit):
    """A copy of the model with edit(values' weight, values' bias, output's weight) done in place on one layer."""
    clip = copy.deepcopy(model.clip)
    for module in clip.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    attention = clip.vision_model.encoder.layers[layer].self_attn
    with torch.no_grad():
        edit(attention.v_proj.weight, attention.v_proj.bias, attention.out_proj.weight)
    return HookedCLIP(clip, "changed")


def same(one, other):
    for name in ("sigma", "reads", "writes"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=1e-5, atol=1e-8)


@torch.inference_mode()
@pytest.mark.parametrize("family", ["clip", "siglip", "dinov2", "text"])
def test_they_make_up_what_the_head_writes(family, built, pixels, make_siglip, make_vision):
    """The head's part of the embedding, from normed residuals, through reads, sigma and writes; pooling heads too."""
    model = built
    if family in ("siglip", "dinov2"):
        model = HookedCLIP((make_siglip() if family == "siglip" else make_vision(family)).double(), family)
    tower = model.text if family == "text" else model.visual
    layers = range(tower.layers + tower.pooling)
    found = Directions.of(tower, layers)
    product = torch.einsum("lhDj,lhj,lhjd->lhDd", found.reads, found.sigma, found.writes)
    for layer in layers:
        reading, output = tower.circuit(layer)
        torch.testing.assert_close(product[layer], reading @ output @ tower.written(layer), rtol=1e-9, atol=1e-9)
    unit = torch.eye(found.sigma.shape[-1], dtype=torch.float64).expand(*found.sigma.shape, -1)
    torch.testing.assert_close(found.reads.mT @ found.reads, unit)
    assert (found.sigma[..., :-1] >= found.sigma[..., 1:]).all()


@torch.inference_mode()
def test_coefficients_of_an_image_are_its_part_of_the_embedding(built, found, pixels):
    """Differences between images: the constant part of z falls out."""
    names = {f"visual.blocks.{layer}.attn.hook_z": lambda z: z[:, 0] for layer in LAYERS}
    with recording(built, {**names, "visual.ln_final.hook_scale": torch.clone}) as seen:
        built(pixels)
    z = torch.stack([seen[name] for name in names], 1)
    parts = torch.einsum("ilhj,lhj,lhjd->ilhd", found.coefficients(z), found.sigma, found.writes)
    scale = seen["visual.ln_final.hook_scale"].reshape(len(pixels), -1)[:, :1, None, None]
    exact = image_contributions(built, pixels).heads[:, list(LAYERS)]
    constant = (parts / scale - exact) * scale
    torch.testing.assert_close(constant, constant[:1].expand_as(constant), rtol=1e-6, atol=1e-8)


def test_another_basis_inside_a_head_changes_nothing(built, found):
    turn = torch.randn(8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def rotate(value, bias, output):
        value[8:16] = turn.T @ value[8:16]
        bias[8:16] = turn.T @ bias[8:16]
        output[:, 8:16] = output[:, 8:16] @ torch.linalg.inv(turn).T

    same(Directions.of(change(built, 2, rotate).visual, LAYERS), found)


def test_permuted_heads_permute(built, found):
    order = torch.tensor([2, 0, 3, 1])
    rows = (order[:, None] * 8 + torch.arange(8)).flatten()

    def permute(value, bias, output):
        value.copy_(value[rows].clone())
        bias.copy_(bias[rows].clone())
        output.copy_(output[:, rows].clone())

    permuted = Directions.of(change(built, 0, permute).visual, LAYERS)
    torch.testing.assert_close(permuted.sigma[0], found.sigma[0, order])
    torch.testing.assert_close(permuted.writes[0], found.writes[0, order], rtol=1e-5, atol=1e-8)


def test_a_head_without_output_has_no_strength(built, found):
    def cut(value, bias, output):
        output[:, :8] = 0

    sigma = Directions.of(change(built, 2, cut).visual, LAYERS).sigma
    assert (sigma[1, 0] == 0).all()
    torch.testing.assert_close(sigma[1, 1:], found.sigma[1, 1:])


def test_factors_of_one_are_the_identity(found):
    assert torch.equal(found.operators(torch.ones_like(found.sigma)), torch.eye(8).double().expand(2, 4, 8, 8))


def test_operators_scale_the_chosen_coefficients_alone(found):
    z = torch.randn(6, 2, 4, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    factors = torch.tensor([1.0, 0, 1, 2, -1, 1, 1, 0.5]).expand_as(found.sigma)
    scaled = (z[..., None, :] @ found.operators(factors))[..., 0, :]
    torch.testing.assert_close(found.coefficients(scaled), found.coefficients(z) * factors, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("short", [False, True])
@torch.inference_mode()
def test_weights_with_all_directions_at_zero_are_the_ablated_model(short, built, pixels):
    """Also where two inner dimensions read the same."""

    def shorten(value, bias, output):
        if short:
            value[1], bias[1] = value[0], bias[0]

    model = change(built, 2, shorten)
    found = Directions.of(model.visual, LAYERS)
    factors = torch.ones_like(found.sigma)
    factors[1, 0] = 0
    operator = found.operators(factors)[1, 0]

    def write(value, bias, output):
        shorten(value, bias, output)
        output[:, :8] = output[:, :8] @ operator.T

    with ablating(model, [(2, 0)], mode="zero"):
        expected = model(pixels)
    torch.testing.assert_close(change(built, 2, write)(pixels), expected, rtol=1e-8, atol=1e-10)


def test_the_strongest_directions_leave_less_than_the_weakest_would(built, found):
    """What is left of a head without its first direction is the best that any single direction could leave."""
    factors = torch.ones_like(found.sigma)
    factors[..., 0] = 0
    reading, output = built.visual.circuit(LAYERS[1])
    left = reading @ found.operators(factors)[1] @ output @ built.visual.written(LAYERS[1])
    torch.testing.assert_close(torch.linalg.matrix_norm(left, 2), found.sigma[1, :, 1])


def test_heads_wider_than_the_embedding(make_clip):
    model = HookedCLIP(make_clip(layers=1, heads=1, width=32, embed=24).double(), "wide")
    found = Directions.of(model.visual, [0])
    assert found.sigma.shape == (1, 1, 32) and (found.sigma[..., 24:] == 0).all() and (found.sigma[..., :23] > 0).all()
    assert torch.equal(found.operators(torch.zeros_like(found.sigma)), torch.zeros(1, 1, 32, 32).double())


@pytest.mark.parametrize(("layers", "said"), [([3], r"layers 0-2 of this tower, got \[3\]"), ([], "got none")])
def test_layers_that_there_are_not(built, layers, said):
    with pytest.raises(InputError, match=said):
        Directions.of(built.visual, layers)


def test_factors_of_another_shape(found):
    with pytest.raises(InputError, match=r"factors must have shape \(2, 4, 8\), got \(2, 4\)"):
        found.operators(torch.ones(2, 4))
