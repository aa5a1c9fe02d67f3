"""Teach a CLIP a task without harming the rest: DeAR on the head roles of a role map.

Public names are loaded on first use: `import headroles.adapt` alone does not load torch.
"""

from importlib import import_module

_HOMES = {
    "Adapted": "results.adapted",
    "Adapter": "adapter.adapter",
    "AdapterInfo": "adapter.info",
    "Dear": "methods.dear",
    "DearConfig": "config",
    "EpochRecord": "training.records",
    "Evaluation": "results.evaluation",
    "METHODS": "methods.registry",
    "Measure": "metrics",
    "PROTOCOLS": "results.protocols",
    "Prediction": "results.prediction",
    "Predictions": "results.prediction",
    "SHIFTS": "data.tasks",
    "Step": "training.records",
    "TASKS": "data.tasks",
    "Task": "data.task",
    "TrainConfig": "config",
    "adapt": "jobs.adapt",
    "build_masks": "methods.masks",
    "evaluate": "results.evaluate",
    "fit": "training.train",
    "load_adapter": "adapter.adapter",
    "open_task": "data.tasks",
    "predict": "results.predict",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'headroles.adapt' has no attribute {name!r}")
    return getattr(import_module(f"headroles.adapt.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
