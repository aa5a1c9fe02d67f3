"""Diagnosis: all that was found out about a model, as JSON, as a table and as a text that people read."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headroles.diagnosis.model_facts import Cost, Exactness, Readiness, TowerFacts
from headroles.files.documents import Document
from headroles.files.json_files import dump_json
from headroles.files.ranges import Count, Hash, Size
from headroles.models.load import Origin
from headroles.shown import html_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Diagnosis(Document):
    """All that was found out about a model."""

    called, made_by, file_name = "diagnosis", "headroles doctor --json", "diagnosis.json"

    model: str
    """Name, as given."""
    family: str
    """transformers' model type."""
    origin: Origin
    """Files and what was found beside them."""
    weights_hash: Hash
    """sha256 over all weights as loaded."""
    dtype: str
    """Type of the loaded weights."""
    device: str
    """Where it ran."""
    parameters: Count
    """Number of parameters."""
    weights_bytes: Count
    """Bytes of the loaded weights."""
    image_size: Size | tuple[Size, Size]
    """Height and width of an image as it flows, in pixels: one number where they are equal."""
    patch_size: Size | tuple[Size, Size]
    """Height and width of a patch: one number where they are equal."""
    context: Size | None
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
    format: str = "headroles.diagnosis"
    """Marks the file."""
    schema_version: int = 1
    """Version of the file's layout."""

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Exactness, ...]:
        """The checks that failed."""
        return tuple(check for check in self.exactness if not check.passed)

    def to_dict(self) -> dict[str, Any]:
        """All fields, and what `passed`; an error that is no number is None."""
        raw = dataclasses.asdict(self)
        for check, row in zip(self.exactness, raw["exactness"], strict=True):
            row["passed"] = check.passed
            row["error"] = check.error if math.isfinite(check.error) else None
        return json.loads(dump_json({**raw, "passed": self.ok}))

    @classmethod
    def from_dict(cls, raw: Any, source: str = "this") -> Diagnosis:
        """The opposite of `to_dict`; an error that is None is not a number."""
        raw = {name: value for name, value in raw.items() if name != "passed"} if isinstance(raw, dict) else raw
        rows = raw.get("exactness") if isinstance(raw, dict) else None
        if not isinstance(rows, list):
            return super().from_dict(raw, source)
        found = super().from_dict({**raw, "exactness": [_as_written(row) for row in rows]}, source)
        checks = (
            dataclasses.replace(check, error=math.nan) if row.get("error") is None else check
            for check, row in zip(found.exactness, rows, strict=True)
        )
        return dataclasses.replace(found, exactness=tuple(checks))

    def to_frame(self) -> pd.DataFrame:
        """One row, so that models can be put below each other: sizes, worst errors, speed, which commands work."""
        import pandas as pd

        names = ("model", "family", "dtype", "device", "parameters", "weights_bytes", "image_size", "patch_size")
        row: dict[str, Any] = {name: getattr(self, name) for name in (*names, "context")}
        for side, tower in (("vision", self.vision), ("text", self.text)):
            row |= {f"{side}_{name}": getattr(tower, name, None) for name in ("layers", "heads", "width", "embed")}
        row |= {f"error_{check.dtype}": 0.0 for check in self.exactness}
        for check in self.exactness:
            row[f"error_{check.dtype}"] = float(np.fmax(row[f"error_{check.dtype}"], check.error))
        row |= {"ok": self.ok, "plain": self.cost.plain, "scoring": self.cost.scoring}
        return pd.DataFrame([row | {each.command: each.ready for each in self.commands}])

    def __repr__(self) -> str:
        """One line."""
        return f"Diagnosis({self.model}, {self.family}: {'exact' if self.ok else 'NOT EXACT'})"

    def _repr_html_(self) -> str:
        """Checks and commands, for notebooks."""
        rows = [
            (
                f"{check.tower}, {check.dtype}, {check.inputs}",
                "passed" if check.passed else "FAILED",
                f"{check.error:.1e}",
            )
            for check in self.exactness
        ]
        rows += [(each.command, "yes" if each.ready else "no", each.why) for each in self.commands]
        return html_table(self.to_text().splitlines()[0], ("", "", ""), rows)

    def to_text(self) -> str:
        """The report that people read."""
        origin, cost = self.origin, self.cost
        context = "" if self.context is None else f", context {self.context}"
        lines = [
            f"{self.model}: {self.family}, {origin.layout} layout",
            f"  files          {origin.source} ({origin.container}, stored as {origin.stored})",
            *([f"  taken          {origin.note}"] if origin.note else []),
            f"  weights        {self.weights_hash[:16]}..., {self.parameters / 1e6:.1f} million, {self.dtype}, "
            f"{_megabytes(self.weights_bytes)} on {self.device}",
            f"  tokenizer      {origin.tokenizer or _no_tokenizer(self.text)}",
            f"  preprocessing  {origin.preprocessing}",
            f"  input          {_pixels(self.image_size)} pixels, patch {_pixels(self.patch_size)}{context}",
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


def _pixels(size: int | tuple[int, int]) -> str:
    return str(size) if isinstance(size, int) else " x ".join(map(str, size))


def _as_written(row: Any) -> Any:
    """A check's own fields, its error a number: 0 in place of one that is none."""
    if not isinstance(row, dict):
        return row
    error = 0.0 if row.get("error") is None else row["error"]
    return {name: value for name, value in row.items() if name != "passed"} | {"error": error}


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
