"""Teach a CLIP a task without harming the rest: DeAR on the head roles of a role map, and other methods beside it.

Public names are loaded on first use: `import headroles.adapt` alone does not load torch.
"""

from typing import TYPE_CHECKING

from headroles import open_face

if TYPE_CHECKING:  # For editors and type checkers; the table below says the same, and a test compares the two.
    from headroles.adapt.adapter.adapter import Adapter as Adapter
    from headroles.adapt.adapter.adapter import load_adapter as load_adapter
    from headroles.adapt.adapter.info import AdapterInfo as AdapterInfo
    from headroles.adapt.comparison.compare import compare as compare
    from headroles.adapt.comparison.comparison import Comparison as Comparison
    from headroles.adapt.config import DearConfig as DearConfig
    from headroles.adapt.config import TrainConfig as TrainConfig
    from headroles.adapt.continual.adapt_tasks import adapt_tasks as adapt_tasks
    from headroles.adapt.continual.result import Continual as Continual
    from headroles.adapt.continual.result import HeadDrift as HeadDrift
    from headroles.adapt.data.names import SHIFTS as SHIFTS
    from headroles.adapt.data.names import TASKS as TASKS
    from headroles.adapt.data.task import Task as Task
    from headroles.adapt.data.tasks import open_task as open_task
    from headroles.adapt.jobs.adapt import adapt as adapt
    from headroles.adapt.jobs.plan import plan as plan
    from headroles.adapt.merging.config import MergeConfig as MergeConfig
    from headroles.adapt.merging.merge import merge_adapters as merge_adapters
    from headroles.adapt.methods.dear import Dear as Dear
    from headroles.adapt.methods.features import Batch as Batch
    from headroles.adapt.methods.features import ClassTrunk as ClassTrunk
    from headroles.adapt.methods.features import ImageFeatures as ImageFeatures
    from headroles.adapt.methods.features import TextTrunk as TextTrunk
    from headroles.adapt.methods.findings import Findings as Findings
    from headroles.adapt.methods.masks import build_masks as build_masks
    from headroles.adapt.methods.method import Method as Method
    from headroles.adapt.methods.registry import METHODS as METHODS
    from headroles.adapt.metrics import Measure as Measure
    from headroles.adapt.reproduction.reproduce import reproduce as reproduce
    from headroles.adapt.reproduction.reproduction import Reproduction as Reproduction
    from headroles.adapt.results.adapted import Adapted as Adapted
    from headroles.adapt.results.average_curve import AverageCurve as AverageCurve
    from headroles.adapt.results.average_curve import AveragePoint as AveragePoint
    from headroles.adapt.results.average_curve import average_curve as average_curve
    from headroles.adapt.results.continual import ContinualMeasures as ContinualMeasures
    from headroles.adapt.results.continual import measure_continual as measure_continual
    from headroles.adapt.results.evaluate import evaluate as evaluate
    from headroles.adapt.results.evaluation import Evaluation as Evaluation
    from headroles.adapt.results.export import export_adapter as export_adapter
    from headroles.adapt.results.predict import predict as predict
    from headroles.adapt.results.prediction import Prediction as Prediction
    from headroles.adapt.results.prediction import Predictions as Predictions
    from headroles.adapt.results.protocols import PROTOCOLS as PROTOCOLS
    from headroles.adapt.training.records import EpochRecord as EpochRecord
    from headroles.adapt.training.records import Step as Step
    from headroles.adapt.training.train import fit as fit
    from headroles.adapt.uses.agreement import Agreement as Agreement
    from headroles.adapt.uses.result import HeadUse as HeadUse
    from headroles.adapt.uses.result import TaskHeads as TaskHeads
    from headroles.adapt.uses.task_heads import task_heads as task_heads

_HOMES = {
    "adapter.adapter": ("Adapter", "load_adapter"),
    "adapter.info": ("AdapterInfo",),
    "comparison.compare": ("compare",),
    "comparison.comparison": ("Comparison",),
    "config": ("DearConfig", "TrainConfig"),
    "continual.adapt_tasks": ("adapt_tasks",),
    "continual.result": ("Continual", "HeadDrift"),
    "data.names": ("SHIFTS", "TASKS"),
    "data.task": ("Task",),
    "data.tasks": ("open_task",),
    "jobs.adapt": ("adapt",),
    "jobs.plan": ("plan",),
    "merging.config": ("MergeConfig",),
    "merging.merge": ("merge_adapters",),
    "methods.dear": ("Dear",),
    "methods.features": ("Batch", "ClassTrunk", "ImageFeatures", "TextTrunk"),
    "methods.findings": ("Findings",),
    "methods.masks": ("build_masks",),
    "methods.method": ("Method",),
    "methods.registry": ("METHODS",),
    "metrics": ("Measure",),
    "reproduction.reproduce": ("reproduce",),
    "reproduction.reproduction": ("Reproduction",),
    "results.adapted": ("Adapted",),
    "results.average_curve": ("AverageCurve", "AveragePoint", "average_curve"),
    "results.continual": ("ContinualMeasures", "measure_continual"),
    "results.evaluate": ("evaluate",),
    "results.evaluation": ("Evaluation",),
    "results.export": ("export_adapter",),
    "results.predict": ("predict",),
    "results.prediction": ("Prediction", "Predictions"),
    "results.protocols": ("PROTOCOLS",),
    "training.records": ("EpochRecord", "Step"),
    "training.train": ("fit",),
    "uses.agreement": ("Agreement",),
    "uses.result": ("HeadUse", "TaskHeads"),
    "uses.task_heads": ("task_heads",),
}

if not TYPE_CHECKING:
    __getattr__, __all__ = open_face(__name__, _HOMES)

    def __dir__() -> list[str]:
        return __all__
