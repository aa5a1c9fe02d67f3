"""Half precision where it is asked for, and where nothing may be computed in it."""

from types import SimpleNamespace

import pytest
import torch

from headroles.models.precision import half_precision, in_full_precision


class Product:
    @in_full_precision
    def kept(self, images, others):
        return images.values @ others.T


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_a_method_in_full_precision_gives_the_same_bits_whatever_is_asked_for_around_it(precision):
    values, others = torch.randn(3, 8), torch.randn(4, 8)
    images, device = SimpleNamespace(values=values, device=values.device), torch.device("cpu")
    with half_precision(device, precision):
        found, around = Product().kept(images, others), values @ others.T
    assert torch.equal(found, values @ others.T)
    assert around.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)


def test_what_is_around_goes_on_in_half_precision_behind_it():
    values = torch.randn(3, 8)
    with half_precision(values.device, "bf16"):
        Product().kept(SimpleNamespace(values=values, device=values.device), values)
        assert (values @ values.T).dtype == torch.bfloat16
