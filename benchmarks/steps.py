"""Training steps to be timed: of every method of `headroles.adapt`, and of its plain implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from plain import Given
from plain_methods import PLAIN

from headroles import HookedCLIP, load
from headroles.adapt.config import TrainConfig
from headroles.adapt.methods.features import Batch, add_terms
from headroles.adapt.methods.registry import METHODS
from headroles.adapt.methods.trained_group import TrainedGroup
from headroles.adapt.training.optimizer import build_optimizer
from headroles.roles.role_map import BankInfo, HeadRole, ImagesInfo, ModelInfo, RoleMap
from headroles.shapes.captions import value_texts
from headroles.shapes.world import CONCEPTS

HEADS = (
    *(("attribute", concept) for concept in ("color", "shape", "texture", "object", "position")),
    ("generalization", "object"),
    ("mixed", "color"),
)
"""Role and concept of the model's heads, in turn: every layer needs a mask, and none is wholly isolated."""
SETTINGS = {"tip-adapter-f": {"views": 0}}
"""Method -> settings that change nothing of a step."""
STEPPING = tuple(name for name, kind in METHODS.items() if kind.steps and name != "zero-shot")
"""The methods that take steps."""
Step = Callable[[], None]


def draw_names(model: HookedCLIP, classes: int, length: int, template: str, seed: int = 0) -> list[str]:
    """Different class names of random words, as many that a text has `length` tokens, its marks included."""
    texts = (text for concept, values in CONCEPTS.items() for value in values for text in value_texts(concept, value))
    words = {word for text in texts for word in text.split()}
    known = sorted(word for word in words if len(model.tokenizer(word)["input_ids"]) == 3)
    count = length - len(model.tokenizer(template.replace("{}", ""))["input_ids"])
    rng, names = np.random.default_rng(seed), {}
    while len(names) < classes:
        names[" ".join(rng.choice(known, count))] = None
    return list(names)


def draw_given(model: HookedCLIP, batch: int, names: Sequence[str], template: str) -> Given:
    """A batch of noise."""
    height, width = model.image_shape
    return Given(model, torch.randn(batch, 3, height, width), torch.arange(batch) % len(names), names, template)


def build_ours(name: str, given: Given) -> tuple[Step, int]:
    """A step of a method, from pixels on but for what is cached, and how many numbers it trains.

    What is computed once a run is computed here.
    """
    kind, model = METHODS[name], given.model
    train = TrainConfig(**kind.preset)
    roles = alternate_roles(model) if kind.role_maps == "needed" else None
    method = kind(model, roles, kind.settings(**SETTINGS.get(name, {})), 1, given.names)
    texts = method.class_trunk(given.names, given.template)

    def draw() -> Batch:
        trunk = method.image_trunk(given.pixels)
        frozen = method.frozen_targets(trunk) if method.needs_frozen_images else None
        return Batch(trunk, given.labels, texts, frozen, numbers=tuple(range(len(given.labels))))

    def look(epoch: int | None) -> Iterator[Batch]:
        yield draw()

    with torch.no_grad():
        method.start(look)
    kept = draw() if train.cache_views else None
    groups = method.train().trained_groups()
    return stepping(lambda: add_terms(method(kept or draw())[1]), groups, train), method.trained_count


def build_plain(name: str, given: Given) -> tuple[Step, int]:
    """A step of a method's plain implementation, by the same optimizer."""
    plain = PLAIN[name](given)
    if name == "dear":
        own = METHODS[name](given.model, alternate_roles(given.model))
        plain.masks = {layer: mask[None] for layer, mask in own.role_masks().items()}
    trained = tuple(tensor for tensor in plain.parameters() if tensor.requires_grad)
    step = stepping(plain, (TrainedGroup(trained),), TrainConfig(**METHODS[name].preset))
    return step, sum(tensor.numel() for tensor in trained)


def stepping(loss: Callable[[], torch.Tensor], groups: Sequence[TrainedGroup], train: TrainConfig) -> Step:
    """A function that takes one step: forward, losses, backward, optimizer.

    It moves nothing, by a rate of 0, so that all steps are alike. Thousands of real ones on one batch end at losses of
    0, where moments fade into numbers below 1e-38, which processors are slow at, and no training has them.
    """
    optimizer = build_optimizer(groups, train)
    for group in optimizer.param_groups:
        group["lr"] = 0.0

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def open_bundled() -> HookedCLIP:
    """The bundled model."""
    return load("shapes", "cpu")


def alternate_roles(model: HookedCLIP) -> RoleMap:
    """A role map made by hand: the roles of `HEADS` in turn, in all layers."""
    layers, heads = model.visual.layers, model.visual.heads
    concepts = dict.fromkeys(sorted({concept for _, concept in HEADS}), 1)
    numbers = {"concept_share": 1.0, "entropy_bits": 0.0, "entropy": 0.0, "interval": (0.0, 0.0), "p_value": 0.0}
    numbers |= {"q_value": 0.0, "stability": 1.0, "variance": 1.0, "null_entropy": 1.0, "effective_rank": 1.0}
    roles = []
    for number in range(layers * heads):
        role, concept = HEADS[number % len(HEADS)]
        spread = {name: float(name == concept) for name in concepts}
        roles.append(HeadRole(*divmod(number, heads), role, concept, **numbers, distribution=spread, texts=()))
    return RoleMap(
        model=ModelInfo(model.model_name, model.weights_hash(), layers, heads),
        images=ImagesInfo("by hand", 0, ()),
        bank=BankInfo("by hand", "0", concepts),
        settings={},
        layers=tuple(range(layers)),
        head_roles=tuple(roles),
    )
