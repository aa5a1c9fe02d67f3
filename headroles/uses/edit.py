"""edit(): a checkpoint whose heads, or directions of heads, are scaled in its weights, for anybody to load.

z E W_O is what scaling heads makes of z W_O (`headroles.heads.parts`), so W_O -> E W_O does it once for all, at no cost
afterwards. A mean that is to stay goes into the bias: b_O -> b_O + m (I - E) W_O, which is one for all tokens.
"""

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

from headroles.checks import check_kinds, typed
from headroles.errors import InputError
from headroles.files.lock import locked
from headroles.files.whole import replacing_together
from headroles.heads.directions import Directions
from headroles.heads.names import Head, Part
from headroles.heads.parts import Parts, find_operators, find_parts
from headroles.heads.reference import HeadReference
from headroles.images.images import FolderImages, Images, ShapesImages
from headroles.images.reading import announce, describe_images
from headroles.models.checkpoints.checkpoint import OPEN_CLIP, TRANSFORMERS, Checkpoint, find_checkpoint
from headroles.models.checkpoints.rewrite import Change, Pair, copy_changed
from headroles.models.hooked_clip import HookedCLIP, Tower
from headroles.models.load import load, open_model
from headroles.models.weights_check import check_weights
from headroles.roles.own_model import preprocess_of
from headroles.roles.role_heads import check_model
from headroles.roles.role_map import ModelInfo, RoleMap
from headroles.roles.role_parts import concept_parts
from headroles.uses.edited import Edited, EditedPart

TOWERS = ("visual", "text")
Means = dict[Head, Float[Tensor, "width"]]
"""What a head writes on average."""


@typed
def edit(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    heads: Parts | None = None,
    damp: str | None = None,
    any_role: bool = False,
    factor: float = 0.0,
    role_map: RoleMap | str | os.PathLike[str] | None = None,
    keep_mean: str | os.PathLike[str] | Images | None = None,
    count: int = 500,
    seed: int = 2,
    tower: str = "visual",
    device: str = "auto",
    batch: int = 64,
    workers: int = 0,
) -> Edited:
    """Write the model's checkpoint into the folder `output`, with some heads, or directions, times `factor`.

    `model`: a name, folder, file or hub id, as `load` takes it. Scaled are `heads` ("L6.H5,L7.H0.D0-2"), or what speaks
    of the concept `damp` in the `role_map`: of its Attribute heads (`any_role`: of all heads) the directions that write
    it, where the map knows directions, else the heads themselves. `factor`: 0 takes them out, 1 changes no bit, more
    strengthens. Weights know no mean, so 0 is zero-ablation; `keep_mean`, a folder of images, "shapes", or open images
    (`count` of them, of `seed` where rendered), writes the parts' mean output into the biases, and 0 is mean-ablation
    with one mean for all tokens: CLS's, or where attention pools the embedding that of all tokens.

    The copy has the source's own layout (OpenAI's files become OpenCLIP's), tokenizer and preprocessing; weights are
    safetensors of the stored type. It is loaded again before it takes its place. Raises InputError where `output`
    holds something already, a head is not in the model, or the role map is another model's.
    """
    place = Path(output)
    _check_new(place)
    if tower not in TOWERS:
        raise InputError(f"tower must be one of {', '.join(TOWERS)}, got {tower!r}")
    if (heads is None) == (damp is None):
        raise InputError("heads: give either heads by name, or a concept to damp and a role map")
    check_kinds({"factor": factor}, {"factor": "float"})
    found = find_checkpoint(str(model))
    opened, _ = open_model(str(model), device)
    check_weights(opened, str(model))
    if tower == "text":
        opened.check_text()
    scored = None if role_map is None else RoleMap.of(role_map)
    if scored is not None:
        check_model(scored, opened)
    sizes: Tower = getattr(opened, tower)
    parts = find_parts(sizes, heads) if heads is not None else _parts_of(scored, str(damp), any_role)
    run = EditRun(found, opened, sizes, tower, parts, float(factor), scored)
    means, kept, settings = run.read_means(keep_mean, count, seed, batch, workers)
    return run.write(place, means, kept, {"damp": damp, "any_role": any_role, **settings})


def _check_new(folder: Path) -> None:
    """InputError where the folder holds anything: an edit overwrites nothing."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(f"output: {folder} holds something already; give a new folder: edit overwrites nothing")


def _parts_of(role_map: RoleMap | None, concept: str, any_role: bool) -> tuple[Part, ...]:
    if role_map is None:
        raise InputError(f"damp: which heads speak of {concept}? give the role map of this model, or heads by name")
    return concept_parts(role_map, concept, any_role)


@dataclass(frozen=True)
class EditRun:
    """A checkpoint, the model that it holds, and what becomes of some of its heads."""

    checkpoint: Checkpoint
    """The source's files."""
    model: HookedCLIP
    """Loaded from them."""
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
        """Write the copy, load it again, and put record and card beside it; all take their places together."""
        changes = self.changes(means)
        with locked(folder, "edit"), replacing_together(folder, "config.json") as staging:
            copy_changed(self.checkpoint, self.model.clip.config, changes, staging)
            written = load(str(staging), "cpu")
            rounding = check_written(self.model, written, changes)
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
            info, edited_hash, layout, self.tower_name, self._describe(), _stored(model), rounding, kept,
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
