"""What a method has found out is drawn number by number, beside the role map where there is one."""

import numpy as np
import pytest

from headroles.adapt import adapt
from headroles.adapt.results.found_plot import found_figure
from headroles.adapt.results.plot import read_runs
from headroles.errors import InputError


@pytest.fixture(scope="module")
def weighed(job, tmp_path_factory):
    """Task vectors of two seeds, with a role map, and their folder."""
    folder = tmp_path_factory.mktemp("ltv") / "out"
    return adapt(**{**job, "epochs": 1}, method="ltv", retention=(), seeds=(1, 2), output=folder), folder


def test_the_map_has_the_mean_over_seeds_of_every_head(weighed):
    adapted, folder = weighed
    drawn, *others = found_figure(read_runs(folder)).axes
    tower = adapted[0].method.model.visual
    cells = drawn.collections[0].get_array().reshape(tower.layers, tower.heads)
    expected = np.mean([adapter.method.weights.tolist() for adapter in adapted], 0).reshape(tower.layers, tower.heads)
    assert np.allclose(cells, expected[::-1])
    assert drawn.get_xlabel() == "weight" and [each.get_text() for each in drawn.get_xticklabels()][:2] == ["H0", "H1"]
    assert adapted[0].role_map.model.name in [axes.get_title(loc="left") for axes in others]


def test_all_kinds_are_those_that_there_is_something_to_draw_for(weighed, adapted, tmp_path):
    assert read_runs(weighed[1]).kinds == ("curves", "found")
    adapted.save(tmp_path / "dear")
    assert read_runs(tmp_path / "dear").kinds == ("curves", "mask", "fusion")
    with pytest.raises(InputError, match="dear has found nothing to draw"):
        found_figure(adapted.adapters)
    (weighed[1] / "seed-1" / "findings.json").write_text("{}")
    with pytest.raises(InputError, match="is no findings; expected the JSON that"):
        read_runs(weighed[1])


def test_the_card_says_what_was_found(weighed):
    adapted, folder = weighed
    (line,) = adapted[1].findings.lines
    assert line.startswith("largest weights: L") and f"- {line}\n" in (folder / "seed-2" / "README.md").read_text()
    frame = adapted[1].findings.to_frame()
    assert list(frame.columns) == ["layer", "part", "head", "weight"] and len(frame) == len(adapted[1].method.heads)
