"""Learned task vectors (arXiv 2502.05390): the sum of what heads write on a task's images, by learned weights.

Published for language models, where the vector joins a query without its examples. Here it joins a CLIP's embeddings.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from scipy.stats import spearmanr
from torch import Tensor, nn

from headroles.adapt.config import Settings
from headroles.adapt.methods.features import EMBEDDED, ClassTrunk, unit
from headroles.adapt.methods.findings import Findings, Found
from headroles.adapt.methods.head_trunk import HeadTrunk, head_parts
from headroles.adapt.methods.method import Look, Method
from headroles.adapt.methods.role_numbers import pick_heads
from headroles.checks import check_choices
from headroles.errors import InputError
from headroles.heads.names import head_name
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap

SIDES = ("images", "texts")
"""What the task vector is added to."""


@dataclass(frozen=True)
class LtvConfig(Settings):
    """Settings of task vectors; ours."""

    side: str = "images"
    """What the vector is added to: unit embeddings of "images", or of the classes' "texts"."""
    roles: tuple[str, ...] = ()
    """Roles of the heads that get a weight, by the role map; none: all heads do."""

    def __post_init__(self) -> None:
        self._check_types()
        check_choices(self, side=SIDES)


class Ltv(Method):
    """A weight a head is all that is trained; it begins at 0, as zero-shot CLIP. The schedule is ours."""

    name = "ltv"
    title = "learned task vectors"
    source = "https://arxiv.org/abs/2502.05390"
    settings = LtvConfig
    novel = "by their texts, with the vector of the trained classes' images"
    role_maps = "taken"
    preset: ClassVar[Mapping[str, Any]] = {
        **{"lr": 1e-2, "weight_decay": 0.0, "batch": 32, "epochs": 50},
        **{"augment": False, "cache_views": 1},
    }

    config: LtvConfig
    weights: Float[Tensor, "weighed"]
    """theta, of the heads that get one, in order."""
    means: Float[Tensor, "weighed embed"]
    """Their mean parts of the training images' unit embeddings."""

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: LtvConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        tower = model.visual
        self._looking = False
        self.heads = pick_heads(self.config.roles, role_map, tower)
        """(layer, head) of those that get a weight."""
        self.weights = nn.Parameter(torch.zeros(len(self.heads)))
        self.register_buffer("means", torch.zeros(len(self.heads), tower.embed))
        self.place()

    @classmethod
    def describe(cls, layer: int | None) -> str:
        return (
            f"A [task vector]({cls.source}): a weighted sum of what the heads write on the task's images, on average."
        )

    def image_trunk(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image number"]:
        """Unit embeddings; while the training images are looked at, what heads write beside them."""
        return HeadTrunk.observe(self.model, pixels).flat() if self._looking else super().image_trunk(pixels)

    @property
    def trunk_kind(self) -> Hashable:
        return None if self._looking else EMBEDDED

    def start(self, look: Look) -> None:
        total, images = torch.zeros((), dtype=torch.float64, device=self.device), 0
        self._looking = True
        try:
            for batch in look(None):
                total = total + HeadTrunk.of(self.model, batch.trunk).outputs.double().sum(0)
                images += len(batch.labels)
        finally:
            self._looking = False
        self.means.copy_(head_parts(self.model, (total / images).to(self.means.dtype), self.heads))

    @property
    def vector(self) -> Float[Tensor, "embed"]:
        """The task vector, with gradients: the sum over heads of weight times mean part."""
        return self.weights @ self.means

    def encode_images(self, trunk: Float[Tensor, "image embed"]) -> Float[Tensor, "image embed"]:
        return unit(trunk + self.vector) if self.config.side == "images" else trunk

    def encode_texts(self, texts: ClassTrunk) -> Float[Tensor, "class embed"]:
        return unit(texts.frozen + self.vector) if self.config.side == "texts" else texts.frozen

    def agreement(self, concept: str) -> tuple[float, float]:
        """Spearman's rho of the weights' sizes with the role map's shares of a concept, over heads; and its p-value.

        Do roles foretell which heads a task uses? Silent heads and those without a weight do not count. InputError
        without a role map, for a concept that its bank does not know, or with less than three heads.
        """
        if self.role_map is None:
            raise InputError("role map: agreement is with one; adapt with a role map")
        self.role_map.check_concept(concept)
        sizes = dict(zip(self.heads, self.weights.detach().abs().tolist(), strict=True))
        spoken = [head for head in self.role_map if head.role != "silent" and (head.layer, head.head) in sizes]
        if len(spoken) < 3:
            raise InputError(f"role map: agreement needs three heads with a role and a weight, got {len(spoken)}")
        own = [sizes[head.layer, head.head] for head in spoken]
        shares = [head.distribution[concept] for head in spoken]
        if len(set(own)) == 1 or len(set(shares)) == 1:
            raise InputError(
                f"concept: all heads have one weight, or one share of {concept}; there is no order to agree"
            )
        found = spearmanr(own, shares)
        return float(found.statistic), float(found.pvalue)

    def findings(self) -> Findings:
        weights = self.weights.detach().tolist()
        found = sorted(zip(self.heads, weights, strict=True), key=lambda each: -abs(each[1]))
        most = ", ".join(f"{head_name(head)} {weight:+.3g}" for head, weight in found[:5])
        parts = (Found(layer, f"H{head}", head, {"weight": w}) for (layer, head), w in sorted(found))
        return Findings(self.name, (f"largest weights: {most}",), tuple(parts), "weight")

    def served_tensors(self) -> dict[str, Tensor]:
        return {"adapter.vector": self.vector} if self.config.side == "images" else {}
