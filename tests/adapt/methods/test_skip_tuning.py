"""Skip Tuning: which weights are tuned at which rate, which classes a step keeps, and its loss."""

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from headroles.adapt.methods.features import Batch
from headroles.adapt.methods.skip_tuning import SkipTuning, SkipTuningConfig
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP

NAMES = ("red", "a green one", "blue", "grey", "black")


def begin(model, template="a {}", **settings) -> tuple[SkipTuning, Batch]:
    method = SkipTuning(model, config=SkipTuningConfig(**settings), classes=NAMES)
    shape = (6, 3, model.image_size, model.image_size)
    pixels = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    batch = Batch(method.image_trunk(pixels), labels, method.class_trunk(NAMES, template))
    method.start(lambda view: iter([batch]))
    return method, batch


def test_later_layers_and_readout_are_tuned_and_images_at_their_own_rate(model):
    method, batch = begin(model)
    assert method.layer == 1  # 5/12 of 3 layers.
    vision, text = model.clip.vision_model, model.clip.text_model
    expected = [
        [*vision.encoder.layers[1:], vision.post_layernorm, model.clip.visual_projection],
        [*text.encoder.layers[1:], text.final_layer_norm, model.clip.text_projection],
    ]
    for part, modules in zip((method.vision, method.text), expected, strict=True):
        assert part.tensors().keys() == {
            name
            for name, weight in model.clip.named_parameters()
            if any(weight is other for module in modules for other in module.parameters())
        }
    texts, images = method.trained_groups()
    assert (texts.rate, images.rate) == (1.0, 0.25) and set(images.tensors) == set(method.vision.parameters())
    frozen = method.frozen_images(batch.trunk)
    assert torch.allclose(method.encode_images(batch.trunk), frozen, atol=1e-6)
    assert torch.allclose(method.encode_texts(batch.texts), batch.texts.frozen, atol=1e-5)
    means = [frozen[[0, 5]].mean(0), *frozen[1:5]]
    assert torch.allclose(method.prototypes, normalize(torch.stack(means), dim=-1), atol=1e-6)


def test_an_image_keeps_its_own_class_the_nearest_and_others_by_their_rank(model):
    method, batch = begin(model, kept_share=0.4)
    frozen = method.frozen_images(batch.trunk)
    similar = frozen @ method.prototypes.T
    torch.manual_seed(0)
    found = (
        method.keep_classes(frozen.repeat(4000, 1), batch.labels.repeat(4000)).unflatten(0, (4000, 6)).float().mean(0)
    )
    for row, label in enumerate(batch.labels.tolist()):
        others = sorted(set(range(5)) - {label}, key=lambda number: -similar[row, number])
        # Two of five are sure; then exp(-.3 r).
        expected = torch.tensor([1, 1, *(2.718281828 ** (-0.3 * rank) for rank in (1, 2, 3))])
        assert torch.allclose(found[row, [label, *others]], expected, atol=0.04)
        assert (found[row, [label, others[0]]] == 1).all()


@pytest.mark.parametrize("template", ["a {}", "a {}\none {} thing"])
def test_the_loss_is_cross_entropy_over_the_kept_classes(model, template):
    method, batch = begin(model, template, kept_share=0.2, decay=50.0)
    part = Batch(batch.trunk[[2, 5]], batch.labels[[2, 5]], batch.texts)
    logits, losses = method(part)
    assert logits.isinf().all(0).tolist() == [False, True, False, True, True]
    whole = model.logit_scale * method.frozen_images(part.trunk) @ batch.texts.frozen[[0, 2]].T
    assert losses["ce"].item() == pytest.approx(cross_entropy(whole, torch.tensor([1, 0])).item(), abs=1e-4)
    losses["ce"].backward()
    assert all(parameter.grad is not None for parameter in method.parameters())


def test_it_tunes_siglip_too(make_siglip, tokenizer):
    model = HookedCLIP(make_siglip(), "tiny", tokenizer)
    method, batch = begin(model)
    assert torch.allclose(
        method.encode_images(batch.trunk),
        normalize(
            model(torch.randn((6, 3, model.image_size, model.image_size), generator=torch.Generator().manual_seed(0))),
            dim=-1,
        ),
        atol=1e-5,
    )
    method(batch)[1]["ce"].backward()
    assert all(parameter.grad is not None for parameter in method.parameters())


def test_what_does_not_fit_is_refused(model):
    with pytest.raises(InputError, match="layer: the vision tower's last is 2, got 3"):
        SkipTuning(model, config=SkipTuningConfig(layer=3), classes=NAMES)
    with pytest.raises(InputError, match="kept_share must be above 0"):
        SkipTuningConfig(kept_share=0.0)
