"""Tip-Adapter and Tip-Adapter-F (arXiv 2111.03930): a cache of the few shots beside CLIP's own logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from headroles.adapt.config import Settings
from headroles.adapt.methods.features import ClassTrunk, unit
from headroles.adapt.methods.findings import Findings
from headroles.adapt.methods.method import Look, Method
from headroles.checks import check_least
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.precision import in_full_precision
from headroles.roles.role_map import RoleMap

_FROM = 0.1
"""Where the grids begin."""
_ALPHAS, _BETAS = 20, 200
"""How many of each are tried."""


@dataclass(frozen=True)
class TipAdapterConfig(Settings):
    """Settings of Tip-Adapter: alpha and beta as in the paper's text, their search as in its code."""

    search: bool = True
    """Choose alpha and beta by validation images, in the end, where the task has any: the first of the best in a grid
    of 20 by 200, from 0.1 up."""
    alpha: float = 1.0
    """Weight of the cache's logits, until it is searched."""
    beta: float = 5.5
    """How fast a cached image's say falls with its distance: exp(-beta (1 - cosine)); until it is searched."""
    alpha_end: float = 3.0
    """Where the grid of alphas ends. Published are other ends for each data set; this and `beta_end` are ImageNet's."""
    beta_end: float = 7.0
    """Where the grid of betas ends."""
    views: int = 10
    """Augmented views of an image whose mean embedding is its key; 0: the image as it is tested."""

    def __post_init__(self) -> None:
        self._check_types()
        check_least(self, alpha=0, views=0)
        self._check_above_zero("beta")
        for name in ("alpha_end", "beta_end"):
            if not getattr(self, name) > _FROM:
                raise InputError(f"{name} must be above {_FROM}, got {getattr(self, name)}")


@dataclass(frozen=True)
class CachedClasses:
    """What the logits need of classes."""

    texts: Float[Tensor, "class embed"]
    """Frozen CLIP's unit embeddings."""
    values: Float[Tensor, "key class"]
    """1 where a key's image is of the class."""


class TipAdapter(Method):
    """Keys are the training images' embeddings, values their classes; classes that no key is of have CLIP's logits."""

    name = "tip-adapter"
    title = "Tip-Adapter"
    source = "https://arxiv.org/abs/2111.03930"
    settings = TipAdapterConfig
    novel = "by their texts, as no key is theirs"
    steps = False
    needs_classes = True

    config: TipAdapterConfig
    keys: Float[Tensor, "key embed"]
    """Unit embeddings of the training images; trained in Tip-Adapter-F."""
    labels: Int[Tensor, "key"]
    """Their classes among the trained ones."""
    chosen: Float[Tensor, "2"] | None
    """Alpha and beta by validation images; None where none were searched."""

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: TipAdapterConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        self._keep(torch.zeros(0, model.visual.embed), torch.zeros(0, dtype=torch.long))

    def _keep(self, keys: Float[Tensor, "key embed"], labels: Int[Tensor, "key"]) -> None:
        self.keys = nn.Parameter(keys, requires_grad=self.steps)
        self.register_buffer("labels", labels)
        self.register_buffer("chosen", None)
        self.place()

    @classmethod
    def describe(cls, layer: int | None) -> str:
        kept = "trained from" if cls.steps else "which are"
        return f"A [{cls.title}]({cls.source}) adapter: a cache of keys, {kept} the training images' embeddings."

    @classmethod
    def validates(cls, config: TipAdapterConfig) -> str:
        return "alpha and beta" if config.search else ""

    @property
    def strengths(self) -> tuple[Tensor | float, Tensor | float]:
        """Alpha and beta, as set or as found."""
        return (self.config.alpha, self.config.beta) if self.chosen is None else (self.chosen[0], self.chosen[1])

    def start(self, look: Look) -> None:
        views = [list(look(view)) for view in (range(self.config.views) or (None,))]
        means = torch.stack([torch.cat([batch.trunk for batch in view]) for view in views]).mean(0)
        self._keep(unit(means).clone(), torch.cat([batch.labels for batch in views[0]]))

    def make_room(self, tensors: Mapping[str, Tensor]) -> None:
        keys, labels = tensors.get("keys"), tensors.get("labels")
        if keys is not None and labels is not None and keys.shape == (*labels.shape, self.model.visual.embed):
            self._keep(torch.zeros(keys.shape), torch.zeros(labels.shape, dtype=torch.long))
        if "chosen" in tensors:
            self.register_buffer("chosen", self.keys.new_zeros(2))

    def settle(self, look: Look, validation: Look | None) -> None:
        if validation is None:
            return
        batches = list(validation(None))
        images, labels = (torch.cat([getattr(each, name) for each in batches]) for name in ("trunk", "labels"))
        found = self._search(unit(images), labels, self.encode_texts(batches[0].texts))
        self.register_buffer("chosen", self.keys.new_tensor(found))

    def _search(
        self, images: Float[Tensor, "image embed"], labels: Int[Tensor, "image"], classes: CachedClasses
    ) -> tuple[float, float]:
        """The first alpha and beta of the best in the grid, betas before alphas."""
        plain, apart = self.scale * images @ classes.texts.T, images @ self.keys.T - 1
        alphas, best, found = grid(self.config.alpha_end, _ALPHAS), -1, (0.0, 0.0)
        weights = plain.new_tensor(alphas)[:, None, None]
        for beta in grid(self.config.beta_end, _BETAS):
            cached = torch.exp(beta * apart) @ classes.values
            right = ((plain + weights * cached).argmax(-1) == labels).sum(-1).tolist()
            if max(right) > best:
                best, found = max(right), (alphas[right.index(max(right))], beta)
        return found

    def findings(self) -> Findings:
        alpha, beta = map(float, self.strengths)
        how = "as set, not searched" if self.chosen is None else "the best on validation images"
        return Findings(self.name, (f"alpha {alpha:.3g} and beta {beta:.3g}: {how}",))

    def encode_texts(self, texts: ClassTrunk) -> CachedClasses:
        places = [self.classes.index(name) if name in self.classes else -1 for name in texts.names]
        values = self.labels[:, None] == torch.tensor(places, device=self.device)
        return CachedClasses(texts.frozen, values.to(texts.frozen.dtype))

    @in_full_precision
    def logits(self, images: Float[Tensor, "image embed"], classes: CachedClasses) -> Float[Tensor, "image class"]:
        alpha, beta = self.strengths
        near = torch.exp(beta * (images @ self.keys.T - 1))
        return self.scale * images @ classes.texts.T + alpha * (near @ classes.values)


class TipAdapterF(TipAdapter):
    """The keys are trained too."""

    name = "tip-adapter-f"
    title = "Tip-Adapter-F"
    preset: ClassVar[Mapping[str, Any]] = {
        **{"lr": 1e-3, "weight_decay": 1e-2, "batch": 256, "epochs": 20, "warmup_epochs": 0}
    }
    steps = True


def grid(end: float, count: int) -> list[float]:
    """Even steps from 0.1 to before `end`."""
    return [_FROM + number * (end - _FROM) / count for number in range(count)]
