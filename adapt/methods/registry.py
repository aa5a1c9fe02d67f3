"""The methods of adaptation by name; each is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from headroles.checks import near
from headroles.errors import InputError

if TYPE_CHECKING:
    from headroles.adapt.methods.method import Method

_HOMES = {
    "dear": "dear:Dear",
    "zero-shot": "zero_shot:ZeroShot",
    "coop": "coop:Coop",
    "cocoop": "cocoop:Cocoop",
    "maple": "maple:Maple",
    "promptsrc": "promptsrc:PromptSrc",
    "mmrl": "mmrl:Mmrl",
    "mmrlpp": "mmrlpp:MmrlPlus",
    "tac": "tac:Tac",
    "fine-tuning": "fine_tuning:FineTuning",
    "clip-cite": "clip_cite:ClipCite",
    "clip-lora": "clip_lora:ClipLora",
    "clip-svd": "clip_svd:ClipSvd",
    "skip-tuning": "skip_tuning:SkipTuning",
    "head-purification": "head_purification:HeadPurification",
    "linear-probe": "linear_probe:LinearProbe",
    "hcvp": "hcvp:Hcvp",
    "layer-fusion": "layer_fusion:LayerFusion",
    "layer-fusion-texts": "layer_fusion_texts:LayerFusionTexts",
    "tip-adapter": "tip_adapter:TipAdapter",
    "tip-adapter-f": "tip_adapter:TipAdapterF",
    "talo": "talo:Talo",
    "ltv": "ltv:Ltv",
}
"""Name -> module of this room, and class."""


class Methods(Mapping[str, "type[Method]"]):
    """Name -> class of every method."""

    def __getitem__(self, name: str) -> type[Method]:
        module, _, kind = _HOMES[name].partition(":")
        found: type[Method] = getattr(import_module(f"{__package__}.{module}"), kind)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_HOMES)

    def __contains__(self, name: object) -> bool:
        return name in _HOMES  # Without loading it.

    def __len__(self) -> int:
        return len(_HOMES)


METHODS = Methods()
"""Name -> class: built as `headroles.adapt.methods.method.Method` is, from a frozen CLIP, role map, settings, seed."""


def find_method(name: str) -> type[Method]:
    """The class of a method; InputError for a name that is none."""
    return METHODS[check_method(name)]


def check_method(name: str) -> str:
    """The name of a method, which is not loaded; InputError for a name that is none."""
    if name not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}, got {name!r}{near(name, METHODS)}")
    return name
