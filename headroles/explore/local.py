"""serve(): the page on this machine, from a role map and images to Ctrl-C."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from headroles.errors import InputError
from headroles.images.counting import showing

PORT = 8350
"""Where the page is, unless another port is asked for."""


def serve(
    role_map: str | os.PathLike[str],
    images: str | None = None,
    *,
    port: int = PORT,
    browser: bool = True,
    ready: Callable[[str], None] = print,
    **opening: Any,
) -> None:
    """Answer the page of a role map and images on 127.0.0.1 until Ctrl-C; `ready` is called once, with its address.

    `port`: 0 for a free one; it is taken before anything is read. `browser`: whether to show the page in the user's,
    where there is a screen. All else is of `headroles.explore.opening.open_engine`. Raises InputError where that does,
    where the port is taken, or where the packages of `headroles[explore]` lack.
    """
    try:
        from headroles.explore.serving import LocalPage, open_browser, open_port
    except ImportError as error:
        raise InputError(
            f"explore: the local page needs the package {error.name}; pip install 'headroles[explore]'",
            page="local-page",
        ) from error
    from headroles.explore.opening import open_engine
    from headroles.explore.page_files import page_files

    with open_port(port) as place:
        engine = open_engine(role_map, images=images, **opening)
        page = LocalPage(engine.answer, page_files(), place)
        ready(page.address)
        if browser:
            open_browser(page.address)
        with showing(None):  # What an answer counts is not for the terminal.
            page.run()
