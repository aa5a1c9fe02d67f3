"""One HTML page about a role map and what was made of it: to point at, to filter, to print; needs no network.

The page carries its numbers as JSON, unrounded, and draws them with its own script (the files in page/). Texts of banks
and names of files are other people's words: they stand in the JSON with <, > and & escaped, the script sets them as
text, never as markup, and the page's content security policy runs no script but that one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import html
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import headroles
from headroles.causal.validation import Validation
from headroles.checks import typed
from headroles.errors import InputError, said
from headroles.files.latex import Tabled
from headroles.files.places import check_free
from headroles.files.plain import from_plain
from headroles.files.whole import write_text
from headroles.models.known_models import BUNDLED
from headroles.reports.adaptation import Adaptation, read_adaptation
from headroles.reports.evidence import Illustrations
from headroles.reports.render import SCRIPTS, asset, embed_json, extract_json, hash_source, looks_of
from headroles.roles.diff import RoleMapDiff, diff
from headroles.roles.role_map import RoleMap

if TYPE_CHECKING:
    import pandas as pd

    from headroles.images.labelled import LabelledImages
    from headroles.models.hooked_clip import HookedCLIP

LIMIT = 5_000_000
"""Bytes of the largest page: what a mail or a code review still takes."""
_COMPUTED = ("version", "looks", "changes")
"""What a page carries beside a report's fields."""
NO_IMAGES = "none"
"""What `report` takes for a page without images."""


@dataclass(frozen=True)
class Report(Tabled):
    """A role map and what else the page shows."""

    role_map: RoleMap
    """Whose heads it is about."""
    validation: Validation | None = None
    """What cutting its heads did."""
    illustrations: Illustrations | None = None
    """Images that show its heads at work."""
    adaptations: tuple[Adaptation, ...] = ()
    """Adapters of the same model."""
    commands: tuple[str, ...] = ()
    """Command lines that make all of this again."""
    against: RoleMap | None = None
    """Another role map to show beside it: of another checkpoint, bank, reader, or of the model once it was adapted."""

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
        _ = self.changes  # Refuses maps that cannot be compared.

    @cached_property
    def changes(self) -> RoleMapDiff | None:
        """How `role_map` (A) and `against` (B) differ; None where there is one map alone."""
        return None if self.against is None else diff(self.role_map, self.against)

    def __repr__(self) -> str:
        """One line."""
        images = f"{self.illustrations.count} images" if self.illustrations else "no images"
        validated = "validated" if self.validation else "not validated"
        beside = f", against {self.against.model.name}" if self.against else ""
        return f"Report({self.role_map!r}; {validated}, {images}, {len(self.adaptations)} adapters{beside})"

    def to_dict(self) -> dict[str, Any]:
        """All that the page carries: plain dicts and lists, no number rounded."""
        return {
            "version": headroles.__version__,
            "commands": list(self.commands),
            "role_map": self.role_map.to_dict(),
            "validation": self.validation.to_dict() if self.validation else None,
            "illustrations": dataclasses.asdict(self.illustrations) if self.illustrations else None,
            "adaptations": [vars(run) for run in self.adaptations],
            "against": self.against.to_dict() if self.against else None,
            "changes": self.changes.to_dict() if self.changes else None,
            "looks": looks_of(self.role_map, *([self.against] if self.against else [])),
        }

    def to_frame(self) -> pd.DataFrame:
        """That of the role map: one row a head."""
        return self.role_map.to_frame()

    def to_html(self) -> str:
        """The page. The same report gives the same bytes. InputError where it would be larger than `LIMIT`."""
        style, script = asset("style.css"), "\n".join(asset(f"{name}.js") for name in SCRIPTS)
        policy = f"default-src 'none'; img-src data:; style-src {hash_source(style)}; script-src {hash_source(script)}"
        title = html.escape(f"Head roles of {self.role_map.model.name}")
        parts = {"style": style, "script": script, "data": embed_json(self.to_dict())}
        page = Template(asset("page.html")).substitute(parts, title=title, policy=policy)
        if len(page.encode()) > LIMIT:
            size, most = len(page.encode()) / 1e6, LIMIT / 1e6
            raise InputError(f"report: {size:.1f} MB, a page may have {most:.0f}; give fewer runs, or --images none")
        return page

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page; an existing file is replaced in one step; missing folders are made."""
        path = Path(path)
        check_page(path, overwrite=True)
        write_text(path, self.to_html())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Report:
        """Read a page that `save` wrote. InputError where it is none, or one of another version."""
        path = Path(path)
        if not path.is_file():
            raise InputError(f"report: no file {path}; make one with `headroles report`", page="missing-file")
        try:
            raw = extract_json(path.read_text(encoding="utf-8"))
            return from_plain(cls, {name: value for name, value in raw.items() if name not in _COMPUTED})
        except (ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"report: {path} is no page of this headroles ({said(error)}); write it again") from error

    def _repr_html_(self) -> str:
        """The page in a frame, which may run its own script, give its tables to save, and nothing else."""
        page = html.escape(self.to_html())
        rights = "allow-scripts allow-downloads"
        return f'<iframe srcdoc="{page}" sandbox="{rights}" style="width:100%;height:700px;border:0"></iframe>'


@typed
def report(
    role_map: RoleMap | str | os.PathLike[str],
    validation: Validation | str | os.PathLike[str] | None = None,
    runs: Iterable[Adaptation | str | os.PathLike[str]] | str | os.PathLike[str] = (),
    images: LabelledImages | str | os.PathLike[str] | None = None,
    *,
    against: RoleMap | str | os.PathLike[str] | None = None,
    model: HookedCLIP | str | None = None,
    count: int = 500,
    seed: int = 0,
    device: str = "auto",
    batch: int = 64,
    workers: int = 0,
) -> Report:
    """Everything about a role map on one page: its heads, what cutting them did, adapters, images, another map beside.

    Each part as an object or as the path of its file or folder. `runs`: folders of adapters. `images`: those to show
    heads at work on, of which at most `count` are looked through: a folder, labelled (CONCEPT/VALUE/) or not, a CSV
    file, "shapes" (scenes of `seed`), "none", or None for scenes with a bundled model and else none. `against`: a role
    map to show side by side with this one, the heads that changed first. `model`: None for the one that the role map
    names; it is loaded only where images are shown. Raises InputError where the parts do not belong together, or cannot
    be read.
    """
    scored = RoleMap.of(role_map)
    tested = None if validation is None else Validation.of(validation)
    folders = [runs] if isinstance(runs, (str, os.PathLike)) else runs
    adaptations = tuple(run if isinstance(run, Adaptation) else read_adaptation(run) for run in folders)
    beside = None if against is None else RoleMap.of(against)
    # Refuses what does not fit before a model is loaded.
    found = Report(scored, tested, adaptations=adaptations, against=beside)
    source = _choose_images(images, scored)
    from headroles.images.reading import announce, describe_images, stop_if_looking

    if source is None:
        stop_if_looking("images: none; the page is made of the given files alone")
        return found
    from headroles.reports.illustrations import illustrate, open_images
    from headroles.roles.own_model import open_model

    clip = open_model(scored, model, device)
    opened = open_images(source, clip, count, seed) if isinstance(source, str) else source
    announce(describe_images(opened.images, opened.name, reader=clip))
    shown = illustrate(clip, scored, opened, seed=seed, batch=batch, workers=workers)
    return dataclasses.replace(found, illustrations=shown)


def _choose_images(
    images: LabelledImages | str | os.PathLike[str] | None, role_map: RoleMap
) -> LabelledImages | str | None:
    """The images that are meant; None for none."""
    if images is None:
        return "shapes" if role_map.model.name in BUNDLED and role_map.tower == "visual" else None
    if not isinstance(images, (str, os.PathLike)):
        return images
    return None if str(images) == NO_IMAGES else str(images)


def check_page(path: Path, overwrite: bool) -> None:
    """InputError where `path` is no page's name, or exists and may not be replaced."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"output: a report must end in .html, got {path.name}")
    if not overwrite:
        check_free(path)
