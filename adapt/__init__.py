"""Teach a CLIP a task without harming the rest: DeAR on the head roles of a role map.

Public names are loaded on first use: `import headroles.adapt` alone does not load torch.
"""

from importlib import import_module

_HOMES = {
    "Dear": "dear",
    "DearConfig": "config",
    "ImageFeatures": "dear",
    "Job": "run",
    "SHIFTS": "tasks",
    "TASKS": "tasks",
    "Task": "task",
    "TextTrunk": "dear",
    "TrainConfig": "config",
    "adapt": "run",
    "build_masks": "masks",
    "fit": "train",
    "load_adapter": "adapter",
    "open_task": "tasks",
    "predict_images": "predict",
    "retention": "evaluate",
    "save_adapter": "adapter",
    "to_table": "metrics",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'headroles.adapt' has no attribute {name!r}")
    return getattr(import_module(f"headroles.adapt.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
