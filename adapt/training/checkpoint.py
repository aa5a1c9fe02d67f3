"""What a training needs to go on where it was: tensors in safetensors, the rest as JSON in the same file's header."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from headroles.errors import InputError
from headroles.files.differences import difference, tell_difference
from headroles.files.json_files import dump_json, read_json
from headroles.files.tensors import read_hashed, write_hashed
from headroles.files.whole import write_text
from headroles.roles.role_map import RoleMap

FOLDER = "unfinished"
"""Below the adapter's folder, from the first moment of a training until its results are written."""
_ANEW = "start anew with --overwrite"
_SETTINGS, _STATE = "settings.json", "checkpoint.safetensors"


class Checkpoint:
    """The folder of an unfinished training. Its files appear whole: a kill leaves the old one or the new one."""

    def __init__(self, output: Path) -> None:
        self.folder = output / FOLDER

    @property
    def path(self) -> Path:
        """The state after the latest whole epoch."""
        return self.folder / _STATE

    @property
    def unfinished(self) -> bool:
        """Whether a training was begun here whose results are not written yet."""
        return (self.folder / _SETTINGS).is_file()

    @property
    def empty(self) -> bool:
        """Whether a training was begun here, and nothing of it is kept yet."""
        return self.unfinished and not self.path.is_file() and not (self.folder / "views").is_dir()

    @property
    def role_map(self) -> Path:
        """The role map that the training began with, if it had one."""
        return self.folder / "role_map.json"

    def begin(self, settings: Mapping[str, Any], role_map: RoleMap | None, resume: bool) -> None:
        """Start afresh, or go on with what is there; then `settings` must be those that it began with."""
        if resume and self.unfinished:
            self._compare(read_json(self.folder / _SETTINGS, "resume", _ANEW), _plain(settings))
            return
        self.remove()
        try:
            if role_map is not None:
                role_map.save(self.role_map)
            write_text(self.folder / _SETTINGS, dump_json(settings, indent=2, sort_keys=True) + "\n")
        except BaseException:
            self.remove()
            raise

    def _compare(self, old: Any, new: Mapping[str, Any]) -> None:
        found = difference(old, new)
        if found:
            raise InputError(
                f"resume: {self.folder.parent} was begun with {tell_difference(*found)}; resume with the same "
                "settings, or start anew with --overwrite or another --output"
            )

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Replace the checkpoint in one step."""
        write_hashed(self.path, tensors, {"state": dump_json(state)})

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and state of the latest epoch; None before the first one is whole."""
        if not self.path.is_file():
            return None
        tensors, note = read_hashed(self.path, "resume", _ANEW)
        return tensors, json.loads(note["state"])  # The hash says that it is as it was written.

    def remove(self) -> None:
        """Delete the folder, if there is one; the mark of an unfinished training goes first."""
        (self.folder / _SETTINGS).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state by `optimizer.<parameter number>.<name>`; plain SGD has none."""
    states = optimizer.state_dict()["state"]
    return {
        f"optimizer.{row}.{name}": value
        for row, state in states.items()
        for name, value in state.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The opposite of `optimizer_tensors`."""
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        kind, _, rest = key.partition(".")
        if kind == "optimizer":
            row, _, name = rest.partition(".")
            states.setdefault(int(row), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})


def _plain(settings: Mapping[str, Any]) -> Any:
    return json.loads(dump_json(settings))
