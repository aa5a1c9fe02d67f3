"""TAC (Task-Aware Clustering for prompting, CVPR 2025): centres of the classes' texts as tokens beside prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, l1_loss

from headroles.adapt.config import Settings
from headroles.adapt.methods.acting import TEXT, VISION, Acting, numbered
from headroles.adapt.methods.averaging import uniform_weights
from headroles.adapt.methods.coop import SCHEDULE, begin_context
from headroles.adapt.methods.features import Batch, unit
from headroles.adapt.methods.method import Look
from headroles.adapt.methods.prompted_towers import PromptedClasses, PromptedTowers, draw_prompts
from headroles.adapt.methods.tokens import draw_linear
from headroles.checks import check_least
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap


@dataclass(frozen=True)
class TacConfig(Settings):
    """Settings of TAC, as published for base-to-novel."""

    clusters: int = 5
    """Centres of the trained classes' text embeddings, each a token of every layer of both towers."""
    context: int = 5
    """Prompts of a layer, in either tower."""
    init: str = "a photo of a"
    """Words before the class name. The first layer's text prompts begin as their tokens, and, where there are more
    prompts than these, as the end of the text, as in the authors' code; the words stay behind them."""
    dropout: float = 0.3
    """Share of an image embedding's numbers that a training step leaves out, in [0, 1)."""
    lambda_text: float = 20.0
    """Weight of the mean absolute difference from the classes' frozen embeddings."""
    lambda_image: float = 25.0
    """Weight of the mean absolute difference from the images' frozen embeddings, of the same view; the authors' is of
    the image as it is tested."""

    def __post_init__(self) -> None:
        self._check_types()
        check_least(self, clusters=1, context=1, lambda_text=0, lambda_image=0)
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout must be at least 0 and below 1, got {self.dropout}")


class Tac(PromptedTowers):
    """Prompts of all layers of both towers, and a map of the centres to each; patches do not look at the centres.

    The authors' frozen class embeddings are means over descriptions that a language model wrote; here they are those of
    the task's template, which can hold texts of each class (ours).
    """

    name = "tac"
    title = "TAC"
    source = "https://github.com/FushengHao/TAC"
    settings = TacConfig
    preset: ClassVar[Mapping[str, Any]] = {**SCHEDULE, "lr": 2.5e-3, "batch": 8, "epochs": 20}
    """As published, but for one view of an image in a step, not four (ours)."""

    config: TacConfig
    text_prompts: nn.ParameterList
    """The text tower's, layer by layer."""
    image_prompts: nn.ParameterList
    """The vision tower's, behind the patches, layer by layer."""
    text_map: nn.Linear
    """From the centres to tokens of the text tower."""
    image_map: nn.Linear
    """From the centres to tokens of the vision tower."""
    centres: Float[Tensor, "cluster embed"]
    """Unit centres of the trained classes' embeddings; they are not trained."""

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: TacConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        count, tower, texts = self.config.context, model.visual, self.text_tower
        generator = torch.Generator().manual_seed(seed)
        deeper = draw_prompts(texts.layers - 1, count, texts.width, generator)
        self.text_prompts = nn.ParameterList([_begin(model, self.config.init, count, generator), *deeper])
        self.image_prompts = nn.ParameterList(draw_prompts(tower.layers, count, tower.width, generator))
        self.text_map = draw_linear(tower.embed, texts.width, generator)
        self.image_map = draw_linear(tower.embed, tower.width, generator)
        self.register_buffer("centres", torch.zeros(self.config.clusters, tower.embed))
        originals = 1 + model.patches
        mask = torch.zeros(2 * [originals + self.config.clusters + count])
        mask[1:originals, originals : originals + self.config.clusters] = -torch.inf
        self.register_buffer("mask", mask, persistent=False)
        self.place()

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"""A [TAC]({cls.source}) adapter: prompts in both towers beside the centres of the trained classes'
texts; the mean over the epochs of its training."""

    @property
    def needs_frozen_images(self) -> bool:
        return bool(self.config.lambda_image)

    def start(self, look: Look) -> None:
        embedded = next(look(None)).texts.frozen
        self.centres.copy_(cluster(embedded, self.config.clusters, torch.Generator().manual_seed(self.seed)))

    def class_trunk(self, names: Sequence[str], template: str) -> PromptedClasses:
        """The template makes frozen CLIP's embeddings; the prompts stand before `init` and the name."""
        room = self.config.clusters + self.config.context
        return PromptedClasses.read(self.model, names, template, room, self.config.init)

    def masks(self) -> dict[int, Float[Tensor, "token token"]]:
        return dict.fromkeys(range(self.model.visual.layers), self.get_buffer("mask"))

    def text_vectors(self) -> Sequence[Float[Tensor, "token width"]]:
        centres = self.text_map(self.centres)
        return [torch.cat([centres, prompts]) for prompts in self.text_prompts]

    def image_vectors(self) -> Sequence[Float[Tensor, "token width"]]:
        centres = self.image_map(self.centres)
        return [torch.cat([centres, prompts]) for prompts in self.image_prompts]

    def encode_images(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        embedded = self.model.visual.read(self.run_images(trunk)[0])
        return unit(dropout(embedded, self.config.dropout, self.training))

    def forward(self, batch: Batch) -> tuple[Float[Tensor, "image class"], dict[str, Float[Tensor, ""]]]:
        """Cross-entropy; "text", "image": distances from the frozen embeddings."""
        config, texts = self.config, batch.texts
        images, classes = self.encode_images(batch.trunk), self.embed_texts(texts)
        logits = self.logits(images, classes)
        terms = {"ce": cross_entropy(logits, batch.labels)}
        if config.lambda_text:
            terms["text"] = config.lambda_text * l1_loss(classes, texts.frozen)
        if config.lambda_image:
            frozen = self.given_frozen(batch.frozen, batch.trunk)
            terms["image"] = config.lambda_image * l1_loss(images, frozen)
        return logits, terms

    def epoch_weights(self, epochs: int) -> tuple[float, ...]:
        return uniform_weights(epochs)

    def acting(self) -> dict[str, Acting]:
        names = self.state_dict()
        return numbered(names, "text_prompts", TEXT) | numbered(names, "image_prompts", VISION)

    def served_tensors(self) -> dict[str, Tensor]:
        return {**super().served_tensors(), "adapter.mask": self.get_buffer("mask")}


def cluster(
    rows: Float[Tensor, "row embed"], count: int, generator: torch.Generator, rounds: int = 100
) -> Float[Tensor, "cluster embed"]:
    """Unit centres of k-means by cosine over unit rows; it begins with drawn rows, and with fewer rows repeats them."""
    rows = rows.detach().cpu().double()
    drawn = torch.randperm(len(rows), generator=generator)
    centres = rows[drawn.repeat(-(-count // len(rows)))[:count]]
    nearest = None
    for _ in range(rounds):
        found = (rows @ centres.T).argmax(1)
        if nearest is not None and torch.equal(found, nearest):
            break
        nearest = found
        for number in range(count):
            own = rows[nearest == number]
            if len(own):  # Of none, a centre stays where it is.
                centres[number] = unit(own.mean(0))
    return centres


def _begin(model: HookedCLIP, words: str, count: int, generator: torch.Generator) -> Float[Tensor, "token width"]:
    begun = begin_context(model, words, count, generator)[:count]
    if len(begun) == count:
        return begun
    ids = model.tokenize([words])["input_ids"]
    with torch.no_grad():
        end = model.embed_tokens(ids)[0, int(model.text_rows(ids)[0])].float()
    return torch.cat([begun, end.repeat(count - len(begun), 1)])
