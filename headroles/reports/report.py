"""One HTML page about a role map and what was made of it: to point at, to filter, to print; needs no network.

The page carries its numbers as JSON, unrounded, and draws them with its own script (the files in report_page/). Texts
of banks and names of files are other people's words: they stand in the JSON with <, > and & escaped, the script sets
them as text, never as markup, and the page's content security policy runs no script but that one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import html
import json
import os
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.colors import to_hex

import headroles
from headroles.causal.validation import Validation
from headroles.errors import InputError
from headroles.figures.marks import HATCHES, concept_looks
from headroles.files.whole import write_text
from headroles.jobs.output import check_free
from headroles.roles.role_map import RoleMap

if TYPE_CHECKING:
    from headroles.reports.illustrations import Illustrations

LIMIT = 5_000_000
"""Bytes of the largest page: what a mail or a code review still takes."""
SCRIPTS = ("dom", "heads", "summary", "validation", "retrieval", "adaptation", "settings", "page")
"""The parts of the page's script, in the order in which they build on each other."""
_LINES = ("#888888", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Grey, then Okabe and Ito's colours: lines that every kind of colour vision tells apart on light and dark."""


@dataclass(frozen=True)
class Adaptation:
    """What an adapter's training and tests left, over all its seeds, as in its files."""

    name: str
    """What to call it: its folder's name."""
    role_map: str
    """File of the role map that masked it."""
    seeds: tuple[int, ...]
    """Seeds, ascending."""
    settings: Mapping[str, Any]
    """adapter_config.json of the first seed."""
    trainable: str
    """Trained and frozen parameters."""
    rows: tuple[Mapping[str, Any], ...]
    """One a seed, protocol, task and part, as in metrics.json, without accuracies per class."""
    summary: tuple[Mapping[str, Any], ...]
    """Mean and 95% interval over seeds, as in metrics.json."""
    histories: tuple[Mapping[str, Any], ...]
    """"seed", and "epochs" as in metrics.json; one a seed."""


@dataclass(frozen=True)
class Report:
    """A role map and what else the page shows."""

    role_map: RoleMap
    validation: Validation | None = None
    """What cutting its heads did."""
    illustrations: Illustrations | None = None
    """Images that show its heads at work."""
    adaptations: tuple[Adaptation, ...] = ()
    """Adapters of the same model."""
    commands: tuple[str, ...] = ()
    """Command lines that make all of this again."""

    def __post_init__(self) -> None:
        weights = self.role_map.model.weights_hash
        if self.validation and self.validation.role_map != hashlib.sha256(self.role_map.to_json().encode()).hexdigest():
            raise InputError(
                "validation: it tests another role map; validate this one, or give the one that was tested"
            )
        for run in self.adaptations:
            if run.settings["base_model_hash"] != weights:
                raise InputError(
                    f"run: {run.name} adapts other weights than the role map's; give one of the same model"
                )

    def to_dict(self) -> dict[str, Any]:
        """All that the page carries: plain dicts and lists, no number rounded."""
        return {
            "version": headroles.__version__,
            "commands": list(self.commands),
            "role_map": self.role_map.to_dict(),
            "validation": json.loads(self.validation.to_json()) if self.validation else None,
            "illustrations": dataclasses.asdict(self.illustrations) if self.illustrations else None,
            "adaptations": [vars(run) for run in self.adaptations],
            "looks": _looks(self.role_map),
        }

    def to_html(self) -> str:
        """The page. The same report gives the same bytes. InputError where it would be larger than `LIMIT`."""
        style, script = _asset("style.css"), "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
        policy = f"default-src 'none'; img-src data:; style-src {_source(style)}; script-src {_source(script)}"
        title = html.escape(f"Head roles of {self.role_map.model.name}")
        parts = {"style": style, "script": script, "data": embed_json(self.to_dict())}
        page = Template(_asset("page.html")).substitute(parts, title=title, policy=policy)
        if len(page.encode()) > LIMIT:
            size, most = len(page.encode()) / 1e6, LIMIT / 1e6
            raise InputError(f"report: {size:.1f} MB, a page may have {most:.0f}; give fewer runs, or --images none")
        return page

    def save(self, path: str | os.PathLike) -> None:
        """Write the page; an existing file is replaced in one step; missing folders are made."""
        path = Path(path)
        check_page(path, overwrite=True)
        write_text(path, self.to_html())


def check_page(path: Path, overwrite: bool) -> None:
    """InputError where `path` is no page's name, or exists and may not be replaced."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"output: a report must end in .html, got {path.name}")
    if not overwrite:
        check_free(path)


def embed_json(value: Any) -> str:
    """JSON that can stand in a <script> element, whatever its texts hold; `json.loads` gives `value` back."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return (resources.files("headroles.reports") / "page" / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """The policy's name for exactly this inline text."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _looks(role_map: RoleMap) -> dict[str, Any]:
    """Codes, colours and hatches as in `headroles.figures.marks`, so that page and figures speak one language."""
    looks = [
        {"name": look.name, "code": look.code, "color": look.color, "hatch": HATCHES.index(look.hatch)}
        for look in concept_looks(role_map.concepts).values()
    ]
    return {"concepts": looks, "entropy": _scale("cividis"), "diverging": _scale("PuOr_r"), "lines": _LINES}


def _scale(name: str, steps: int = 11) -> list[str]:
    """Evenly spaced colours of one of matplotlib's maps."""
    return [to_hex(matplotlib.colormaps[name](step / (steps - 1))) for step in range(steps)]
