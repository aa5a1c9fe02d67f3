"""The page as files: one script module, put together from the report's parts and its own, and what a local page adds.

The module exports `mount(root, ask, state)`, `fetched(address)`, and by default what anywidget calls. Its parts share
one scope a page, so that two widgets in a notebook share nothing.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from headroles.files.json_files import dump_json
from headroles.reports.render import asset

_OF_REPORT = ("dom", "tables", "overlay", "heads", "changes")
"""Parts of the report's script: elements and numbers, tables, what lies over pictures, the map of heads and what is
told of one, two maps beside."""
_OWN = ("asking", "maps", "picture", "head", "texts", "cuts", "begin")
"""Parts of this page's, in the order in which they build on each other."""
_LOCAL = ("index.html", "page.css", "start.js")
"""What the local page adds."""


@cache
def page_module() -> str:
    """The script module, its style included."""
    parts = [asset(f"{name}.js") for name in _OF_REPORT] + [_own(f"{name}.js") for name in _OWN]
    scope = "function open(root, ask, data, state) {\n" + _own("scope.js") + "\n".join(parts) + "\n}\n"
    style = f"const STYLE = {dump_json(page_style())};\n"
    return style + "\n".join((_own("transport.js"), _own("mount.js"), scope))


@cache
def page_style() -> str:
    """The report's style and this page's, for what lies below a shadow root: `:root` is its host there."""
    style = re.sub(r":root((?:\[[^\]]*\]|:not\([^)]*\))+)", r":host(\1)", asset("style.css"))
    return style.replace(":root", ":host") + _own("style.css")


def page_files() -> dict[str, str]:
    """Name -> text of every file of the local page; it asks its questions of `ask` beside it."""
    return {name: _own(name) for name in _LOCAL} | {"explore.js": page_module()}


def _own(name: str) -> str:
    return (resources.files("headroles.explore") / "page" / name).read_text(encoding="utf-8")
