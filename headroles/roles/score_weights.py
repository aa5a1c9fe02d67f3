"""Weights to a role map: what each head writes, in words, without an image (SITH, 2603.24653).

Every singular direction of a head (`headroles.heads.directions`), in both its ways, is made up of a few texts of a bank
(`headroles.roles.pursuit`). A text counts as the share of the direction that it explains, times the direction's
strength (`headroles.heads.upstream`). Embeddings are normalised, so what a head writes along their mean says nothing:
that direction, which also holds most of the gap between images and texts, is taken off both. Without images it is that
of the constant part of all embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import normalize

from headroles.checks import typed
from headroles.heads.ablation import check_whole_cuts, cut_heads, record_ablation, refuse_ablation
from headroles.heads.directions import Directions
from headroles.heads.upstream import strengths
from headroles.models.hooked_clip import HookedCLIP, Tower
from headroles.roles.concepts import concept_entropy, p_values
from headroles.roles.config import WeightScoreConfig
from headroles.roles.direction import HeadDirection, Side
from headroles.roles.head_roles import Description, build_head_roles, round6
from headroles.roles.picked_text import PickedText
from headroles.roles.probes import ProbeBank
from headroles.roles.pursuit import Combinations, pursue
from headroles.roles.random_writers import RandomHeads, random_writers, shares_of
from headroles.roles.role_map import BankInfo, ImagesInfo, ModelInfo, RoleMap
from headroles.roles.score_texts import chance_entropy

NO_IMAGES = ImagesInfo("none", 0, ())
"""Of a map that no image went into."""
_FAINT = 1e-6
"""Share of the middle head's strength below which a head is silent."""


@typed
def explain_weights(
    model: HookedCLIP,
    bank: ProbeBank,
    config: WeightScoreConfig | None = None,
    *,
    mean: Float[Tensor, "embed"] | None = None,
    images: ImagesInfo = NO_IMAGES,
) -> RoleMap:
    """The role map of a model by its weights, described in the texts of a bank.

    `mean`: of the unit embeddings of some `images`; None: the constant part of all embeddings stands for it. Raises
    InputError where the model has no text tower, or not all layers that `config` asks for.
    """
    model.check_text()
    config = config or WeightScoreConfig()
    if config.tower == "text":
        refuse_ablation("heads of the text tower are scored, and heads of the vision tower cut")
    else:
        check_whole_cuts("a map by weights reads weights, which --ablate leaves as they are")
    tower, layers = config.tower_of(model), config.resolve_layers(model)
    heads = [(layer, head) for layer in layers for head in range(tower.heads)]
    read = _read_heads(
        tower, layers, _Words.of(model, bank, config, tower.constant() if mean is None else mean), config
    )
    cut = cut_heads(tower.layers + 1, tower.heads) if config.tower == "visual" else ()
    silent = read.silent() | np.array([head in cut for head in heads])
    return RoleMap(
        model=ModelInfo(model.model_name, model.weights_hash(), tower.layers, tower.heads),
        images=images,
        bank=BankInfo(bank.name, bank.hash, bank.counts),
        settings=record_ablation(config.acting()),
        layers=layers,
        head_roles=build_head_roles(heads, read.describe(bank, config, silent), silent, config.judge),
        probe_kind="weights",
        words=model.words,
    )


@dataclass(frozen=True)
class _Words:
    """The bank's texts, ready to explain directions of an embedding."""

    texts: Float[Tensor, "text embed"]
    """Unit rows, without what all have in common."""
    mean: Float[Tensor, "embed"]
    """Unit direction of the mean embedding, or zeros."""
    concepts: Float[Tensor, "text concept"]
    """1 for each text's concept."""
    config: WeightScoreConfig

    @classmethod
    def of(cls, model: HookedCLIP, bank: ProbeBank, config: WeightScoreConfig, mean: Tensor) -> _Words:
        texts = model.embed_texts(bank.texts).double()
        if config.center_texts:
            texts = texts - texts.mean(0)
        mean = normalize(mean.detach().double(), dim=0)
        codes = torch.tensor(bank.codes, device=texts.device)
        concepts = torch.nn.functional.one_hot(codes, len(bank.concepts)).double()
        return cls(normalize(_off(texts, mean), dim=-1), mean, concepts, config)

    def explain(self, directions: Float[Tensor, "direction embed"]) -> Combinations:
        """The texts of unit directions; their parts are shares of the whole direction, its mean's part included."""
        left = _off(directions, self.mean)
        found = pursue(normalize(left, dim=-1), self.texts, self.config.texts_per_direction, self.config.coherence)
        return Combinations(found.index, found.weight, found.part * left.square().sum(-1, keepdim=True))

    def concept_mass(self, found: Combinations) -> Float[Tensor, "direction concept"]:
        """What the texts of each concept explain."""
        return (self.concepts[found.index] * found.part[..., None]).sum(-2)


@dataclass(frozen=True)
class _ReadHeads:
    """All that the weights say of some heads."""

    sigma: Float[ndarray, "head direction"]
    strength: Float[ndarray, "head direction"]
    index: ndarray
    """Text (head, side, direction, pick), sides plus and minus."""
    part: Float[ndarray, "head side direction pick"]
    mass: Float[ndarray, "head concept"]
    """Strength that the texts of each concept explain."""
    null: RandomHeads
    """Random writers in its place."""

    def silent(self) -> Bool[ndarray, "head"]:
        """Heads that write nothing, or next to nothing beside the middle one."""
        total = self.strength.sum(-1)
        return total <= _FAINT * np.median(total)

    def describe(self, bank: ProbeBank, config: WeightScoreConfig, silent: Bool[ndarray, "head"]) -> Description:
        """Concepts, entropy and p-value of each head, its texts and directions."""
        spread, total = shares_of(self.mass), self.strength.sum(-1)
        bits = concept_entropy(spread)
        most = np.divide(self.mass.max(-1), total, out=np.zeros_like(total), where=total > 0)
        squares = (self.strength**2).sum(-1)
        return Description(
            concepts=bank.concepts,
            spread=spread,
            bits=bits,
            unit=chance_entropy(self.null.entropy[:, ~silent], len(bank.concepts)),
            null=self.null.entropy.mean(0),
            p=p_values(-most, -self.null.most),
            rank=np.divide(total**2, squares, out=np.zeros_like(total), where=squares > 0),
            variance=total,
            texts=[self._texts(bank, head, config.texts_per_head) for head in range(len(total))],
            directions=[self._directions(bank, head, config.directions_per_head) for head in range(len(total))],
        )

    def _texts(self, bank: ProbeBank, head: int, most: int) -> tuple[PickedText, ...]:
        """The texts that explain most of what a head writes, each way half."""
        weight = self.strength[head] / max(self.strength[head].sum(), 1e-300) / 2
        share = np.bincount(self.index[head].ravel(), (self.part[head] * weight[:, None]).ravel(), len(bank.texts))
        return _name_texts(bank, np.arange(len(share)), share, most)

    def _directions(self, bank: ProbeBank, head: int, most: int) -> tuple[HeadDirection, ...]:
        total = max(self.strength[head].sum(), 1e-300)
        sides = [[self._side(bank, head, side, number) for number in range(most)] for side in range(2)] if most else []
        return tuple(
            HeadDirection(number, float(f"{sigma:.6g}"), round6(self.strength[head, number] / total), *pair)
            for number, (sigma, *pair) in enumerate(zip(self.sigma[head], *sides, strict=False))
            if sides and sigma > 0
        )

    def _side(self, bank: ProbeBank, head: int, side: int, number: int) -> Side:
        part = self.part[head, side, number]
        texts = _name_texts(bank, self.index[head, side, number], part, len(part))
        return Side(min(1.0, round6(part.sum())), texts)


@torch.inference_mode()
def _read_heads(tower: Tower, layers: tuple[int, ...], words: _Words, config: WeightScoreConfig) -> _ReadHeads:
    directions = Directions.of(tower, layers)
    strength = strengths(tower, directions, config.reading).flatten(0, 1)
    writes = directions.writes.flatten(0, 1)
    sides = torch.stack([writes, -writes], 1)
    found = words.explain(sides.flatten(0, 2))
    mass = words.concept_mass(found).unflatten(0, sides.shape[:3]).mean(1)
    strength_rows = strength.cpu().numpy()
    index, part = (each.unflatten(0, sides.shape[:3]).cpu().numpy() for each in (found.index, found.part))
    return _ReadHeads(
        sigma=directions.sigma.flatten(0, 1).cpu().numpy(),
        strength=strength_rows,
        index=index,
        part=part,
        mass=(mass * strength[..., None]).sum(1).cpu().numpy(),
        null=_null(tower, layers, strength_rows, words, config),
    )


def _null(
    tower: Tower,
    layers: tuple[int, ...],
    strength: Float[ndarray, "head direction"],
    words: _Words,
    config: WeightScoreConfig,
) -> RandomHeads:
    """Random writers in place of each head; pooling heads write into the embedding itself."""
    parts, rows = [], np.split(strength, len(layers))
    for pooling in (False, True):
        own = [row for layer, row in zip(layers, rows, strict=True) if (layer == tower.layers) == pooling]
        if own:
            writers = random_writers(tower.written(tower.layers if pooling else layers[0]), config.seed)
            pool = torch.stack([words.concept_mass(words.explain(side)) for side in (writers, -writers)]).mean(0)
            parts.append(RandomHeads.draw(np.concatenate(own), pool.cpu().numpy(), config.null_draws, config.seed))
    return RandomHeads.join(parts)


def _name_texts(bank: ProbeBank, index: ndarray, share: ndarray, most: int) -> tuple[PickedText, ...]:
    """The texts with the largest shares, of those that have one."""
    order = np.argsort(-share, kind="stable")[:most]
    return tuple(
        PickedText(bank.texts[index[row]], bank.labels[index[row]], min(1.0, round6(share[row])))
        for row in order
        if round(float(share[row]), 6) > 0
    )


def _off(rows: Float[Tensor, "row embed"], direction: Float[Tensor, "embed"]) -> Float[Tensor, "row embed"]:
    return rows - (rows @ direction)[:, None] * direction
