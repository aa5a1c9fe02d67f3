"""Named tensors of a weights file: safetensors, a state dict of torch.save, or a TorchScript archive.

Nothing in a file is ever run: pickles are read with `weights_only`, archives by
`headroles.models.checkpoints.torchscript`.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from headroles.errors import InputError, reword, said
from headroles.models.checkpoints.torchscript import ArchiveError, is_archive, read_archive

WRAPPERS = ("module.", "_orig_mod.", "model.", "clip_model.", "clip.")
"""What parallel training, torch.compile and people's own modules put before the names of a model's tensors."""
_CONTAINERS = ("state_dict", "model_state_dict", "model")
"""Where training scripts keep them beside optimizer and epoch."""
_AGAIN = "copy or download it again"


@dataclass(frozen=True)
class StoredWeights:
    """What a weights file holds."""

    tensors: dict[str, Tensor]
    """By the names of the file, without the `WRAPPERS` that all of them have."""
    container: str
    """safetensors, state dict or TorchScript archive."""
    activation: str | None = None
    """What the file itself says: gelu or quick_gelu."""
    eps: float | None = None
    """What the file itself says of its LayerNorms."""

    @property
    def dtype(self) -> str:
        """Type of most of the stored numbers."""
        sizes: dict[torch.dtype, int] = {}
        for tensor in self.tensors.values():
            sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.numel()
        return str(max(sizes, key=sizes.__getitem__)).removeprefix("torch.")


def read_weights(path: Path) -> StoredWeights:
    """Read a file by what it is, whatever its name; InputError where it is damaged or holds more than tensors."""
    with path.open("rb") as file:
        start = file.read(64)
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        return StoredWeights(unwrap(_read_safetensors(path), path), "safetensors")
    if start.startswith(b"version https://git-lfs"):
        raise InputError(f"model: {path} is a Git LFS pointer, not the weights; get the file itself: git lfs pull")
    if start.startswith(b"PK") and not zipfile.is_zipfile(path):
        raise InputError(f"model: {path} is cut short; {_AGAIN}")
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as file:
                if is_archive(file):
                    return _read_archive(path, file)
        except zipfile.BadZipFile as error:
            raise InputError(f"model: {path} is damaged ({said(error)}); {_AGAIN}") from error
    return StoredWeights(_read_state_dict(path), "state dict")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"model: {path} is damaged or cut short ({said(error)}); {_AGAIN}") from error


def _read_archive(path: Path, file: zipfile.ZipFile) -> StoredWeights:
    try:
        archive = read_archive(file)
    except ArchiveError as error:
        raise InputError(f"model: {path} {error}") from error
    for what, found in (("activations", archive.activations), ("LayerNorm eps", archive.eps)):
        if len(found) > 1:
            raise InputError(f"model: {path} has several {what}, {sorted(found)}; expected one")
    activation, eps = next(iter(archive.activations), None), next(iter(archive.eps), None)
    return StoredWeights(archive.tensors, "TorchScript archive", activation, eps)


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"model: {path} {explain_pickle(error)}") from error
    for name in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    return _check_tensors(content, path)


def _check_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, Mapping) or not content:
        raise InputError(f"model: {path} holds no state dict; expected tensors by name")
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise InputError(f"model: {path} is no state dict: {name!r} is no tensor but {type(tensor).__name__}")
    return unwrap(content, path)


def unwrap(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors without the wrappers that all names have; InputError where a CLIP is wrapped beside others."""
    found = dict(tensors)
    while own := next((each for each in WRAPPERS if all(name.startswith(each) for name in found)), None):
        found = {name.removeprefix(own): tensor for name, tensor in found.items()}
    inside = next((name for name in found if name.endswith(".visual.class_embedding")), None)
    if inside is None:
        return found
    prefix = inside.removesuffix("visual.class_embedding")
    other = next((name for name in found if not name.startswith(prefix)), None)
    beside = f", beside others such as {other}" if other else ""
    raise InputError(
        f"model: {path} has a CLIP's tensors under the prefix {prefix!r}{beside}; save the CLIP alone: its own "
        "state_dict()"
    )


def explain_pickle(error: Exception) -> str:
    """In a few words, why a pickle was not read; continues a sentence that names the file."""
    text = str(error)
    wanted = re.search(r"(?:GLOBAL|class|function) `?([\w.]+\.\w+)", text)
    if isinstance(error, pickle.UnpicklingError) and wanted:
        return f"wants to call {wanted[1]}; only tensors are read, nothing is run"
    if isinstance(error, pickle.UnpicklingError):
        reason = reword(text).removeprefix("Weights only load failed. ")
        return f"is no file of plain tensors or is damaged ({reason[-120:]})"
    return f"is damaged or cut short ({reword(text)[:120]}); {_AGAIN}"
