"""Teach a CLIP a task without harming the rest: DeAR on the head roles of a role map.

Public names are loaded on first use: `import headroles.adapt` alone does not load torch.
"""

from importlib import import_module

_HOMES = {
    "Dear": "methods.dear",
    "DearConfig": "config",
    "ImageFeatures": "methods.features",
    "Job": "jobs.run",
    "METHODS": "methods.registry",
    "SHIFTS": "data.tasks",
    "TASKS": "data.tasks",
    "Task": "data.task",
    "TextTrunk": "methods.features",
    "TrainConfig": "config",
    "adapt": "jobs.run",
    "build_masks": "methods.masks",
    "fit": "training.train",
    "load_adapter": "adapter",
    "open_task": "data.tasks",
    "predict_images": "results.predict",
    "retention": "results.evaluate",
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
