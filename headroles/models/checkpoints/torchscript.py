"""Tensors of a TorchScript archive, as OpenAI publishes its CLIPs, read without running what it holds.

`torch.jit.load` compiles and can run the archive's own code. Here the zip's pickle is read by an unpickler that knows
four names of PyTorch and turns every `__torch__` class into a plain holder; any other name is refused.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from headroles.errors import said

_STORAGES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_OPCODES = frozenset((
    "PROTO", "STOP", "MARK", "POP", "GLOBAL", "NEWOBJ", "BUILD", "REDUCE", "BINPERSID", "BINPUT", "LONG_BINPUT",
    "BINGET", "LONG_BINGET", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST",
    "APPEND", "APPENDS", "EMPTY_DICT",
    "SETITEM", "SETITEMS", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINUNICODE", "BINSTRING", "SHORT_BINSTRING",
))  # fmt: skip
_LISTS = ("build_intlist", "build_tensorlist", "build_doublelist", "build_boollist")
_DEEPEST = 40
"""Modules within modules; a CLIP has seven."""
_LARGEST = 64 * 2**20
"""Bytes of a pickle or a code file; a CLIP's have well under one million."""
_ACTIVATIONS = {"QuickGELU": "quick_gelu", "GELU": "gelu"}
_NORM = re.compile(r"torch\.layer_norm\([^\n]*?\[[^\]]*\]([^)\n]*)\)")
"""A call's arguments after the normalized shape: weight, bias, eps and whether cuDNN may be used."""
_EPS = 1e-5
"""The operator's own default, which newer archives leave out."""


class ArchiveError(ValueError):
    """What is wrong with an archive, without its path."""


@dataclass(frozen=True)
class Archive:
    """What a TorchScript archive says."""

    tensors: dict[str, Tensor]
    """Parameters and buffers under their modules' names."""
    activations: frozenset[str]
    """Activation functions of its modules or, where no module is one, of its code."""
    eps: frozenset[float]
    """The constants that its code adds to variances in LayerNorms."""


class _Holder:
    """Stands for an object of a class that the archive brings along: its name and its parts, no behaviour."""

    kind = ""

    def __init__(self) -> None:
        self.parts: dict[str, Any] = {}

    def __new__(cls, *arguments: Any) -> _Holder:
        if arguments:
            raise ArchiveError(f"holds a {cls.kind} with arguments, which no module has")
        holder = super().__new__(cls)
        holder.parts = {}
        return holder

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise ArchiveError(f"holds a {self.kind} that is no module")
        self.parts = state


@dataclass
class _Reader:
    """One open archive."""

    zip: zipfile.ZipFile
    root: str
    """Folder inside the zip, with a slash."""
    storages: dict[str, Tensor] = field(default_factory=dict)

    def read(self, name: str) -> bytes:
        if self.zip.getinfo(self.root + name).file_size > _LARGEST:
            raise ArchiveError(f"is damaged: {name} is larger than any model's")
        return self.zip.read(self.root + name)

    def storage(self, reference: Any) -> Tensor:
        """The flat tensor behind a persistent id ("storage", type, key, device, length)."""
        try:
            mark, dtype, key, _, length = reference
            fits = mark == "storage" and isinstance(dtype, torch.dtype) and isinstance(length, int) and length >= 0
            name = f"{self.root}data/{int(key)}"
        except (TypeError, ValueError) as error:
            raise ArchiveError("refers to something that is no storage") from error
        if not fits:
            raise ArchiveError("refers to something that is no storage")
        if name not in self.storages:
            size, entry = length * dtype.itemsize, self.zip.getinfo(name)
            if entry.file_size != size or entry.compress_type != zipfile.ZIP_STORED:
                raise ArchiveError(f"is damaged: {name} should have {size} bytes, not compressed")
            content = bytearray(self.zip.read(name))
            self.storages[name] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        return self.storages[name]


class _Unpickler(pickle.Unpickler):
    """Knows tensors and holders alone."""

    def __init__(self, reader: _Reader) -> None:
        content = reader.read("data.pkl")
        _check_opcodes(content)
        super().__init__(io.BytesIO(content))
        self.reader = reader
        self.kinds: dict[str, type] = {}

    def persistent_load(self, pid: Any) -> Any:
        return self.reader.storage(pid)

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return self.kinds.setdefault(f"{module}.{name}", type("Holder", (_Holder,), {"kind": name}))
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch.jit._pickle" and name in _LISTS:
            return list
        if module == "torch.jit._pickle" and name == "restore_type_tag":
            return _first
        raise ArchiveError(f"wants to call {module}.{name}; only tensors and modules are read, nothing is run")


def read_archive(file: zipfile.ZipFile) -> Archive:
    """The tensors of an archive's modules and what it says of its activations and LayerNorms.

    Raises ArchiveError where it is damaged or would have to run something.
    """
    try:
        reader = _Reader(file, _root(file))
        if reader.root + "byteorder" in file.namelist() and reader.read("byteorder").strip() != b"little":
            raise ArchiveError("was written on a big-endian machine, which is not read")
        module = _Unpickler(reader).load()
        if not isinstance(module, _Holder):
            raise ArchiveError("holds no module")
        tensors, kinds = {}, set()
        for name, part in _walk(module):
            if isinstance(part, Tensor):
                tensors[name] = part
            else:
                kinds.add(part.kind)
        code = _read_code(reader)
        return Archive(tensors, _activations(kinds, code), frozenset(map(_read_eps, _NORM.findall(code))))
    except ArchiveError:
        raise
    # A pickle made by hand can make the unpickler fail in any way; it is a damaged file all the same.
    except Exception as error:
        raise ArchiveError(f"is damaged ({type(error).__name__}: {said(error)})") from error


def _check_opcodes(content: bytes) -> None:
    """Only what TorchScript writes, and no memo slot beyond the pickle's length: all up to it would be reserved."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name not in _OPCODES:
            raise ArchiveError(f"is damaged: its pickle uses {opcode.name}, which TorchScript never writes")
        if opcode.name == "LONG_BINPUT" and (argument or 0) > len(content):
            raise ArchiveError("is damaged: its pickle numbers more objects than it has bytes")


def is_archive(file: zipfile.ZipFile) -> bool:
    """Whether a zip is a TorchScript archive, not a plain file of torch.save."""
    return any("/code/" in name or name.endswith("/constants.pkl") for name in file.namelist())


def _root(file: zipfile.ZipFile) -> str:
    roots = [name.removesuffix("data.pkl") for name in file.namelist() if re.fullmatch(r"[^/]+/data\.pkl", name)]
    if len(roots) != 1:
        raise ArchiveError("is no TorchScript archive: it has no single data.pkl")
    return roots[0]


def _walk(module: _Holder, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor | _Holder]]:
    """All modules and tensors below a module, by dotted name."""
    if depth > _DEEPEST:
        raise ArchiveError(f"nests modules more than {_DEEPEST} deep")
    yield prefix.removesuffix("."), module
    for name, part in module.parts.items():
        if isinstance(part, _Holder):
            yield from _walk(part, f"{prefix}{name}.", depth + 1)
        elif isinstance(part, Tensor):
            yield f"{prefix}{name}", part


def _read_code(reader: _Reader) -> str:
    """All code files, as text; never compiled."""
    names = [name for name in reader.zip.namelist() if name.startswith(f"{reader.root}code/") and name.endswith(".py")]
    return "\n".join(reader.read(name.removeprefix(reader.root)).decode("utf-8", "replace") for name in names)


def _activations(kinds: set[str], code: str) -> frozenset[str]:
    found = {_ACTIVATIONS[kind] for kind in kinds if kind in _ACTIVATIONS}
    if not found:
        found |= {"quick_gelu"} if re.search(r"\bQuickGELU\b", code) else set()
        found |= {"gelu"} if re.search(r"\btorch\.gelu\(", code) else set()
    return frozenset(found)


def _read_eps(arguments: str) -> float:
    numbers = [part for part in arguments.split(", ") if re.fullmatch(r"[0-9.]+(?:e-?[0-9]+)?", part.strip())]
    return float(numbers[0]) if numbers else _EPS


def _rebuild(storage: Tensor, offset: int, size: tuple, stride: tuple, *_: Any) -> Tensor:
    """A tensor on a storage; as_strided itself refuses what lies outside."""
    return storage.as_strided(size, stride, offset)


def _first(value: Any, *_: Any) -> Any:
    return value
