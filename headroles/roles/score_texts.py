"""Images and probe texts to a role map: the pipeline, top to bottom."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from headroles.checks import typed
from headroles.heads.ablation import record_ablation
from headroles.heads.moments import HeadMoments
from headroles.images.images import Images
from headroles.models.hooked_clip import HookedCLIP
from headroles.passes.image_pass import PassOptions, Progress
from headroles.passes.moment_pass import fold_moments
from headroles.passes.state import check_enough
from headroles.roles.concepts import (
    concept_distribution,
    concept_entropy,
    null_entropies,
    p_values,
    pick_weights,
)
from headroles.roles.config import ScoreConfig
from headroles.roles.head_roles import Description, build_head_roles, round6
from headroles.roles.picks import pick_texts
from headroles.roles.probes import ProbeBank
from headroles.roles.role_map import BankInfo, ImagesInfo, ModelInfo, PickedText, RoleMap
from headroles.roles.rules import assign_roles
from headroles.roles.textspan import Picks


def score_texts(
    model: HookedCLIP,
    images: Images,
    bank: ProbeBank,
    config: ScoreConfig | None = None,
    *,
    source: str = "images",
    batch: int = 64,
    workers: int = 0,
    strict: bool = False,
    progress: Progress | None = None,
) -> tuple[RoleMap, HeadMoments]:
    """The role map of a model over images, described in the texts of a bank, and the moments it rests on.

    `source` names the images in the result. `strict` refuses a broken image file instead of leaving it out.
    """
    model.check_text()
    config = config or ScoreConfig()
    moments, broken = collect_moments(
        model, images, config, batch=batch, workers=workers, strict=strict, progress=progress
    )
    return explain(model, moments, bank, config, ImagesInfo(source, moments.images, broken)), moments


@typed
def collect_moments(
    model: HookedCLIP,
    images: Images,
    config: ScoreConfig,
    *,
    batch: int = 64,
    workers: int = 0,
    strict: bool = False,
    progress: Progress | None = None,
) -> tuple[HeadMoments, tuple[str, ...]]:
    """One pass over the images: head moments and the names of the broken files."""
    options = PassOptions(unit=batch, workers=workers, strict=strict)
    layers = config.resolve_layers(model)
    moments, seen = fold_moments(
        model, images, layers, config.blocks, options, precision=config.precision, progress=progress
    )
    check_enough(seen)
    return moments, seen.broken_names


def explain(
    model: HookedCLIP, moments: HeadMoments, bank: ProbeBank, config: ScoreConfig, images: ImagesInfo
) -> RoleMap:
    """Describe the heads of `moments` in the bank's texts: picks, concepts, entropy, null model, bootstrap, roles."""
    picks, resampled = pick_texts(model, moments, bank, config)
    found, null = _describe(picks, resampled, bank, config)
    heads = [(layer, head) for layer in moments.layers for head in range(model.visual.heads)]
    # What acts is written: a head has no more texts than its span is wide, a wide head fewer blocks.
    acting = {"blocks": len(moments.count), "texts_per_head": picks.index.shape[-1]}
    return RoleMap(
        model=ModelInfo(model.model_name, moments.weights_hash, model.visual.layers, model.visual.heads),
        images=images,
        bank=BankInfo(bank.name, bank.hash, bank.counts),
        settings=record_ablation({**dataclasses.asdict(config), **acting}),
        layers=moments.layers,
        head_roles=build_head_roles(
            heads, found, lambda entropy: assign_roles(entropy, null, config.roles_by, config.low, config.high)
        ),
    )


def _describe(
    picks: Picks, resampled: Picks, bank: ProbeBank, config: ScoreConfig
) -> tuple[Description, Float[ndarray, "draw head"]]:
    """What the picks say of each head, and the entropies of the null model."""
    codes, concepts = np.array(bank.codes), len(bank.concepts)
    prior = np.bincount(codes, minlength=concepts) / len(codes) if config.prior_correction else None

    def distribution(picks: Picks) -> Float[ndarray, "draw head concept"]:
        index, share = picks.index.cpu().numpy(), picks.share.double().cpu().numpy()
        labels = np.broadcast_to(codes, (*index.shape[:-1], len(codes)))
        return concept_distribution(index, pick_weights(index, share, config.weights), labels, concepts, prior)

    most = math.log2(concepts)
    spread = distribution(picks)[0]
    bits = concept_entropy(spread)
    index, share = picks.index[0].cpu().numpy(), picks.share[0].double().cpu().numpy()
    weight = pick_weights(index, share, config.weights)
    null = null_entropies(index, weight, codes, concepts, prior, config.permutations, config.seed) / most
    found = Description(
        concepts=bank.concepts,
        spread=spread,
        bits=bits,
        entropy=bits / most,
        drawn=concept_entropy(distribution(resampled)) / most,
        p=p_values(bits / most, null),
        variance=picks.variance[0].cpu().numpy(),
        texts=[_name_picks(bank, *row) for row in zip(index, share, strict=True)],
    )
    return found, null


def _name_picks(
    bank: ProbeBank, index: Int[ndarray, "text"], share: Float[ndarray, "text"]
) -> tuple[PickedText, ...]:
    return tuple(
        PickedText(bank.texts[text], bank.labels[text], round6(part))
        for text, part in zip(index, share, strict=True)
        if text >= 0
    )
