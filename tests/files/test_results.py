"""Every result is read whole from its JSON, or refused in one line that says file, place, expected and found."""

import dataclasses
import json
import math
from importlib import resources

import pytest
from jsonschema import Draft202012Validator

from headroles import RoleMap, Validation, diff
from headroles.adapt.comparison.comparison import CellCost, Comparison
from headroles.adapt.comparison.record import CellRecord
from headroles.adapt.comparison.rows import ComparedRow
from headroles.adapt.comparison.trials import Trial
from headroles.adapt.continual.result import Continual, HeadDrift
from headroles.adapt.methods.findings import Findings, Found
from headroles.adapt.metrics import Measure
from headroles.adapt.reproduction.reproduction import Reproduction
from headroles.adapt.reproduction.rows import ReproducedRow
from headroles.adapt.results.evaluation import Evaluation
from headroles.adapt.results.prediction import Prediction, Predictions
from headroles.diagnosis.diagnosis import Diagnosis
from headroles.diagnosis.model_facts import Cost, Exactness, Readiness, TowerFacts
from headroles.errors import InputError
from headroles.files.documents import Document
from headroles.heads.model_diff import DirectionShift, HeadShift, ModelDiff
from headroles.models.alignment import Alignment
from headroles.models.load import Origin
from headroles.models.verified import VerifiedModel, VerifiedModels
from headroles.models.words import Fit, Words
from headroles.roles.consensus import Consensus, consensus
from headroles.roles.diff import RoleMapDiff
from headroles.uses.attended import Attended, HeadView, ImageView
from headroles.uses.debiased import Accuracies, Debiased, RandomHeads
from headroles.uses.edited import Edited, EditedPart
from headroles.uses.precision import Precision, PrecisionAtK, PrecisionRow
from headroles.uses.retrieved import Retrieved
from headroles.uses.search import Neighbour


def diagnosis() -> Diagnosis:
    tower = TowerFacts(layers=3, heads=4, head_width=8, width=32, embed=24, activation="gelu", eps=1e-5)
    origin = Origin(**{field.name: "x" for field in dataclasses.fields(Origin)})
    check = Exactness("vision", "images", "float32", 1e-7, 1e-5)
    return Diagnosis(
        "tiny", "clip", origin, "0" * 64, "float32", "cpu", 9, 36, 32, (8, 8), None, tower, None, (check,),
        Cost(8, 1.0, 0.5, 10, 20), (Readiness("score", True, ""),),
    )  # fmt: skip


def evaluation() -> Evaluation:
    shares = {"zero_shot": {"a": 0.5, "b": None}, "adapted": {"a": 1.0, "b": None}}
    return Evaluation((Measure(1, "few-shot", "photos", "all", 8, 0.5, 1.0, shares),))


def debiased(model) -> Debiased:
    accuracies = Accuracies(0.5, (0.4, 0.6), 0.7, (0.6, 0.8), {"a, x": 0.5, "b, y": 0.9})
    random = RandomHeads(0.0, (-0.1, 0.1), 20, 9, 0.25, 9)
    twice, gain = (accuracies, accuracies), (0.1, (0.0, 0.2))
    return Debiased("t", "images", "L1.H0", 0.0, "direct", *twice, *gain, random, (), model, {})


def attended(model) -> Attended:
    grid = ((0.1, 0.2), (0.0, 0.1))
    head = HeadView("L1.H0", "mixed", "color", "a red thing", 0.1, 0.0, grid, 0.5, grid, 0.2)
    return Attended(model, {}, (ImageView("0.png", "", (head,)),))


def edited(model) -> Edited:
    parts = (EditedPart("L1.H0.D0-2", 0.5, "color", 0.4, 2.0, 1.0),)
    return Edited(model, 64 * "a", "transformers", "visual", parts, "float32", 1e-8)


def model_diff() -> ModelDiff:
    head = HeadShift("L1.H0", 1, 0, 0.5, 0.25, 0.0, 3.5, None, (DirectionShift(0, 2.0, 0.0, None),))
    return ModelDiff(("a", "b"), (64 * "a", 64 * "b"), "visual", (head,), {"x.weight": 0.5}, 7)


def alignment() -> Alignment:
    words = Words("clip", 64 * "b", fit=Fit("photos", 9, 4, 4, 0.1, 0.5, 0.9, 0.8))
    return Alignment("tower", 64 * "a", words, 64 * "c")


def verified() -> VerifiedModels:
    return VerifiedModels((VerifiedModel("tiny", 64 * "a", "clip", {"torch": "2"}, {"image": 1e-7}, "2026-01-31"),))


def precision(model) -> PrecisionAtK:
    some = Precision(0.5, (0.4, 0.6), 7)
    return PrecisionAtK(model, {}, "photos", 7, 3, (PrecisionRow("color", "L1.H0", 0.2, some, None, some, some, None),))


def cell() -> CellRecord:
    rows = (Measure(1, "few-shot", "photos", "all", 8, 0.5, 1.0),)
    return CellRecord("dear", "dear", "photos", 1, None, {"shots": 4}, {"given": {}}, rows, 9, 1.5, 2048)


def findings() -> Findings:
    return Findings("talo", ("nothing helps",), (Found(1, "H3", 3, {"gain": 0.25}),), "gain")


def comparison() -> Comparison:
    rows = (ComparedRow("dear", "photos", 1, "few-shot", "photos", "all", 8, 0.5, 1.0, 9),)
    trials = (Trial("dear", 1, {"rank": 8}, "photos", 0.75, True),)
    return Comparison(64 * "a", 4, rows, (CellCost("dear", "photos", 1, 1.5, 2048),), trials, ("coop: why",))


def continual() -> Continual:
    rows = (Measure(1, "continual newest", "photos", "after 1", 8, 0.5, 1.0),)
    return Continual("tiny", "dear", ("photos", "signs"), rows, (HeadDrift(1, "newest", "photos", ((0.5, 0.25),)),))


def reproduction() -> Reproduction:
    rows = (ReproducedRow("few-shot", "coop", "CoOp", "mean", 4, "all", 2, 11, 60.5, published=61.5, source="paper"),)
    return Reproduction(rows, "ViT-B/16", (1, 2), True, ("food-101 lacks",))


@pytest.fixture(scope="module")
def results(random_role_map, random_validation) -> dict[type[Document], Document]:
    """One result of every kind."""
    role_map = random_role_map()
    model, found = role_map.model, (Neighbour("0.png", 0.9),)
    made = (
        role_map, random_validation(role_map), diff(role_map, random_role_map(seed=1), bootstraps=20), diagnosis(),
        evaluation(), Predictions((Prediction("0.png", ("a", "b"), (0.75, 0.25)),)), debiased(model), attended(model),
        precision(model), consensus([role_map, random_role_map(seed=1), random_role_map(seed=2)], bootstraps=20),
        Retrieved(model, {}, "L1.H0", "0.png", found, found, 7, None, None, {}), edited(model), model_diff(),
        alignment(), verified(), cell(), comparison(), findings(), continual(), reproduction(),
    )  # fmt: skip
    return {type(each): each for each in made}


KINDS = (
    RoleMap, Validation, RoleMapDiff, Diagnosis, Evaluation, Predictions, Debiased, Attended, PrecisionAtK, Retrieved,
    Consensus, Edited, ModelDiff, Alignment, VerifiedModels, CellRecord, Comparison, Findings, Continual, Reproduction,
)  # fmt: skip
BEYOND: dict[type[Document], tuple[tuple, object]] = {
    RoleMap: (("head_roles", 0, "p_value"), 1.5),
    Validation: (("concepts", 0, "accuracy"), -0.5),
    RoleMapDiff: (("same_role",), 2.0),
    Diagnosis: (("vision", "layers"), 0),
    Evaluation: (("rows", 0, "adapted"), 90.0),
    Predictions: (("predictions", 0, "probabilities", 1), 1.5),
    Debiased: (("before", "worst"), -0.5),
    Attended: (("images", 0, "heads", 0, "head"), "head 3"),
    PrecisionAtK: (("k",), 0),
    Retrieved: (("indexed",), -1),
    Edited: (("parts", 0, "share"), 1.5),
    ModelDiff: (("heads", 0, "name"), "head 3"),
    Consensus: (("pairs", 0, "same_role"), 1.5),
    Alignment: (("vision_hash",), "abc"),
    VerifiedModels: (("models", 0, "date"), "yesterday"),
    CellRecord: (("rows", 0, "adapted"), 90.0),
    Comparison: (("trials", 0, "accuracy"), 1.5),
    Findings: (("parts", 0, "layer"), -1),
    Continual: (("rows", 0, "adapted"), 90.0),
    Reproduction: (("rows", 0, "shots"), 0),
}
"""Kind -> a place, and a value beyond its range."""
FREE = ("summary", "settings")
"""What follows from the rest, and what has no type of its own."""


def places(value, at=()):
    """Every place inside, with its value."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*at, key), value[key]
        yield from places(value[key], (*at, key))


def changed(raw, place, new):
    raw = json.loads(json.dumps(raw))
    inner = raw
    for key in place[:-1]:
        inner = inner[key]
    if new is GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = new
    return raw


def refusal(kind, raw, path) -> str:
    """What loading says."""
    path.write_text(json.dumps(raw))
    with pytest.raises(InputError) as error:
        kind.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value) and "unexpected" not in str(error.value)
    return str(error.value)


def test_these_are_all():
    found, todo = set(), [Document]
    while todo:
        todo += (below := todo.pop().__subclasses__())
        found |= {kind for kind in below if kind.__module__.startswith("headroles.")}
    assert found == set(KINDS) == set(BEYOND)


@pytest.mark.parametrize("kind", KINDS)
def test_it_comes_back_as_it_was(kind, results, tmp_path):
    results[kind].save(tmp_path / "a.json")
    again = kind.load(tmp_path / "a.json")
    assert again == results[kind] and again.to_json() == results[kind].to_json()


@pytest.mark.parametrize("kind", KINDS)
def test_other_fields_versions_and_types_are_refused_by_name(kind, results, tmp_path):
    raw, path = results[kind].to_dict(), tmp_path / "a.json"
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name in raw}
    needed = [name for name, each in fields.items() if each.default is each.default_factory is dataclasses.MISSING]
    for name in needed:
        assert name in refusal(kind, {key: value for key, value in raw.items() if key != name}, path)
    assert "unknown key 'more'" in refusal(kind, {**raw, "more": 1}, path)
    assert "has schema_version 99, this headroles reads" in refusal(kind, {**raw, "schema_version": 99}, path)
    for name in needed:
        text = refusal(kind, {**raw, name: {"odd": []} if isinstance(raw[name], (list, str)) else []}, path)
        assert name in text and "expected" in text and "got" in text


GONE = object()
ODD = (GONE, None, True, "", "x", "silent", -1, -0.5, 0, 1, 2.5, 1e308, [], {}, {"x": 1}, "L99.H99")
"""In place of a value; GONE: its key is missing."""


@pytest.mark.parametrize("kind", [RoleMap, Validation])
def test_what_the_schema_does_not_let_through_is_refused(kind, results, tmp_path):
    raw, folder = results[kind].to_dict(), resources.files(kind.__module__.rpartition(".")[0])
    text = (folder / f"{kind.__module__.rpartition('.')[2]}.schema.json").read_text(encoding="utf-8")
    schema = Draft202012Validator(json.loads(text))
    assert schema.is_valid(raw)
    alike = {tuple("#" if isinstance(key, int) else key for key in place): place for place, _ in places(raw)}
    for place in alike.values():
        renamed = changed(raw, (*place[:-1], f"{place[-1]}x"), 1) if isinstance(place[-1], str) else raw
        for other in (renamed, *(changed(raw, place, new) for new in ODD)):
            if not schema.is_valid(other):
                with pytest.raises(InputError):
                    kind.from_dict(other)


def test_entropies_above_chance_fit_the_schema_of_validations(results):
    raw = changed(results[Validation].to_dict(), ("heads", 0, "entropy"), 1.25)
    schema = json.loads((resources.files("headroles.causal") / "validation.schema.json").read_text(encoding="utf-8"))
    assert Draft202012Validator(schema).is_valid(raw) and Validation.from_dict(raw).heads[0].entropy == 1.25


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_are_none_or_out_of_range_are_refused_where_they_stand(kind, results, tmp_path):
    raw, path = results[kind].to_dict(), tmp_path / "a.json"
    numbers = [place for place, value in places(raw) if isinstance(value, float) and place[0] not in FREE]
    for place in numbers[:: max(1, len(numbers) // 5)]:
        assert "NaN is no number of JSON" in refusal(kind, changed(raw, place, math.nan), path)
        if place[-1] != "difference":  # Follows from others, and is not read.
            assert "expected" in refusal(kind, changed(raw, place, "x"), path)
    place, value = BEYOND[kind]
    text = refusal(kind, changed(raw, place, value), path)
    assert str(place[-1]) in text and "expected" in text and str(value) in text
