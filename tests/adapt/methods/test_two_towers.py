"""Tokens in both towers against the papers' formulas: forward, losses and a step, through transformers' own layers."""

import copy
import re

import pytest
import torch
from torch.nn.functional import cosine_similarity, cross_entropy, normalize

from headroles.adapt.config import TrainConfig
from headroles.adapt.methods.features import Batch
from headroles.adapt.methods.maple import Maple, MapleConfig
from headroles.adapt.methods.mmrl import Mmrl, MmrlConfig
from headroles.adapt.methods.mmrlpp import MmrlPlus, MmrlPlusConfig
from headroles.adapt.methods.promptsrc import PromptSrc, PromptSrcConfig
from headroles.adapt.methods.tac import Tac, TacConfig, cluster
from headroles.adapt.training.optimizer import build_optimizer
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP

NAMES, TEMPLATE, LABELS = ("red_square", "circle", "a blue star"), "this is a {}.", torch.tensor([2, 0])
ENSEMBLE = ("a photo of a {}.", "one {}, seen from afar")


@pytest.fixture(scope="module")
def double(make_clip, tokenizer):
    """A tiny CLIP in double precision, of different depths of its towers' use."""
    return HookedCLIP(make_clip(layers=4).double(), "tiny", tokenizer)


@pytest.fixture(scope="module")
def pixels(double):
    shape = (2, 3, double.image_size, double.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Plain:
    """CLIP's two towers by transformers' modules, with vectors put into the stream before some layers."""

    def __init__(self, model: HookedCLIP, tokenizer) -> None:
        self.clip, self.tokenizer, self.scale = copy.deepcopy(model.clip), tokenizer, model.logit_scale

    def image(self, pixels, tokens, first=0, beta=1.0, mask=None):
        """Embeddings, not normalised, of CLS, and the tokens behind the final LayerNorm; tokens come last."""
        vision = self.clip.vision_model
        stream = vision.pre_layrnorm(vision.embeddings(pixels))
        for layer, module in enumerate(vision.encoder.layers):
            if layer in tokens:
                stream = self.enter(stream, tokens[layer], stream.shape[1] - len(tokens[layer]), layer == first, beta)
            stream = module(stream, attention_mask=mask)
        normed = vision.post_layernorm(stream)
        return self.clip.visual_projection(normed[:, 0]), normed[:, -len(tokens[first]) :]

    def text(self, words, tokens, first, beta=1.0, positions=False, replaced=0):
        """One text's embedding, not normalised. `positions`: tokens of layer 0 take places among the words."""
        text = self.clip.text_model
        ids = torch.tensor([self.tokenizer(words)["input_ids"]])
        embedded = text.embeddings.token_embedding(ids)
        places = text.embeddings.position_embedding.weight
        if positions:
            embedded = torch.cat([embedded[:, :1], tokens[0][None], embedded[:, 1 + replaced :]], 1)
        stream = embedded + places[: embedded.shape[1]]
        for layer, module in enumerate(text.encoder.layers):
            if layer in tokens and not (positions and layer == 0):
                stream = self.enter(stream, tokens[layer], 1, layer == first and not positions, beta)
            size = stream.shape[1]
            mask = torch.full((size, size), -torch.inf, dtype=stream.dtype).triu(1)
            stream = module(stream, attention_mask=mask[None, None])
        return self.clip.text_projection(text.final_layer_norm(stream[0, -1]))

    @staticmethod
    def enter(stream, tokens, place, new, beta):
        """Insert tokens, behind all others for an image, or mix them with those that are there."""
        if new:
            place = stream.shape[1] if place > 1 else place
            return torch.cat([stream[:, :place], tokens.expand(len(stream), -1, -1), stream[:, place:]], 1)
        end = place + len(tokens)
        mixed = beta * tokens + (1 - beta) * stream[:, place:end]
        return torch.cat([stream[:, :place], mixed, stream[:, end:]], 1)

    def frozen(self, pixels, words):
        """Frozen CLIP's embeddings of images and texts, not normalised."""
        texts = [self.clip.get_text_features(torch.tensor([self.tokenizer(one)["input_ids"]])) for one in words]
        return (
            self.clip.get_image_features(pixel_values=pixels).pooler_output.detach(),
            torch.cat([each.pooler_output for each in texts]).detach(),
        )


@pytest.fixture(scope="module")
def plain(double, tokenizer):
    return Plain(double, tokenizer)


def check_step(method, batch, logits, terms, optimizer):
    """Forward, losses, gradients and a step are those of a plain computation from the method's own tensors."""
    tensors = dict(method.named_parameters())
    expected = torch.autograd.grad(sum(terms.values()), list(tensors.values()))
    found, losses = method(batch)
    torch.testing.assert_close(found, logits, rtol=1e-7, atol=1e-7)
    assert list(losses) == list(terms)
    for name, loss in losses.items():
        torch.testing.assert_close(loss, terms[name], rtol=1e-7, atol=1e-9)
    sum(losses.values()).backward()
    before = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    train = TrainConfig(**method.preset)
    build_optimizer(method.trained_groups(), train).step()
    for (name, tensor), gradient in zip(tensors.items(), expected, strict=True):
        torch.testing.assert_close(tensor.grad, gradient, rtol=1e-6, atol=1e-10)
        stepped = optimizer(before[name], gradient, train)
        torch.testing.assert_close(tensor.detach(), stepped, rtol=1e-6, atol=1e-6)


def sgd(tensor, gradient, train):
    return tensor - train.lr * (gradient + train.weight_decay * tensor)


def adamw(tensor, gradient, train):
    return (1 - train.lr * train.weight_decay) * tensor - train.lr * gradient / (gradient.abs() + 1e-8)


def randomise(method, seed=3):
    """Off its start, so that nothing is 0 or equal by initialisation."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return method


def test_maple_is_its_formulas(double, plain, pixels):
    method = randomise(Maple(double, config=MapleConfig(depth=3)))
    words = dict(enumerate(method.prompts))
    seen = {layer: mapped(words[layer]) for layer, mapped in enumerate(method.maps)}
    seen[0] = plain.clip.vision_model.pre_layrnorm(seen[0])
    images, _ = plain.image(pixels, seen)
    names = [name.replace("_", " ") for name in NAMES]
    texts = torch.stack([plain.text(f"a photo of a {name}.", words, 0, 1, True, 2) for name in names])
    logits = plain.scale * normalize(images, dim=-1) @ normalize(texts, dim=-1).T
    batch = Batch(method.image_trunk(pixels), LABELS, method.class_trunk(NAMES, TEMPLATE))
    check_step(method, batch, logits, {"ce": cross_entropy(logits, LABELS)}, sgd)


def test_promptsrc_is_its_formulas(double, plain, pixels):
    method = randomise(PromptSrc(double, config=PromptSrcConfig(depth=2, templates=ENSEMBLE)))
    words, seen = dict(enumerate(method.text_prompts)), dict(enumerate(method.image_prompts))
    seen[0] = plain.clip.vision_model.pre_layrnorm(seen[0])
    images = normalize(plain.image(pixels, seen)[0], dim=-1)
    names = [name.replace("_", " ") for name in NAMES]
    texts = torch.stack([plain.text(f"a photo of a {name}.", words, 0, 1, True, 4) for name in names])
    texts = normalize(texts, dim=-1)
    frozen, several = plain.frozen(pixels, [one.format(name) for name in names for one in ENSEMBLE])
    frozen, targets = normalize(frozen, dim=-1), normalize(several.reshape(3, 2, -1).mean(1), dim=-1)
    logits, answers = plain.scale * images @ texts.T, (plain.scale * frozen @ targets.T).softmax(-1)
    terms = {
        "ce": cross_entropy(logits, LABELS),
        "text": 25 * (texts - targets).abs().mean(),
        "image": 10 * (images - frozen).abs().mean(),
        "logits": (answers * (answers.log() - logits.log_softmax(-1))).sum() / (2 * 3),
    }
    batch = Batch(method.image_trunk(pixels), LABELS, method.class_trunk(NAMES, TEMPLATE))
    check_step(method, batch, logits, terms, sgd)


def representation_terms(plain, pixels, seen, words, first, beta, projection, weight):
    """Fused logits and losses of MMRL's kind."""
    cls, tokens = plain.image(pixels, seen, first, beta)
    names = [TEMPLATE.format(name.replace("_", " ")) for name in NAMES]
    texts = torch.stack([plain.text(name, words, first, beta) for name in names])
    frozen, wanted = plain.frozen(pixels, names)
    parts = [
        plain.scale * normalize(part, dim=-1) @ normalize(texts, dim=-1).T
        for part in (cls, tokens.mean(1) @ projection)
    ]
    terms = {
        "ce": 0.7 * cross_entropy(parts[0], LABELS),
        "representation": 0.3 * cross_entropy(parts[1], LABELS),
        "image": weight * (1 - cosine_similarity(cls, frozen).mean()),
        "text": weight * (1 - cosine_similarity(texts, wanted).mean()),
    }
    return 0.7 * parts[0] + 0.3 * parts[1], terms


@pytest.mark.parametrize("projection", ["random", "clip"])
def test_mmrl_is_its_formulas(double, plain, pixels, projection):
    method = Mmrl(double, config=MmrlConfig(tokens=3, space=6, regularization=2.0, projection=projection))
    if projection == "clip":
        assert torch.equal(method.projection.T, plain.clip.visual_projection.weight)
    randomise(method)
    seen, words = (
        {1 + row: one(method.shared) for row, one in enumerate(maps)} for maps in (method.image_maps, method.text_maps)
    )
    logits, terms = representation_terms(plain, pixels, seen, words, 1, 1.0, method.projection, 2.0)
    batch = Batch(method.image_trunk(pixels), LABELS, method.class_trunk(NAMES, TEMPLATE))
    check_step(method, batch, logits, terms, adamw)


def test_mmrlpp_is_its_formulas(double, plain, pixels):
    method = randomise(
        MmrlPlus(double, config=MmrlPlusConfig(tokens=3, space=6, rank=2, projection_rank=3, tuned_for="dtd", layer=2))
    )
    seen, words = (
        {2 + row: method.shared @ (one.weight + one.up[row] @ one.down[row]).T + one.bias[row] for row in range(2)}
        for one in (method.image_map, method.text_map)
    )
    projection = plain.clip.visual_projection.weight.detach().T + method.up @ method.down
    logits, terms = representation_terms(plain, pixels, seen, words, 2, 0.9, projection, 7.0)
    batch = Batch(method.image_trunk(pixels), LABELS, method.class_trunk(NAMES, TEMPLATE))
    check_step(method, batch, logits, terms, adamw)


def test_tac_is_its_formulas(double, plain, pixels):
    method = randomise(Tac(double, config=TacConfig(clusters=2, dropout=0.0)))
    trunk = method.class_trunk(NAMES, TEMPLATE)
    method.start(lambda epoch: iter([Batch(pixels, LABELS, trunk)]))
    words, seen = (
        {layer: torch.cat([method.centres @ one.weight.T + one.bias, prompts]) for layer, prompts in enumerate(several)}
        for one, several in ((method.text_map, method.text_prompts), (method.image_map, method.image_prompts))
    )
    seen[0] = plain.clip.vision_model.pre_layrnorm(seen[0])
    patches = double.patches
    blind = torch.zeros(1, 1, *2 * [1 + patches + 2 + 5], dtype=torch.float64)
    blind[..., 1 : 1 + patches, 1 + patches : 3 + patches] = -torch.inf
    images = normalize(plain.image(pixels, seen, mask=blind)[0], dim=-1)
    names = [name.replace("_", " ") for name in NAMES]
    texts = normalize(torch.stack([plain.text(f"a photo of a {one}.", words, 0, 1, True) for one in names]), dim=-1)
    frozen, wanted = (normalize(part, dim=-1) for part in plain.frozen(pixels, [TEMPLATE.format(one) for one in names]))
    logits = plain.scale * images @ texts.T
    terms = {
        "ce": cross_entropy(logits, LABELS),
        "text": 20 * (texts - wanted).abs().mean(),
        "image": 25 * (images - frozen).abs().mean(),
    }
    check_step(method, Batch(method.image_trunk(pixels), LABELS, trunk), logits, terms, sgd)
    words = double.embed_tokens(double.tokenize(["a photo of a"])["input_ids"])[0, 1:]
    torch.testing.assert_close(Tac(double).text_prompts[0], words)  # Four words, and the end of the text.


def test_dropout_is_of_training_steps_alone(double, pixels):
    method = Tac(double)
    trunk = method.image_trunk(pixels)
    torch.manual_seed(0)
    dropped = method.train().encode_images(trunk)
    assert 0.1 < (dropped == 0).double().mean() < 0.5
    assert (method.eval().encode_images(trunk) != 0).all()


def test_clusters_are_unit_centres_of_what_lies_together():
    generator = torch.Generator().manual_seed(0)
    wanted = torch.eye(3, 8, dtype=torch.float64)
    rows = normalize(wanted.repeat_interleave(20, 0) + 0.05 * torch.randn(60, 8, generator=generator), dim=-1)
    found = cluster(rows, 3, generator)
    order = (found @ wanted.T).argmax(0)
    torch.testing.assert_close(found[order], normalize(rows.reshape(3, 20, 8).mean(1), dim=-1))
    assert cluster(rows[:2], 5, generator).shape == (5, 8)


def test_epochs_far_from_the_gaussians_centre_still_have_a_mean(double):
    method = PromptSrc(double)
    assert max(range(20), key=method.epoch_weights(20).__getitem__) == 14
    assert method.epoch_weights(1) == (1.0,)
    assert sum(PromptSrc(double, config=PromptSrcConfig(mean_width=1e-4)).epoch_weights(3)) == pytest.approx(1)


def test_decoupled_inference_asks_cls_alone_of_novel_classes(double, pixels):
    config = MmrlConfig(tokens=2, space=4, inference="decoupled")
    method = randomise(Mmrl(double, config=config, classes=NAMES[:2]))
    images, texts = (
        method.encode_images(method.image_trunk(pixels)),
        method.encode_texts(method.class_trunk(NAMES, TEMPLATE)),
    )
    cls, representation = (plain_logits @ texts.embeddings.T for plain_logits in (images.cls, images.attributes[:, 0]))
    expected = double.logit_scale * torch.cat([0.7 * cls[:, :2] + 0.3 * representation[:, :2], cls[:, 2:]], 1)
    torch.testing.assert_close(method.logits(images, texts), expected)
    with pytest.raises(InputError, match="classes: mmrl has to be told the names that are trained where inference is"):
        Mmrl(double, config=config)


@pytest.fixture(scope="module")
def masked(double, make_role_map):
    """A function that builds MMRL++ behind the masks of a role map, from layer 2 of 4 on."""

    def call(rows, **settings) -> MmrlPlus:
        config = MmrlPlusConfig(layer=2, core=("color", "shape"), space=4, **settings)
        return randomise(MmrlPlus(double, make_role_map(double, rows), config))

    return call


def test_with_a_role_map_isolated_heads_keep_cls_frozen_and_open_ones_are_mmrlpp(double, masked, pixels):
    trunk = double.visual.run(double.start_images(pixels), range(2))
    isolated = masked([["general"], ["animal"]])
    assert isolated.attributes == ("color", "shape") and isolated.fusion_weights()["shape"] == pytest.approx(0.15)
    assert torch.equal(isolated.encode_images(trunk).cls, isolated.frozen_images(trunk))
    opened, free = (
        masked([["color", "mixed"]] * 2, mask="open"),
        randomise(MmrlPlus(double, config=MmrlPlusConfig(tokens=2, layer=2, space=4))),
    )
    for name in ("cls", "attributes"):
        assert torch.equal(getattr(opened.encode_images(trunk), name), getattr(free.encode_images(trunk), name))
    assert opened.masks() == {} and set(masked([["color", "mixed"]] * 2).masks()) == {2, 3}
    assert masked([["color"], ["general"]]).notes() == ("core: no Attribute head from layer 2 on is of shape",)


def test_what_does_not_fit_is_refused(double, masked, make_siglip, tokenizer):
    siglip = HookedCLIP(make_siglip(), "tiny", tokenizer)
    for kind in (Maple, PromptSrc, Mmrl, MmrlPlus, Tac):
        with pytest.raises(InputError, match=f"{re.escape(kind.title)} was made for a CLS token; take a CLIP"):
            kind(siglip)
    with pytest.raises(
        InputError, match="context: 6 vectors are to begin with the words of init, and 'a photo of a' has 4"
    ):
        Maple(double, config=MapleConfig(context=6))
    with pytest.raises(InputError, match="depth must be at most the 4 layers of tiny's towers, got 9"):
        PromptSrc(double, config=PromptSrcConfig(depth=9))
    with pytest.raises(InputError, match="layer: tokens cannot enter at layer 4; the last is 3"):
        Mmrl(double, config=MmrlConfig(layer=4))
    with pytest.raises(InputError, match="core: the role map's bank by hand does not know colour"):
        MmrlPlus(double, masked([["color"]] * 2).role_map, MmrlPlusConfig(core=("colour", "shape")))
    with pytest.raises(InputError, match=r"context: 30 vectors and \d+ tokens of the longest class name do not fit"):
        Maple(double, config=MapleConfig(context=30, init="")).class_trunk(NAMES, TEMPLATE)


@pytest.mark.parametrize(
    ("config", "settings", "expected"),
    [
        (MmrlConfig, {"inference": "fused"}, "inference must be one of unified, decoupled, got 'fused'"),
        (MmrlConfig, {"alpha": 1.5}, "alpha must be between 0 and 1"),
        (MmrlPlusConfig, {"tuned_for": "mnist"}, "tuned_for must be one of '', imagenet"),
        (PromptSrcConfig, {"templates": ("a photo",)}, "expected one {} for the class name"),
        (TacConfig, {"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        (MapleConfig, {"depth": 0}, "depth must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(config, settings, expected):
    with pytest.raises(InputError, match=expected):
        config(**settings)
