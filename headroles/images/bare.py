"""Encoded pictures without what lies beside their pixels: for files whose profiles or notes cannot be read."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"
_PIXELS = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
"""PNG chunks that a picture needs."""
_STANDALONE = {0x01, *range(0xD0, 0xD8)}
"""JPEG markers that no length follows."""


def strip_metadata(content: bytes) -> Iterator[bytes]:
    """The bytes of the same picture with less beside its pixels, the fullest version first; none for other formats."""
    if content.startswith(_PNG):
        yield _strip_png(content, {*_PIXELS, b"tRNS"})
        yield _strip_png(content, _PIXELS)
    elif content.startswith(b"\xff\xd8"):
        yield _strip_jpeg(content, (0xE0, 0xE1, 0xEE))
        yield _strip_jpeg(content, (0xE0, 0xEE))
        yield _strip_jpeg(content, (0xEE,))
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        yield _strip_webp(content)
    elif content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        yield content  # Its tags say how to read the pixels; the caller leaves out what follows reading.


def _strip_png(content: bytes, kept: set[bytes]) -> bytes:
    """The chunks of these kinds, with the check sums that they have; a cut file stays cut."""
    parts, place = [_PNG], len(_PNG)
    while place + 12 <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        kind, end = content[place + 4 : place + 8], place + 12 + size
        if kind in kept:
            parts.append(content[place:end])
        place = end
    return b"".join([*parts, content[place:]])


def _strip_jpeg(content: bytes, kept: tuple[int, ...]) -> bytes:
    """Without comments and application segments but `kept`; from the start of the scan on as it is."""
    parts, place = [content[:2]], 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF or marker in _STANDALONE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker == 0xDA:
            break
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        if marker in kept or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            parts.append(content[place:end])
        place = end
    return b"".join([*parts, content[place:]])


def _strip_webp(content: bytes) -> bytes:
    """Without profile, EXIF and XMP, and without the flags that promise them."""
    parts, place = [], 12
    while place + 8 <= len(content):
        kind, size = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        chunk = content[place : place + 8 + size + size % 2]
        if kind == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~0b101100]) + chunk[9:] if len(chunk) > 8 else chunk
        if kind not in (b"ICCP", b"EXIF", b"XMP "):
            parts.append(chunk)
        place += 8 + size + size % 2
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body
