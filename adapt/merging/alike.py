"""Whether adapters can be merged: one method, with the same settings, over one frozen CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headroles.adapt.adapter.adapter import Adapter
from headroles.adapt.methods.method import Method
from headroles.adapt.methods.registry import find_method
from headroles.errors import InputError
from headroles.files.differences import difference, is_hash, show


def check_mergeable(method: str) -> type[Method]:
    """The method's class; InputError where the tensors of two of its adapters cannot be merged."""
    kind = find_method(method)
    if not kind.steps:
        raise InputError(f"method: {method} takes no training steps, so there is nothing to merge; take another method")
    return kind


def check_alike(adapters: Sequence[Adapter], names: Sequence[str]) -> None:
    """InputError that names what is different, where one of the adapters cannot be merged with the last.

    `names`: what to call them.
    """
    if len(adapters) < 2:
        raise InputError(f"adapters: expected two or more to merge, got {len(adapters)}")
    kind = check_mergeable(adapters[-1].info.method)
    expected = _essence(adapters[-1], kind.needs_classes)
    for adapter, name in zip(adapters, names, strict=True):
        own = _essence(adapter, kind.needs_classes)
        found = next(filter(None, (difference(own[part], expected[part], part) for part in expected)), None)
        if found:
            raise InputError(
                f"adapters: {name} and {names[-1]} {_tell(*found)}; merge adapters of one method, with the same "
                "settings, over one frozen CLIP"
            )


def _essence(adapter: Adapter, classes: bool) -> dict[str, Any]:
    """What two adapters must share; what says most comes first."""
    info = adapter.info
    shared = {"method": info.method, "frozen CLIP": info.base_model_hash, "settings": info.settings.to_dict()}
    shared |= {"role map": info.role_map_sha256, "first layer": info.layer, "attributes": list(info.attributes)}
    shared |= {"ablation": info.ablation, "trained classes": list(info.trained_classes) if classes else []}
    return shared | {"shape": {name: list(each.shape) for name, each in adapter.method.state_dict().items()}}


def _tell(name: str, first: Any, last: Any) -> str:
    if is_hash(first) or is_hash(last) or isinstance(first, dict) or isinstance(last, dict):
        return f"differ in {name}"
    return f"differ in {name}: {show(first)} and {show(last)}"
