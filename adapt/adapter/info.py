"""AdapterInfo: what an adapter is for and all that made it, as its folder's adapter_config.json has it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import headroles
from headroles.adapt.adapter.memory import image_ids, remember_split
from headroles.adapt.adapter.merging import Merging
from headroles.adapt.adapter.places import CONFIG as CONFIG
from headroles.adapt.adapter.places import find_config
from headroles.adapt.config import TrainConfig
from headroles.adapt.data.reading import record_reading
from headroles.adapt.data.task import Task
from headroles.adapt.methods.method import Method
from headroles.adapt.methods.registry import METHODS
from headroles.adapt.training.fingerprint import digest, digest_map
from headroles.adapt.training.records import EpochRecord
from headroles.adapt.training.validation import choose_epoch
from headroles.errors import InputError
from headroles.files.json_files import dump_json, read_json
from headroles.files.plain import Unfit, from_plain
from headroles.heads.ablation import current_ablation

FORMAT, SCHEMA_VERSION = "headroles-adapter", 1
WEIGHTS, ROLE_MAP, CARD = "adapter_model.safetensors", "role_map.json", "README.md"
METRICS, TABLE, FINDINGS = "metrics.json", "metrics.csv", "findings.json"
_RARE = ("begun_with", "merged")
"""Fields that the file has only where they say something."""
_LATER = {"ablation", "split", "trained_images", "reading", "epoch", "validation", "held_out", *_RARE}
"""Fields that older adapters lack: they had all heads and domains, and no memory."""
FILES = (WEIGHTS, CONFIG, ROLE_MAP, CARD, TABLE, FINDINGS, METRICS)
"""In the order in which they are written: metrics.json is there only when all the others are."""


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
    """Protocol of the training: base-to-novel and joint train on the first half of the classes, the others on all."""
    classes: tuple[str, ...]
    """All classes of the task, also those that training did not see."""
    trained_classes: tuple[str, ...]
    """The classes of the training images."""
    template: str
    """Prompt with {} for the class."""
    shots: int | None
    """Training images a class, where a domain is left out of every other domain; None for all of them."""
    training_images: str
    """sha256 over which images with which labels were trained on."""
    targets: tuple[str, ...]
    """Tasks that cross-dataset and domain-shift test on."""
    retention: tuple[str, ...]
    """Tasks whose zero-shot accuracy is compared with the frozen CLIP's."""
    seed: int
    """Seed of shots, initial tensors, order and augmentation."""
    layer: int | None
    """The first vision layer that the method changes, in DeAR J; None where it changes none."""
    attributes: tuple[str, ...]
    """Names of what is fused with CLS in the logits, in order: DeAR's attribute tokens."""
    method: str
    """Its name in `headroles.adapt.METHODS`; in the file PEFT's key `peft_type`, in capitals."""
    settings: Any
    """Every setting of the method, an object of its class; in the file below the method's name."""
    train: TrainConfig
    """Every setting of the training; a method without steps uses seed and precision alone."""
    role_map_sha256: str | None
    """Of the file role_map.json; None of a method without a role map."""
    split: Mapping[str, Mapping[str, Any]] | None = None
    """The task's splits as they were: split -> "images", their number, and "sha256" over their classes and places."""
    trained_images: tuple[str, ...] = ()
    """Of few-shot trainings: the training images, each as 16 hex digits of the sha256 of its file."""
    reading: Mapping[str, Any] = field(default_factory=dict)
    """How texts and pictures were read, and of every task its counts, its split, and the images that were left out."""
    held_out: str = ""
    """The domain that was left out of the training, to be tested; "" where none was."""
    epoch: int | None = None
    """The epoch, from 1, whose tensors it has; None of one that was trained by hand without a history."""
    validation: tuple[float, ...] = ()
    """Share of validation images that were right after each epoch; none where the last epoch is taken."""
    ablation: Mapping[str, Any] | None = None
    """Heads that were cut while training and testing, as `headroles.heads.ablation.Ablation`; None for none."""
    begun_with: str | None = None
    """sha256 of the adapter_model.safetensors that its training went on from; None of one that began anew."""
    merged: Merging | None = None
    """What it was merged of; None of one that was trained. The fields above are those of its newest part."""
    headroles_version: str = headroles.__version__
    """What wrote the adapter."""
    format: str = FORMAT
    """Marks the file."""
    schema_version: int = SCHEMA_VERSION
    """Version of the file's layout."""

    @classmethod
    def of(
        cls,
        method: Method,
        task: Task,
        train: TrainConfig,
        *,
        trained: Task | None = None,
        protocol: str | None = None,
        shots: int | None = None,
        held_out: str = "",
        targets: Sequence[str] = (),
        retention: Sequence[str] = (),
        read: Sequence[Task] = (),
        history: Sequence[EpochRecord] = (),
    ) -> AdapterInfo:
        """What `method` is after a training on `trained`, with the settings `train`, for the classes of `task`.

        `trained`: the task with the training's images and classes; None: `task` itself. `protocol`: None for
        base-to-novel where `trained` has only some of the classes, else few-shot. `read`: all tasks that were read,
        where there are more. `history`: the training, epoch by epoch. The rest are fields.
        """
        seen = trained or task
        return cls(
            base_model_name_or_path=method.model.model_name,
            base_model_hash=method.model_hash,
            task=task.name,
            protocol=protocol or ("few-shot" if seen.classes == task.classes else "base-to-novel"),
            classes=task.classes,
            trained_classes=seen.classes,
            template=task.template,
            shots=shots,
            held_out=held_out,
            training_images=digest(seen.train),
            targets=tuple(targets),
            retention=tuple(retention),
            seed=train.seed,
            layer=method.layer,
            attributes=method.attributes,
            method=method.name,
            settings=method.config,
            train=train,
            role_map_sha256=digest_map(method.role_map),
            split=remember_split(task),
            trained_images=tuple(sorted(image_ids(seen.train))) if shots else (),
            reading=record_reading(method.model, read or (task,)),
            epoch=choose_epoch(history),
            validation=tuple(record.validation for record in history if record.validation is not None),
            ablation=current_ablation(),
            begun_with=method.begun_with,
        )

    @property
    def novel_classes(self) -> tuple[str, ...]:
        """The task's classes that were not trained."""
        return tuple(name for name in self.classes if name not in self.trained_classes)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Images of all tasks that were read, which could not be read or are there twice."""
        return tuple(key for task in self.reading.get("tasks", {}).values() for key in task["left_out"])

    def to_json(self) -> str:
        """Sorted keys, indent 2, as PEFT writes it."""
        plain = dataclasses.asdict(self) | {"train": self.train.to_dict(), "peft_type": self.method.upper()}
        plain[plain.pop("method")] = plain.pop("settings")
        plain = {name: value for name, value in plain.items() if name not in _RARE or value is not None}
        return dump_json(plain, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

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
        kind = _find_kind(raw, path)
        names = {each.name for each in dataclasses.fields(cls)} - {"method", "settings"} | {"peft_type", kind.name}
        needed = names - _LATER
        for what, wrong in (("an unknown key", raw.keys() - names), ("no key", needed - raw.keys())):
            if wrong:
                raise InputError(f"adapter: {path} has {what} {min(wrong)!r}; use the file that wrote it, unchanged")
        return cls._parse(raw, kind, path)

    @classmethod
    def _parse(cls, raw: Mapping[str, Any], kind: type[Method], path: Path) -> AdapterInfo:
        try:
            settings = kind.settings.from_dict(raw[kind.name])
            TrainConfig.from_dict(raw["train"])  # Says more of a wrong setting than its type does.
            plain = {name: value for name, value in raw.items() if name not in ("peft_type", kind.name)}
            info: AdapterInfo = from_plain(cls, plain | {"method": kind.name, "settings": settings})
        except (Unfit, TypeError, InputError) as error:
            raise InputError(f"adapter: {path} does not fit the schema: {error}") from error
        return info


def _find_kind(raw: Mapping[str, Any], path: Path) -> type[Method]:
    """The method that made an adapter."""
    name = str(raw.get("peft_type")).lower()
    if name not in METHODS:
        raise InputError(
            f"adapter: {path} has peft_type {raw.get('peft_type')!r}; this headroles has {', '.join(METHODS).upper()}"
        )
    return METHODS[name]


def _read_json(path: Path) -> dict[str, Any]:
    raw = read_json(find_config(path.parent), "adapter", "copy the whole folder")
    if not isinstance(raw, dict):
        raise InputError(f"adapter: {path} holds no settings; expected a JSON object")
    return raw
