"""StoredIndex: a folder's index on disk, as it is found, brought up to date, or made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headroles.errors import InputError
from headroles.images.images import ImageFiles, find_images, undecided, with_preprocess
from headroles.images.reading import Reading, announce, describe_images
from headroles.roles.own_model import preprocess_of
from headroles.roles.role_map import RoleMap
from headroles.uses.image_index import ImageIndex, is_index, stamp_files
from headroles.uses.index_build import build_index, check_place

if TYPE_CHECKING:
    from headroles.models.hooked_clip import HookedCLIP


@dataclass(frozen=True)
class StoredIndex:
    """The index of a folder as it is found on disk, or the place for it."""

    folder: Path
    """Folder of the index."""
    files: ImageFiles
    """The images as they are now."""
    old: ImageIndex | None
    """What is there."""
    stale: str | None
    """Why that does not stand for the files; None where it does."""
    precision: str
    """Numbers of a new one."""

    @classmethod
    def open(cls, role_map: RoleMap, images: Path, folder: Path, precision: str, rebuild: bool) -> StoredIndex:
        """Compare what is there with the files, reading none; InputError for a stale one without `rebuild`."""
        left_out: Counter[str] = Counter()
        files = ImageFiles(find_images(images, left_out), undecided, images, left_out)
        old, stale = _load(folder)
        if old is not None:
            stale = old.staleness(role_map.model.weights_hash, role_map.layers, stamp_files(files))
        if is_index(folder) and stale and not rebuild:
            raise InputError(f"index: {folder} is stale: {stale}; leave out --no-rebuild to bring it up to date")
        check_place(folder, precision)
        return cls(folder, files, old, stale, precision)

    @property
    def ready(self) -> ImageIndex | None:
        """The index that is there, where it stands for the files."""
        return None if self.stale else self.old

    def fold(
        self, model: HookedCLIP, layers: Sequence[int], batch: int, workers: int, say: Callable[[str], None]
    ) -> tuple[ImageIndex, Reading]:
        """Bring it up to date, or make it, and how; files that have not changed are not read again."""
        files = with_preprocess(self.files, preprocess_of(model))
        reading = announce(describe_images(files, str(self.files.folder)))
        say(f"indexing {len(files)} images into {self.folder}: {self.stale}")
        index = build_index(
            model, files, layers, self.folder, precision=self.precision, batch=batch, workers=workers, old=self.old
        )
        if index.broken:
            say(f"left out {len(index.broken)} broken image files: {', '.join(sorted(index.broken)[:5])}")
        return index, reading


def _load(folder: Path) -> tuple[ImageIndex | None, str | None]:
    """What is there, or why there is nothing that could be kept."""
    if not is_index(folder):
        return None, "there is none yet"
    try:
        return ImageIndex.load(folder), None
    except InputError as error:
        return None, f"what is there cannot be used ({str(error).removeprefix('index: ').partition(';')[0]})"
