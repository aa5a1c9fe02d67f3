"""compare(): every cell once, by whoever does it; tuned on validation images alone; wrong grids are refused at once."""

import dataclasses
import shutil

import pytest

from headroles import load
from headroles.adapt import Comparison, compare, open_task
from headroles.adapt.comparison.entries import read_assigned, read_entries, with_settings
from headroles.adapt.comparison.grid import Grid, list_tasks, take_shard
from headroles.adapt.comparison.grids import GRIDS, TRIALS, list_trials
from headroles.adapt.comparison.store import Store
from headroles.adapt.comparison.trials import read_trials
from headroles.adapt.methods.registry import METHODS
from headroles.errors import InputError

METHOD_NAMES = ("tip-adapter", "linear-probe")
QUICK = {"protocol": "few-shot", "shots": 2, "epochs": 2, "retention": ()}


@pytest.fixture(scope="module")
def bed(clip_folder, color_folder):
    """A model and a task."""
    return {"model": load(str(clip_folder), "cpu"), "tasks": open_task(color_folder)}


@pytest.fixture(scope="module")
def whole(bed, tmp_path_factory):
    """A comparison that was done in one go."""
    folder = tmp_path_factory.mktemp("whole")
    compare(**bed, methods=METHOD_NAMES, seeds=(1, 2), output=folder, **QUICK)
    return folder


def results(folder):
    return (folder / "results.csv").read_bytes(), (folder / "results.parquet").read_bytes()


def test_rows_costs_and_adapters_of_every_cell_are_written(whole, bed):
    found = Comparison.load(whole)
    assert found.methods == ("linear-probe", "tip-adapter") and len(found) == 4 == len(found.costs)
    assert {(row.protocol, row.part) for row in found.rows} == {("few-shot", "all")}
    assert len(list(whole.glob("cells/*/*/seed-*/adapter_model.safetensors"))) == 4
    assert {row.trained for row in found.rows if row.method == "linear-probe"} == {4 * 24 + 4}


def test_two_shards_give_the_rows_of_one_run_and_a_done_cell_is_not_done_again(whole, bed, tmp_path):
    told = []
    given = {"methods": METHOD_NAMES, "seeds": (1, 2), "output": tmp_path, "keep_adapters": False, **QUICK}
    notes = []
    for shard in ((1, 2), (2, 2), (1, 2)):
        done = compare(
            **bed, **given, shard=shard, progress=lambda cell, over, count: told.append((cell.title, over, count))
        )
        notes.append(" ".join(done.notes))
    assert "2 of 4 cells of all shards are not done: " in notes[0] and ", seed " in notes[0] and not any(notes[1:])
    assert results(tmp_path) == results(whole)
    assert len({title for title, _, _ in told}) == len(told) == 4 and {count for *_, count in told} == {2}
    assert not list(tmp_path.glob("cells/*/*/*/adapter_model.safetensors"))


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6])
def test_shards_get_as_much_of_every_method(count):
    entries = read_entries(["zero-shot", "tip-adapter", "coop", "dear", "mmrl", "ltv"])
    grid = Grid("shapes", entries, list_tasks(["all"]), (1, 2, 3))
    for number in range(1, count + 1):
        methods = [cell.entry.name for cell in take_shard(grid.cells, (number, count))]
        shares = [methods.count(entry.name) for entry in entries]
        assert max(shares) - min(shares) <= 1 and abs(sum(shares) - len(grid.cells) / count) <= 1


def test_a_cell_with_other_settings_is_refused_before_anything_runs(whole, bed):
    before = results(whole)
    for change, said in (
        ({"shots": 1}, "shots 2, got 1"),
        ({"own": {"tip-adapter": {"alpha": 2.0}}}, "alpha None, got 2.0"),
        ({"seeds": (3,), "epochs": 1}, "epochs 2, got 1"),
    ):
        with pytest.raises(InputError, match=said):
            compare(**bed, output=whole, **{"methods": METHOD_NAMES, "seeds": (1, 2), **QUICK, **change})
    assert results(whole) == before


def test_a_role_map_that_goes_to_no_method_is_refused(bed, small_map, tmp_path):
    with pytest.raises(InputError, match="role map: no method here is given it"):
        compare(**bed, methods=METHOD_NAMES, role_map=small_map, output=tmp_path / "new", **QUICK)
    assert not (tmp_path / "new").exists()


def test_what_is_there_with_other_settings_is_done_anew_where_asked_and_never_lost_in_vain(whole, bed, tmp_path):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    given = {"methods": METHOD_NAMES, "output": tmp_path, **QUICK, "epochs": 1}
    with pytest.raises(InputError, match="epochs 2, got 1; give another --output, or --overwrite"):
        compare(**bed, seeds=(1, 2), **given)
    with pytest.raises(InputError, match=r"seed 2, was made with epochs 2, got 1 .* give another --output$"):
        compare(**bed, seeds=1, overwrite=True, **given)  # Seed 2's would not stand beside them.
    assert results(tmp_path) == results(whole) and Store(tmp_path).read().rows == Comparison.load(whole).rows
    anew = compare(**bed, seeds=(1, 2), overwrite=True, **given)
    probes = [record for record in Store(tmp_path).records() if record.name == "linear-probe"]
    assert {record.settings["train"]["epochs"] for record in probes} == {1} and len(anew.rows) == 4


def test_a_table_says_which_methods_were_left_out(bed, tmp_path):
    methods, lines = ("zero-shot", "linear-probe"), []
    options = {"protocol": "base-to-novel", "retention": (), "seeds": 1, "output": tmp_path, "say": lines.append}
    found = compare(**bed, methods=methods, skip_refused=True, **options)
    assert found.methods == ("zero-shot",)
    assert "left out: linear-probe is refused: method: linear-probe knows the classes" in found.to_table()
    assert sum(line.startswith("left out: ") for line in lines) == 1


def test_tuning_looks_at_validation_images_with_as_many_trials_for_each(bed, tmp_path):
    options = {**QUICK, "output": tmp_path, "seeds": (1,), "methods": METHOD_NAMES}
    found = compare(**bed, tune=True, **options)
    counts = [sum(trial.method == name for trial in found.trials) for name in METHOD_NAMES]
    assert counts == [TRIALS, TRIALS] and sum(trial.chosen for trial in found.trials) == 2
    assert "tuned: 6 trials a method on validation images of 1 task, with" in found.to_table()
    assert (tmp_path / "tuning.csv").read_text().count("\n") == 1 + 2 * TRIALS
    for trial in found.trials:
        assert trial.accuracy * 4 == pytest.approx(round(trial.accuracy * 4))  # One validation image a class.
        best = max(each.accuracy for each in found.trials if each.method == trial.method)
        assert not trial.chosen or trial.accuracy == best
    with pytest.raises(InputError, match="seed 101 is tuned with and may not be reported"):
        Grid("shapes", read_entries(["coop"]), ("shapes:tiny",), (101,), tune=True)
    with pytest.raises(InputError, match=r"class 'blue' of .* has no validation image"):
        bare = dataclasses.replace(bed["tasks"], val=())
        compare(bed["model"], bare, "tip-adapter", tune=True, output=tmp_path / "bare", protocol="few-shot", shots=2)


@pytest.mark.parametrize("name", METHODS)
def test_every_methods_grid_begins_with_its_preset_and_holds_known_settings(name):
    entry = read_entries([name])[0]
    trials = list_trials(entry)
    assert len(trials) == (TRIALS if GRIDS.get(name, entry.kind.steps) else 0)
    for settings in trials:
        entry.kind.settings(**{key: value for key, value in settings.items() if key != "lr"})
    if trials:
        assert trials[0] == {} and len({repr(each) for each in trials}) == TRIALS
        preset = {**entry.kind.settings().to_dict(), "lr": entry.kind.preset.get("lr", 1e-3)}
        assert all(grid[0] in (1, preset[key]) for key, grid in GRIDS.get(name, {}).items())
        with pytest.raises(InputError, match=f"tune: {name} searches"):
            list_trials(dataclasses.replace(entry, settings=trials[-1]))


def test_a_trial_that_breaks_counts_as_none_right(bed):
    from headroles.adapt.comparison.record import CellRecord

    broken = CellRecord("a", "coop", "t", 101, 0, {}, {"given": {"lr": 9.0}}, why="the loss is not a number")
    assert [trial.accuracy for trial in read_trials([broken])] == [None]


def test_entries_and_their_settings_are_read_by_name():
    entries = read_entries(["mmrlpp+roles", "open=dear", "zero-shot"])
    assert [(each.name, each.method, each.roles) for each in entries] == [
        ("mmrlpp+roles", "mmrlpp", True), ("open", "dear", True), ("zero-shot", "zero-shot", False),
    ]  # fmt: skip
    shared, own = read_assigned(["epochs=3", "open:mask=open", "open:lambda-image=2"], entries)
    assert (shared, own) == ({"epochs": 3}, {"open": {"mask": "open", "lambda_image": 2.0}})
    settings = [each.settings for each in with_settings(entries, shared, own)]
    assert settings == [{"epochs": 3}, {"epochs": 3, "mask": "open", "lambda_image": 2.0}, {}]
    assert len(list_tasks(["all"])) == 16 and len(read_entries(["all"])) == len(METHODS)
