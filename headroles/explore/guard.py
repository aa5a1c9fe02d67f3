"""Who may ask the local page: programs of this machine that name it rightly, and pages that come from it alone.

A page of another place that is open in the same browser can send requests to 127.0.0.1, under its own address or,
with a name that its owner lets point here, under that (DNS rebinding). The first says its Origin, the second its Host.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAMES = ("127.0.0.1", "localhost")
"""What this machine may be called."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""What the page may do: run its own script, and ask this server."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer."""


class Guard:
    """Refuses requests for another Host, or from another Origin, with 403; adds `HEADERS` to every answer."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        """`app` is asked where the request is from here; `port` is the server's."""
        self.app = app
        self.hosts = {f"{name}:{port}" for name in NAMES} | ({*NAMES} if port == 80 else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As every ASGI application."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        wrong = self._find_wrong(Headers(scope=scope))
        app = refuse(403, wrong) if wrong else self.app
        await app(scope, receive, send_guarded)

    def _find_wrong(self, headers: Headers) -> str | None:
        """What is wrong with where the request comes from; a browser always says the Origin of what could harm."""
        mine = f"open the address that `headroles explore` printed, at {min(self.hosts)}"
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return f"Host must be one of {', '.join(sorted(self.hosts))}; {mine}"
        if any(origin.lower().removeprefix("http://") not in self.hosts for origin in origins):
            return f"Origin must be this page; {mine}"
        return None


def refuse(status: int, error: str) -> JSONResponse:
    """One line, as JSON; what is still being sent is read no further, and the connection ends."""
    return JSONResponse({"error": " ".join(error.split())}, status, {"Connection": "close"})
