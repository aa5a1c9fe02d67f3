"""Images and probe texts to a role map: the pipeline, top to bottom."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from headroles.checks import typed
from headroles.errors import InputError
from headroles.heads.ablation import record_ablation
from headroles.heads.moments import HeadMoments
from headroles.heads.silence import Outputs
from headroles.images.images import Images
from headroles.models.hooked_clip import HookedCLIP
from headroles.passes.image_pass import PassOptions, Progress
from headroles.passes.moment_pass import fold_moments
from headroles.passes.state import Seen, check_enough
from headroles.roles.concept_span import common_rank, explained_shares, split_texts
from headroles.roles.concepts import concept_distribution, concept_entropy, p_values, pick_weights
from headroles.roles.config import ScoreConfig
from headroles.roles.dci import Spreads
from headroles.roles.head_roles import Description, build_head_roles, round6
from headroles.roles.picks import RESAMPLED_ROTATIONS, PickedTexts, pick_texts
from headroles.roles.probes import ProbeBank
from headroles.roles.role_map import BankInfo, ImagesInfo, ModelInfo, PickedText, RoleMap
from headroles.roles.textspan import Picks

_AT_ONCE = 100
"""Draws whose distributions are held at once: a bank may have thousands of concepts."""


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
    moments, seen = collect_moments(
        model, images, config, batch=batch, workers=workers, strict=strict, progress=progress
    )
    info = ImagesInfo(source, seen.read, seen.broken_names, seen.sketch)
    return explain(model, moments, bank, config, info), moments


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
) -> tuple[HeadMoments, Seen]:
    """One pass over the images: head moments and what went into them."""
    if config.tower == "text":
        raise InputError("tower: images say nothing of the text tower's heads; headroles.score reads them on texts")
    options = PassOptions(unit=batch, workers=workers, strict=strict)
    layers = config.resolve_layers(model)
    moments, seen = fold_moments(
        model, images, layers, config.blocks, options, precision=config.precision, constants=config.constants,
        progress=progress,
    )  # fmt: skip
    check_enough(seen)
    return moments, seen


def explain(
    model: HookedCLIP, moments: HeadMoments, bank: ProbeBank, config: ScoreConfig, images: ImagesInfo
) -> RoleMap:
    """Describe the heads of `moments` in the bank's texts: picks, concepts, entropy, null model, bootstrap, roles."""
    picks = pick_texts(model, moments, bank, config)
    outputs = Outputs.of(model, moments)
    tower = moments.tower_of(model)
    heads = [(layer, head) for layer in moments.layers for head in range(tower.heads)]
    silent = outputs.silent_or_cut(heads, (tower.layers, tower.heads), config.precision)
    found = _describe(picks, outputs, silent, bank, config, int((moments.count > 0).sum()))
    groups = split_texts(picks.embeddings, bank.codes)
    rank = common_rank(groups, config.span_rank)
    shares = explained_shares(model, moments, groups, rank, config.constants)
    picked = [[text.concept for text in texts] for texts in found.texts]
    spreads = Spreads.by_texts(bank.concepts, shares, found.variance, picked, silent)
    # What acts is written: a head has no more texts than its span is wide, a wide head fewer blocks.
    acting = {"blocks": len(moments.count), "blocks_by": moments.blocks_by, "span_rank": rank, "tower": moments.tower}
    acting["texts_per_head"] = picks.whole.index.shape[-1]
    return RoleMap(
        model=ModelInfo(model.model_name, moments.weights_hash, tower.layers, tower.heads),
        images=images,
        bank=BankInfo(bank.name, bank.hash, bank.counts),
        settings=record_ablation({**config.acting(), **acting}),
        layers=moments.layers,
        head_roles=spreads.give(build_head_roles(heads, found, silent, config.judge), silent),
        concept_spread=spreads.concepts,
        words=model.words,
    )


def _describe(
    picks: PickedTexts,
    outputs: Outputs,
    silent: Bool[ndarray, "head"],
    bank: ProbeBank,
    config: ScoreConfig,
    blocks: int,
) -> Description:
    """What the picks say of each head, with entropies over what heads that say nothing reach on average.

    `blocks`: how many blocks of images resamples draw from.
    """
    codes, concepts = np.array(bank.codes), len(bank.concepts)
    prior = np.bincount(codes, minlength=concepts) / len(codes) if config.prior_correction else None

    def distribution(picks: Picks) -> Float[ndarray, "draw head concept"]:
        index, share = picks.index.cpu().numpy(), picks.share.double().cpu().numpy()
        labels = np.broadcast_to(codes, (*index.shape[:-1], len(codes)))
        return concept_distribution(index, pick_weights(index, share, config.weights), labels, concepts, prior)

    def entropies(picks: Picks) -> Float[ndarray, "draw head"]:
        return np.concatenate([concept_entropy(distribution(part)) for part in picks.split(_AT_ONCE)])

    null = entropies(picks.null)
    unit = chance_entropy(null[:, ~silent], concepts)
    spread = distribution(picks.whole)[0]
    bits, drawn = concept_entropy(spread), entropies(picks.resampled)
    own_nulls = _own_nulls(null, entropies(picks.own_null)) if picks.own_null else [null] * len(drawn)
    index, share = picks.whole.index[0].cpu().numpy(), picks.whole.share[0].double().cpu().numpy()
    return Description(
        concepts=bank.concepts,
        spread=spread,
        bits=bits,
        unit=unit,
        null=null.mean(0),
        p=p_values(bits, null),
        drawn=drawn,
        drawn_p=np.stack([p_values(*pair) for pair in zip(drawn, own_nulls, strict=True)]),
        blocks=blocks,
        rank=outputs.effective_rank().cpu().numpy(),
        variance=outputs.variance().cpu().numpy(),
        texts=[_name_picks(bank, *row) for row in zip(index, share, strict=True)],
    )


def _own_nulls(
    null: Float[ndarray, "rotation head"], own: Float[ndarray, "draw_and_rotation head"]
) -> Float[ndarray, "draw rotation head"]:
    """The null model of each resample: that of all images, moved by what the same few rotations move by."""
    few = own.reshape(-1, RESAMPLED_ROTATIONS, own.shape[-1])
    return null + (few - null[:RESAMPLED_ROTATIONS]).mean(1, keepdims=True)


def chance_entropy(null: Float[ndarray, "draw head"], concepts: int) -> float:
    """The unit of entropies: what heads that say nothing reach on average, in bits; log2 C where they reach nothing.

    Unlike log2 C it means the same for 5, 14 and 500 concepts, which few picks cannot fill; and being one number of
    the map, it leaves the heads' order as it is.
    """
    found = float(null.mean()) if null.size else 0.0
    return found if found > 0 else math.log2(max(2, concepts))


def _name_picks(bank: ProbeBank, index: Int[ndarray, "text"], share: Float[ndarray, "text"]) -> tuple[PickedText, ...]:
    return tuple(
        PickedText(bank.texts[text], bank.labels[text], round6(part))
        for text, part in zip(index, share, strict=True)
        if text >= 0
    )
