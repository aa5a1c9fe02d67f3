"""Damage of files, seeded: what disks, copies, editors and other programs do to them, by the kind of file.

Each kind of damage says whether it must be told: a reader that knows the file's schema, ranges or hashes has to refuse.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, "", "x", "1", -1, 0, 10**30, 2**53, 1e308, -0.5, 2.5, float("nan"), float("inf"), [], {}, [[]],
    [None], {"x": 1}, "\u2028", "\ud83d\ude00" * 50,
)  # fmt: skip
"""Values in place of others."""
CELLS = (
    "", '"', "\x00", "\u2028", "a\nb", "../../etc/passwd", "x" * 20000, "\u00e9\u0301", ",,,", "nan", "-1", "1e999",
)  # fmt: skip
"""Cells in place of others."""


def damage(name: str, content: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Other bytes for a file of this name, and the kind of damage."""
    special = _KINDS.get(name.rpartition(".")[2].lower(), ())
    make = rng.choice((*special, *special, *special, *_ANY))
    made = make(content, rng)
    return (made, make.__name__.strip("_")) if made != content else (content[:-1], "cut")


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.choice((0, 1, len(content) // 2, rng.randrange(len(content) + 1)))]


def _flip(content: bytes, rng: random.Random) -> bytes:
    other = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 64)) if content else 0):
        other[rng.randrange(len(other))] ^= 1 << rng.randrange(8)
    return bytes(other)


def _flip_start(content: bytes, rng: random.Random) -> bytes:
    return _flip(content[:256], rng) + content[256:]


def _zeros(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    size = min(rng.choice((16, 512, 4096)), len(content) - start)
    return content[:start] + bytes(size) + content[start + size :]


def _doubled(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[max(0, start - 64) :]


def _other(content: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"<!DOCTYPE html>", b"version https://git-lfs.github.com/spec/v1\n", b"\xff" * 64, b"{}", b"[]"))


def _bom(content: bytes, rng: random.Random) -> bytes:
    return content.decode("utf-8", "replace").encode("utf-16")


_ANY: tuple[Callable[[bytes, random.Random], bytes], ...] = (_cut, _flip, _flip_start, _zeros, _doubled, _other, _bom)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything inside."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *_places(value[key]))]


def _odd_value(content: bytes, rng: random.Random) -> bytes:
    return _edit(content, rng, lambda place, key: place.__setitem__(key, rng.choice(ODD)))


def _no_key(content: bytes, rng: random.Random) -> bytes:
    return _edit(content, rng, lambda place, key: place.__delitem__(key))


def _twice(content: bytes, rng: random.Random) -> bytes:
    """An entry of a list twice, a key under another name."""

    def change(place: Any, key: Any) -> None:
        if isinstance(place, list):
            place.append(place[key])
        else:
            place[str(key) + "x"] = place.pop(key)

    return _edit(content, rng, change)


def _deep(content: bytes, rng: random.Random) -> bytes:
    return b"[" * 100_000


def _edit(content: bytes, rng: random.Random, change: Callable[[Any, Any], None]) -> bytes:
    """JSON with one place changed; places near the top are as likely as the many below."""
    value = json.loads(content)
    places = _places(value)
    if not places:
        return b"null"
    top = [(value, key) for key in (value if isinstance(value, dict) else range(len(value)))]
    change(*rng.choice(rng.choice((top, places))))
    return json.dumps(value).encode()


def _split(content: bytes) -> tuple[dict[str, Any], bytes]:
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def _join(header: Any, rest: bytes) -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + rest


def _not_finite(content: bytes, rng: random.Random) -> bytes:
    """NaN or infinity among a tensor's numbers."""
    header, rest = _split(content)
    kinds = {"F32": ("<f", 4), "F64": ("<d", 8)}
    names = [name for name, facts in header.items() if name != "__metadata__" and facts["dtype"] in kinds]
    if not names:
        return content[:-1]
    facts = header[rng.choice(sorted(names))]
    form, size = kinds[facts["dtype"]]
    (start, end), odd = facts["data_offsets"], struct.pack(form, float(rng.choice(("nan", "inf", "-inf"))))
    if start == end:
        return content[:-1]
    place = start + size * rng.randrange((end - start) // size)
    return _join(header, rest[:place] + odd + rest[place + size :])


def _header(content: bytes, rng: random.Random) -> bytes:
    """A safetensors header with one place changed."""
    header, rest = _split(content)
    return _join(json.loads(rng.choice((_odd_value, _no_key, _twice))(json.dumps(header).encode(), rng)), rest)


def _note(content: bytes, rng: random.Random) -> bytes:
    """Metadata that are JSON themselves, with one place changed."""
    header, rest = _split(content)
    notes = header.get("__metadata__") or {"format": "pt"}
    name = rng.choice(sorted(notes))
    try:
        notes[name] = rng.choice((_odd_value, _no_key, _twice))(notes[name].encode(), rng).decode()
    except (ValueError, TypeError):
        notes[name] = rng.choice(CELLS)
    return _join(header, rest)


def _huge_header(content: bytes, rng: random.Random) -> bytes:
    return (2 ** rng.choice((31, 53, 63))).to_bytes(8, "little") + content[8:]


def _odd_cell(content: bytes, rng: random.Random) -> bytes:
    lines = content.decode().split("\n")
    row = rng.randrange(len(lines))
    cells = lines[row].split(",")
    cells[rng.randrange(len(cells))] = rng.choice(CELLS)
    return "\n".join((*lines[:row], ",".join(cells), *lines[row + 1 :])).encode()


def _fewer_lines(content: bytes, rng: random.Random) -> bytes:
    return b"\n".join(content.split(b"\n")[: rng.choice((0, 1, 2))])


def _huge_number(content: bytes, rng: random.Random) -> bytes:
    """A tar header's or picture's sizes: the largest number in some four bytes near the start."""
    place = rng.randrange(min(600, max(1, len(content) - 4)))
    return content[:place] + rng.choice((b"\xff\xff\xff\x7f", b"7777", b"\x80\x00\x00\x20")) + content[place + 4 :]


_KINDS: dict[str, tuple[Callable[[bytes, random.Random], bytes], ...]] = {
    "json": (_odd_value, _odd_value, _no_key, _twice, _deep),
    "safetensors": (_not_finite, _header, _note, _huge_header),
    "csv": (_odd_cell, _fewer_lines),
    **dict.fromkeys(("tar", "png", "jpg", "parquet", "arrow", "npy"), (_huge_number,)),
}
