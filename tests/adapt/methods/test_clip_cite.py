"""CLIP-CITE against its formulas, and its averages, by roles and by one share."""

import dataclasses

import pytest
import torch
from torch.nn.functional import normalize

from headroles.adapt.methods.clip_cite import ClipCite, ClipCiteConfig
from headroles.adapt.methods.features import Batch
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP

NAMES, ROW = ("red", "green", "blue"), ["mixed", "general", "color", "silent"]


@pytest.fixture
def pixels(model):
    shape = (4, 3, model.image_size, model.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def begin(model, pixels, role_map=None, **settings) -> tuple[ClipCite, Batch]:
    method = ClipCite(model, role_map, ClipCiteConfig(**settings), classes=NAMES)
    batch = Batch(method.image_trunk(pixels), torch.tensor([0, 2, 0, 1]), method.class_trunk(NAMES, "a {}"))
    method.start(lambda view: iter([batch]))
    return method, batch


def disturb(method: ClipCite) -> None:
    """As a training would."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)


def test_losses_are_those_of_the_formulas(model, pixels):
    method, batch = begin(model, pixels)
    frozen_images, frozen_texts = (each.detach() for each in (method.frozen_images(pixels), batch.texts.frozen))
    disturb(method)
    logits, losses = method.train()(batch)
    tuned = dict(method.weights.tensors())
    images = normalize(
        torch.func.functional_call(
            model.clip, tuned, kwargs={"pixel_values": pixels, **batch.texts.tokens}
        ).image_embeds,
        dim=-1,
    )
    texts = normalize(
        torch.func.functional_call(
            model.clip, tuned, kwargs={"pixel_values": pixels, **batch.texts.tokens}
        ).text_embeds,
        dim=-1,
    )
    labels, scale = batch.labels.tolist(), model.logit_scale
    assert torch.allclose(logits, scale * images @ normalize(method.vectors, dim=-1).T, rtol=1e-5, atol=1e-4)
    ce = sum(-logits[i].log_softmax(0)[label] for i, label in enumerate(labels)) / 4
    similar = (scale * images @ texts[batch.labels].T).exp()
    others = [[j for j in range(4) if labels[j] != labels[i]] for i in range(4)]
    contrast = 0
    for i in range(4):
        for row in (similar[i], similar[:, i]):
            contrast -= (row[i] / (row[i] + sum(row[j] for j in others[i]))).log() / 8
    p = similar / similar.sum(1, keepdim=True)
    q = (scale * frozen_images @ frozen_texts[batch.labels].T).softmax(1)
    expected = {"ce": ce, "contrast": 0.7 * contrast, "distill": 0.1 * (p * (p / q).log()).sum() / 4}
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value.item(), rel=1e-4, abs=1e-6), name


def test_one_share_ends_in_both_models_and_needs_no_training_between(model, pixels):
    method, batch = begin(model, pixels, alpha=0.0)
    disturb(method)
    frozen = method.frozen_images(pixels)
    tuned, curve = method.train().encode_images(batch.trunk), {}
    method.eval()
    for alpha in (0.0, 0.5, 1.0):
        method.config = dataclasses.replace(method.config, alpha=alpha)
        curve[alpha] = method.encode_images(batch.trunk)
    assert torch.allclose(curve[0.0], frozen, atol=1e-6) and torch.allclose(curve[1.0], tuned, atol=1e-6)
    assert not torch.allclose(curve[0.5], frozen, atol=1e-3) and not torch.allclose(curve[0.5], tuned, atol=1e-3)
    disturb(method)
    assert not torch.allclose(method.encode_images(batch.trunk), curve[1.0], atol=1e-3)


def test_roles_decide_what_of_a_heads_weights_is_tuned(model, pixels, make_role_map):
    role_map = make_role_map(model, [ROW])
    method, _ = begin(model, pixels, role_map, average="role", alpha=0.25)
    disturb(method)
    found, frozen = method.eval().tensors(), dict(model.clip.named_parameters())
    last, width = model.visual.layers - 1, model.visual.head_width
    names = {id(weight): name for name, weight in frozen.items()}
    shares = {0: 0.25, 1: 0.0, 2: 1.0, 3: 0.25}
    for letter, module in model.visual.projections(last).items():
        name = names[id(module.weight)]
        mean, own, tuned = (each[name] for each in (found, frozen, method.weights.tensors()))
        for head, share in shares.items():
            place = slice(width * head, width * (head + 1))
            place = (slice(None), place) if letter == "o" else (place,)
            assert torch.allclose(mean[place], share * tuned[place] + (1 - share) * own[place], atol=1e-6), letter
    other = names[id(model.visual.projections(0)["q"].weight)]
    expected = 0.25 * method.weights.tensors()[other] + 0.75 * frozen[other]
    assert torch.allclose(found[other], expected, atol=1e-6)


def test_it_tunes_siglip_too(make_siglip, tokenizer):
    model = HookedCLIP(make_siglip(), "tiny", tokenizer)
    method, batch = begin(model, torch.zeros(4, 3, model.image_size, model.image_size))
    sum(method.train()(batch)[1].values()).backward()
    assert all(tensor.grad is not None for tensor in method.weights.tensors().values())
    texts = method.eval().encode_texts(batch.texts)
    assert torch.allclose(texts, batch.texts.frozen, atol=1e-5)


def test_what_does_not_fit_is_refused(model, make_role_map):
    with pytest.raises(InputError, match="role map: clip-cite with average random needs one; make it: headroles score"):
        ClipCite(model, config=ClipCiteConfig(average="random"), classes=NAMES)
    for settings, expected in (({"alpha": 2.0}, "alpha must be"), ({"average": "roles"}, "average must be one of")):
        with pytest.raises(InputError, match=expected):
            ClipCiteConfig(**settings)
    unused = ClipCite(model, make_role_map(model, [ROW]), classes=NAMES)
    assert unused.notes() == ("role map: not used with average uniform; set average to role",)
