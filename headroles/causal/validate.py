"""validate(): does a concept die with the heads that a role map calls its own, and only it?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from headroles.causal.config import ValidateConfig
from headroles.causal.validate_run import ValidateRun
from headroles.causal.validation import Validation
from headroles.checks import make_config, typed
from headroles.images.labelled import LabelledImages
from headroles.models.hooked_clip import HookedCLIP
from headroles.passes.bars import bar_unless
from headroles.passes.image_pass import Progress
from headroles.roles.role_map import RoleMap


@typed
def validate(
    role_map: RoleMap | str | os.PathLike[str],
    model: HookedCLIP | str | None = None,
    images: LabelledImages | str | os.PathLike[str] | None = None,
    *,
    config: ValidateConfig | None = None,
    count: int | None = None,
    template: str | None = None,
    groups: str | Sequence[Any] | None = None,
    device: str = "auto",
    batch: int = 64,
    workers: int = 0,
    progress: Progress | bool | None = None,
    **settings: Any,
) -> Validation:
    """Cut every concept's Attribute heads, and every scored head alone, and measure what each labelled concept loses.

    The cost of a cut is the mean margin (log odds of the right value, zero-shot, in nats) that the concept's images
    lose. It is held against matched random heads and Generalization heads.

    `role_map`: the map, its file or its folder. `model`: None for the one that the map names. `images`: labelled ones
    that were not scored, "shapes", a folder CONCEPT/VALUE/ or VALUE/, or a CSV file (`open_labelled`); None for scenes
    with a bundled model. `count`, `template`, `groups`: as `open_labelled` takes them. `settings` are fields of
    ValidateConfig, in place of a `config`. `progress`: as in `score`.

    Raises InputError where the role map is another model's, has no Attribute head, shares no concept with the labels,
    or was scored on more than 1% of the images (unless `allow_overlap`).
    """
    how = make_config(ValidateConfig, config, settings)
    run = ValidateRun.open(role_map, model, images, how, count=count, template=template, groups=groups, device=device)
    with bar_unless(progress, f"cutting heads of {run.model.model_name}") as shown:
        folded = run.fold(batch, workers, shown)
    return run.explain(folded)
