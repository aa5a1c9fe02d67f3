"""Labelled images to a role map: what each head does by what its output follows, with no text in between.

A second way to the same RoleMap, for models without a text tower and as a check of what texts say. A head's
distribution over concepts is the variance of its contribution that each concept's value explains
(`headroles.roles.explained`), of the concepts whose effect is certain; Concept Entropy and roles follow as they do for
texts. Where all images are labelled with all concepts that is eta squared, scaled to sum to one; where they are not,
eta squared would hold each concept against other images. A head that no concept moves gets the uniform distribution:
entropy 1, Generalization.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from headroles.checks import typed
from headroles.errors import InputError
from headroles.files.json_files import dump_json
from headroles.heads.ablation import record_ablation
from headroles.heads.silence import Outputs
from headroles.heads.value_moments import ValueMoments
from headroles.images.labelled import LabelledImages
from headroles.images.notes import LOG
from headroles.models.hooked_clip import HookedCLIP
from headroles.passes.image_pass import PassOptions, Progress
from headroles.passes.state import Seen
from headroles.passes.value_pass import fold_values
from headroles.roles.blindness import p_values
from headroles.roles.concepts import concept_entropy
from headroles.roles.config import ImageScoreConfig
from headroles.roles.dci import Spreads
from headroles.roles.explained import Sums, effects, value_parts
from headroles.roles.head_roles import Description, build_head_roles, draw_blocks, round6
from headroles.roles.importance import ReadOut
from headroles.roles.likeness import likeness
from headroles.roles.role_map import BankInfo, ImagesInfo, ModelInfo, PickedText, RoleMap

FEW = 10
"""Images of a value below which it is said that they are few."""


def score_images(
    model: HookedCLIP, labelled: LabelledImages, config: ImageScoreConfig | None = None, **options: Any
) -> tuple[RoleMap, ValueMoments]:
    """The role map of a model by labelled images, and the sums it rests on; `options` are those of `collect_values`."""
    config = config or ImageScoreConfig()
    moments, seen = collect_values(model, labelled, config, **options)
    info = ModelInfo(model.model_name, moments.weights_hash, model.visual.layers, model.visual.heads)
    images = ImagesInfo(labelled.name, seen.read, seen.broken_names, seen.sketch)
    return explain_values(moments, config, info, images), moments


@typed
def collect_values(
    model: HookedCLIP,
    labelled: LabelledImages,
    config: ImageScoreConfig,
    *,
    batch: int = 64,
    workers: int = 0,
    strict: bool = False,
    progress: Progress | None = None,
) -> tuple[ValueMoments, Seen]:
    """One pass over the images: sums for every value, and what went into them."""
    check_concepts(labelled)
    options = PassOptions(unit=batch, workers=workers, strict=strict)
    layers = config.resolve_layers(model)
    moments, seen = fold_values(
        model, labelled, layers, config.blocks, options, precision=config.precision, progress=progress
    )
    return moments, seen


def check_concepts(labelled: LabelledImages) -> None:
    """InputError where there is one concept only, or a concept's values cannot be compared."""
    if len(labelled.concepts) < 2:
        raise InputError(
            f"images: {labelled.name} is labelled with the one concept {labelled.names[0]}; entropy needs at least two "
            "(a folder CONCEPT/VALUE/IMAGE, or a CSV with a column a concept)"
        )
    for concept, codes in zip(labelled.concepts, labelled.codes.T, strict=True):
        count = np.bincount(codes[codes >= 0], minlength=len(concept.values))
        _check_values(concept.name, concept.values, count)


def explain_values(moments: ValueMoments, config: ImageScoreConfig, model: ModelInfo, images: ImagesInfo) -> RoleMap:
    """Describe the heads of `moments`: shares, certain concepts, entropy, bootstrap over image blocks, roles.

    A head's p-value is that of being blind to all concepts: the smallest of its concepts', times their number.
    Says how many images a value has. InputError where a concept's values cannot be compared.
    """
    counts = _check_labels(moments)
    alike = likeness(moments)
    acting = {"blocks": len(moments.count), "blocks_by": moments.blocks_by, "images_as_one": round(alike, 1)}
    heads = [(layer, head) for layer in moments.layers for head in range(moments.first.shape[2])]
    outputs = Outputs.of_values(moments)
    silent = outputs.silent_or_cut(heads, (model.layers, model.heads), config.precision)
    roles = build_head_roles(heads, _describe(moments, outputs, alike, config), silent, config.judge)
    told, names = ReadOut.of(moments, config.sharing), [name for name, _ in moments.concepts]
    spreads = Spreads.by_images(names, told.importance, told.told, told.chance, silent)
    return RoleMap(
        model=model,
        images=images,
        bank=BankInfo(images.source, _hash(moments), counts),
        settings=record_ablation({**config.acting(), **acting}),
        layers=moments.layers,
        head_roles=spreads.give(roles, silent),
        probe_kind="image",
        concept_spread=spreads.concepts,
    )


def _describe(moments: ValueMoments, outputs: Outputs, alike: float, config: ImageScoreConfig) -> Description:
    names = [name for name, _ in moments.concepts]
    p = p_values(moments, config.shares, alike)
    certain = p * p.size <= config.level
    explained = effects(Sums.of(moments), config.shares, alike).variances()
    spread = distribution(explained, certain)
    variance = outputs.variance().cpu().numpy()
    p = np.minimum(1, p.min(1) * len(names))
    drawn, unit = resample(moments, certain, alike, config), math.log2(len(names))
    share = np.divide(explained, variance[:, None], out=np.zeros_like(explained), where=explained > 0) * certain
    return Description(
        concepts=names,
        spread=spread,
        bits=concept_entropy(spread),
        unit=unit,
        null=np.full(len(spread), unit),  # No concept is certain: the uniform distribution.
        p=p,
        drawn=drawn,
        drawn_p=np.broadcast_to(p, drawn.shape),
        blocks=int((moments.count > 0).sum()),
        rank=outputs.effective_rank().cpu().numpy(),
        variance=np.maximum(0.0, variance),
        texts=describe_values(moments, share, config.values_per_head),
    )


def distribution(
    explained: Float[ndarray, "head concept"], certain: Bool[ndarray, "head concept"]
) -> Float[ndarray, "head concept"]:
    """P(c): the variances that the certain concepts explain over their sum; uniform where no concept is certain.

    By chance every concept explains a little, and without that test the largest of these would make a blind head look
    like an Attribute head.
    """
    mass = explained * certain
    total = mass.sum(-1, keepdims=True)
    return np.divide(mass, total, out=np.full_like(mass, 1 / mass.shape[-1]), where=total > 0)


def resample(
    moments: ValueMoments, certain: Bool[ndarray, "head concept"], alike: float, config: ImageScoreConfig
) -> Float[ndarray, "draw head"]:
    """Entropies in bits over resamples of the image blocks; which concepts are certain stays as it is.

    `alike`: so many images count as one.
    """
    rows = []
    for draw in draw_blocks(moments.count.cpu().numpy(), config.bootstraps, config.seed):
        explained = effects(Sums.of(moments, draw), config.shares, alike).variances(resampled=True)
        rows.append(concept_entropy(distribution(explained, certain)))
    return np.stack(rows)


def describe_values(
    moments: ValueMoments, share: Float[ndarray, "head concept"], most: int
) -> list[tuple[PickedText, ...]]:
    """Every head's values, those that it sets apart most first; a value's share is its part of its concept's `share`.

    Shares are of the head's variance over all images, at most 1: on the images of one concept it may vary more.
    """
    parts = value_parts(moments)
    labels: list[tuple[str, str]] = []
    for concept, (name, values) in enumerate(moments.concepts):
        parts[:, moments.slices[concept]] *= share[:, concept, None]
        labels += [(f"{name}: {value}", name) for value in values]
    return [
        tuple(
            PickedText(labels[value][0], labels[value][1], min(1.0, round6(row[value])))
            for value in np.argsort(-row, kind="stable")[:most]
            if round(row[value], 6) > 0
        )
        for row in parts
    ]


def _check_labels(moments: ValueMoments) -> dict[str, int]:
    """Labelled images of every concept; says how many a value has; InputError where values cannot be compared."""
    count = torch.einsum("bvv->v", moments.pairs).long().cpu().numpy()
    seen = {name: count[place] for (name, _), place in zip(moments.concepts, moments.slices, strict=True)}
    for name, values in moments.concepts:
        _check_values(name, values, seen[name])
    said = [_range(name, each[each > 0]) for name, each in seen.items()]
    LOG.info(f"images a value: {', '.join(said)}")
    few = [f"{name}: {value} ({each})" for (name, values) in moments.concepts for value, each in
           zip(values, seen[name], strict=True) if 0 < each < FEW]  # fmt: skip
    if few:
        more = f" and {len(few) - 5} more" if len(few) > 5 else ""
        LOG.warning(f"fewer than {FEW} images of {', '.join(few[:5])}{more}: what they explain is hardly known")
    return {name: int(each.sum()) for name, each in seen.items()}


def _check_values(concept: str, values: Sequence[str], count: Int[ndarray, "value"]) -> None:
    """InputError where there are fewer than two values, or one of them has a single image."""
    if (count > 0).sum() < 2:
        raise InputError(
            f"images: concept {concept} has {(count > 0).sum()} values in {count.sum()} readable images; it needs at "
            "least two values"
        )
    if (count == 1).any():
        raise InputError(
            f"images: value {values[int((count == 1).argmax())]} of concept {concept} has 1 readable image; a value "
            "needs at least two: add images, or leave the value's label empty"
        )


def _range(concept: str, count: Int[ndarray, "value"]) -> str:
    least, most = count.min(), count.max()
    return f"{concept} {least:,}" if least == most else f"{concept} {least:,} to {most:,}"


def _hash(moments: ValueMoments) -> str:
    """sha256 of the concepts, their values and how many images have each."""
    count = torch.einsum("bvv->v", moments.pairs).long().tolist()
    return hashlib.sha256(dump_json([moments.concepts, count]).encode()).hexdigest()
