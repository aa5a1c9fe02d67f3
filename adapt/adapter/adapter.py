"""Adapter: a CLIP with what was trained around it, and its folder: PEFT's layout, role map and all settings beside."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from headroles.adapt.adapter.card import write_card
from headroles.adapt.adapter.info import (
    CARD,
    CONFIG,
    FILES,
    FINDINGS,
    METRICS,
    ROLE_MAP,
    TABLE,
    WEIGHTS,
    AdapterInfo,
)
from headroles.adapt.adapter.tensors import fill, read_tensors
from headroles.adapt.config import TrainConfig
from headroles.adapt.data.task import Task
from headroles.adapt.methods.findings import Findings
from headroles.adapt.methods.method import Method
from headroles.adapt.methods.registry import METHODS
from headroles.adapt.metrics import Measure, read_measures, table_heading, table_rows, to_csv, to_frame, to_json
from headroles.adapt.training.checkpoint import Checkpoint
from headroles.adapt.training.records import EpochRecord
from headroles.checks import typed
from headroles.errors import InputError, said
from headroles.files.json_files import read_object
from headroles.files.latex import Tabled
from headroles.files.plain import Unfit, from_plain
from headroles.files.tensors import pack_tensors
from headroles.files.whole import replacing_together, write_bytes, write_text
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.load import load
from headroles.models.on_hub import OnHub
from headroles.roles.role_map import RoleMap
from headroles.shown import Shown, html_table

if TYPE_CHECKING:
    import pandas as pd

FIGURES: Mapping[str, str] = {
    "curves": "headroles.adapt.results.plot:curves_figure",
    "mask": "headroles.adapt.results.mask_plot:mask_figure",
    "fusion": "headroles.adapt.results.plot:fusion_figure",
    "found": "headroles.adapt.results.found_plot:found_figure",
    "shots": "headroles.adapt.results.shots_plot:shots_figure",
}
"""Kind -> where it is drawn, of one adapter or of several seeds'."""


@dataclass(frozen=True, eq=False, repr=False)
class Adapter(Shown, Tabled, OnHub):
    """An adapted CLIP, and what its folder says of it. `of` makes one of what was trained by hand."""

    figures: ClassVar[Mapping[str, str]] = FIGURES
    called, hub_files = "adapter", FILES

    method: Method
    """The module around the frozen CLIP (`method.model`) that embeds images and texts."""
    info: AdapterInfo
    """What it is for and all that made it."""
    measures: tuple[Measure, ...] = ()
    """The rows of its evaluation; none before one."""
    history: tuple[EpochRecord, ...] = ()
    """Its training, epoch by epoch."""

    @classmethod
    def of(
        cls,
        method: Method,
        task: Task,
        train: TrainConfig,
        *,
        measures: tuple[Measure, ...] = (),
        history: tuple[EpochRecord, ...] = (),
        **facts: Any,
    ) -> Adapter:
        """The adapter of a training by hand (`headroles.adapt.fit`) for `task`; `facts` as in `AdapterInfo.of`."""
        info = AdapterInfo.of(method, task, train, history=history, **facts)
        return cls(method, info, tuple(measures), tuple(history))

    @property
    def role_map(self) -> RoleMap | None:
        """The role map that its method was given, if it was."""
        return self.method.role_map

    @property
    def findings(self) -> Findings | None:
        """What its method has found out about the task beside its answers, if anything."""
        return self.method.findings()

    @property
    def trainable(self) -> str:
        """Trained and frozen parameters, as PEFT prints them."""
        return self.method.trainable_summary()

    @property
    def weights_sha256(self) -> str:
        """sha256 of its adapter_model.safetensors."""
        return hashlib.sha256(self._pack()).hexdigest()

    def _pack(self) -> bytes:
        return pack_tensors(self.method.state_dict(), {"format": "pt"})

    def save(self, folder: str | os.PathLike[str], license: str | None = None) -> None:
        """Write the folder and then let go of the training's checkpoint.

        All files are written before the first takes its place: where that fails, an older adapter stays whole.
        `license`: the card's; None for "unknown".
        """
        folder = Path(folder)
        history = [dataclasses.asdict(record) for record in self.history]
        more: dict[str, Any] = {"history": history, "trainable": self.trainable}
        more |= {"reading": dict(self.info.reading), "left_out": list(self.info.left_out)}
        texts = {
            CONFIG: self.info.to_json(),
            CARD: write_card(self.info, self.measures, self.trainable, self.findings, license),
            TABLE: to_csv(self.measures),
            METRICS: to_json(self.measures, **{name: each for name, each in more.items() if each}),
        }
        optional = {ROLE_MAP: self.role_map, FINDINGS: self.findings}
        texts |= {name: each.to_json() for name, each in optional.items() if each is not None}
        with replacing_together(folder, METRICS) as staging:
            write_bytes(staging / WEIGHTS, self._pack())
            for name, text in texts.items():
                write_text(staging / name, text)
        for name in optional.keys() - texts.keys():
            (folder / name).unlink(missing_ok=True)  # An adapter that was here before may have had one.
        Checkpoint(folder).remove()

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], device: str = "auto", model: str | HookedCLIP | None = None
    ) -> Adapter:
        """The adapter of a folder, ready to predict.

        `model`: the base model, or where it is now, if not where the adapter's training found it; `device` is where it
        is loaded. Raises InputError where the weights are another model's, the role map is another one, or a file is
        missing, damaged or no safetensors file.
        """
        folder = Path(folder)
        info = AdapterInfo.load(folder)
        role_map, tensors = _read_role_map(folder, info), read_tensors(folder)
        measures, history = _read_results(folder / METRICS)
        clip = model if isinstance(model, HookedCLIP) else load(model or info.base_model_name_or_path, device)
        if clip.weights_hash() != info.base_model_hash:
            raise InputError(
                f"adapter: {folder} was made for weights {info.base_model_hash[:12]}..., not for those of model "
                f"{clip.model_name}; give the model that it was made for"
            )
        method = METHODS[info.method](clip, role_map, info.settings, info.seed, info.trained_classes)
        method.make_room(tensors)
        fill(method, tensors, folder)
        return cls(method.eval(), info, measures, history)

    def _save_folder(self, folder: Path, license: str | None) -> None:
        self.save(folder, license)

    def to_frame(self) -> pd.DataFrame:
        """One row a protocol, task and part of the evaluation; accuracies in [0, 1]."""
        return to_frame(self.measures)

    def __repr__(self) -> str:
        info = self.info
        return f"Adapter({info.base_model_name_or_path} adapted to {info.task}, seed {info.seed}; {self.trainable})"

    def _repr_html_(self) -> str:
        """Zero-shot beside adapted, in percent."""
        return html_table(repr(self), table_heading(self.measures), table_rows(self.measures))


@typed
def load_adapter(
    folder: str | os.PathLike[str], device: str = "auto", model: str | HookedCLIP | None = None
) -> Adapter:
    """`Adapter.load`."""
    return Adapter.load(folder, device, model)


def _read_role_map(folder: Path, info: AdapterInfo) -> RoleMap | None:
    if info.role_map_sha256 is None:
        return None
    path = folder / ROLE_MAP
    if not path.is_file():
        raise InputError(f"adapter: {folder} lacks {ROLE_MAP}; copy the whole folder")
    if hashlib.sha256(path.read_bytes()).hexdigest() != info.role_map_sha256:
        raise InputError(f"adapter: {path} is not the role map that the adapter was trained with; copy it again")
    return RoleMap.load(path)


def _read_results(path: Path) -> tuple[tuple[Measure, ...], tuple[EpochRecord, ...]]:
    """Rows and history of a metrics.json; none where an adapter has come without one."""
    if not path.is_file():
        return (), ()
    try:
        whole = read_object(path, "adapter", "copy the whole folder")
        history = from_plain(tuple[EpochRecord, ...], whole.get("history", []), "history")
        return tuple(read_measures(path.read_text(encoding="utf-8-sig"))), history
    except (Unfit, KeyError, TypeError) as error:
        raise InputError(f"adapter: {path} cannot be read ({said(error)}); copy the whole folder") from error
