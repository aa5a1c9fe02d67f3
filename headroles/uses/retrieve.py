"""retrieve(): which images do one concept's heads find alike?"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from headroles.checks import typed
from headroles.roles.role_heads import Heads
from headroles.roles.role_map import RoleMap
from headroles.uses.query import QueryImage
from headroles.uses.retrieve_run import RetrieveRun, Searched
from headroles.uses.retrieved import Retrieved

if TYPE_CHECKING:
    from headroles.models.hooked_clip import HookedCLIP


@typed
def retrieve(
    role_map: RoleMap | str | os.PathLike[str],
    query: QueryImage,
    images: Searched,
    *,
    heads: Heads | None = None,
    concept: str | None = None,
    any_role: bool = False,
    all_heads: bool = False,
    top: int = 8,
    index: str | os.PathLike[str] | None = None,
    precision: str = "float16",
    rebuild: bool = True,
    model: HookedCLIP | str | None = None,
    device: str = "auto",
    batch: int = 64,
    workers: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Retrieved:
    """The images that some heads find alike, beside those that the whole embedding finds alike.

    `role_map`: the map, its file or its folder. `query`: an image file, a PIL image, an array, or the number or name of
    one of the images. `images`: a folder (any depth), an ImageIndex, or images that are open already. The heads are
    those by name ("L6.H3,L7.*"), the Attribute heads of a concept (`any_role`: all heads of it), or with `all_heads`
    all scored ones, each times its P(concept).

    The index of a folder is written beside the role map's file, or into the folder `index`, so that later searches read
    no image; of a role map that is an object it stays in memory. A stale one is brought up to date (files that have
    not changed are not read again), or refused without `rebuild`. `precision`: float16 or float32, of a new index.
    `say` is told what takes time. Raises InputError where something does not fit or cannot be read.
    """
    run = RetrieveRun.open(
        role_map, query, images, heads=heads, concept=concept, any_role=any_role, all_heads=all_heads, index=index,
        precision=precision, rebuild=rebuild, model=model, device=device,
    )  # fmt: skip
    folded = run.fold(batch, workers, say)
    return run.explain(folded, top)
