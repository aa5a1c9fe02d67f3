"""What `headroles.diagnosis.doctor` finds out about a model, as facts and as a report."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass

from headroles.models.load import Origin


@dataclass(frozen=True)
class TowerFacts:
    """Sizes and choices of one tower."""

    layers: int
    """Number of layers."""
    heads: int
    """Heads of a layer."""
    head_width: int
    """Width of a head's output."""
    width: int
    """Width of the residual stream."""
    embed: int
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
    bound: float
    """The error has to stay below."""

    @property
    def passed(self) -> bool:
        """False also where the error is not a number."""
        return self.error <= self.bound


@dataclass(frozen=True)
class Cost:
    """What a batch of random images costs."""

    batch: int
    """Images of the batch."""
    plain: float
    """Images a second, forward alone; the median of three rounds."""
    scoring: float
    """Images a second of a scoring pass over the deep layers."""
    plain_bytes: int
    """Most bytes that the tensors of a forward hold at once, weights not counted."""
    scoring_bytes: int
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


@dataclass(frozen=True)
class Diagnosis:
    """All that was found out about a model."""

    model: str
    """Name, as given."""
    family: str
    """transformers' model type."""
    origin: Origin
    """Files and what was found beside them."""
    weights_hash: str
    """sha256 over all weights as loaded."""
    dtype: str
    """Type of the loaded weights."""
    device: str
    """Where it ran."""
    parameters: int
    """Number of parameters."""
    weights_bytes: int
    """Bytes of the loaded weights."""
    image_size: int
    """Height and width of an image, in pixels."""
    patch_size: int
    """Height and width of a patch."""
    context: int | None
    """Tokens of the longest text."""
    vision: TowerFacts
    """The vision tower."""
    text: TowerFacts | None
    """The text tower, if there is one."""
    exactness: tuple[Exactness, ...]
    """Every check of the decomposition."""
    cost: Cost
    """Speed and memory."""
    commands: tuple[Readiness, ...]
    """What the model can be used for."""

    @property
    def failures(self) -> tuple[Exactness, ...]:
        """The checks that failed."""
        return tuple(check for check in self.exactness if not check.passed)

    def to_json(self) -> str:
        """All fields, and `passed`."""
        raw = dataclasses.asdict(self)
        for check, row in zip(self.exactness, raw["exactness"], strict=True):
            row["passed"] = check.passed
            row["error"] = check.error if math.isfinite(check.error) else None
        return json.dumps({**raw, "passed": not self.failures}, indent=2, ensure_ascii=False) + "\n"

    def to_text(self) -> str:
        """The report that people read."""
        origin, cost = self.origin, self.cost
        context = "" if self.context is None else f", context {self.context}"
        lines = [
            f"{self.model}: {self.family}, {origin.layout} layout",
            f"  files          {origin.source} ({origin.container}, stored as {origin.stored})",
            f"  weights        {self.weights_hash[:16]}..., {self.parameters / 1e6:.1f} million, {self.dtype}, "
            f"{_megabytes(self.weights_bytes)} on {self.device}",
            f"  tokenizer      {origin.tokenizer or _no_tokenizer(self.text)}",
            f"  preprocessing  {origin.preprocessing}",
            f"  input          {self.image_size} pixels, patch {self.patch_size}{context}",
            _describe_tower("vision", self.vision),
            "  text           none" if self.text is None else _describe_tower("text", self.text),
            "parts of embeddings sum to the embeddings (relative error of the worst input):",
            *(
                f"  {check.tower:<6} {check.dtype:<8} {check.error:.1e}  bound {check.bound:.0e}  "
                f"{'passed' if check.passed else 'FAILED'}  {check.inputs}"
                for check in self.exactness
            ),
            f"a batch of {cost.batch} images:",
            f"  forward        {cost.plain:.1f} images/s, {_megabytes(cost.plain_bytes)} beside the weights",
            f"  scoring pass   {cost.scoring:.1f} images/s, {_megabytes(cost.scoring_bytes)} beside the weights",
            "commands:",
            *map(_describe_command, self.commands),
        ]
        return "\n".join(lines)


def _describe_tower(name: str, tower: TowerFacts) -> str:
    return (
        f"  {name:<14} {tower.layers} layers of {tower.heads} heads of {tower.head_width}, width {tower.width}, "
        f"embedding {tower.embed}, {tower.activation}, eps {tower.eps:g}"
    )


def _describe_command(row: Readiness) -> str:
    return f"  {row.command:<24} {'yes' if row.ready else 'no'}{f': {row.why}' if row.why else ''}"


def _no_tokenizer(text: TowerFacts | None) -> str:
    return "none needed" if text is None else "none found"


def _megabytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"
