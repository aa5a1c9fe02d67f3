"""What does each attention head of this CLIP do?

Public names are loaded on first use: `import headroles` alone loads neither torch nor matplotlib.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from os.path import exists, join
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if not exists(join(__path__[0], "adapt")):  # In a checkout adapt/ and cli/ lie beside this folder: see setup.cfg.
    __path__ = extend_path(__path__, __name__)  # Where a strict editable install links to them.

if TYPE_CHECKING:  # For editors and type checkers; the table below says the same, and a test compares the two.
    from headroles import adapt as adapt
    from headroles import shapes as shapes
    from headroles.bundled.evaluate import zero_shot as zero_shot
    from headroles.bundled.specialists import SPECIALISTS as SPECIALISTS
    from headroles.causal.config import ValidateConfig as ValidateConfig
    from headroles.causal.margins import ValueTexts as ValueTexts
    from headroles.causal.margins import margin as margin
    from headroles.causal.validate import validate as validate
    from headroles.causal.validation import Validation as Validation
    from headroles.diagnosis.diagnosis import Diagnosis as Diagnosis
    from headroles.diagnosis.doctor import doctor as doctor
    from headroles.diagnosis.record import record as record
    from headroles.errors import InputError as InputError
    from headroles.heads.ablate import ablating as ablating
    from headroles.heads.ablate import scaling_heads as scaling_heads
    from headroles.heads.compare_models import diff_models as diff_models
    from headroles.heads.contributions import Contributions as Contributions
    from headroles.heads.contributions import image_contributions as image_contributions
    from headroles.heads.contributions import text_contributions as text_contributions
    from headroles.heads.directions import Directions as Directions
    from headroles.heads.model_diff import ModelDiff as ModelDiff
    from headroles.heads.moments import HeadMoments as HeadMoments
    from headroles.heads.names import Part as Part
    from headroles.heads.reference import HeadReference as HeadReference
    from headroles.heads.value_moments import ValueMoments as ValueMoments
    from headroles.heads.weights import HeadWeights as HeadWeights
    from headroles.heads.weights import LearnConfig as LearnConfig
    from headroles.images.grouped import GroupedImages as GroupedImages
    from headroles.images.grouped import open_grouped as open_grouped
    from headroles.images.images import FolderImages as FolderImages
    from headroles.images.images import Images as Images
    from headroles.images.images import ShapesImages as ShapesImages
    from headroles.images.labelled import Concept as Concept
    from headroles.images.labelled import LabelledImages as LabelledImages
    from headroles.images.labelled import open_labelled as open_labelled
    from headroles.images.reading import Reading as Reading
    from headroles.images.reading import describe_images as describe_images
    from headroles.images.sources.find import Source as Source
    from headroles.images.sources.find import find_source as find_source
    from headroles.jobs.align import align as align
    from headroles.jobs.score import score as score
    from headroles.models.alignment import AlignedMap as AlignedMap
    from headroles.models.alignment import Alignment as Alignment
    from headroles.models.hooked_clip import HookedCLIP as HookedCLIP
    from headroles.models.load import load as load
    from headroles.models.verified import VerifiedModels as VerifiedModels
    from headroles.models.verified import verified_models as verified_models
    from headroles.models.words import Words as Words
    from headroles.reports.adaptation import Adaptation as Adaptation
    from headroles.reports.evidence import Illustrations as Illustrations
    from headroles.reports.report import Report as Report
    from headroles.reports.report import report as report
    from headroles.roles.config import ImageScoreConfig as ImageScoreConfig
    from headroles.roles.config import ScoreConfig as ScoreConfig
    from headroles.roles.config import WeightScoreConfig as WeightScoreConfig
    from headroles.roles.consensus import Consensus as Consensus
    from headroles.roles.consensus import consensus as consensus
    from headroles.roles.diff import RoleMapDiff as RoleMapDiff
    from headroles.roles.diff import diff as diff
    from headroles.roles.direction import HeadDirection as HeadDirection
    from headroles.roles.discovery import DiscoveryConfig as DiscoveryConfig
    from headroles.roles.probes import ProbeBank as ProbeBank
    from headroles.roles.role_heads import choose_heads as choose_heads
    from headroles.roles.role_map import ROLES as ROLES
    from headroles.roles.role_map import HeadRole as HeadRole
    from headroles.roles.role_map import RoleMap as RoleMap
    from headroles.roles.score_images import collect_values as collect_values
    from headroles.roles.score_images import explain_values as explain_values
    from headroles.roles.score_texts import collect_moments as collect_moments
    from headroles.roles.score_texts import explain as explain
    from headroles.roles.score_weights import explain_weights as explain_weights
    from headroles.shapes.world import ABSENT as ABSENT
    from headroles.uses.attend import attend as attend
    from headroles.uses.attended import Attended as Attended
    from headroles.uses.cue_bench import DebiasConfig as DebiasConfig
    from headroles.uses.debias import debias as debias
    from headroles.uses.debiased import Debiased as Debiased
    from headroles.uses.edit import edit as edit
    from headroles.uses.edited import Edited as Edited
    from headroles.uses.image_index import ImageIndex as ImageIndex
    from headroles.uses.map_scores import MapScores as MapScores
    from headroles.uses.precision import PrecisionAtK as PrecisionAtK
    from headroles.uses.precision_at_k import precision_at_k as precision_at_k
    from headroles.uses.retrieve import retrieve as retrieve
    from headroles.uses.retrieved import Retrieved as Retrieved

_HOMES = {
    "": ("adapt", "shapes"),
    "bundled.evaluate": ("zero_shot",),
    "bundled.specialists": ("SPECIALISTS",),
    "causal.config": ("ValidateConfig",),
    "causal.margins": ("ValueTexts", "margin"),
    "causal.validate": ("validate",),
    "causal.validation": ("Validation",),
    "diagnosis.diagnosis": ("Diagnosis",),
    "diagnosis.doctor": ("doctor",),
    "diagnosis.record": ("record",),
    "errors": ("InputError",),
    "heads.ablate": ("ablating", "scaling_heads"),
    "heads.compare_models": ("diff_models",),
    "heads.contributions": ("Contributions", "image_contributions", "text_contributions"),
    "heads.directions": ("Directions",),
    "heads.model_diff": ("ModelDiff",),
    "heads.moments": ("HeadMoments",),
    "heads.names": ("Part",),
    "heads.reference": ("HeadReference",),
    "heads.value_moments": ("ValueMoments",),
    "heads.weights": ("HeadWeights", "LearnConfig"),
    "images.grouped": ("GroupedImages", "open_grouped"),
    "images.images": ("FolderImages", "Images", "ShapesImages"),
    "images.labelled": ("Concept", "LabelledImages", "open_labelled"),
    "images.reading": ("Reading", "describe_images"),
    "images.sources.find": ("Source", "find_source"),
    "jobs.align": ("align",),
    "jobs.score": ("score",),
    "models.alignment": ("AlignedMap", "Alignment"),
    "models.hooked_clip": ("HookedCLIP",),
    "models.load": ("load",),
    "models.verified": ("VerifiedModels", "verified_models"),
    "models.words": ("Words",),
    "reports.adaptation": ("Adaptation",),
    "reports.evidence": ("Illustrations",),
    "reports.report": ("Report", "report"),
    "roles.config": ("ImageScoreConfig", "ScoreConfig", "WeightScoreConfig"),
    "roles.consensus": ("Consensus", "consensus"),
    "roles.diff": ("RoleMapDiff", "diff"),
    "roles.direction": ("HeadDirection",),
    "roles.discovery": ("DiscoveryConfig",),
    "roles.probes": ("ProbeBank",),
    "roles.role_heads": ("choose_heads",),
    "roles.role_map": ("ROLES", "HeadRole", "RoleMap"),
    "roles.score_images": ("collect_values", "explain_values"),
    "roles.score_texts": ("collect_moments", "explain"),
    "roles.score_weights": ("explain_weights",),
    "shapes.world": ("ABSENT",),
    "uses.attend": ("attend",),
    "uses.attended": ("Attended",),
    "uses.cue_bench": ("DebiasConfig",),
    "uses.debias": ("debias",),
    "uses.debiased": ("Debiased",),
    "uses.edit": ("edit",),
    "uses.edited": ("Edited",),
    "uses.image_index": ("ImageIndex",),
    "uses.map_scores": ("MapScores",),
    "uses.precision": ("PrecisionAtK",),
    "uses.precision_at_k": ("precision_at_k",),
    "uses.retrieve": ("retrieve",),
    "uses.retrieved": ("Retrieved",),
}


def open_face(package: str, homes: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], Any], list[str]]:
    """`__getattr__` and `__all__` of a package whose public names are loaded on first use (PEP 562).

    `homes`: module within the package -> public names that live there; "" -> modules that are public themselves. An
    unknown name is an AttributeError that says the near one.
    """
    where = {name: f"{package}.{home or name}" for home, names in homes.items() for name in names}

    def find(name: str) -> Any:
        if name in where:
            module = import_module(where[name])
            return module if name in homes.get("", ()) else getattr(module, name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}{_guess(name, where)}")

    return find, sorted(where)


def _guess(name: str, known: Mapping[str, str]) -> str:
    """What may have been meant; of no name that Python itself asks for, such as `__wrapped__`."""
    from difflib import get_close_matches

    near = [] if name.startswith("_") else get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


if not TYPE_CHECKING:
    __getattr__, __all__ = open_face(__name__, _HOMES)

    def __dir__() -> list[str]:
        return [*__all__, "__version__"]
