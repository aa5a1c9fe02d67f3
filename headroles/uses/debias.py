"""debias(): does the worst group get better without a spurious concept's heads, and more so than without others?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from headroles.checks import make_config, typed
from headroles.heads.weights import HeadWeights, LearnConfig
from headroles.images.grouped import GroupedImages
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_heads import Heads
from headroles.roles.role_map import RoleMap
from headroles.uses.cue_bench import DebiasConfig
from headroles.uses.debias_run import DebiasRun
from headroles.uses.debiased import Debiased


@typed
def debias(
    role_map: RoleMap | str | os.PathLike[str],
    task: GroupedImages | str | os.PathLike[str] = "shapes",
    *,
    heads: Heads | None = None,
    concept: str | None = None,
    any_role: bool = False,
    weights: HeadWeights | str | os.PathLike[str] | None = None,
    learn: LearnConfig | None = None,
    overwrite: bool = False,
    config: DebiasConfig | None = None,
    model: HookedCLIP | str | None = None,
    device: str = "auto",
    batch: int = 64,
    workers: int = 0,
    groups: str | Sequence[Any] | None = None,
    **settings: Any,
) -> Debiased:
    """Damp heads around their mean and measure the worst group of classes and cue values, beside other heads.

    `role_map`: the map, its file or its folder. `task`: images with classes and groups, or as `open_grouped` takes
    them: "shapes", "shapes:boat+grass,car+sand", or a CSV file with columns path, class, group, split. Damped are the
    heads by name ("L6.H3,L7.*"), or the Attribute heads of a concept (`any_role`: all heads of it). Or factors are
    applied, `weights` (their file will do); or with `learn` they are learned on the split val, and written to the file
    `weights` if it is named (`overwrite`: also where there is one). `settings` are fields of DebiasConfig, in place of
    a `config`. `model`: None for the one that the map names. `groups`: images that belong together, such as the frames
    of a film, and are drawn together for intervals: another column of the CSV file, or one label an image. Raises
    InputError where something lacks or does not fit, or the map chose the heads and was scored on more than 1% of the
    test images (unless `allow_overlap`).
    """
    how = make_config(DebiasConfig, config, settings)
    run = DebiasRun.open(
        role_map, task, how, heads=heads, concept=concept, any_role=any_role, weights=weights, learn=learn,
        overwrite=overwrite, model=model, device=device, groups=groups,
    )  # fmt: skip
    bench = run.fold(batch, workers)
    found = run.explain(bench)
    run.write(found)
    return found
