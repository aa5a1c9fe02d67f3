"""score(): images and probe texts to a role map; the pipeline, top to bottom."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from headroles.checks import check_bounds, check_choices, check_least
from headroles.errors import InputError
from headroles.heads.ablation import record_ablation
from headroles.heads.moments import HeadMoments
from headroles.images.images import Images
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.layers import resolve_layers
from headroles.models.precision import PRECISIONS
from headroles.passes.image_pass import PassOptions, Progress
from headroles.passes.moment_pass import fold_moments
from headroles.passes.state import Seen
from headroles.roles.concepts import (
    WEIGHTS,
    concept_distribution,
    concept_entropy,
    null_entropies,
    p_values,
    pick_weights,
    q_values,
)
from headroles.roles.probes import ProbeBank
from headroles.roles.role_map import BankInfo, HeadRole, ImagesInfo, ModelInfo, PickedText, RoleMap
from headroles.roles.rules import RULES, assign_roles
from headroles.roles.textspan import SELECTIONS, Picks, project_texts, text_span

_CHUNK = 50_000_000
"""Numbers held at once while texts are picked for several bootstrap draws."""


@dataclass(frozen=True)
class ScoreConfig:
    """All settings of a role map; written into it."""

    layers: str = "deep"
    """"deep" (the last third), "all", or numbers and ranges such as "8-11" or "3,6-7"."""
    texts_per_head: int = 20
    """Texts that describe a head; at most its width."""
    selection: str = "std"
    """TextSpan picks by "std" (original) or "variance" (per unit of text length)."""
    weights: str = "variance"
    """A picked text counts as its share of "variance", or 1 ("count", DeAR). The evidence for this and the next
    defaults is in docs/results.md."""
    prior_correction: bool = False
    """Divide a concept's weight by its share of the bank."""
    center_texts: bool = False
    """Take the bank's mean text off before picking."""
    roles_by: str = "threshold"
    """Rule of `headroles.roles.rules.assign_roles`."""
    low: float = 0.5
    """Lower bound of the rules "threshold" (entropy) and "quantile" (quantile)."""
    high: float = 0.6
    """Upper bound of the same."""
    permutations: int = 1000
    """Label shuffles of the null model."""
    bootstraps: int = 100
    """Resamples of image blocks."""
    blocks: int = 32
    """Image blocks; heads of a tower that pools (SigLIP) may get fewer, see `headroles.heads.moments.blocks_within`."""
    seed: int = 0
    """Seed of shuffles, resamples and rendered scenes."""
    precision: str = "no"
    """Matrix products of the images' forward in fp32 ("no"), "bf16" or "fp16"; sums are float64 always."""

    def __post_init__(self) -> None:
        check_choices(self, selection=SELECTIONS, weights=WEIGHTS, roles_by=RULES, precision=PRECISIONS)
        check_least(self, seed=0, texts_per_head=1, permutations=1, bootstraps=1, blocks=2)
        check_bounds(self)


def score(
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
    layers = resolve_layers(config.layers, model.visual.layers, model.visual.pooling)
    moments, seen = fold_moments(
        model, images, layers, config.blocks, options, precision=config.precision, progress=progress
    )
    check_enough(seen)
    return moments, seen.broken_names


def check_enough(seen: Seen) -> None:
    """InputError where too few images were readable."""
    if seen.read < 2:
        broken = f" ({seen.broken_names[0]} and {len(seen.broken) - 1} more are broken)" if seen.broken else ""
        raise InputError(f"images: {seen.read} readable of {seen.total}{broken}; a covariance needs at least two")


def explain(
    model: HookedCLIP, moments: HeadMoments, bank: ProbeBank, config: ScoreConfig, images: ImagesInfo
) -> RoleMap:
    """Describe the heads of `moments` in the bank's texts: picks, concepts, entropy, null model, bootstrap, roles."""
    codes, concepts = np.array(bank.codes), len(bank.concepts)
    prior = np.bincount(codes, minlength=concepts) / len(codes) if config.prior_correction else None
    picks, resampled = pick_texts(model, moments, bank, config)

    def distribution(index: torch.Tensor, share: torch.Tensor) -> np.ndarray:
        index, share = index.cpu().numpy(), share.double().cpu().numpy()
        labels = np.broadcast_to(codes, (*index.shape[:-1], len(codes)))
        return concept_distribution(index, pick_weights(index, share, config.weights), labels, concepts, prior)

    most = math.log2(concepts)
    spread = distribution(picks.index[0], picks.share[0])
    bits = concept_entropy(spread)
    index, share = picks.index[0].cpu().numpy(), picks.share[0].double().cpu().numpy()
    weight = pick_weights(index, share, config.weights)
    null = null_entropies(index, weight, codes, concepts, prior, config.permutations, config.seed) / most
    entropy = bits / most
    roles = assign_roles(entropy, null, config.roles_by, config.low, config.high)
    drawn = concept_entropy(distribution(resampled.index, resampled.share)) / most
    drawn_roles = [assign_roles(row, null, config.roles_by, config.low, config.high) for row in drawn]
    p = p_values(entropy, null)
    stability = (np.array(drawn_roles) == np.array(roles)).mean(0)
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    q = q_values(p)
    heads = [(layer, head) for layer in moments.layers for head in range(model.visual.heads)]
    return RoleMap(
        model=ModelInfo(model.model_name, moments.weights_hash, model.visual.layers, model.visual.heads),
        images=images,
        bank=BankInfo(bank.name, bank.hash, bank.counts),
        settings=record_ablation(
            {
                **dataclasses.asdict(config),
                "blocks": len(moments.count),
                "texts_per_head": picks.index.shape[-1],  # what acts: a head has no more than its span is wide
            }
        ),
        layers=moments.layers,
        head_roles=tuple(
            HeadRole(
                layer=layer,
                head=head,
                role=roles[row],
                concept=bank.concepts[int(spread[row].argmax())],
                concept_share=_round(spread[row].max()),
                entropy_bits=_round(bits[row]),
                entropy=_round(entropy[row]),
                interval=(_round(low[row]), _round(high[row])),
                p_value=_round(p[row]),
                q_value=_round(q[row]),
                stability=_round(stability[row]),
                variance=float(f"{picks.variance[0, row].item():.6g}"),
                distribution={name: _round(value) for name, value in zip(bank.concepts, spread[row], strict=True)},
                texts=tuple(
                    PickedText(bank.texts[text], bank.labels[text], _round(part))
                    for text, part in zip(index[row], share[row], strict=True)
                    if text >= 0
                ),
            )
            for row, (layer, head) in enumerate(heads)
        ),
    )


@torch.inference_mode()
def pick_texts(model: HookedCLIP, moments: HeadMoments, bank: ProbeBank, config: ScoreConfig) -> tuple[Picks, Picks]:
    """TextSpan over all images, and over each bootstrap resample of the image blocks."""
    texts = model.embed_texts(bank.texts).float()
    draws = _draw_blocks(moments, config)
    spans = []
    for layers, bases in model.visual.spans(moments.layers):
        width = model.visual.moment_width if bases is None else bases.shape[-2]
        spans.append(_pick_of_span(moments.select(layers, width), bases, texts, draws, config))
    whole, resampled = zip(*spans, strict=True)
    return _join(whole, 1), _join(resampled, 1)


def _pick_of_span(
    moments: HeadMoments, bases: torch.Tensor | None, texts: torch.Tensor, draws: torch.Tensor, config: ScoreConfig
) -> tuple[Picks, Picks]:
    """`pick_texts` of layers whose heads have bases (layer, head, width, embed); None stands for the identity."""
    if bases is None:
        texts = texts - texts.mean(0) if config.center_texts else texts
        projected, factor = texts.expand(len(moments.layers) * moments.first.shape[2], -1, -1), None
        spread = moments.variances(texts, torch.cat([torch.ones_like(draws[:1]), draws])).flatten(1, 2)
        whole, drawn = spread[:1], spread[1:]
    else:
        projected, factor = project_texts(texts, bases.flatten(0, 1).float(), config.center_texts)
        factor, whole, drawn = factor.double(), None, None

    def picked(draws: torch.Tensor | None, variance: torch.Tensor | None) -> Picks:
        covariance = moments.covariance(draws).flatten(1, 2)
        return text_span(projected, factor, covariance, config.texts_per_head, config.selection, variance)

    chunk = max(1, _CHUNK // projected.numel())
    rows = draws.split(chunk)
    variances = drawn.split(chunk) if drawn is not None else [None] * len(rows)
    return picked(None, whole), _join([picked(*pair) for pair in zip(rows, variances, strict=True)], 0)


def _draw_blocks(moments: HeadMoments, config: ScoreConfig) -> torch.Tensor:
    """How often each block of images enters each bootstrap resample."""
    rng = np.random.default_rng([config.seed, 2])
    filled = np.flatnonzero(moments.count.cpu().numpy())
    draws = np.zeros((config.bootstraps, len(moments.count)))
    draws[:, filled] = rng.multinomial(len(filled), np.full(len(filled), 1 / len(filled)), config.bootstraps)
    return torch.from_numpy(draws).to(moments.count.device)


def _join(parts: Sequence[Picks], axis: int) -> Picks:
    """Picks of several draws (axis 0) or heads (axis 1) as one; heads with fewer picks are filled up with none."""
    steps = max(part.index.shape[-1] for part in parts)
    index, share = (
        [torch.nn.functional.pad(getattr(part, name), (0, steps - part.index.shape[-1]), value=fill) for part in parts]
        for name, fill in (("index", -1), ("share", 0))
    )
    return Picks(torch.cat(index, axis), torch.cat(share, axis), torch.cat([part.variance for part in parts], axis))


def _round(value: float) -> float:
    return round(float(value), 6)
