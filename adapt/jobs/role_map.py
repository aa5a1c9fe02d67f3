"""The role map of a job: given, begun with, left by `headroles score`, or made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from headroles.adapt.jobs.job import Job
from headroles.adapt.methods.registry import find_method
from headroles.adapt.training.checkpoint import Checkpoint
from headroles.errors import InputError
from headroles.heads.ablation import intact
from headroles.jobs.score import score
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.known_models import BUNDLED
from headroles.models.load import load
from headroles.roles.role_heads import check_tower
from headroles.roles.role_map import SILENT, RoleMap

LEFT = Path("headroles-output/role_map.json")
"""Where `headroles score` leaves its role map."""


def find_role_map(job: Job, clip: HookedCLIP, begun: Sequence[Path] = ()) -> tuple[RoleMap | None, str]:
    """The role map of a job and a line about where it came from; none where its method needs none and is given none.

    The job's own; else that of the adapters already `begun`; else what `headroles score` left, if it fits; else, for
    a bundled model, a new one. Raises InputError where there is none, or where it is of other weights.
    """
    method = find_method(job.method)
    if method.role_maps == "none":  # A job refuses one that is given, and one that was left here is another method's.
        return None, ""
    if job.role_map is not None:
        return _take_given(job, job.role_map, clip)
    for folder in begun:
        path = next(filter(Path.is_file, (Checkpoint(folder).role_map, folder / "role_map.json")), None)
        if path:
            return RoleMap.load(path), f"role map: {path}"
    if method.role_maps != "needed":
        return None, ""
    return find_left(job.model_name, clip, method.first_layer(clip, job.settings))


def find_left(model: str, clip: HookedCLIP, first: int, places: Sequence[Path] = (LEFT,)) -> tuple[RoleMap, str]:
    """A role map that nobody gave, from layer `first` on: one that was left at a place, or, for the bundled model, new.

    InputError where there is none.
    """
    unfit = ""
    for place in filter(Path.is_file, places):
        role_map = RoleMap.load(place)
        why = _why_unfit(role_map, clip, first)
        if not why:
            return role_map, f"role map: {place}"
        unfit = f" ({place} {why})"
    if model not in BUNDLED:
        raise InputError(
            f"role map: none for model {model}{unfit}; make one: headroles score "
            f"--model {quote(model)} --images FOLDER, and give it as --role-map FILE",
            page="missing-file",
        )
    return score_scenes(clip, first), f"role map: made from rendered scenes{unfit}"


def _take_given(job: Job, given: RoleMap | Path, clip: HookedCLIP) -> tuple[RoleMap, str]:
    """The job's own; the method would say less about where another came from."""
    role_map = RoleMap.of(given)
    place = given if isinstance(given, Path) else "given"
    if role_map.model.weights_hash != clip.weights_hash():
        raise InputError(
            f"role map: {place} is of other weights than model {job.model_name}; make one: headroles score "
            f"--model {quote(job.model_name)}",
            page="other-weights",
        )
    check_tower(role_map)
    if all(head.role == SILENT for head in role_map):
        raise InputError("role map: all its heads are silent, so none has a role; score on other images")
    return role_map, f"role map: {place}"


def _why_unfit(role_map: RoleMap, clip: HookedCLIP, first: int) -> str:
    """Why a role map does not serve masks from layer `first` on; "" where it does."""
    if role_map.model.weights_hash != clip.weights_hash():
        return "is of another model"
    if role_map.tower == "text":
        return "is of the text tower"
    lacking = sorted(set(range(first, clip.visual.layers)) - set(role_map.layers))
    return f"lacks layer {lacking[0]}" if lacking else ""


def score_scenes(clip: HookedCLIP, first: int) -> RoleMap:
    """A bundled model's role map from layer `first` on, over rendered scenes, with all heads whole."""
    with intact():
        whole = load(clip.model_name, str(clip.device), clip.dtype)
        return score(whole, "shapes", "shapes", layers=f"{first}-{clip.visual.layers - 1}")
