"""Teach a CLIP a task without harming the rest: DeAR on the head roles of a role map.

Public names are loaded on first use: `import headroles.adapt` alone does not load torch.
"""

from typing import TYPE_CHECKING

from headroles import open_face

if TYPE_CHECKING:  # For editors and type checkers; the table below says the same, and a test compares the two.
    from headroles.adapt.adapter import load_adapter as load_adapter
    from headroles.adapt.adapter import save_adapter as save_adapter
    from headroles.adapt.config import DearConfig as DearConfig
    from headroles.adapt.config import TrainConfig as TrainConfig
    from headroles.adapt.data.task import Task as Task
    from headroles.adapt.data.tasks import SHIFTS as SHIFTS
    from headroles.adapt.data.tasks import TASKS as TASKS
    from headroles.adapt.data.tasks import open_task as open_task
    from headroles.adapt.jobs.run import Job as Job
    from headroles.adapt.jobs.run import adapt as adapt
    from headroles.adapt.methods.dear import Dear as Dear
    from headroles.adapt.methods.dear import ImageFeatures as ImageFeatures
    from headroles.adapt.methods.dear import TextTrunk as TextTrunk
    from headroles.adapt.methods.masks import build_masks as build_masks
    from headroles.adapt.metrics import to_table as to_table
    from headroles.adapt.results.evaluate import retention as retention
    from headroles.adapt.results.predict import predict_images as predict_images
    from headroles.adapt.training.train import fit as fit

_HOMES = {
    "adapter": ("load_adapter", "save_adapter"),
    "config": ("DearConfig", "TrainConfig"),
    "data.task": ("Task",),
    "data.tasks": ("SHIFTS", "TASKS", "open_task"),
    "jobs.run": ("Job", "adapt"),
    "methods.dear": ("Dear", "ImageFeatures", "TextTrunk"),
    "methods.masks": ("build_masks",),
    "metrics": ("to_table",),
    "results.evaluate": ("retention",),
    "results.predict": ("predict_images",),
    "training.train": ("fit",),
}

if not TYPE_CHECKING:
    __getattr__, __all__ = open_face(__name__, _HOMES)

    def __dir__() -> list[str]:
        return __all__
