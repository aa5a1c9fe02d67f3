"""The image files below a folder, and what lies there beside them."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator

from headroles.images.pixels import suffixes

SYSTEM = (
    "@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot", "$recycle.bin", "recycler",
    "system volume information", "lost+found", "__macosx", "_gsdata_", "@transcode", "thumbs.db", "ehthumbs.db",
    "ehthumbs_vista.db", "desktop.ini", "icon\r",
)  # fmt: skip
"""Names, in lower case, of what operating systems and storage keep beside pictures: thumbnails, caches, waste."""


def list_images(folder: str | os.PathLike[str], skipped: Counter[str] | None = None) -> Iterator[str]:
    """The image files below a folder, sorted by path, hidden ones left out; none is opened.

    What else there is, is counted in `skipped`, by suffix or by what it is. A link to a folder that it lies in is not
    followed; a link to nothing is given as a file, which is broken.
    """
    yield from _walk(os.fspath(folder), Counter() if skipped is None else skipped, ())


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is no one's picture: hidden, or kept by a system."""
    return name.startswith(".") or name.lower() in SYSTEM


def count_suffix(name: str) -> str:
    """What a file that is left out is counted as."""
    return os.path.splitext(name)[1].lower() or "without suffix"


def _walk(folder: str, skipped: Counter[str], above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    above = (*above, _identify(folder))
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if is_hidden(entry.name):
            skipped["hidden or of a system"] += 1
        elif _is_folder(entry):
            if entry.is_symlink() and _identify(entry.path) in above:
                skipped["links in a circle"] += 1
            else:
                yield from _walk(entry.path, skipped, above)
        elif not entry.name.lower().endswith(suffixes()):
            skipped[count_suffix(entry.name)] += 1
        elif _is_special(entry):
            skipped["pipes and devices"] += 1
        else:
            yield entry.path


def _identify(folder: str) -> tuple[int, int]:
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link to itself.
        return False


def _is_special(entry: os.DirEntry[str]) -> bool:
    """Whether it exists and is no regular file."""
    try:
        return not entry.is_file() and not stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return False
