"""Directions of heads, cut and scaled: each takes away what it writes, and all of a head's together are the head."""

import pytest
import torch

from headroles import HeadReference, InputError, ablating, scaling_heads
from headroles.heads.directions import Directions
from headroles.heads.names import Part
from headroles.heads.parts import find_projectors, read_factors
from headroles.models.hooked_clip import HookedCLIP, recording

Z, SCALE = "visual.blocks.1.attn.hook_z", "visual.ln_final.hook_scale"


@pytest.fixture
def pixels():
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_without_a_direction_the_embedding_lacks_what_it_wrote(model, pixels):
    found = Directions.of(model.visual, [1])
    with recording(model, {Z: torch.clone, SCALE: torch.clone}) as seen:
        plain = model(pixels)
    coefficient = found.coefficients(seen[Z][:, :1].double())[:, 0, 2, 3]
    written = (coefficient * found.sigma[0, 2, 3])[:, None] * found.writes[0, 2, 3] / seen[SCALE].double()
    with ablating(model, "L1.H2.D3", "zero", "direct"):
        torch.testing.assert_close(plain - model(pixels), written.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("effect", ["total", "direct"])
@pytest.mark.parametrize("mode", ["zero", "mean", "resample"])
@torch.no_grad()
def test_all_directions_of_a_head_are_the_head(model, pixels, mode, effect):
    class Others:
        def __len__(self):
            return 5

        def __getitem__(self, number):
            return number, torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(number))

        def name(self, number):
            return str(number)

    reference = None if mode == "zero" else HeadReference.collect(model, Others(), pool=5)
    read = []
    for heads in ([(0, 1), (2, 3)], "L0.H1.D0-3,L0.H1.D4-7,L2.H3", [Part(0, 1, tuple(range(8))), "L2.H3.D0-7"]):
        with ablating(model, heads, mode, effect, reference, seed=3):
            read.append(model(pixels))
    torch.testing.assert_close(read[1], read[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(read[2], read[0], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_named_factors_scale_as_those_of_all_heads_do_and_ones_change_no_bit(model, pixels):
    factors = torch.ones(3, 4)
    factors[1, 2], factors[2, 0] = 0.5, -2
    with scaling_heads(model, factors):
        expected = model(pixels)
    with scaling_heads(model, {"L1.H2.D0-3": 0.5, "L1.H2.D4-7": 0.5, "L2.H0": -2, "L0.H0": 1}):
        torch.testing.assert_close(model(pixels), expected, rtol=1e-4, atol=1e-4)
    plain = model(pixels)
    with scaling_heads(model, {"L1.H2": 1, "L0.H1.D3": 1.0}):
        assert torch.equal(model(pixels), plain)


@torch.no_grad()
def test_a_projector_keeps_what_it_projects_and_projectors_of_a_split_head_sum_to_one(model):
    one, rest = (find_projectors(model.visual, [Part(1, 2, own)])[1, 2] for own in ((0, 5), (1, 2, 3, 4, 6, 7)))
    torch.testing.assert_close(one @ one, one)
    torch.testing.assert_close(one + rest, torch.eye(8).double())
    assert find_projectors(model.visual, [Part(1, 2)]) == {}


@torch.no_grad()
def test_directions_of_texts_and_of_pooling_heads_can_be_cut_too(model, make_siglip, tokenizer, pixels):
    ids = model.tokenize(["a red circle"])["input_ids"]
    plain = model(input_ids=ids)
    with ablating(model, "L1.H0.D0-7", "zero", tower="text"):
        whole = model(input_ids=ids)
    with ablating(model, [(1, 0)], "zero", tower="text"):
        torch.testing.assert_close(model(input_ids=ids), whole, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(plain, whole)
    siglip = HookedCLIP(make_siglip(), "tiny siglip", tokenizer)
    for layer in (1, 3):  # An encoder layer, and that of the pooling heads.
        for effect in ("direct", "total"):
            with ablating(siglip, f"L{layer}.H1.D0-7", "zero", effect):
                split = siglip(pixels)
            with ablating(siglip, [(layer, 1)], "zero", effect):
                torch.testing.assert_close(siglip(pixels), split, rtol=1e-4, atol=1e-4)


def test_what_is_named_twice_or_no_number_is_refused(model):
    with pytest.raises(InputError, match=r"L1\.H2\.D3 is named twice"):
        read_factors(model.visual, {"L1.H2": 0.5, "L1.H2.D3": 2})
    with pytest.raises(InputError, match=r"finite number for L1\.H2"):
        read_factors(model.visual, {"L1.H2": float("nan")})
    with pytest.raises(InputError, match="directions 0-7"), ablating(model, "L1.H2.D8", "zero"):
        pass
