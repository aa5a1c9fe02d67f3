"""The role map that a job makes for itself: of the whole model, whatever is cut around it."""

import pytest

from headroles import load
from headroles.adapt.jobs.role_map import score_scenes
from headroles.heads.ablation import Ablation, ablating_loaded


@pytest.mark.slow
def test_it_is_of_the_whole_model(monkeypatch):
    monkeypatch.setattr("headroles.images.sources.find.SCENES", 64)
    whole = load("shapes", "cpu")
    last = whole.visual.layers - 1
    expected = score_scenes(whole, last)
    assert expected.layers == (last,) and expected.images.source == "shapes"
    with ablating_loaded(Ablation("L0.*", mode="zero")):
        assert score_scenes(load("shapes", "cpu"), last).to_json() == expected.to_json()
