"""Attention head purification (arXiv 2412.07226): a low-rank sum and a gate for every head of the vision tower.

The sums learn the task; the gates learn which heads to leave out, from the task and from how far a head's output is
apart between domains. That distance reaches the gates alone: through the sums, the authors found, it does harm.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from headroles.adapt.config import Settings
from headroles.adapt.methods.acting import Acting
from headroles.adapt.methods.features import Batch
from headroles.adapt.methods.findings import Findings, Found
from headroles.adapt.methods.method import Look
from headroles.adapt.methods.own_weights import swapped
from headroles.adapt.methods.role_numbers import ROLE, ROLE_VARIANTS, number_heads
from headroles.adapt.methods.upper_layers import UpperLayers, UpperVision
from headroles.checks import check_choices, check_least
from headroles.errors import InputError
from headroles.heads.names import head_name
from headroles.images.notes import LOG
from headroles.models.hooked_clip import HookedCLIP, recording
from headroles.roles.role_map import RoleMap

_DEEP = 2
"""So many last layers have sums of rank `deep_rank`."""


@dataclass(frozen=True)
class HeadPurificationConfig(Settings):
    """Settings of head purification: ranks as published, where nothing else is said."""

    rank: int = 2
    """Rank of a head's sums in all layers but the last two."""
    deep_rank: int = 8
    """Rank in the last two layers."""
    strength: float = 1.0
    """Factor on the sums. Ours."""
    matrices: tuple[str, ...] = ("q", "k", "v")
    """Which of a head's matrices get a sum: "q", "k", "v". Ours."""
    mmd: float = 1.0
    """Weight of the distance between domains, a mean over layers; 0: off. Ours."""
    gates: str = ROLE
    """Where a role map is given, gates begin by "role", by "random" (roles shuffled) or "inverted" ones. Ours."""
    attribute: float = 0.5
    """Gate of Attribute heads at the start, where a role map is given; all others begin at 1. Ours."""
    generalization: float = 1.0
    """Gate of Generalization heads at the start, where a role map is given. Ours."""
    roles_seed: int = 0
    """Seed of "random"."""

    def __post_init__(self) -> None:
        self._check_types()
        check_choices(self, gates=ROLE_VARIANTS)
        check_least(self, rank=1, deep_rank=1, mmd=0, roles_seed=0)
        self._check_above_zero("strength")
        if not self.matrices or not set(self.matrices) <= set("qkv") or len(set(self.matrices)) < len(self.matrices):
            raise InputError(f"matrices must be some of q, k, v, each once, got {', '.join(self.matrices)}")
        for name in ("attribute", "generalization"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be between 0 and 1, got {getattr(self, name)}")


class HeadPurification(UpperVision):
    """Of a layer's heads, each has its own A and B for every matrix, and one gate on its output, held in [0, 1].

    Texts are frozen CLIP's. Where no image has a domain, or the weight is 0, cross-entropy alone is trained. The
    schedule is ours.
    """

    name = "head-purification"
    title = "attention head purification"
    source = "https://arxiv.org/abs/2412.07226"
    settings = HeadPurificationConfig
    preset: ClassVar[Mapping[str, Any]] = {"lr": 1e-3, "weight_decay": 0.0, "batch": 32, "epochs": 20}
    role_maps = "taken"

    config: HeadPurificationConfig
    sums: nn.ParameterDict
    """Layer, matrix and "A" (head, rank, residual) or "B" (head, width, rank), with "/" between -> tensor."""
    gates: Float[Tensor, "layer head"]
    """What is learned of the gates; `gate` holds it in [0, 1]."""
    layer = 0

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: HeadPurificationConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        tower = model.visual
        self.__dict__["_upper"] = UpperLayers(model, 0, self.text_tower.layers)
        self.__dict__["_names"] = {id(weight): name for name, weight in model.clip.named_parameters()}
        self.gates = nn.Parameter(self.first_gates())
        self.sums = nn.ParameterDict()
        generator = torch.Generator().manual_seed(seed)
        for layer in range(tower.layers):
            rank = self.config.deep_rank if layer >= tower.layers - _DEEP else self.config.rank
            for matrix in self.config.matrices:
                # As LoRA begins (2106.09685): A uniform, B zero, so that the sum is zero.
                bound = tower.width**-0.5
                low = (2 * torch.rand(tower.heads, rank, tower.width, generator=generator) - 1) * bound
                self.sums[f"{layer}/{matrix}/A"] = nn.Parameter(low)
                self.sums[f"{layer}/{matrix}/B"] = nn.Parameter(torch.zeros(tower.heads, tower.head_width, rank))
        self.place()

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return f"An adapter by [attention head purification]({cls.source}): a low-rank sum and a gate for every head."

    def first_gates(self) -> Float[Tensor, "layer head"]:
        """The gates at the start: all open, or by role."""
        config, tower = self.config, self.model.visual
        if self.role_map is None:
            return torch.ones(tower.layers, tower.heads)
        numbers = {"attribute": config.attribute, "generalization": config.generalization}
        return number_heads(self.role_map, tower, numbers, 1.0, config.gates, config.roles_seed)

    @property
    def gate(self) -> Float[Tensor, "layer head"]:
        """The gates, in [0, 1]; gradients pass the bounds, so that a gate at one of them can come back."""
        return self.gates + (self.gates.clamp(0, 1) - self.gates).detach()

    def tensors(self) -> dict[str, Tensor]:
        """The weights with their sums and gates, by the CLIP's names."""
        found, gate = {}, self.gate.repeat_interleave(self.model.visual.head_width, 1)
        for layer in range(self.model.visual.layers):
            modules = self.model.visual.projections(layer)
            for matrix in self.config.matrices:
                low = self.sums[f"{layer}/{matrix}/B"] @ self.sums[f"{layer}/{matrix}/A"]
                found[self._name(modules[matrix])] = modules[matrix].weight + self.config.strength * low.flatten(0, 1)
            found[self._name(modules["o"])] = modules["o"].weight * gate[layer]
        return found

    def _name(self, module: nn.Linear) -> str:
        name: str = self.__dict__["_names"][id(module.weight)]
        return name

    def start(self, look: Look) -> None:
        if self.config.mmd and next(look(None)).domains is None:
            LOG.info(f"{self.name}: the training images have no domains, so that cross-entropy alone is trained")

    def acting(self) -> dict[str, Acting]:
        sums = {f"sums.{place}": Acting.vision(int(place.partition("/")[0])) for place in self.sums}
        return {**sums, "gates": Acting.vision(range(self.model.visual.layers), "layers")}

    def encode_images(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        with swapped(self.model, self.tensors()):
            return self._upper.embed_images(trunk)

    def forward(self, batch: Batch) -> tuple[Float[Tensor, "image class"], dict[str, Float[Tensor, ""]]]:
        domains = batch.domains if self.config.mmd else None
        points = [f"visual.blocks.{layer}.attn.hook_z" for layer in range(self.model.visual.layers)]
        with recording(self.model, {} if domains is None else dict.fromkeys(points, self._keep)) as seen:
            images = self.encode_images(batch.trunk)
        logits = self.logits(images, batch.texts.frozen)
        terms = {"ce": cross_entropy(logits, batch.labels)}
        if domains is not None:
            outputs = [seen[point] * self.gate[layer, :, None] for layer, point in enumerate(points)]
            apart = torch.stack([discrepancy(each.flatten(1), domains) for each in outputs])
            terms["mmd"] = self.config.mmd * apart.mean()
        return logits, terms

    def _keep(self, z: Float[Tensor, "image token head width"]) -> Float[Tensor, "image head width"]:
        """What heads give CLS, or all tokens where there is none, without gradients: these would reach the sums."""
        return (z.mean(1) if self.model.visual.pooling else z[:, 0]).detach().float()

    def findings(self) -> Findings:
        gate, first = self.gate.detach().cpu(), self.first_gates()
        places = [(layer, head) for layer in range(gate.shape[0]) for head in range(gate.shape[1])]
        closed = sorted(places, key=lambda place: gate[place].item())
        most = ", ".join(f"{head_name(place)} {gate[place].item():.3g}" for place in closed[:5])
        numbers = {place: {"gate": gate[place].item(), "first": first[place].item()} for place in places}
        parts = (Found(place[0], f"H{place[1]}", place[1], each) for place, each in numbers.items())
        return Findings(self.name, (f"gates closed the most: {most}",), tuple(parts), "gate")

    def correlate(self, role_map: RoleMap) -> tuple[float, float]:
        """Spearman's correlation, and its p-value, of how far heads' gates have moved with their entropy in a role map.

        Positive where gates of heads of few concepts have closed the most. InputError where no gate has moved.
        """
        heads = [head for head in role_map if head.layer < self.model.visual.layers and head.role != "silent"]
        moved = (self.gate - self.first_gates().to(self.gates)).detach()
        values = [moved[head.layer, head.head].item() for head in heads]
        entropies = [head.entropy for head in heads]
        if min(len(set(values)), len(set(entropies))) < 2:
            raise InputError("gates: none has moved from where it began, or all heads have one entropy; train first")
        found = spearmanr(values, entropies)
        return float(found.statistic), float(found.pvalue)


def discrepancy(rows: Float[Tensor, "image feature"], domains: Int[Tensor, "image"]) -> Float[Tensor, ""]:
    """Squared maximum mean discrepancy, mean over pairs of the domains that are there; 0 of one domain.

    Gaussian kernel, whose squared width is half the mean squared distance of two rows (ours): so a factor on all rows
    changes nothing, and closing all gates is no way out.
    """
    apart = (rows[:, None] - rows).square().sum(-1)
    width = apart.sum() / max(1, len(rows) * (len(rows) - 1))
    kernel = torch.exp(-apart / width.clamp(min=torch.finfo(rows.dtype).tiny))
    members = [(domains == number).nonzero()[:, 0] for number in domains.unique()]
    means = [[kernel[one][:, other].mean() for other in members] for one in members]
    pairs = itertools.combinations(range(len(members)), 2)
    found = [means[one][one] + means[other][other] - 2 * means[one][other] for one, other in pairs]
    return torch.stack(found).mean() if found else rows.sum() * 0
