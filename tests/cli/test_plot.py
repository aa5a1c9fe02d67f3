"""`headroles plot` draws whatever result it is given: its file, or the folder that holds it."""

import re
from dataclasses import fields

import pytest

from headroles.adapt import Evaluation, Measure
from headroles.cli import plot
from headroles.files.documents import Document
from headroles.roles.diff import diff


@pytest.fixture
def results(random_role_map, random_validation, tmp_path):
    """Folders, each with one result."""
    role_map, other = random_role_map(), random_role_map(seed=1)
    role_map.save(tmp_path / "roles" / "role_map.json")
    random_validation(role_map).save(tmp_path / "validation" / "validation.json")
    diff(role_map, other).save(tmp_path / "diff" / "diff.json")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "kinds"),
    [
        ("roles", "role_map.json", ("entropy", "concepts", "texts", "shares", "spread")),
        ("validation", "validation.json", ("matrix", "selectivity")),
        ("diff", "diff.json", ("map",)),
    ],
)
def test_every_result_is_drawn_beside_itself(results, run, name, file, kinds):
    folder = results / name
    for place in (folder, folder / file):
        code, text, errors = run("plot", place)
        assert code == 0, errors
        assert text.splitlines() == [f"wrote {folder / f'{name}-{kind}.png'}" for kind in kinds]
    code, text, errors = run("plot", folder, "--kind", kinds[-1], "--output", results / "new" / "one.svg")
    assert code == 0 and text == f"wrote {results / 'new' / 'one.svg'}\n", errors


def test_pictures_of_a_file_of_another_name_have_its_name(results, run):
    (results / "roles" / "role_map.json").rename(results / "roles" / "before.json")
    code, text, errors = run("plot", results / "roles" / "before.json", "--kind", "entropy")
    assert code == 0 and text == f"wrote {results / 'roles' / 'before-entropy.png'}\n", errors


def test_every_kind_of_result_is_told_by_its_mark():
    kinds = {stem: plot._load(home) for stem, home in plot._RESULTS.items()}
    assert all(issubclass(kind, Document) and kind.figures for kind in kinds.values())
    marks = {stem: {field.name: field.default for field in fields(kind)}.get("format") for stem, kind in kinds.items()}
    assert marks.pop("roles") is None and marks.pop("evaluation") is None, "an evaluation is told by its rows"
    assert len({*marks.values(), None}) == len(marks) + 1


def test_an_evaluation_is_no_role_map(results, run, tmp_path):
    rows = tuple(Measure(1, "few-shot", "t", "all", 5, 0.4, 0.2 * shots, shots=shots) for shots in (1, 4))
    Evaluation(rows).write(tmp_path / "tested")
    assert not Evaluation.is_at(results / "roles" / "role_map.json")
    for place in (tmp_path / "tested", tmp_path / "tested" / "metrics.json"):
        assert run("plot", place)[:2] == (0, f"wrote {tmp_path / 'tested' / 'evaluation-shots.png'}\n")
    code, _, errors = run("plot", tmp_path / "tested", "--kind", "reliability")
    assert code == 2 and "reliability needs the tested images" in errors and errors.count("\n") == 1


def test_on_paper_pictures_are_vectors_and_the_caption_is_printed(results, run):
    code, text, errors = run("plot", results / "diff", "--style", "paper")
    assert code == 0, errors
    written, caption = text.splitlines()
    assert written == f"wrote {results / 'diff' / 'diff-map.pdf'}"
    assert re.fullmatch(r"  caption: \d of 6 heads change their role; kappa .*; A: tiny, .*; B: tiny, .*", caption)


def test_mistakes_are_one_line(results, run):
    (results / "empty").mkdir()
    mistakes = {
        (results / "nowhere",): "there is no file",
        (results / "empty",): "is no adapter folder",
        (results / "diff", "--heads", "L1.H0"): "--heads chooses heads of a role map's texts",
        (results / "roles", "--kind", "entropy", "--heads", "L1.H0"): "heads can be chosen for texts only",
        (results / "roles", "--kind", "wheel"): "kind must be one of entropy, concepts, texts, shares, spread, all",
        (results / "roles", "--kind", "matrix"): "matrix is drawn of a validation, which headroles validate writes",
    }
    for arguments, message in mistakes.items():
        code, _, errors = run("plot", *arguments)
        assert code == 2 and message in errors and errors.count("\n") == 1, errors
    code, _, errors = run("plot", results / "roles", "--output", results / "roles" / "a.png")
    assert code == 0, errors
    code, _, errors = run("plot", results / "roles", "--output", results / "roles" / "a.png")
    assert code == 2 and "a-entropy.png exists already" in errors
