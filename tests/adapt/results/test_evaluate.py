"""evaluate(): an adapter by folder or in memory, on its own task or on others by name or as objects."""

import json

import pytest

from headroles.adapt import Evaluation, evaluate, open_task
from headroles.errors import InputError


def test_its_own_task_gives_the_rows_of_its_metrics(adapted, tmp_path):
    adapted[0].save(tmp_path)
    found = evaluate(tmp_path, device="cpu")
    assert found.rows == evaluate(adapted[0]).rows == adapted[0].measures
    assert found == Evaluation.load(tmp_path) == Evaluation.load(tmp_path / "metrics.json")


def test_tasks_are_names_or_objects_one_or_several(adapted, color_folder):
    task = open_task(str(color_folder))
    one = evaluate(adapted[0], str(color_folder), "few-shot")
    assert evaluate(adapted[0], task, "few-shot") == evaluate(adapted[0], [task], "few-shot") == one
    assert [row.task for row in one] == [str(color_folder)]
    several = evaluate(adapted[0], [task, "shapes:brightness"])
    assert [(row.protocol, row.task) for row in several][1:] == [
        ("cross-dataset", "shapes:brightness"),
        ("cross-dataset", "mean"),
    ]


def test_base_to_novel_over_several_tasks_ends_with_both_harmonic_means(adapted):
    found = evaluate(adapted[0], ["shapes:tiny", "shapes:rare"], "base-to-novel")
    assert [row.part for row in found if row.task == "mean"] == ["base", "novel", "mean of hm", "hm of means"]


def test_a_result_is_a_table_and_a_file(adapted, tmp_path):
    found = Evaluation(adapted.measures)
    found.save(tmp_path / "rows.json")
    assert Evaluation.load(tmp_path / "rows.json") == found
    adapted.save(tmp_path / "job")
    assert found.to_json() == (tmp_path / "job" / "metrics.json").read_text()
    found.save(tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text() == (tmp_path / "job" / "metrics.csv").read_text()
    assert len(found) == len(found.to_frame()) == 6 and found[0].part == "base"
    assert repr(found).count("\n") == 0 and "base-to-novel" in repr(found) and "<td>" in found._repr_html_()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("{", "is not JSON"), ("[]", "is no evaluation"), (json.dumps({"schema_version": 1, "rows": 3}), "schema: rows")],
)
def test_other_files_are_refused(tmp_path, text, expected):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(InputError, match=expected):
        Evaluation.load(tmp_path)


def test_one_adapter_at_a_time(adapted, tmp_path):
    with pytest.raises(InputError, match="expected one, got those of 2 seeds"):
        evaluate(adapted)
    with pytest.raises(InputError, match="is no adapter folder"):
        evaluate(tmp_path)
    with pytest.raises(InputError, match="expected a folder or what load_adapter gives, got a int"):
        evaluate(7)
