"""A tiny random CLIP, a role map of it, and an engine over a few labelled images: what the page's tests ask."""

from dataclasses import replace

import pytest

from headroles import RoleMap, load, open_labelled
from headroles.explore.engine import Engine
from headroles.roles.role_map import ModelInfo


@pytest.fixture(scope="session")
def tiny(clip_folder):
    return load(str(clip_folder), "cpu")


@pytest.fixture(scope="session")
def role_map_of(random_role_map):
    """A function that makes up roles of a tiny model's heads in layers 1 and 2."""

    def make(model, **options) -> RoleMap:
        made = random_role_map(("a red thing", "something striped", "a dark photo"), (1, 2), heads=4, **options)
        return replace(made, model=ModelInfo(model.model_name, model.weights_hash(), 3, 4))

    return make


@pytest.fixture(scope="session")
def tiny_map(tiny, role_map_of):
    return role_map_of(tiny, silent=("L1.H3",))


@pytest.fixture(scope="session")
def labelled(tiny, color_folder):
    """Twelve images of four values of one concept, "test"."""
    return open_labelled(color_folder / "test", tiny.processor)


@pytest.fixture
def engine(tiny, tiny_map, labelled):
    return Engine(tiny_map, tiny, labelled)
