"""Two role maps compared: kappa and rank correlation against known values, what is refused, the picture."""

import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from headroles import InputError
from headroles.figures.diff import diff_figure
from headroles.figures.files import save_plots
from headroles.roles.diff import RoleMapDiff, cohen_kappa, diff, spearman
from headroles.roles.role_map import ROLES, BankInfo, HeadRole, ImagesInfo, ModelInfo, RoleMap

CONCEPTS = ("color", "shape", "size")


def make_map(seed=0, layers=(1, 2, 3), heads=4, concepts=CONCEPTS, name="tiny", kind="text", total=4) -> RoleMap:
    rng = np.random.default_rng(seed)
    found = []
    for layer in layers:
        for head in range(heads):
            weight = rng.dirichlet(np.full(len(concepts), 0.4))
            entropy = float(-(weight * np.log(weight.clip(1e-12))).sum() / np.log(len(concepts)))
            role = ROLES[int(entropy > 0.4) + int(entropy > 0.6)]
            found.append(
                HeadRole(
                    layer, head, role, concepts[weight.argmax()], float(weight.max()), entropy, entropy, 1.0,
                    (entropy, entropy), 0.5, 0.5, 1.0, 2.0, 1.0, dict(zip(concepts, weight.tolist(), strict=True)), (),
                )
            )  # fmt: skip
    return RoleMap(
        ModelInfo(name, "0" * 64, total, heads), ImagesInfo("photos", 10, ()),
        BankInfo("bank", "0" * 64, dict.fromkeys(concepts, 3)), {}, tuple(layers), tuple(found), probe_kind=kind,
    )  # fmt: skip


def test_a_map_agrees_with_itself():
    found = diff(make_map(), make_map())
    assert found.changed == () and found.same_role == 1 and found.same_concept == 1
    assert found.kappa.value == found.entropy_correlation.value == found.concept_kappa.value == 1
    assert found.same_weights and len(found.heads) == 12


def test_a_head_that_follows_no_label_more_than_another_has_no_concept(run, tmp_path):
    known = make_map()
    even = dict.fromkeys(CONCEPTS, 1 / 3)
    tied = replace(known["L1.H0"], role="generalization", concept="color", concept_share=1 / 3, distribution=even)
    other = replace(known, head_roles=(tied, *known.head_roles[1:]))
    first = replace(known["L1.H0"], role="attribute")
    known = replace(known, head_roles=(first, *known.head_roles[1:]))
    assert tied.leading == "" and first.leading == first.concept
    assert diff(known, other).heads[0].concepts == (first.concept, "")
    for name, each in (("a.json", known), ("b.json", other)):
        each.save(tmp_path / name)
    _, out, _ = run("diff", tmp_path / "a.json", tmp_path / "b.json")
    assert "generalization no concept" in out


def test_kappa_is_the_textbook_one_and_chance_is_zero():
    # Cohen's own setting: 20 + 15 of 50 alike, chance 0.5.
    pairs = [(0, 0)] * 20 + [(0, 1)] * 5 + [(1, 0)] * 10 + [(1, 1)] * 15
    assert cohen_kappa(np.array(pairs)) == pytest.approx(0.4)
    rng = np.random.default_rng(0)
    assert abs(cohen_kappa(rng.integers(0, 3, (20_000, 2)))) < 0.03
    assert np.isnan(cohen_kappa(np.zeros((5, 2), int)))
    stacked = rng.integers(0, 3, (7, 30, 2))
    np.testing.assert_allclose(cohen_kappa(stacked), [cohen_kappa(each) for each in stacked])


def test_rank_correlation_is_spearmans_with_ties():
    values = np.random.default_rng(1).integers(0, 6, (40, 2)).astype(float)
    assert spearman(values) == pytest.approx(spearmanr(*values.T).statistic)
    assert np.isnan(spearman(np.ones((4, 2))))


def test_intervals_hold_the_estimate_and_narrow_with_heads():
    few, many = (diff(make_map(0, heads=n), make_map(1, heads=n)).entropy_correlation for n in (4, 60))
    for found in (few, many, diff(make_map(0, heads=9), make_map(1, heads=9)).kappa):
        assert found.interval[0] <= found.value <= found.interval[1]
    assert many.interval[1] - many.interval[0] < few.interval[1] - few.interval[0]
    assert diff(make_map(0), make_map(1), seed=5) == diff(make_map(0), make_map(1), seed=5)


def test_changed_heads_are_named_with_both_sides():
    a = make_map()
    head = a.head_roles[5]
    other = replace(head, role=ROLES[(ROLES.index(head.role) + 1) % 3], entropy=1 - head.entropy)
    b = replace(a, head_roles=(*a.head_roles[:5], other, *a.head_roles[6:]))
    (changed,) = diff(a, b).changed
    assert changed.name == head.name == "L2.H1"
    assert changed.roles == (head.role, other.role) and changed.entropies == (head.entropy, other.entropy)


def test_only_common_layers_and_concepts_are_compared():
    a = make_map(layers=(1, 2), concepts=("color", "shape", "smell"))
    b = make_map(layers=(2, 3), concepts=("color", "shape", "taste"), kind="image")
    found = diff(a, b)
    assert found.layers == (2,) and found.concepts == ("color", "shape") and len(found.heads) == 4
    expected = [
        (a[h.name].distribution["color"] > a[h.name].distribution["shape"])
        == (b[h.name].distribution["color"] > b[h.name].distribution["shape"])
        for h in found.heads
    ]
    assert found.same_concept == pytest.approx(np.mean(expected))
    assert "labels of bank" in found.names[1]
    strangers = diff(a, make_map(layers=(2,), concepts=("smell", "taste")))
    assert strangers.same_concept is None and strangers.concept_kappa is None


def test_models_of_other_sizes_and_maps_without_common_layers_are_refused():
    with pytest.raises(InputError, match="4 layers of 4 heads, wide 4 of 8"):
        diff(make_map(), make_map(heads=8, name="wide"))
    with pytest.raises(InputError, match="4 layers of 4 heads, deep 6 of 4"):
        diff(make_map(), make_map(total=6, name="deep"))
    with pytest.raises(InputError, match="A scored layers 1, B 2, 3"):
        diff(make_map(layers=(1,)), make_map(layers=(2, 3)))


def test_maps_whose_heads_are_all_alike_have_no_kappa():
    a = make_map()
    same = replace(a, head_roles=tuple(replace(head, role="mixed", entropy=0.5) for head in a))
    found = diff(same, same)
    assert found.kappa.value is None and found.entropy_correlation.value is None and found.same_role == 1
    assert "undefined" in str(found.kappa) and json.loads(found.to_json())["kappa"]["value"] is None


def test_maps_are_taken_from_files_and_folders(tmp_path):
    make_map(0).save(tmp_path / "role_map.json")
    assert diff(tmp_path, make_map(1)) == diff(str(tmp_path / "role_map.json"), make_map(1))
    assert diff(tmp_path, make_map(1)) == diff(make_map(0), make_map(1))
    with pytest.raises(InputError, match="no file"):
        diff(tmp_path, tmp_path / "none")


def test_a_diff_is_saved_and_read_again(tmp_path):
    found = diff(make_map(0), make_map(1))
    found.save(tmp_path / "diff.json")
    assert RoleMapDiff.load(tmp_path) == found
    raw = json.loads((tmp_path / "diff.json").read_text())
    assert [row["changed"] for row in raw["heads"]] == [head.changed for head in found.heads]
    make_map(0).save(tmp_path / "map.json")
    with pytest.raises(InputError, match="is no diff"):
        RoleMapDiff.load(tmp_path / "map.json")
    with pytest.raises(InputError, match="does not fit the schema: unknown key 'more'"):
        RoleMapDiff.from_dict({**raw, "more": 1})


def test_frame_and_notebook_show_the_heads():
    found = diff(make_map(0), make_map(1))
    frame = found.to_frame()
    assert frame["changed"].sum() == len(found.changed) > 0 and len(frame) == len(found.heads)
    first = found.heads[0]
    row = frame.iloc[0]
    assert (row["role_a"], row["role_b"], row["entropy_b"]) == (*first.roles, first.entropies[1])
    assert found._repr_html_().count("<tr>") == 1 + len(found.changed)
    assert repr(found).startswith("RoleMapDiff(") and len(repr(found)) < 150


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_maps_give_the_same_picture(suffix, tmp_path):
    found = diff(make_map(0), make_map(1))
    paths = [save_plots(found, "map", tmp_path / "new" / f"{name}{suffix}") for name in "ab"]
    assert paths[0][0].read_bytes() == paths[1][0].read_bytes()


def test_the_picture_frames_changed_heads_and_shows_both_roles():
    found = diff(make_map(0), make_map(1))
    figure = diff_figure(found)
    grid = next(axes for axes in figure.axes if axes.get_ylabel() == "layer")
    assert len(grid.patches) == len(found.changed) > 0
    assert sum(len(marks.get_offsets()) for marks in grid.collections[1:]) == 2 * len(found.heads)
    assert figure.texts[0].get_text().startswith(f"{len(found.changed)} of 12 heads change")


def test_silence_is_a_role_of_its_own(random_role_map):
    speaking, silent = random_role_map(), random_role_map(silent=("L1.H0",))
    found = diff(speaking, silent)
    (changed,) = found.changed
    assert changed.name == "L1.H0" and changed.roles[1] == "silent" and changed.stand_out == (False, False)
    assert {head.stand_out for head in found.heads} == {(True, True), (False, False)}
    assert found.kappa.value < 1 and diff(silent, silent).kappa.value == 1
    figure = diff_figure(found)
    grid = next(axes for axes in figure.axes if axes.get_ylabel() == "layer")
    assert sum(len(marks.get_offsets()) for marks in grid.collections[1:]) == 2 * len(found.heads) - 1
    assert [patch for patch in grid.patches if patch.get_hatch()]
    assert "silent" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_picture_is_drawn_into_given_axes():
    found = diff(make_map(0), make_map(1))
    figure = Figure()
    axes = figure.subplots(1, 2)
    assert found.plot(ax=axes[0]) is figure
    assert axes[0].get_ylabel() == "layer" and len(axes[0].patches) == len(found.changed) and not axes[1].has_data()


def test_the_command_prints_draws_and_refuses(run, tmp_path):
    make_map(0).save(tmp_path / "a.json")
    (tmp_path / "b").mkdir()
    make_map(1).save(tmp_path / "b" / "role_map.json")
    make_map(heads=8).save(tmp_path / "wide.json")
    a, b, picture = tmp_path / "a.json", tmp_path / "b", tmp_path / "d.png"
    code, text, _ = run("diff", a, b, "--output", picture)
    assert code == 0 and "kappa" in text and "Spearman" in text and f"wrote {picture}" in text
    code, text, _ = run("diff", a, b, "--json")
    raw = json.loads(text)
    (tmp_path / "diff.json").write_text(text)
    assert RoleMapDiff.load(tmp_path) == diff(a, b)
    code, text, _ = run("plot", tmp_path / "diff.json")
    assert code == 0 and f"wrote {tmp_path / 'diff-map.png'}" in text
    assert code == 0 and len(raw["heads"]) == 12 and {"kappa", "entropy_correlation", "same_concept"} < set(raw)
    mistakes = {
        (a, b, "--output", picture): "exists already",
        (a, b, "--output", tmp_path / "d.jpg"): "must end in",
        (a, tmp_path / "wide.json"): "models of one size",
        (a, tmp_path / "none.json"): "no file",
        (a,): "Missing argument",
    }
    for arguments, expected in mistakes.items():
        code, _, errors = run("diff", *arguments)
        assert code == 2 and expected in errors and errors.count("\n") == 1, errors
    assert run("diff", a, b, "--output", picture, "--overwrite")[0] == 0
