"""A port of this machine alone, and the server on it."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import uvicorn
from starlette.types import ASGIApp

from headroles.errors import InputError, said
from headroles.explore.local_app import Answer, local_app

HOST = "127.0.0.1"


@contextmanager
def open_port(port: int) -> Iterator[socket.socket]:
    """A socket on 127.0.0.1, closed at the end; 0: a free port. InputError where another program has it."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as place:
        if os.name == "posix":  # Elsewhere it would share the port of another program.
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind((HOST, port))
            place.listen()
        except (OSError, OverflowError) as error:
            raise InputError(
                f"port: {_why(error, port)}; give another --port, or 0 for a free one", page="local-page"
            ) from error
        yield place


def _why(error: OSError | OverflowError, port: int) -> str:
    taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
    return f"{port} is taken by another program" if taken else f"{port} cannot be opened ({said(error)})"


class LocalPage:
    """The page of an engine on a port that is open."""

    def __init__(self, answer: Answer, files: Mapping[str, str], place: socket.socket) -> None:
        """`files`: name -> text of the page's own files; `place` is of `open_port`."""
        port, key = place.getsockname()[1], secrets.token_urlsafe(12)
        self.address = f"http://{HOST}:{port}/{key}/"
        """Where the page is: the port, and a key that changes with every start."""
        self._place = place
        self._server = _server(local_app(answer, files, port, key))

    def run(self) -> None:
        """Answer until Ctrl-C, which ends it."""
        try:
            self._server.run([self._place])
        except KeyboardInterrupt:
            return

    @contextmanager
    def running(self) -> Iterator[str]:
        """Answer from a thread meanwhile; gives the address."""
        thread = threading.Thread(target=self._server.run, args=([self._place],), daemon=True)
        thread.start()
        try:
            yield self.address
        finally:
            self._server.should_exit = True
            thread.join()


def _server(app: ASGIApp) -> uvicorn.Server:
    """One that says nothing itself, trusts no proxy, and waits for no answer longer than a moment when it ends."""
    quiet = {"log_config": None, "log_level": "critical", "access_log": False, "server_header": False}
    plain = {"loop": "asyncio", "http": "h11", "ws": "none", "lifespan": "off", "proxy_headers": False}
    return uvicorn.Server(uvicorn.Config(app, **quiet, **plain, timeout_graceful_shutdown=1))  # type: ignore[arg-type]


def has_screen() -> bool:
    """Whether a browser would be a window: in a plain terminal `webbrowser` starts one that takes the terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_browser(address: str) -> None:
    """Show the page in the user's browser, where there is a screen."""
    if has_screen():
        webbrowser.open(address)
