"""The page on this machine: its own files, and `ask`, which hands one message at a time to the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from headroles.errors import InputError, said
from headroles.explore.body import LIMIT, Refused, read_message
from headroles.explore.guard import Guard, refuse

Answer = Callable[[dict[str, Any]], dict[str, Any]]
"""An engine's `answer`."""
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
"""By a file's ending."""


def local_app(answer: Answer, files: Mapping[str, str], port: int, key: str, limit: int = LIMIT) -> ASGIApp:
    """What the server on `port` runs: the page at `/KEY/`, its `files` by name beside it, and `/KEY/ask`.

    `key` is a secret that the address holds, as other users of the machine reach its ports too. A question is at most
    `limit` bytes of JSON. Files are looked up in a table, pictures named by number: no path ever comes from outside.
    """
    routes = [
        Route("/", _file(files["index.html"], "html")),
        *(Route(f"/{name}", _file(text, name.rpartition(".")[2])) for name, text in files.items()),
        Route("/ask", _asking(answer, limit), methods=["POST"]),
    ]
    return Guard(Starlette(routes=[Mount(f"/{key}", routes=routes)], exception_handlers={HTTPException: _wrong}), port)


def _file(text: str, ending: str) -> Callable[[Request], Awaitable[Response]]:
    async def give(request: Request) -> Response:
        return Response(text, media_type=_TYPES[ending])

    return give


def _asking(answer: Answer, limit: int) -> Callable[[Request], Awaitable[Response]]:
    one_at_a_time = asyncio.Lock()  # A model's hooks, and what it keeps, are not for two at once.

    async def ask(request: Request) -> Response:
        try:
            message = await read_message(request, limit)
            async with one_at_a_time:
                if await request.is_disconnected():  # The page has asked something newer meanwhile.
                    raise ClientDisconnect
                return JSONResponse(await run_in_threadpool(answer, message))
        except Refused as error:
            return refuse(error.status, str(error))
        except InputError as error:
            return refuse(422, str(error))
        except UnicodeEncodeError:
            return refuse(400, "text: expected characters, got half of one; type it anew")
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:
            return refuse(500, f"{type(error).__name__}: {said(error)}; a fault of headroles, please report it")

    return ask


def _wrong(request: Request, error: Exception) -> Response:
    """An address that is none of the page's, or asked in another way."""
    assert isinstance(error, HTTPException)
    return refuse(error.status_code, f"{error.detail}; open the address that `headroles explore` printed")
