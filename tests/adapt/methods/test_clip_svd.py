"""CLIP-SVD of heads: what of W_V W_O changes, in which heads, and what does not."""

import pytest
import torch
from torch.nn.functional import normalize

from headroles.adapt.methods.clip_svd import ClipSvd, ClipSvdConfig
from headroles.adapt.methods.role_numbers import free_heads
from headroles.errors import InputError

NAMES, ROWS = ("red", "a green one", "blue"), [["mixed", "general", "color", "silent"], ["color", "shape", "mixed"]]


def products(tower, tensors, names, layer):
    """W_V W_O of every head, with these tensors in place of the model's."""
    modules, k = tower.projections(layer), tower.head_width
    value, output = (tensors.get(names[id(modules[each].weight)], modules[each].weight) for each in "vo")
    return [(value[h * k : h * k + k].T @ output[:, h * k : h * k + k].T).double() for h in range(tower.heads)]


@pytest.fixture
def names(model):
    return {id(weight): name for name, weight in model.clip.named_parameters()}


def test_singular_values_of_heads_become_the_trained_ones_and_their_vectors_stay(model, names):
    method, tower = ClipSvd(model), model.visual
    assert method.trained_count == 2 * tower.layers * tower.width and method.layer == 0
    before = products(tower, {}, names, 1)
    values = method.vision.values.detach().unflatten(0, (tower.layers, tower.heads))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        values *= 0.5 + torch.rand(values.shape, generator=generator)
        edited = method.vision.tensors()
    after = products(tower, edited, names, 1)
    for head, (old, new) in enumerate(zip(before, after, strict=True)):
        left, sigma, right = torch.linalg.svd(old)
        k = tower.head_width
        expected = left[:, :k] * values[1, head].double() @ right[:k]
        assert torch.allclose(new, expected, atol=1e-4), head
        assert not torch.allclose(sigma[:k], values[1, head].double(), rtol=1e-2)
    assert len(edited) == tower.layers and all(name.endswith("weight") for name in edited)


def test_untrained_it_is_the_frozen_clip_bit_for_bit_and_both_towers_get_gradients(model):
    method = ClipSvd(model)
    shape = (2, 3, model.image_size, model.image_size)
    pixels = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    trunk, texts = method.image_trunk(pixels), method.class_trunk(NAMES, "a {}")
    assert torch.equal(method.encode_images(trunk), method.frozen_images(trunk))
    assert torch.allclose(method.frozen_images(trunk), normalize(model(pixels), dim=-1), atol=1e-6)
    assert torch.allclose(method.encode_texts(texts), texts.frozen, atol=1e-6)
    method.logits(method.encode_images(trunk), method.encode_texts(texts))[0, 0].backward()
    assert all((each.values.grad != 0).float().mean() > 0.9 for each in (method.vision, method.text))


def test_roles_say_which_heads_are_free(model, names, make_role_map):
    role_map, tower = make_role_map(model, ROWS), model.visual
    for heads, count in (("attribute", 4), ("generalization", 1), ("random", 4), ("inverted", 4)):
        method = ClipSvd(model, role_map, ClipSvdConfig(heads=heads, text=False, roles_seed=3))
        assert method.trained_count == count * tower.head_width
        with torch.no_grad():
            method.vision.values *= 2
        edited = method.vision.tensors()
        changed = torch.tensor(
            [
                [
                    not torch.allclose(new, old, rtol=1e-3)
                    for new, old in zip(
                        products(tower, edited, names, layer), products(tower, {}, names, layer), strict=True
                    )
                ]
                for layer in range(tower.layers)
            ]
        )
        assert torch.equal(changed, free_heads(role_map, tower, heads, 3, "clip-svd"))
        assert method.layer == changed.any(1).nonzero()[0]
        texts = method.class_trunk(NAMES, "a {}")
        assert method.encode_texts(texts) is texts.frozen


def test_heads_of_short_rank_keep_their_zeros(model):
    weight = model.visual.projections(0)["v"].weight
    with torch.no_grad():
        weight[:3] = 0
        weight[model.visual.head_width : 2 * model.visual.head_width] = 0
    method = ClipSvd(model)
    with torch.no_grad():
        method.vision.values += 1
    assert (method.vision.values[1] == 1).all() and (method.vision.values[0, -3:] == 1).all()
    edited = next(iter(method.vision.tensors().values()))
    width, frozen = model.visual.head_width, model.visual.projections(0)["o"].weight
    assert edited.isfinite().all() and torch.equal(edited[:, width : 2 * width], frozen[:, width : 2 * width])


def test_what_does_not_fit_is_refused(model, make_role_map):
    with pytest.raises(InputError, match="role map: clip-svd with heads attribute needs one"):
        ClipSvd(model, config=ClipSvdConfig(heads="attribute"))
    with pytest.raises(InputError, match="heads: the role map knows no generalization head"):
        ClipSvd(model, make_role_map(model, [["mixed"]]), ClipSvdConfig(heads="generalization"))
    with pytest.raises(InputError, match="heads must be one of all, attribute, generalization, random, inverted"):
        ClipSvdConfig(heads="some")
    assert "not used with heads all" in ClipSvd(model, make_role_map(model, ROWS)).notes()[0]
