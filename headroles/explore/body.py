"""What was asked, read from a request: JSON of a limited size."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from headroles.errors import said

LIMIT = 32_000_000
"""Bytes of the largest question; a picture of 24 MB fits in one."""


class Refused(Exception):
    """A request that is not answered: a status of HTTP, and why in one line."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status


async def read_message(request: Request, limit: int = LIMIT) -> dict[str, Any]:
    """The JSON object that was sent. Raises `Refused` at the first byte too many, and for anything but an object."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # Pages of other places cannot send it without being asked for their Origin first.
        raise Refused(415, f"Content-Type must be application/json, got {kind or 'none'}")
    try:
        message = json.loads(await _read(request, limit))
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"expected a JSON object, got what is no JSON ({said(error)})") from error
    if not isinstance(message, dict):
        raise Refused(400, f"expected a JSON object, got a {type(message).__name__}")
    return message


async def _read(request: Request, limit: int) -> bytes:
    """The body; `Refused` where it is larger than `limit` bytes, by what it claims or by what has come."""
    too_large = Refused(413, f"larger than {limit / 1e6:.0f} MB; make the picture smaller")
    claimed = request.headers.get("content-length", "0")
    if not claimed.isdecimal() or int(claimed) > limit:
        raise too_large
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise too_large
    return bytes(content)
