"""CoOp against a computation of its own: the context as four more words of CLIP's vocabulary."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from headroles.adapt.config import TrainConfig
from headroles.adapt.methods.coop import Coop, CoopConfig
from headroles.adapt.methods.features import Batch
from headroles.adapt.training.optimizer import build_optimizer
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP

NAMES, TEMPLATE = ("red_square", "circle", "a blue star"), "a photo of a {}."
CONTEXT = "a photo of a"


def plain_logits(method: Coop, words: torch.Tensor, trunk: torch.Tensor, tokenizer) -> torch.Tensor:
    """Logits by transformers' own text model, whose vocabulary has the context as its last words."""
    clip = copy.deepcopy(method.model.clip)
    embedding = clip.text_model.embeddings.token_embedding
    vocabulary = torch.cat([embedding.weight.detach(), words])
    first = len(vocabulary) - len(words)
    rows = [tokenizer(f"{name.replace('_', ' ')}.")["input_ids"] for name in NAMES]
    rows = [[row[0], *range(first, len(vocabulary)), *row[1:]] for row in rows]
    embedded = []
    for row in rows:
        clip.text_model.embeddings.token_embedding.forward = lambda ids: vocabulary[ids]
        embedded.append(clip.get_text_features(input_ids=torch.tensor([row])).pooler_output[0])
    return method.model.logit_scale * trunk @ normalize(torch.stack(embedded), dim=-1).T


def test_forward_loss_and_a_step_are_those_of_the_formulas(model, tokenizer):
    method = Coop(model)
    assert len(method.context) == len(tokenizer(CONTEXT)["input_ids"]) - 2
    shape = (3, 3, model.image_size, model.image_size)
    pixels, labels = torch.randn(shape, generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0, 1])
    trunk = method.image_trunk(pixels)
    words = method.context.detach().clone().requires_grad_(True)
    expected = plain_logits(method, words, trunk, tokenizer)
    loss = cross_entropy(expected, labels)
    loss.backward()
    logits, losses = method(Batch(trunk, labels, method.class_trunk(NAMES, TEMPLATE)))
    assert torch.allclose(logits, expected, rtol=1e-5, atol=1e-4) and list(losses) == ["ce"]
    assert losses["ce"].item() == pytest.approx(loss.item(), rel=1e-5)
    losses["ce"].backward()
    train = TrainConfig(**Coop.preset)
    build_optimizer(method.trained_groups(), train).step()
    stepped = words - train.lr * (words.grad + train.weight_decay * words)
    assert torch.allclose(method.context, stepped, rtol=1e-5, atol=1e-6)


def test_words_of_the_template_give_what_the_template_gives(model):
    """Before training, the context is the template's own words, so that the texts are zero-shot CLIP's."""
    method = Coop(model)
    trunk = method.class_trunk(NAMES, TEMPLATE)
    assert torch.allclose(method.encode_texts(trunk), trunk.frozen, atol=1e-5)


def test_what_does_not_fit_is_refused(model, make_siglip, tokenizer):
    with pytest.raises(InputError, match="has no room for context vectors; take a CLIP"):
        Coop(HookedCLIP(make_siglip(), "tiny", tokenizer))
    with pytest.raises(InputError, match=r"context: 30 vectors and .* tokens .* do not fit into the model's 32"):
        Coop(model, config=CoopConfig(context=30, init="")).class_trunk(NAMES, TEMPLATE)
    with pytest.raises(InputError, match="role map: coop has no use for one"):
        Coop(model, object())
    with pytest.raises(InputError, match="context must be at least 1"):
        CoopConfig(context=0)
