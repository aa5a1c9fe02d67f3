"""The trained tensors of an adapter folder: a safetensors file, never a pickle, that fits its method to the shape."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from headroles.adapt.adapter.info import WEIGHTS
from headroles.errors import InputError, said
from headroles.files.tensors import check_finite

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Name -> tensor. InputError where the file is missing, damaged or no safetensors file."""
    path = folder / WEIGHTS
    if not path.is_file():
        pickles = sorted(other.name for other in folder.iterdir() if other.suffix in _PICKLES)
        if pickles:
            raise InputError(f"adapter: {folder} holds a pickle, {pickles[0]}; only {WEIGHTS} is read, never a pickle")
        raise InputError(f"adapter: {folder} lacks {WEIGHTS}; copy the whole folder")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"adapter: {path} is damaged or no safetensors file ({said(error)}); copy it again") from error
    check_finite(tensors, f"adapter: {path}", "copy it again, or adapt again")
    return tensors


def fill(method: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Put a folder's tensors into its method; InputError names the first of another name or shape."""
    expected, found = (
        {name: tuple(tensor.shape) for name, tensor in some.items()} for some in (method.state_dict(), tensors)
    )
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        shapes = f"expected {expected.get(wrong[0], 'none')}, got {found.get(wrong[0], 'none')}"
        raise InputError(f"adapter: tensor {wrong[0]} of {folder / WEIGHTS} does not fit: {shapes}")
    method.load_state_dict(tensors)
