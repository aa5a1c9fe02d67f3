"""Task vectors by their formula, from the exact parts of embeddings."""

import pytest
import torch
from scipy.stats import spearmanr

from headroles import load
from headroles.adapt.methods.features import Batch
from headroles.adapt.methods.ltv import Ltv, LtvConfig
from headroles.errors import InputError
from headroles.heads.contributions import image_contributions
from headroles.models.hooked_clip import HookedCLIP

NAMES = ("red", "green", "blue")


@pytest.fixture(scope="module")
def clip(clip_folder):
    return load(str(clip_folder), "cpu")


@pytest.fixture(scope="module")
def siglip(make_siglip, tokenizer):
    return HookedCLIP(make_siglip(), "tiny SigLIP", tokenizer)


def begin(method: Ltv) -> tuple[torch.Tensor, Batch]:
    shape = (5, 3, method.model.image_size, method.model.image_size)
    pixels = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    texts = method.class_trunk(NAMES, "a {} thing")
    labels = torch.tensor([0, 1, 2, 0, 1])

    def look(view):
        for rows in (slice(0, 2), slice(2, 5)):
            yield Batch(method.image_trunk(pixels[rows]), labels[rows], texts)

    with torch.no_grad():
        method.start(look)
        method.weights.copy_(torch.randn(method.weights.shape, generator=torch.Generator().manual_seed(1)))
    return pixels, Batch(method.image_trunk(pixels), labels, texts)


@pytest.mark.parametrize("family", ["clip", "siglip"])
@pytest.mark.parametrize("side", ["images", "texts"])
def test_logits_are_those_of_the_formula(family, side, request):
    model = request.getfixturevalue(family)
    method = Ltv(model, config=LtvConfig(side=side))
    pixels, batch = begin(method)
    parts = image_contributions(model, pixels)
    total = parts.total()
    means = (parts.heads / total.norm(dim=1)[:, None, None, None]).mean(0)
    vector = sum(
        method.weights[layer * model.visual.heads + head].item() * means[layer, head]
        for layer in range(model.visual.layers)
        for head in range(model.visual.heads)
    )
    images, texts = torch.nn.functional.normalize(total, dim=1), batch.texts.frozen
    if side == "images":
        images = torch.nn.functional.normalize(images + vector, dim=1)
    else:
        texts = torch.nn.functional.normalize(texts + vector, dim=1)
    expected = model.logit_scale * images @ texts.T
    assert torch.allclose(method(batch)[0], expected, rtol=1e-4, atol=1e-3)


def test_weights_of_0_are_zero_shot_and_a_step_lowers_the_loss(clip):
    method = Ltv(clip)
    _, batch = begin(method)
    method.weights.data.zero_()
    logits, losses = method(batch)
    assert torch.allclose(logits, method.scale * method.frozen_images(batch.trunk) @ batch.texts.frozen.T, atol=1e-4)
    losses["ce"].backward()
    method.weights.data -= 1e-4 * method.weights.grad
    assert method(batch)[1]["ce"] < losses["ce"]
    assert method.trained_count == clip.visual.layers * clip.visual.heads


def test_roles_say_which_heads_have_weights_and_foretell_use(clip, small_map):
    method = Ltv(clip, small_map, LtvConfig(roles=("attribute", "mixed")))
    begin(method)
    assert method.heads == sorted((h.layer, h.head) for h in small_map if h.role in ("attribute", "mixed"))
    concept = "color"
    shares = [small_map[place].distribution[concept] for place in method.heads]
    assert method.agreement(concept) == pytest.approx(tuple(spearmanr(method.weights.detach().abs(), shares)))
    with pytest.raises(InputError, match="concept must be one of"):
        method.agreement("taste")
    with pytest.raises(InputError, match="one share of object; there is no order"):
        method.agreement("object")
    with pytest.raises(InputError, match="roles: they are a role map's"):
        Ltv(clip, config=LtvConfig(roles=("mixed",)))
    with pytest.raises(InputError, match="roles: no head of the role map is sleepy"):
        Ltv(clip, small_map, LtvConfig(roles=("sleepy",)))
    with pytest.raises(InputError, match="role map: agreement is with one"):
        Ltv(clip).agreement(concept)
