"""Role maps made by hand, for models of any shape; and a small finished job."""

from collections.abc import Sequence

import pytest

from headroles import load
from headroles.adapt import adapt
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import BankInfo, HeadRole, ImagesInfo, ModelInfo, RoleMap

CONCEPTS = ("animal", "color", "object", "position", "shape", "texture")
ROLES = {"mixed": ("mixed", "color"), "general": ("generalization", "object"), "silent": ("silent", "")}
"""Other words than a concept's name, which stands for an attribute head."""


def build_role_map(
    model: HookedCLIP, rows: Sequence[Sequence[str]], first: int | None = None, bank: Sequence[str] = CONCEPTS
) -> RoleMap:
    """A role map of `rows`, one a layer from `first` on (by default, the last layers).

    A cell is "mixed", "general", "silent", or the concept of an attribute head; a row shorter than the layer is
    repeated.
    """
    tower = model.visual
    first = tower.layers - len(rows) if first is None else first
    layers = tuple(range(first, first + len(rows)))
    roles = []
    for layer, row in zip(layers, rows, strict=True):
        for head in range(tower.heads):
            role, concept = ROLES.get(row[head % len(row)], ("attribute", row[head % len(row)]))
            numbers = {"concept_share": 1.0, "entropy_bits": 0.0, "entropy": 0.0, "interval": (0.0, 0.0)}
            numbers |= {"p_value": 0.0, "q_value": 0.0, "stability": 1.0, "variance": 1.0}
            numbers |= {"null_entropy": 1.0, "effective_rank": 1.0}
            numbers |= {"concept_share": float(bool(concept))}
            spread = {name: float(name == concept) for name in bank}
            roles.append(HeadRole(layer, head, role, concept, **numbers, distribution=spread, texts=()))
    return RoleMap(
        model=ModelInfo(model.model_name, model.weights_hash(), tower.layers, tower.heads),
        images=ImagesInfo("by hand", 2, ()),
        bank=BankInfo("by hand", "0" * 64, dict.fromkeys(bank, 1)),
        settings={},
        layers=layers,
        head_roles=tuple(roles),
    )


@pytest.fixture(scope="session")
def make_role_map():
    """A function that builds a RoleMap for a model; see `build_role_map`."""
    return build_role_map


@pytest.fixture(scope="session")
def small_map(clip_folder, make_role_map):
    """A role map of the tiny CLIP, with heads of every kind."""
    return make_role_map(load(str(clip_folder), "cpu"), [["mixed", "general", "color", "shape"]])


@pytest.fixture(scope="session")
def job(clip_folder, color_folder, small_map):
    """What `headroles.adapt.adapt` takes for a quick job on the tiny CLIP."""
    names = {"model": str(clip_folder), "task": str(color_folder), "role_map": small_map, "device": "cpu"}
    return {**names, "shots": 4, "epochs": 2, "batch": 8, "lr": 5e-3, "protocol": "base-to-novel"}


@pytest.fixture(scope="session")
def adapted(job):
    """A finished job of two seeds, in memory alone."""
    return adapt(**job, seeds=(1, 2))
