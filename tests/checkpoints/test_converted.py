"""Every file format gives the embeddings of its own layout's forward, exact parts, and the same model."""

import pytest
import torch

from headroles import image_contributions, load, text_contributions

FORMATS = (
    "archive", "state dict", "training checkpoint", "open_clip safetensors", "open_clip bin", "open_clip custom text",
)  # fmt: skip
TEXTS = ["a red circle", "something striped in the top left", "night"]
BOUND = {torch.float32: 1e-5, torch.float64: 1e-12}


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found.double() - expected).norm() / expected.norm()).item()


def pixels() -> torch.Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dtype", BOUND, ids=str)
@pytest.mark.parametrize("kind", FORMATS)
@torch.inference_mode()
def test_embeddings_are_those_of_the_layouts_own_forward(written, formats, tensors, kind, dtype):
    model, reference = load(str(written[kind]), "cpu", dtype), formats.reference(tensors)
    assert error(model(pixels().to(dtype)), reference.images(pixels())) <= BOUND[dtype]
    ids = model.tokenize(TEXTS)["input_ids"]
    assert error(model(input_ids=ids), reference.texts(ids)) <= BOUND[dtype]


@pytest.mark.parametrize("dtype", BOUND, ids=str)
@pytest.mark.parametrize("kind", FORMATS)
def test_parts_sum_to_the_embedding(written, kind, dtype):
    model = load(str(written[kind]), "cpu", dtype)
    for parts, plain in (
        (image_contributions(model, pixels()), model(pixels().to(dtype))),
        (text_contributions(model, TEXTS), model(**model.tokenize(TEXTS))),
    ):
        assert error(parts.total(), plain.detach().double()) <= BOUND[dtype]
