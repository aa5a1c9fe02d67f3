"""The adapter folder: PEFT's layout, with the role map and all settings beside the trained tensors."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

import headroles
from headroles.adapt.config import DearConfig, TrainConfig
from headroles.adapt.methods.dear import Dear
from headroles.adapt.metrics import Measure, to_csv, to_json, to_table
from headroles.adapt.training.checkpoint import Checkpoint
from headroles.adapt.training.train import EpochRecord
from headroles.errors import InputError
from headroles.files.tensors import write_tensors
from headroles.files.whole import write_text
from headroles.models.load import load
from headroles.roles.role_map import RoleMap

FORMAT, SCHEMA_VERSION = "headroles-adapter", 1
CONFIG, WEIGHTS, ROLE_MAP, CARD = "adapter_config.json", "adapter_model.safetensors", "role_map.json", "README.md"
METRICS, TABLE = "metrics.json", "metrics.csv"
FILES = (WEIGHTS, CONFIG, ROLE_MAP, CARD, TABLE, METRICS)
"""In the order in which they are written: metrics.json is there only when all the others are."""
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True)
class AdapterInfo:
    """adapter_config.json: what an adapter is for and all that made it."""

    base_model_name_or_path: str
    """What `headroles.load` takes (PEFT's key)."""
    base_model_hash: str
    """sha256 over that model's weights."""
    task: str
    """Name of the task."""
    protocol: str
    """Protocol of the training: base-to-novel trained on the first half of the classes, the others on all."""
    classes: tuple[str, ...]
    """All classes of the task, also those that training did not see."""
    trained_classes: tuple[str, ...]
    """The classes of the training images."""
    template: str
    """Prompt with {} for the class."""
    shots: int | None
    """Training images a class; None for all of them."""
    training_images: str
    """sha256 over which images with which labels were trained on."""
    targets: tuple[str, ...]
    """Tasks that cross-dataset and domain-shift test on."""
    retention: tuple[str, ...]
    """Tasks whose zero-shot accuracy is compared with the frozen CLIP's."""
    seed: int
    """Seed of shots, initial tensors, order and augmentation."""
    layer: int
    """J: the first layer with tokens and masks."""
    attributes: tuple[str, ...]
    """Names of the attribute tokens, in order."""
    dear: DearConfig
    """Every setting of the method."""
    train: TrainConfig
    """Every setting of the training."""
    role_map_sha256: str
    """Of the file role_map.json."""
    ablation: Mapping[str, Any] | None = None
    """Heads that were cut while training and testing, as `headroles.heads.ablation.Ablation`; None for none."""
    headroles_version: str = headroles.__version__
    """What wrote the adapter."""
    peft_type: str = "DEAR"
    """PEFT's key for the method."""
    format: str = FORMAT
    """Marks the file."""
    schema_version: int = SCHEMA_VERSION
    """Version of the file's layout."""

    def to_json(self) -> str:
        """Sorted keys, indent 2, as PEFT writes it."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def load(cls, folder: str | os.PathLike) -> AdapterInfo:
        """Read the file of an adapter folder; InputError where it is missing, damaged or not ours."""
        path = Path(folder) / CONFIG
        raw = _read_json(path)
        if raw.get("format") != FORMAT:
            raise InputError(f"adapter: {path} has format {raw.get('format')!r}; expected {FORMAT!r}")
        if raw.get("schema_version") != SCHEMA_VERSION:
            raise InputError(
                f"adapter: {path} has schema_version {raw.get('schema_version')!r}, this headroles reads "
                f"{SCHEMA_VERSION}; adapt again"
            )
        names = {field.name for field in dataclasses.fields(cls)}
        needed = names - {"ablation"}  # Adapters older than that key had all heads.
        for kind, wrong in (("an unknown key", raw.keys() - names), ("no key", needed - raw.keys())):
            if wrong:
                raise InputError(f"adapter: {path} has {kind} {min(wrong)!r}; use the file that wrote it, unchanged")
        return cls._parse(raw, path)

    @classmethod
    def _parse(cls, raw: Mapping[str, Any], path: Path) -> AdapterInfo:
        names = ("classes", "trained_classes", "attributes", "targets", "retention")
        try:
            lists = {name: tuple(raw[name]) for name in names}
            parts = {"dear": DearConfig.from_dict(raw["dear"]), "train": TrainConfig.from_dict(raw["train"])}
            return cls(**{**raw, **lists, **parts})
        except (TypeError, AttributeError, InputError) as error:
            raise InputError(f"adapter: {path} does not fit the schema: {error}") from error


def save_adapter(
    dear: Dear,
    info: AdapterInfo,
    folder: Path,
    measures: Sequence[Measure] = (),
    history: Sequence[EpochRecord] = (),
) -> None:
    """Write the folder, each file in one step, and then let go of the training's checkpoint."""
    (folder / METRICS).unlink(missing_ok=True)
    write_tensors(folder / WEIGHTS, dear.state_dict(), {"format": "pt"})
    more = {"history": [dataclasses.asdict(record) for record in history], "trainable": dear.trainable_summary()}
    texts = {
        CONFIG: info.to_json(),
        ROLE_MAP: dear.role_map.to_json(),
        CARD: _card(info, measures, dear.trainable_summary()),
        TABLE: to_csv(measures),
        METRICS: to_json(measures, **more),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    Checkpoint(folder).remove()


def load_adapter(folder: str | os.PathLike, device: str = "auto", model: str | None = None) -> Dear:
    """The adapted CLIP of a folder, ready to predict.

    `model`: where the base model is now, if not where the adapter's training found it. Raises InputError where the
    weights are another model's, the role map is another one, or a file is missing, damaged or no safetensors file.
    """
    folder = Path(folder)
    info = AdapterInfo.load(folder)
    role_map = _load_role_map(folder, info)
    tensors = _load_tensors(folder)
    name = model or info.base_model_name_or_path
    clip = load(name, device)
    if clip.weights_hash() != info.base_model_hash:
        raise InputError(
            f"adapter: {folder} was made for weights {info.base_model_hash[:12]}..., not for those of model {name}; "
            "give the model that it was made for"
        )
    dear = Dear(clip, role_map, info.dear, info.seed)
    expected = {name: tuple(tensor.shape) for name, tensor in dear.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        shapes = f"expected {expected.get(wrong[0], 'none')}, got {found.get(wrong[0], 'none')}"
        raise InputError(f"adapter: tensor {wrong[0]} of {folder / WEIGHTS} does not fit: {shapes}")
    dear.load_state_dict(tensors)
    return dear.eval()


def _load_role_map(folder: Path, info: AdapterInfo) -> RoleMap:
    path = folder / ROLE_MAP
    if not path.is_file():
        raise InputError(f"adapter: {folder} lacks {ROLE_MAP}; copy the whole folder")
    if hashlib.sha256(path.read_bytes()).hexdigest() != info.role_map_sha256:
        raise InputError(f"adapter: {path} is not the role map that the adapter was trained with; copy it again")
    return RoleMap.load(path)


def _load_tensors(folder: Path) -> dict[str, torch.Tensor]:
    path = folder / WEIGHTS
    if not path.is_file():
        pickles = sorted(other.name for other in folder.iterdir() if other.suffix in _PICKLES)
        if pickles:
            raise InputError(f"adapter: {folder} holds a pickle, {pickles[0]}; only {WEIGHTS} is read, never a pickle")
        raise InputError(f"adapter: {folder} lacks {WEIGHTS}; copy the whole folder")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"adapter: {path} is damaged or no safetensors file ({error}); copy it again") from error


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        seeds = sorted(child.name for child in path.parent.glob("seed-*") if (child / CONFIG).is_file())
        hint = f"; it holds one a seed, such as {path.parent / seeds[0]}" if seeds else "; make one: headroles adapt"
        raise InputError(f"adapter: {path.parent} is no adapter folder (no {CONFIG}){hint}")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"adapter: {path} is not JSON ({error})") from error
    if not isinstance(raw, dict):
        raise InputError(f"adapter: {path} holds no settings; expected a JSON object")
    return raw


def _card(info: AdapterInfo, measures: Sequence[Measure], trainable: str) -> str:
    """The model card."""
    shots = "all images" if info.shots is None else f"{info.shots} images"
    classes = ", ".join(info.trained_classes[:12]) + (", ..." if len(info.trained_classes) > 12 else "")
    kept = any(measure.protocol == "retention" for measure in measures)
    retention = " Retention: zero-shot on tasks that were not trained." if kept else ""
    table = to_table(measures, markdown=True) if measures else "Not evaluated."
    return f"""---
library_name: headroles
base_model: {json.dumps(info.base_model_name_or_path, ensure_ascii=False)}
tags:
- clip
- few-shot
- dear
---

# {info.base_model_name_or_path} adapted to {info.task}

A [DeAR](https://arxiv.org/abs/2603.01111) adapter: attribute tokens in the vision tower and text tokens in the text
tower, from layer {info.layer} on, with masks from the roles of the attention heads (`{ROLE_MAP}`). The CLIP itself is
unchanged; `{WEIGHTS}` holds the trained tensors alone ({trainable}).

Trained on {shots} a class of {len(info.trained_classes)} classes ({classes}), prompt "{info.template}", seed
{info.seed}. All settings are in `{CONFIG}`.

## Results

Percent of right answers (top-1); `difference` is adapted minus zero-shot.{retention} Every row, also per class, is in
`{METRICS}`.

{table}

## Use

```
headroles predict FOLDER IMAGE... --classes "a,b,c"
headroles evaluate FOLDER --task TASK
```

```python
from headroles.adapt import load_adapter

dear = load_adapter("FOLDER")
```
"""
