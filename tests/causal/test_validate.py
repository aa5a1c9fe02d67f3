"""Validation: a planted concept dies with its head and no other; what does not fit is refused."""

import dataclasses
import json
import shutil
from importlib import resources
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from headroles import InputError
from headroles.causal.concept_tests import joint_p_value
from headroles.causal.config import ValidateConfig
from headroles.causal.costs import Estimate
from headroles.causal.head_record import HeadRecord
from headroles.causal.head_sets import HeadSets
from headroles.causal.margins import ValueTexts
from headroles.causal.selectivity import correlate_table, selectivities
from headroles.causal.table import to_table
from headroles.causal.validate import validate
from headroles.causal.validation import Validation
from headroles.figures.files import save_plots
from headroles.images.labelled import Concept, LabelledImages
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.load import load
from headroles.roles.chance import LEAST_P
from headroles.roles.role_map import BankInfo, HeadRole, ImagesInfo, ModelInfo, RoleMap

CONCEPTS = tuple(
    Concept(name, values, tuple((f"a {value} item",) for value in values))
    for name, values in {"color": ("red", "blue"), "shape": ("round", "square"), "texture": ("dotted", "plain")}.items()
)
PLANTED = {"color": [(1, 0)], "shape": [(2, 1)], "texture": [(1, 2), (2, 3)]}


class Noise:
    """A data set of random images."""

    def __len__(self):
        return 400

    def __getitem__(self, index):
        return index, torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(index))

    def name(self, index):
        return f"noise {index}"


def role_map(model, planted=PLANTED, source="noise", seed=0) -> RoleMap:
    """Attribute heads as planted, the others Generalization heads, of layers 1 and 2."""
    owner = {place: concept for concept, places in planted.items() for place in places}
    heads = tuple(
        HeadRole(
            layer=layer, head=head, role="attribute" if (layer, head) in owner else "generalization",
            concept=owner.get((layer, head), "color"), concept_share=0.9, entropy_bits=1.0,
            entropy=0.1 + head / 50 if (layer, head) in owner else 0.8 + head / 50, interval=(0.0, 1.0), p_value=0.1,
            q_value=0.1, stability=1.0, variance=1.0, texts=(), null_entropy=1.0, effective_rank=1.0 + layer * head,
            distribution=dict.fromkeys(("color", "shape", "texture"), 0.05) | {owner.get((layer, head), "color"): 0.9},
        )
        for layer in (1, 2)
        for head in range(4)
    )  # fmt: skip
    info = ModelInfo(model.model_name, model.weights_hash(), 3, 4)
    counts = {"color": 1, "shape": 1, "texture": 1}
    return RoleMap(info, ImagesInfo(source, 9, ()), BankInfo("b", "0" * 64, counts), {"seed": seed}, (1, 2), heads)


@torch.inference_mode()
def plant(model) -> LabelledImages:
    """Every image's value of a concept is the one that the concept's heads speak for, and no one else has a say."""
    empty = LabelledImages("noise", Noise(), CONCEPTS, np.zeros((400, 3), dtype=int))
    record = HeadRecord.collect(model, empty, (1, 2), batch=200)
    texts = ValueTexts.embed(model, CONCEPTS)
    bases = model.visual.bases()[1:]
    parts = torch.einsum("ilhk,lhkd->ilhd", record.z - record.z.mean(0), bases) / record.sigma[:, None, None]
    for column, concept in enumerate(CONCEPTS):
        own = sum(parts[:, layer - 1, head] for layer, head in PLANTED[concept.name])
        contrast = texts.embeddings[column][1] - texts.embeddings[column][0]
        empty.codes[:, column] = (own @ contrast > 0).long().numpy()
    return empty


@pytest.fixture(scope="module")
def planted(make_clip, tokenizer):
    model = HookedCLIP(make_clip(), "tiny", tokenizer)
    return model, plant(model)


@pytest.fixture(scope="module")
def found(planted):
    model, images = planted
    return validate(role_map(model), model, images, draws=30, bootstraps=50, batch=200)


def test_a_planted_concept_dies_with_its_heads_and_they_with_it_alone(found):
    for concept, places in PLANTED.items():
        test = found[concept]
        assert test.heads == tuple(f"L{layer}.H{head}" for layer, head in places)
        own = test.costs[concept]
        assert own.margin.low > 0 and own.times.value == max(cost.times.value for cost in test.costs.values())
        assert own.margin.low > max(own.random, own.general)
        for ratio in (test.against_random, test.against_others, test.against_general):
            assert ratio.low is None or ratio.low > 1
        assert test.draws == 30 and test.p_value == pytest.approx(1 / (1 + test.ranked_among), abs=1e-5)
    ways = np.prod([1 + found[concept].ranked_among for concept in PLANTED])
    assert 1 / ways <= found.p_value + 1e-6 < 0.02
    strongest = {head.name: head.strongest for head in found.heads}
    assert (strongest["L1.H0"], strongest["L2.H1"]) == ("color", "shape")
    assert found.correlations["entropy"].heads == 8


def test_a_concept_follows_the_factor_on_its_heads(planted, found, tmp_path):
    model, images = planted
    doses = [2, 0, 0.5, 1, -1, 0]
    dosed = validate(role_map(model), model, images, draws=30, bootstraps=50, batch=200, doses=doses)
    assert dataclasses.replace(dosed, doses=(), settings=found.settings) == found  # All else is what it was.
    assert dosed.settings["doses"] == [-1.0, 0.0, 0.5, 1.0, 2.0]
    for curve in dosed.doses:
        gained = [point.gained.value for point in curve.points]
        assert gained == sorted(gained) and gained[3] == pytest.approx(0, abs=1e-4)
        cut = curve.points[1]
        assert cut.gained.value == pytest.approx(-found[curve.concept].costs[curve.concept].margin.value, rel=1e-4)
        assert cut.random_range[0] <= cut.random.value <= cut.random_range[1] and cut.gained.high < cut.random.low
        assert curve.heads == found[curve.concept].heads and curve.matched <= 20
    schema = json.loads((resources.files("headroles.causal") / "validation.schema.json").read_text())
    jsonschema.validate(json.loads(dosed.to_json()), schema)
    assert Validation.from_dict(json.loads(dosed.to_json())) == dosed and "x 0.5" in to_table(dosed)
    (path,) = save_plots(dosed, "doses", tmp_path / "v.svg")
    assert path.is_file() and len(dosed.plot("doses", concept="shape").axes) == 1
    with pytest.raises(InputError, match="no doses; validate with --doses"):
        found.plot("doses")
    with pytest.raises(InputError, match="an ax takes one panel, got color, shape, texture"):
        dosed.plot("doses", ax=Figure().subplots())
    stray = {**json.loads(dosed.to_json()), "tests": json.loads(dosed.to_json())["tests"][1:]}
    with pytest.raises(InputError, match="doses: there is no test of 'color'"):
        Validation.from_dict(stray)


def test_the_total_effect_finds_the_same(planted, found):
    model, images = planted
    config = ValidateConfig("total", draws=20, bootstraps=20)
    total = validate(role_map(model), model, images, config=config, batch=200)
    for concept in ("color", "shape"):
        assert total[concept].costs[concept].margin.low > 0
        assert total[concept].costs[concept].margin != found[concept].costs[concept].margin
    for intact, same in zip(total.concepts, found.concepts, strict=True):
        assert intact.margin == pytest.approx(same.margin, abs=1e-4) and intact.accuracy == same.accuracy


def test_the_same_seed_gives_the_same_bytes_that_fit_the_schema_and_come_back(planted, found, tmp_path):
    model, images = planted
    again = validate(role_map(model), model, images, draws=30, bootstraps=50, batch=200)
    assert again.to_json() == found.to_json()
    schema = json.loads((resources.files("headroles.causal") / "validation.schema.json").read_text())
    jsonschema.validate(json.loads(found.to_json()), schema)
    found.save(tmp_path / "validation.json")
    assert Validation.load(tmp_path / "validation.json").to_json() == found.to_json()
    frame = found.to_frame()
    assert frame.heads_of.tolist() == ["color", "shape", "texture"]
    assert frame.set_index("heads_of").loc["color", "shape"] == found["color"].costs["shape"].times.value


def test_the_table_and_the_figures_show_the_matrix(found, tmp_path):
    text = to_table(found)
    assert "L1.H2,L2.H3" in text and "Spearman" in text
    paths = save_plots(found, "all", tmp_path / "v.svg")
    assert [path.name for path in paths] == ["v-matrix.svg", "v-selectivity.svg"]
    first = paths[0].read_bytes()
    assert save_plots(found, "matrix", tmp_path / "v-matrix.svg")[0].read_bytes() == first
    with pytest.raises(InputError, match="kind must be one of matrix"):
        save_plots(found, "texts", tmp_path / "v.svg")


def test_concepts_can_be_chosen_and_one_alone_has_no_others(planted):
    model, images = planted
    config = ValidateConfig(draws=20, bootstraps=20, concepts=("shape",))
    found = validate(role_map(model), model, images, config=config, batch=200)
    (test,) = found.tests
    assert test.concept == "shape" and list(test.costs) == ["shape"]
    assert test.against_others is None and found.correlations == {} and found.heads[0].selectivity is None
    jsonschema.validate(
        json.loads(found.to_json()),
        json.loads((resources.files("headroles.causal") / "validation.schema.json").read_text()),
    )
    assert "shape" in to_table(found)


def test_silent_heads_are_left_out_of_sets_and_correlations(planted):
    model, images = planted
    scored = role_map(model)
    heads = [dataclasses.replace(head, role="silent") if head.name == "L2.H0" else head for head in scored]
    silent = dataclasses.replace(scored, head_roles=tuple(heads))
    sets = HeadSets.draw(silent, ValidateConfig(), images.names)
    assert all((2, 0) not in members for members in sets.sets) and len(sets.heads) == 7
    found = validate(silent, model, images, draws=20, bootstraps=20, batch=200)
    assert "L2.H0" not in {head.name for head in found.heads} and found.correlations["entropy"].heads == 7


def test_a_map_of_silent_heads_has_nothing_to_test(planted):
    model, images = planted
    scored = role_map(model)
    silent = tuple(dataclasses.replace(head, role="silent") for head in scored)
    mute = dataclasses.replace(scored, head_roles=silent)
    with pytest.raises(InputError, match="all its heads are silent, so there is nothing to test"):
        validate(mute, model, images)


def test_all_tests_together_treat_the_own_sets_as_any_other():
    """The best of every test has the least p that the number of sets allows; the middle one has one half."""

    class Costs:
        concepts = ("color", "shape")

        def __init__(self, own):
            self.own = own
            self.sets = SimpleNamespace(exchanged={"color": range(1, 5), "shape": range(1, 5)})

        def lost(self, concept):
            return np.array([self.own, *(value for value in (1.0, 2, 3, 4, 5) if value != self.own)])

    assert joint_p_value(Costs(5.0), 0) == pytest.approx(1 / 25, rel=0.15) and joint_p_value(Costs(5.0), 0) >= 0.04
    assert joint_p_value(Costs(1.0), 0) == 1 and 0.5 < joint_p_value(Costs(3.0), 0) < 0.7


def test_ranks_of_heads_are_told_from_their_entropies(planted):
    rng = np.random.default_rng(0)
    rank = rng.random(60)
    table = np.stack([-rank + 0.3 * rng.random(60), rank + 0.3 * rng.random(60), rank], 1)
    found = correlate_table(table, rng.integers(60, size=(500, 60)))
    assert list(found) == ["entropy", "effective_rank", "entropy_beside_rank", "rank_beside_entropy"]
    assert found["entropy"].rho < -0.8 and abs(found["entropy_beside_rank"].rho) < 0.3
    assert found["rank_beside_entropy"].rho < -0.5 and found["effective_rank"].p_value == LEAST_P
    assert all(each.low <= each.rho <= each.high for each in found.values())
    assert list(correlate_table(table * [1, 1, np.nan], None)) == ["entropy"]


def test_selectivity_is_one_for_one_concept_none_for_all_alike_and_undefined_without_losses():
    times = np.array([[3.0, 0, 0], [1, 1, 1], [2, 2, -5], [-1, -1, -1], [1, np.nan, np.nan]])
    one, even, two, none, alone = selectivities(times)
    assert one == 1 and even == pytest.approx(0) and two == pytest.approx(1 - 1 / np.log2(3))
    assert np.isnan(none) and np.isnan(alone)


def test_estimates_read_well_also_where_a_ratio_has_no_limit():
    assert str(Estimate(2.0, 1.0, 3.0)) == "2 [1, 3]" and str(Estimate(2.0, 1.0, None)) == "2 [1, inf]"
    assert str(Estimate(None, 5.0, None)) == "above 5" and str(Estimate(None, None, None)) == "-"


def test_what_does_not_fit_is_refused(planted, make_clip, tokenizer):
    model, images = planted
    other = HookedCLIP(make_clip(seed=3), "other", tokenizer)
    with pytest.raises(InputError, match="not those of model other"):
        validate(role_map(model), other, images)
    with pytest.raises(InputError, match="no Attribute head"):
        validate(role_map(model, {}), model, images)
    with pytest.raises(InputError, match="no such concept has Attribute heads; these have: count"):
        validate(role_map(model, {"count": [(1, 0)]}), model, images)
    with pytest.raises(InputError, match="not labelled with 'size'"):
        validate(role_map(model), model, images, concepts=("size",))
    for wrong in (
        {"effect": "half"},
        {"mode": "cut"},
        {"draws": 5},
        {"bootstraps": 1},
        {"seed": -1},
        {"doses": ["x"]},
        {"doses": [np.inf]},
        {"doses": 2},
    ):
        with pytest.raises(InputError, match=next(iter(wrong))):
            ValidateConfig(**wrong)


def test_a_file_of_an_older_version_says_how_to_make_it_anew(found):
    with pytest.raises(InputError, match="has schema_version 1, this headroles reads 2; validate again"):
        Validation.from_dict({**json.loads(found.to_json()), "schema_version": 1})


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": "headroles.validation", "schema_version": 9}', "no json"])
def test_files_that_are_no_validation_are_refused(tmp_path, text):
    path = tmp_path / "validation.json"
    path.write_text(text)
    with pytest.raises(InputError, match="validation: "):
        Validation.load(path)


def test_unknown_keys_are_refused(found):
    raw = json.loads(found.to_json())
    with pytest.raises(InputError, match="does not fit the schema"):
        Validation.from_dict({**raw, "more": 1})


@pytest.fixture
def labelled(tmp_path):
    """A folder CONCEPT/VALUE/IMAGE of noise."""
    rng = np.random.default_rng(0)
    for concept in CONCEPTS[:2]:
        for value in concept.values:
            folder = tmp_path / "images" / concept.name / value
            folder.mkdir(parents=True)
            for number in range(3):
                Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "images"


@pytest.fixture
def saved(clip_folder, tmp_path):
    """The role map of the tiny model, on disk."""
    role_map(load(str(clip_folder), "cpu")).save(tmp_path / "role_map.json")
    return tmp_path / "role_map.json"


def test_the_command_writes_prints_and_plots(run, saved, labelled, tmp_path):
    (labelled / "color" / "red" / "broken.png").write_text("no image")
    options = ("--draws", 20, "--bootstraps", 20, "--output", tmp_path / "out")
    code, out, err = run("validate", saved, "--images", labelled, *options)
    assert code == 0 and "broken.png" in err and "headroles plot" in out
    result = Validation.load(tmp_path / "out" / "validation.json")
    assert result.images.count == 12 and [test.concept for test in result.tests] == ["color", "shape"]
    assert (tmp_path / "out" / "validation.csv").is_file()
    code, _, err = run("validate", saved, "--images", labelled, *options)
    assert code == 2 and "--overwrite" in err and err.count("\n") == 1
    code, out, _ = run("plot", tmp_path / "out" / "validation.json")
    assert code == 0 and (tmp_path / "out" / "validation-matrix.png").is_file()
    code, _, err = run("plot", tmp_path / "out" / "validation.json", "--kind", "matrix", "--heads", "L1.H0")
    assert code == 2 and err.count("\n") == 1


def test_the_command_refuses_in_one_line_and_leaves_nothing(run, saved, labelled, clip_folder, tmp_path):
    plain = tmp_path / "plain"
    plain.mkdir()
    Image.new("RGB", (8, 8)).save(plain / "0.png")
    broken = shutil.copytree(labelled / "color", tmp_path / "color")
    for path in broken.rglob("*.png"):
        path.write_text("no image")
    cases = {
        "unlabelled": (saved, "--images", plain),
        "this model needs labelled": (saved,),
        "not those of model shapes": (saved, "--model", "shapes", "--count", "4"),
        "no file": (tmp_path / "none.json",),
        "no folder and no file": (saved, "--images", tmp_path / "nowhere"),
        "effect must be one of": (saved, "--images", labelled, "--effect", "half"),
        "fewer than two of 6": (saved, "--images", broken),
        "not labelled with 'size'": (saved, "--images", labelled, "--concepts", "size"),
    }
    for word, arguments in cases.items():
        code, _, err = run("validate", *arguments, "--output", tmp_path / "out")
        mistakes = [line for line in err.splitlines() if not line.startswith("images: ")]  # What is said before work.
        assert (code, len(mistakes)) == (2, 1) and word in mistakes[0], (word, err)
        assert not (tmp_path / "out").exists(), word


def test_the_call_takes_names_and_gives_what_the_command_writes(run, saved, labelled, tmp_path):
    code, _, _ = run("validate", tmp_path, "--images", labelled, "--draws", 20, "--bootstraps", 20)
    assert code == 0  # A role map's folder is as good as its file.
    again = validate(saved.parent, images=labelled, draws=20, bootstraps=20)
    assert (tmp_path / "validation.json").read_text() == again.to_json()
    with pytest.raises(InputError, match=r"drawz is no setting of ValidateConfig; did you mean draws\?"):
        validate(saved, images=labelled, drawz=20)


def test_choices_without_effect_are_refused(planted):
    model, images = planted
    with pytest.raises(InputError, match="count and template"):
        validate(role_map(model), model, images, count=3)


def test_a_notebook_shows_it_in_short_and_draws_it(found, tmp_path):
    assert repr(found).count("\n") == 0 and "heads of color, shape, texture" in repr(found)
    assert "<td>L1.H2 L2.H3</td>" in found._repr_html_()
    assert found.plot().axes and found.plot("selectivity").axes
    found.save(tmp_path / "validation.json")
    assert Validation.load(tmp_path) == found  # Its folder will do.
