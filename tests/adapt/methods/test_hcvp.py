"""HCVP by its formulas: how tokens are made, what they are taught, and which heads let them through."""

import pytest
import torch
from torch.nn.functional import layer_norm, normalize

from headroles import load
from headroles.adapt.methods.features import Batch
from headroles.adapt.methods.hcvp import Hcvp, HcvpConfig, contrast_rows, part_tokens
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP

NAMES = ("red", "green", "blue")
LABELS, DOMAINS = torch.tensor([0, 1, 2, 0, 1, 0]), torch.tensor([0, 0, 0, 1, 1, 0])


@pytest.fixture(scope="module")
def clip(clip_folder):
    return load(str(clip_folder), "cpu")


@pytest.fixture(scope="module")
def pixels(clip):
    return torch.randn((6, 3, clip.image_size, clip.image_size), generator=torch.Generator().manual_seed(0))


def take(method, pixels, domains=DOMAINS):
    texts = method.class_trunk(NAMES, "a {} thing")
    return Batch(method.image_trunk(pixels), LABELS, texts, domains=domains)


def by_hand(rows, alike):
    """The mean over rows with a like of -log of its softmax over the others, mean over those alike."""
    rows, losses = normalize(rows, dim=1), []
    for row in range(len(rows)):
        others = [other for other in range(len(rows)) if other != row]
        total = sum(torch.exp(rows[row] @ rows[other]) for other in others)
        own = [torch.log(torch.exp(rows[row] @ rows[other]) / total) for other in others if alike(row, other)]
        losses += [-sum(own) / len(own)] if own else []
    return sum(losses) / len(losses)


def test_a_step_is_that_of_the_formulas(clip, pixels):
    config = HcvpConfig(layer=1, domain_contrast=0.5, task_contrast=0.25, class_contrast=2.0)
    method = Hcvp(clip, config=config)
    batch = take(method, pixels)
    logits, terms = method(batch)
    tower, residual = clip.visual, clip.visual.run(clip.start_images(pixels), [0])
    seen = layer_norm(residual[:, 0], (tower.width,))
    domain = method.domain(seen)
    task = method.task(torch.cat([seen, domain], 1))
    entering, originals = torch.stack([domain, task], 1), residual.shape[1]
    for layer in range(1, tower.layers):
        residual = tower.run(torch.cat([residual[:, :originals], entering], 1), [layer])
        entering = torch.stack([method.modulation(domain), method.modulation(task)], 1)
    images = normalize(tower.read(residual[:, 0]), dim=1)
    assert torch.allclose(logits, clip.logit_scale * images @ batch.texts.frozen.T, atol=1e-3)
    expected = {
        "domain": 0.5 * by_hand(domain, lambda a, b: DOMAINS[a] == DOMAINS[b]),
        "task": 0.25 * by_hand(task, lambda a, b: DOMAINS[a] == DOMAINS[b] and LABELS[a] == LABELS[b]),
        "class": 2.0 * by_hand(images, lambda a, b: LABELS[a] == LABELS[b]),
    }
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value.item(), abs=1e-5), name
    sum(terms.values()).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in method.parameters())
    assert method.trained_count == 4 * tower.width**2 + 3 * tower.width


def test_without_domains_classes_alone_are_contrasted(clip, pixels, caplog):
    method = Hcvp(clip)
    batch = take(method, pixels, None)
    with caplog.at_level("INFO"):
        method.start(lambda view: iter([batch]))
    assert "hcvp: the training images have no domains" in caplog.text
    assert set(method(batch)[1]) == {"ce", "task", "class"}
    assert contrast_rows(torch.eye(3), torch.eye(3, dtype=torch.bool), 1.0) == 0


def test_heads_let_the_token_of_their_concept_through(clip, make_role_map):
    role_map = make_role_map(clip, [["mixed", "general", "color", "shape"]])
    method = Hcvp(clip, role_map, HcvpConfig(layer=clip.visual.layers - 1))
    (mask,), originals = [value for name, value in method.named_buffers()], 1 + clip.patches
    through = {head: (mask[head, 0, originals:] == 0).tolist() for head in range(4)}
    assert through == {0: [True, True], 1: [False, False], 2: [True, False], 3: [False, True]}
    assert (mask == mask.transpose(1, 2)).all() and (mask.diagonal(0, 1, 2) == 0).all()
    assert (mask[:, :originals, :originals] == 0).all()
    assert not list(Hcvp(clip, role_map, HcvpConfig(layer=method.layer, mask="open")).buffers())
    assert torch.equal(part_tokens(torch.tensor([[True, False]] * 4), originals)[0], mask[2])


@torch.no_grad()
def test_behind_heads_that_let_none_through_images_are_the_frozen_clips(clip, pixels, make_role_map):
    method = Hcvp(clip, make_role_map(clip, [["general"]]), HcvpConfig(layer=clip.visual.layers - 1))
    trunk = method.image_trunk(pixels)
    assert torch.allclose(method.encode_images(trunk), clip.embed_images(pixels), atol=1e-6)
    assert any(note.startswith("domain_concepts: no Attribute head") for note in method.notes())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"layer": 99}, "layer: tokens cannot enter at layer 99"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"mask": "zebra"}, "mask must be one of role, open"),
        ({"task_concepts": ("color",)}, "task_concepts must not be among domain_concepts, got color"),
        ({"task_concepts": ("open",)}, "must be concepts, none named isolated or open"),
        ({"domain_concepts": ("tone",), "task_concepts": ("thing",)}, "by hand knows none of them, nor of task"),
    ],
)
def test_mistakes_are_said(clip, small_map, settings, expected):
    with pytest.raises(InputError, match=expected):
        Hcvp(clip, small_map, HcvpConfig(**settings))


def test_a_model_without_a_cls_token_is_refused(make_siglip, tokenizer):
    with pytest.raises(InputError, match="which has no CLS token, and HCVP takes one"):
        Hcvp(HookedCLIP(make_siglip(), "tiny SigLIP", tokenizer))
