"""Full fine-tuning: copies are trained, the CLIP is not; nothing tuned is zero-shot CLIP."""

import pytest
import torch

from headroles.adapt.methods.features import Batch
from headroles.adapt.methods.fine_tuning import FineTuning, FineTuningConfig
from headroles.adapt.methods.own_weights import swapped
from headroles.errors import InputError

NAMES = ("red", "green", "blue")


@pytest.fixture
def batch(model):
    method = FineTuning(model)
    shape = (3, 3, model.image_size, model.image_size)
    pixels = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return Batch(method.image_trunk(pixels), torch.tensor([0, 2, 1]), method.class_trunk(NAMES, "a {}\none {} thing"))


def tune(method: FineTuning, batch: Batch) -> FineTuning:
    sum(method(batch)[1].values()).backward()
    with torch.no_grad():
        for parameter in method.parameters():
            parameter -= 0.01 * parameter.grad.sign()
    return method


def test_untuned_it_is_zero_shot_and_gradients_are_those_of_the_towers(model, batch):
    method = FineTuning(model)
    expected = model.logit_scale * method.frozen_images(batch.trunk) @ batch.texts.frozen.T
    assert torch.allclose(method(batch)[0], expected, atol=1e-4)
    sum(method(batch)[1].values()).backward()
    found = {name: tensor.grad for name, tensor in method.weights.tensors().items()}
    assert method.trained_count == sum(each.numel() for each in model.clip.parameters()) - 1
    model.clip.requires_grad_(True)
    images = torch.nn.functional.normalize(model(batch.trunk), dim=-1)
    texts = torch.nn.functional.normalize(model(**batch.texts.tokens), dim=-1)
    means = torch.nn.functional.normalize(texts.reshape(3, 2, -1).sum(1), dim=-1)
    torch.nn.functional.cross_entropy(model.logit_scale * images @ means.T, batch.labels).backward()
    for name, gradient in found.items():
        plain = model.clip.get_parameter(name).grad
        assert torch.allclose(gradient, plain, rtol=1e-3, atol=1e-4 * plain.abs().max().item() + 1e-6), name


def test_the_mean_with_the_frozen_weights_ends_in_both(model, batch):
    tuned = tune(FineTuning(model), batch)
    frozen = dict(model.clip.named_parameters())
    for share in (0.0, 0.25):
        method = FineTuning(model, config=FineTuningConfig(tuned=share))
        method.load_state_dict(tuned.state_dict())
        method.finish()
        for name, tensor in method.weights.tensors().items():
            whole = tuned.weights.tensors()[name]
            assert torch.allclose(tensor, share * whole + (1 - share) * frozen[name], atol=1e-6)
        assert share or torch.equal(method(batch)[0], FineTuning(model)(batch)[0])


def test_the_model_has_its_own_weights_again_also_after_an_error(model):
    before = model.weights_hash()
    with pytest.raises(RuntimeError), swapped(model, {"visual_projection.weight": torch.zeros(1, 1)}):
        assert model.weights_hash() != before
        raise RuntimeError
    assert model.weights_hash() == before


def test_wrong_settings_are_refused():
    for settings, expected in (({"tuned": 1.5}, "tuned must be"), ({"vision": False, "text": False}, "both off")):
        with pytest.raises(InputError, match=expected):
            FineTuningConfig(**settings)
