"""Telling models from role maps where an argument may be either."""

from __future__ import annotations

from pathlib import Path

import click

_WEIGHTS = (".pt", ".pth", ".bin", ".safetensors")
_CONFIGS = ("config.json", "open_clip_config.json", "adapter_config.json")


def are_models(*given: Path) -> bool:
    """Whether all are models; a usage error where some are and some are role maps."""
    models = [_is_model(each) for each in given]
    if any(models) and not all(models):
        one, other = given[models.index(True)], given[models.index(False)]
        if _may_be_hub_id(other):  # Of two that are no files, the model says what the other has to be.
            return True
        raise click.UsageError(f"{one} is a model and {other} is none; give two models, or two role maps")
    return all(models)


def _is_model(given: Path) -> bool:
    from headroles.models.known_models import KNOWN

    name = str(given).rpartition(":")[0] if str(given).endswith((":quick_gelu", ":gelu")) else str(given)
    path = Path(name)
    if path.is_dir():
        return not (path / "role_map.json").is_file() and any((path / config).is_file() for config in _CONFIGS)
    return path.suffix in _WEIGHTS or any(model.name == name for model in KNOWN)


def _may_be_hub_id(given: Path) -> bool:
    return not given.exists() and given.suffix != ".json" and str(given).count("/") == 1
