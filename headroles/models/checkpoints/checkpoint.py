"""Where a model's files are and in which layout: from a name, a folder, a file or a hub id."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from headroles.errors import InputError
from headroles.models.checkpoints.hub import CONFIG, fetch_model, has_weights, is_transformers
from headroles.models.checkpoints.hub import WEIGHTS as TRANSFORMERS_WEIGHTS
from headroles.models.checkpoints.json_parts import check_json_parts
from headroles.models.checkpoints.open_clip import CONFIG as OPEN_CLIP_CONFIG
from headroles.models.checkpoints.open_clip import WEIGHTS as OPEN_CLIP_WEIGHTS
from headroles.models.checkpoints.peft_folder import CONFIG as ADAPTER_CONFIG
from headroles.models.checkpoints.peft_folder import find_base
from headroles.models.checkpoints.settings import check_pointers, read_settings
from headroles.models.known_models import BUNDLED, FILES, find_known, read_hub_id, split_activation

TRANSFORMERS, OPEN_CLIP, OPENAI = "transformers", "OpenCLIP", "OpenAI"
"""Layouts. The last has no config: what its file does not say has to be given."""


@dataclass(frozen=True)
class Checkpoint:
    """A model's files."""

    layout: str
    """transformers, OpenCLIP or OpenAI."""
    folder: Path
    """Where config, tokenizer and preprocessing are, if at all."""
    weights: Path | None
    """The weights file; None in transformers' layout, which can split it."""
    hub_id: str | None = None
    """Where the folder was downloaded from."""
    activation: str | None = None
    """quick_gelu or gelu where the user or the table of models says so."""
    stated_by: str = ""
    """Who says so, for messages."""
    adapter: Path | None = None
    """A PEFT folder whose changes are merged into the weights."""


def find_checkpoint(name: str, activation: str | None = None) -> Checkpoint:
    """The files of "shapes", a known name, a folder, a file or a hub id; a model of the hub is downloaded if need be.

    A name may end in :quick_gelu or :gelu, which is the same as `activation`. Raises InputError where nothing of
    this name is there.
    """
    name, stated = split_activation(name, activation)
    checkpoint, known = _find(name)
    if stated:
        return _with(checkpoint, stated, "activation")
    return _with(checkpoint, known, f"what {name} was trained with") if known else checkpoint


def _find(name: str) -> tuple[Checkpoint, str | None]:
    """The files, and the activation that the table of models knows of."""
    if model := find_known(name):
        if model.hub_id is None:
            folder = Path(str(resources.files("headroles.bundled") / BUNDLED[name]))
            return Checkpoint(TRANSFORMERS, folder, None), model.activation
        return _open_hub(model.hub_id, name), model.activation
    path = Path(name)
    if path.is_dir():
        return _open_folder(path), None
    if path.is_file():
        return _open_file(path), None
    return _open_hub(read_hub_id(name), name), None


def _open_hub(hub_id: str, name: str) -> Checkpoint:
    found = _open_folder(fetch_model(hub_id, name))
    return dataclasses.replace(found, hub_id=found.hub_id or hub_id)


def _open_folder(folder: Path) -> Checkpoint:
    check_pointers(folder)
    if (folder / ADAPTER_CONFIG).is_file() and not (folder / CONFIG).is_file():
        return _open_adapted(folder)
    check_json_parts(folder)
    if is_transformers(folder):
        if not has_weights(folder):
            raise InputError(f"model: folder {folder} has no weights; expected {TRANSFORMERS_WEIGHTS[0]}")
        return Checkpoint(TRANSFORMERS, folder, None)
    if (folder / OPEN_CLIP_CONFIG).is_file():
        weights = next((folder / name for name in OPEN_CLIP_WEIGHTS if (folder / name).is_file()), None)
        if weights is None:
            raise InputError(f"model: folder {folder} has no weights; expected {' or '.join(OPEN_CLIP_WEIGHTS)}")
        return Checkpoint(OPEN_CLIP, folder, weights)
    if (folder / CONFIG).is_file():
        read_settings(folder / CONFIG)
        raise InputError(f"model: {folder / CONFIG} names no model_type; expected one that save_pretrained wrote")
    files = sorted(path for path in folder.iterdir() if path.suffix in FILES)
    hint = f"; give the file itself: {files[0]}" if files else "; expected one that save_pretrained or OpenCLIP wrote"
    raise InputError(f"model: folder {folder} has no config.json and no {OPEN_CLIP_CONFIG}{hint}")


def _open_adapted(folder: Path) -> Checkpoint:
    """The checkpoint of the model that an adapter changes, and the adapter's folder."""
    base = find_base(folder)
    found, _ = _find(base)
    if found.layout != TRANSFORMERS or found.adapter:
        raise InputError(
            f"model: {folder} is a PEFT adapter over {base}, which is no plain model in transformers' layout; merge it "
            "with peft's merge_and_unload() and save_pretrained, and give that folder"
        )
    return dataclasses.replace(found, adapter=folder)


def _open_file(path: Path) -> Checkpoint:
    if path.suffix not in FILES:
        raise InputError(f"model: {path} is no weights file; expected one ending in {', '.join(FILES)}, or a folder")
    if path.name in TRANSFORMERS_WEIGHTS and is_transformers(path.parent):
        return _open_folder(path.parent)
    layout = OPEN_CLIP if (path.parent / OPEN_CLIP_CONFIG).is_file() else OPENAI
    return Checkpoint(layout, path.parent, path)


def _with(found: Checkpoint, activation: str, stated_by: str) -> Checkpoint:
    return dataclasses.replace(found, activation=activation, stated_by=stated_by)
