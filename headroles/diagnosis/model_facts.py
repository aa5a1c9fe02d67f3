"""Single facts about a model, as `headroles.diagnosis.doctor` finds them."""

from __future__ import annotations

from dataclasses import dataclass

from headroles.files.ranges import Amount, Count, Size


@dataclass(frozen=True)
class TowerFacts:
    """Sizes and choices of one tower."""

    layers: Size
    """Number of layers."""
    heads: Size
    """Heads of a layer."""
    head_width: Size
    """Width of a head's output."""
    width: Size
    """Width of the residual stream."""
    embed: Size
    """Width of the embedding."""
    activation: str
    """Activation of the MLPs, by transformers' name."""
    eps: float
    """What LayerNorms add to the variance."""


@dataclass(frozen=True)
class Exactness:
    """How well the parts of embeddings sum to the embeddings."""

    tower: str
    """image or text."""
    inputs: str
    """What went in."""
    dtype: str
    """float32 or float64."""
    error: float
    """Norm of the difference over norm of the embedding, of the worst input."""
    bound: Amount
    """The error has to stay below."""

    @property
    def passed(self) -> bool:
        """False also where the error is not a number."""
        return self.error <= self.bound


@dataclass(frozen=True)
class Cost:
    """What a batch of random images costs."""

    batch: Size
    """Images of the batch."""
    plain: Amount
    """Images a second, forward alone; the median of three rounds."""
    scoring: Amount
    """Images a second of a scoring pass over the deep layers."""
    plain_bytes: Count
    """Most bytes that the tensors of a forward hold at once, weights not counted."""
    scoring_bytes: Count
    """The same of the scoring pass."""


@dataclass(frozen=True)
class Readiness:
    """Whether a command works with the model."""

    command: str
    """Name of the command and what it needs."""
    ready: bool
    """Whether it works."""
    why: str
    """Why not, or what else it takes."""
