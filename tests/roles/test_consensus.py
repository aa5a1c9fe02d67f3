"""Three role maps compared at once: each two as `diff` compares them, and the role that most of them give."""

from dataclasses import replace

import pytest

from headroles import ROLES, InputError, consensus, diff
from headroles.figures.consensus import consensus_figure
from headroles.roles.consensus import Consensus


@pytest.fixture(scope="module")
def maps(random_role_map):
    """The first calls all heads Attribute heads; the others agree with it, with each other, or with none."""
    found = [random_role_map(seed=seed) for seed in range(3)]
    for number, kinds in enumerate((1, 3, 2)):
        heads = found[number].head_roles
        roles = tuple(replace(head, role=ROLES[place % kinds]) for place, head in enumerate(heads))
        found[number] = replace(found[number], head_roles=roles)
    return found


@pytest.fixture(scope="module")
def found(maps):
    return consensus(maps, bootstraps=30)


def test_each_two_maps_are_compared_as_diff_compares_them(maps, found):
    assert [pair.maps for pair in found.pairs] == [(0, 1), (0, 2), (1, 2)]
    for pair in found.pairs:
        both = diff(*(maps[place] for place in pair.maps), bootstraps=30)
        assert (pair.kappa, pair.entropy_correlation, pair.same_concept, pair.concept_kappa) == (
            both.kappa, both.entropy_correlation, both.same_concept, both.concept_kappa,
        )  # fmt: skip


def test_a_role_is_that_of_more_than_half(maps, found):
    for head in found:
        assert head.roles == tuple(each[head.name].role for each in maps)
        assert head.role == next((role for role in head.roles if head.roles.count(role) > 1), "")
        assert head.concept == next((name for name in head.concepts if head.concepts.count(name) > 1), "")
        assert head.agreed == (len(set(head.roles)) == 1) == (head.votes == 3)
    assert {head.role == "" for head in found} == {True, False}  # Both happen here.
    same = consensus([maps[0]] * 3, bootstraps=5)
    assert len(same.agreed) == len(same.heads) and all(pair.kappa.value in (1, None) for pair in same.pairs)


def test_a_head_that_one_map_lacks_is_left_out(maps):
    fewer = replace(maps[2], head_roles=maps[2].head_roles[1:])
    found = consensus([*maps[:2], fewer], bootstraps=5)
    assert [head.name for head in found] == [head.name for head in maps[0]][1:]


def test_too_few_maps_are_refused(maps):
    with pytest.raises(InputError, match="maps: a consensus is of three role maps or more, got 2"):
        consensus(maps[:2])


def test_frame_picture_and_notebook_show_every_head(found):
    frame = found.to_frame()
    assert list(frame["role"]) == [head.role for head in found] and {"role_a", "entropy_c", "votes"} <= set(frame)
    assert found._repr_html_().count("<tr>") == 1 + len(found.heads)
    figure = consensus_figure(found)
    (grid,) = figure.axes
    marked = sum(head.role not in ("", "silent") for head in found)
    assert sum(len(marks.get_offsets()) for marks in grid.collections[1:]) == marked
    assert figure.texts[0].get_text() == f"3 role maps agree on the role of {len(found.agreed)} of {len(frame)} heads"


def test_the_command_prints_draws_and_its_json_is_read(run, maps, found, tmp_path):
    places = [tmp_path / f"{number}.json" for number in range(3)]
    for each, place in zip(maps, places, strict=True):
        each.save(place)
    code, text, _ = run("diff", *places, "--bootstraps", "30", "--output", tmp_path / "c.svg")
    assert code == 0 and f"all agree on the role of {len(found.agreed)} of {len(found.heads)} heads" in text
    assert (tmp_path / "c.svg").is_file() and text.count("L1.H") == sum(head.layer == 1 for head in found)
    code, text, _ = run("diff", *places, "--bootstraps", "30", "--json")
    (tmp_path / "consensus.json").write_text(text)
    assert Consensus.load(tmp_path) == found
    code, text, _ = run("plot", tmp_path / "consensus.json")
    assert code == 0 and "consensus-map.png" in text
