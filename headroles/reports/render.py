"""What a page is put together from: its own files, its numbers as JSON, the looks of concepts and scales."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from importlib import resources
from typing import Any

import matplotlib
from matplotlib.colors import to_hex

from headroles.figures.marks import HATCHES, concept_looks
from headroles.files.json_files import dump_json
from headroles.roles.role_map import STANDS_OUT, RoleMap

SCRIPTS = (
    "data", "dom", "tables", "heads", "changes", "spread", "summary", "doses", "validation", "overlay", "examples",
    "retrieval", "adaptation", "settings", "page",
)  # fmt: skip
"""The parts of the page's script, in the order in which they build on each other."""
_DATA = '<script type="application/json" id="data">'
"""Where the page's numbers begin."""
_LINES = ("#888888", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Grey, then Okabe and Ito's colours: lines that every kind of colour vision tells apart on light and dark."""


def embed_json(value: Any) -> str:
    """JSON that can stand in a <script> element, whatever its texts hold; `json.loads` gives `value` back."""
    text = dump_json(value, sort_keys=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def extract_json(page: str) -> Any:
    """What `embed_json` put into a page. ValueError where the page has none."""
    _, found, rest = page.partition(_DATA)
    if not found:
        raise ValueError("no numbers of a report in it")
    return json.loads(rest[: rest.index("</script>")])


def asset(name: str) -> str:
    """The text of one of the page's own files."""
    return (resources.files("headroles.reports") / "page" / name).read_text(encoding="utf-8")


def hash_source(text: str) -> str:
    """The policy's name for exactly this inline text."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def looks_of(*role_maps: RoleMap) -> dict[str, Any]:
    """Codes, colours and hatches as in `headroles.figures.marks`, so that page and figures speak one language.

    Of the concepts of all maps, the first one's first. `stands_out` is the q-value up to which a head does.
    """
    concepts = tuple(dict.fromkeys(concept for role_map in role_maps for concept in role_map.concepts))
    looks = [
        {"name": look.name, "code": look.code, "color": look.color, "hatch": HATCHES.index(look.hatch)}
        for look in concept_looks(concepts).values()
    ]
    scales = {"entropy": _scale("cividis"), "diverging": _scale("PuOr_r")}
    return {"concepts": looks, "lines": _LINES, "stands_out": STANDS_OUT, **scales}


def _scale(name: str, steps: int = 11) -> list[str]:
    """Evenly spaced colours of one of matplotlib's maps."""
    return [to_hex(matplotlib.colormaps[name](step / (steps - 1))) for step in range(steps)]
