"""Larger models that hold a vision tower: what its tensors are called there, and which files hold them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from headroles.errors import InputError
from headroles.models.checkpoints.settings import CONFIG, read_settings

INDEX = ".index.json"
"""End of the file that says which shard holds which tensor."""


@dataclass(frozen=True)
class PartNames:
    """Names of a vision tower's tensors, and of its projector's."""

    tower: re.Pattern
    """Its group is the name within the tower alone."""
    projector: re.Pattern
    """What takes the tower's tokens to the language model."""

    def match(self, name: str) -> bool:
        """Whether the tensor is of either."""
        return bool(self.tower.match(name) or self.projector.match(name))


def _names(tower: str, projector: str) -> PartNames:
    """With and without the prefixes that versions of transformers put before them."""
    own = re.compile(rf"(?:model\.)?{tower}\.(?:vision_model\.)?(.+)")
    return PartNames(own, re.compile(rf"(?:model\.)?{projector}\."))


_LLAVA, _IDEFICS = _names("vision_tower", "multi_modal_projector"), _names("vision_model", "connector")
LARGER: dict[str, PartNames] = {
    **dict.fromkeys(("llava", "llava_next", "llava_next_video", "llava_onevision", "vipllava"), _LLAVA),
    **dict.fromkeys(("gemma3", "paligemma", "aya_vision", "mistral3"), _LLAVA),
    **dict.fromkeys(("idefics2", "idefics3", "smolvlm"), _IDEFICS),
    "idefics": _names("vision_model", "perceiver_resampler"),
}
"""model_type of a config -> names."""


def is_larger(folder: Path) -> bool:
    """Whether config.json is of a model that holds a vision tower among others."""
    return read_settings(folder / CONFIG).get("model_type") in LARGER


def read_weight_map(index: Path) -> dict[str, str]:
    """Tensor -> file beside the index; InputError where it says no such thing."""
    files = read_settings(index).get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(file, str) and "/" not in file for file in files.values()):
        raise InputError(f"model: {index} has no weight_map from tensors to files; copy or download it again")
    return files


def needed_files(index: Path) -> set[str]:
    """The shards that hold anything that `load` reads: of a larger model the vision tower and its projector alone."""
    files = read_weight_map(index)
    names = LARGER.get(read_settings(index.parent / CONFIG).get("model_type", ""))
    return {file for key, file in files.items() if names is None or names.match(key)}
