"""safetensors files that are the same bytes for the same content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from headroles.errors import InputError, said
from headroles.files.json_files import dump_json
from headroles.files.whole import write_bytes

_HASH = "sha256"


def write_tensors(path: str | os.PathLike, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file in one step."""
    write_bytes(path, pack_tensors(tensors, metadata))


def pack_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a safetensors file, its header sorted: the library's own order of metadata is random."""
    whole = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, dict(metadata))
    end = 8 + int.from_bytes(whole[:8], "little")
    header = dump_json(json.loads(whole[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # Tensors begin at a multiple of 8 bytes.
    return len(header).to_bytes(8, "little") + header + whole[end:]


def write_hashed(path: str | os.PathLike, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """`write_tensors` with a hash over all of it, for `read_hashed`."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_tensors(path, held, {**metadata, _HASH: _digest(held, metadata)})


def read_hashed(path: str | os.PathLike, what: str, remedy: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What `write_hashed` wrote: all tensors and the metadata. InputError where anything of it has changed."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{what}: {path} is damaged ({said(error)}); {remedy}") from error
    check_hash(path, tensors, metadata, what, remedy)
    metadata.pop(_HASH)
    return tensors, metadata


def is_hashed(path: str | os.PathLike) -> bool:
    """Whether a file is there that is as `write_hashed` wrote it."""
    try:
        read_hashed(path, "", "")
    except InputError:
        return False
    return True


def check_hash(
    path: str | os.PathLike, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], what: str, remedy: str
) -> None:
    """InputError where tensors and metadata of a file are not those that `write_hashed` was given."""
    others = {name: text for name, text in metadata.items() if name != _HASH}
    if metadata.get(_HASH) != _digest(tensors, others):
        raise InputError(f"{what}: {path} is damaged: it is not what its hash says was written; {remedy}")


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """sha256 over names, types, shapes and bytes of tensors, and over metadata."""
    found = hashlib.sha256(dump_json(sorted(metadata.items())).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():
            found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def check_finite(tensors: Mapping[str, Tensor], what: str, remedy: str) -> None:
    """InputError, which begins with `what`, names the first tensor that holds NaN or infinity."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(f"{what}: tensor {name} holds numbers that are not finite; {remedy}")


def read_tensors(
    path: str | os.PathLike, names: Sequence[str], file_format: str, what: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The named tensors, and the metadata, of a file whose metadata say that it is of `file_format`.

    Raises InputError for anything else; `what` says what the file should hold, and who writes it.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != file_format:
                raise InputError(f"{path} holds no {what}")
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        why = said(error)
        raise InputError(f"{path} is not a whole safetensors file ({why}); score again") from error
    check_finite(tensors, str(path), "score again")
    return tensors, metadata
