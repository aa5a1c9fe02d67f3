"""A validation from plain names: opens the role map, the model and the labelled images that a command speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headroles.causal.validate import ValidateConfig, check_fit, choose_concepts, validate
from headroles.causal.validation import Validation
from headroles.errors import InputError
from headroles.images.labelled import TEMPLATE, LabelledImages, open_labelled
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.load import load
from headroles.roles.role_map import RoleMap

FILES = ("validation.json", "validation.csv")


@dataclass(frozen=True)
class ValidateRun:
    """A model, its role map, labelled images and settings, ready to validate."""

    model: HookedCLIP
    role_map: RoleMap
    images: LabelledImages
    config: ValidateConfig

    def validate(self, **options: Any) -> Validation:
        """`headroles.causal.validate.validate` of this run; `options` as there."""
        return validate(self.model, self.role_map, self.images, self.config, **options)


def open_run(
    role_map: RoleMap,
    model: str | None = None,
    images: str | None = None,
    count: int | None = None,
    settings: Mapping[str, Any] | None = None,
    template: str | None = None,
    device: str = "auto",
) -> ValidateRun:
    """Load the model of a role map (or the one given by name) and images as `open_labelled` takes them.

    `images`: None for rendered scenes with the bundled model. `settings` are fields of ValidateConfig. Raises
    InputError where scenes would be those that were scored.
    """
    config = ValidateConfig(**(settings or {}))
    name = model or role_map.model.name
    if images is None and name != "shapes":
        raise InputError(
            "images: this model needs labelled ones, a folder CONCEPT/VALUE/ or a CSV file with a column path and one "
            "column a concept; give --images"
        )
    source = images or "shapes"
    if source == role_map.images.source == "shapes" and config.seed == role_map.settings.get("seed"):
        raise InputError(f"seed: {config.seed} is that of the scenes that were scored; give another --seed")
    if source != "shapes" and not Path(source).exists():
        open_labelled(source, None)  # A wrong place should say so before a large model is role_map.
    clip = load(name, device)
    labelled = open_labelled(source, clip.processor, count, config.seed, template or TEMPLATE)
    check_fit(role_map, clip, choose_concepts(labelled, config.concepts))
    return ValidateRun(clip, role_map, labelled, config)


def write_validation(validation: Validation, folder: Path) -> None:
    """validation.json and validation.csv; each appears in one step, the JSON last."""
    for name in reversed(FILES):
        validation.save(folder / name)
