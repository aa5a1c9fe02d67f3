"""Classes that an image is told among: what to begin with, and their embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from headroles.errors import InputError
from headroles.explore.writing import Texts
from headroles.images.labelled import Concept
from headroles.images.prompts import write_prompts
from headroles.roles.role_map import RoleMap

MOST = 200
"""Classes at once."""
BARE = "{}"
"""The prompt of a class that is a text itself."""
_PICKED = 8
"""Texts of a concept to begin with."""


def suggest_classes(role_map: RoleMap, concepts: Sequence[Concept]) -> list[dict[str, Any]]:
    """Named lists of classes: the values of the images' labels, or without labels each concept's texts that heads of
    the role map speak most of. Lists of one are none."""
    if concepts:
        return [{"concept": concept.name, "classes": [*concept.values]} for concept in concepts]
    shares: dict[str, dict[str, float]] = {name: {} for name in role_map.concepts}
    for head in role_map:
        for picked in head.texts:
            known = shares.setdefault(picked.concept, {})
            known[picked.text] = known.get(picked.text, 0.0) + picked.share * head.variance
    found = [(name, sorted(known, key=lambda text: (-known[text], text))[:_PICKED]) for name, known in shares.items()]
    return [{"concept": name, "classes": texts} for name, texts in found if len(texts) > 1]


def write_texts(
    names: Sequence[str], concepts: Sequence[Concept], concept: str | None, template: str | None
) -> tuple[tuple[str, ...], ...]:
    """The texts of every class: with a template those that it gives; without, a value's own where `concept` is one of
    the images' labels and has it, else the name as it stands."""
    if template is not None:
        return write_prompts(template, names)
    own: dict[str, tuple[str, ...]] = {}
    for each in concepts:
        if each.name == concept:
            own = dict(zip(each.values, each.prompts, strict=True))
    return tuple(own.get(name) or (name,) for name in names)


def embed_classes(texts: Texts, prompts: Sequence[Sequence[str]]) -> Float[Tensor, "class embed"]:
    """Unit embeddings: of a class with several texts that of their mean, as `headroles.causal.margins` has it."""
    if not texts.can_read:
        raise InputError("classes: this model reads no texts, so it tells no classes; take a CLIP with a text tower")
    found = texts.embed([text for own in prompts for text in own]).split([len(own) for own in prompts])
    return normalize(torch.stack([own.mean(0) for own in found]), dim=-1)
