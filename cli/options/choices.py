"""The words that options choose among, as the library has them; here, so that help and Tab import none of it."""

from headroles.adapt.config import FUSIONS, MASK_STARTS, MASKS
from headroles.adapt.config import SELECTIONS as EPOCHS
from headroles.adapt.continual.ways import WAYS as CONTINUAL
from headroles.adapt.merging.config import RULES as MERGING
from headroles.models.known_models import ACTIVATIONS

__all__ = ["ACTIVATIONS", "CONTINUAL", "EPOCHS", "FUSIONS", "MASKS", "MASK_STARTS", "MERGING"]

PRECISIONS = ("no", "bf16", "fp16")
NUMBERS = ("float16", "float32")
EFFECTS = ("direct", "total")
MODES = ("mean", "zero", "resample")
TOWERS = ("visual", "text")
NOISE = ("nearest", "own")
SHARES = ("marginal", "unique")
READINGS = ("heads", "equal")
SELECTIONS = ("std", "variance")
WEIGHTS = ("variance", "count")
RULES = ("threshold", "quantile", "null")
CONSTANTS = ("apart", "heads")
CLASSIFIERS = ("images", "prompts")
INFERENCES = ("unified", "decoupled")
FORMATS = ("text", "markdown", "csv", "latex", "html")
LOGS = ("csv", "tensorboard", "wandb")
TABLES = ("zero-shot", "base-to-novel", "few-shot", "cross-dataset", "domain-shift")
PROTOCOLS = ("base-to-novel", "joint", "few-shot", "cross-dataset", "domain-shift", "leave-one-domain-out")
