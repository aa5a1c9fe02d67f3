"""EditRun: one edit in three steps. Read means where some are kept, say what changes, write the copy and its record."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.errors import InputError
from headroles.files.lock import locked
from headroles.files.whole import replacing_together
from headroles.heads.directions import Directions
from headroles.heads.names import Head, Part, head_list
from headroles.heads.parts import find_operators
from headroles.heads.reference import HeadReference
from headroles.heads.scaled_output import check_scaled, scale_output
from headroles.images.images import FolderImages, Images, ShapesImages
from headroles.images.reading import announce, describe_images, stop_if_looking
from headroles.models.checkpoints.checkpoint import OPEN_CLIP, TRANSFORMERS, Checkpoint
from headroles.models.checkpoints.rewrite import Change, copy_changed
from headroles.models.hooked_clip import HookedCLIP, Tower
from headroles.models.load import Origin, load
from headroles.roles.own_model import preprocess_of
from headroles.roles.role_map import ModelInfo, RoleMap
from headroles.uses.edited import Edited, EditedPart

Means = dict[Head, Float[Tensor, "width"]]
"""What a head writes on average."""


@dataclass(frozen=True)
class EditRun:
    """A checkpoint, the model that it holds, and what becomes of some of its heads."""

    checkpoint: Checkpoint
    """The source's files."""
    model: HookedCLIP
    """Loaded from them."""
    origin: Origin
    """Where everything was found."""
    tower: Tower
    """Whose heads are scaled."""
    tower_name: str
    """"visual" or "text"."""
    parts: tuple[Part, ...]
    """Which."""
    factor: float
    """By what."""
    role_map: RoleMap | None
    """What says of what they speak."""

    def read_means(
        self, images: str | os.PathLike[str] | Images | None, count: int, seed: int, batch: int, workers: int
    ) -> tuple[Means, str | None, dict[str, Any]]:
        """What the parts' heads write on average, over what, and how that was read; none where no mean is kept."""
        if images is None:
            return {}, None, {}
        if self.tower_name == "text":
            raise InputError("keep_mean: images say nothing of the text tower's heads; leave it out")
        given = self._open(images, count, seed)
        name = str(images) if isinstance(images, (str, os.PathLike)) else "images"
        reading = announce(describe_images(given, name))
        layers, last = {part.layer for part in self.parts}, self.tower.layers
        means: Means = {}
        for own in (layers - {last}, layers & {last}):  # Pooling heads see one token, and are read alone.
            if own:
                found = HeadReference.collect(self.model, given, sorted(own), 0, seed, batch, workers)
                means |= {(layer, head): z for layer in own for head, z in enumerate(self._mean(found.mean_of(layer)))}
        return means, name, {"count": len(given), "seed": seed, "reading": reading.to_dict()}

    def _open(self, images: str | os.PathLike[str] | Images, count: int, seed: int) -> Images:
        if not isinstance(images, (str, os.PathLike)):
            return images
        if str(images) == "shapes":
            return ShapesImages(preprocess_of(self.model), count, seed)
        return FolderImages(images, preprocess_of(self.model), count)

    def _mean(self, mean: Float[Tensor, "token head width"]) -> Float[Tensor, "head width"]:
        """At the row that the embedding is read at, or over all tokens where attention pools them."""
        return (mean.mean(0) if self.tower.pooling else mean[0]).double().cpu()

    def operators(self) -> dict[Head, Float[Tensor, "width width"]]:
        """E of every head that changes."""
        width = self.tower.head_width
        factors = {}
        for part in self.parts:
            own = factors[part.place] = torch.ones(width)
            own[list(part.directions or range(width))] = self.factor
        return {} if self.factor == 1 else find_operators(self.tower, factors)

    def changes(self, means: Means) -> list[Change]:
        """What becomes of each layer's output projection."""
        names = {module: name for name, module in self.model.clip.named_modules()}
        operators = {place: operator.cpu() for place, operator in self.operators().items()}
        found = []
        for layer in sorted({layer for layer, _ in operators}):
            own = {head: operator for (row, head), operator in operators.items() if row == layer}
            kept = {head: means[layer, head] for head in own if (layer, head) in means}
            module = self.tower.output(layer)
            found.append(Change(names[module], module, partial(scale_output, own, kept)))
        return found

    def write(self, folder: Path, means: Means, kept: str | None, settings: Mapping[str, Any]) -> Edited:
        """Write the copy, load it again, put record and card beside it; all take their places together."""
        changes = self.changes(means)
        what = f"{head_list(self.parts)} times {self.factor:g}"
        stop_if_looking(f"{what}: {len(changes)} layers of {self.model.model_name} would differ in {folder}")
        with locked(folder, "edit"), replacing_together(folder, "config.json") as staging:
            copy_changed(self.checkpoint, self.model.clip.config, changes, staging)
            written = load(str(staging), "cpu")
            rounding = check_scaled(self.model, written, changes)
            edited = self._record(written.weights_hash(), rounding, kept, settings)
            edited.save(staging / "edit.json")
            (staging / "README.md").write_text(edited.to_card(), encoding="utf-8")
        return edited

    def _record(self, edited_hash: str, rounding: float, kept: str | None, settings: Mapping[str, Any]) -> Edited:
        model, tower = self.model, self.tower
        info = ModelInfo(model.model_name, model.weights_hash(), tower.layers, tower.heads)
        source = {} if self.role_map is None else {"role_map": repr(self.role_map)}
        layout = TRANSFORMERS if self.checkpoint.layout == TRANSFORMERS else OPEN_CLIP
        return Edited(
            info, edited_hash, layout, self.tower_name, self._describe(), self.origin.stored, rounding, kept,
            {**settings, **source},
        )  # fmt: skip

    def _describe(self) -> tuple[EditedPart, ...]:
        layers = sorted({part.layer for part in self.parts})
        sigma = Directions.of(self.tower, layers).sigma.square().cpu()
        concepts = {} if self.role_map is None else {(each.layer, each.head): each.concept for each in self.role_map}
        found = []
        for part in self.parts:
            own = sigma[layers.index(part.layer), part.head]
            strength = own[list(part.directions or range(len(own)))].sum()
            share = strength / own.sum() if own.sum() > 0 else torch.zeros(())
            size = strength.sqrt().item()
            found.append(
                EditedPart(part.name, self.factor, concepts.get(part.place, ""), share.item(), size,
                           abs(self.factor) * size)
            )  # fmt: skip
        return tuple(found)
