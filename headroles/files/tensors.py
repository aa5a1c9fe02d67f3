"""safetensors files that are the same bytes for the same content."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from headroles.errors import InputError
from headroles.files.whole import write_bytes


def write_tensors(path: str | os.PathLike, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file in one step, its header sorted: the library's own order of metadata is random."""
    whole = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, dict(metadata))
    end = 8 + int.from_bytes(whole[:8], "little")
    header = json.dumps(json.loads(whole[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # Tensors begin at a multiple of 8 bytes.
    write_bytes(path, len(header).to_bytes(8, "little") + header + whole[end:])


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
            return {name: file.get_tensor(name) for name in names}, metadata
    except SafetensorError as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}); score again") from error
