"""The log of a training: what it says, and that one that was stopped says nothing twice and leaves nothing out."""

import csv
import shutil
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from headroles.adapt import adapt
from headroles.errors import InputError


class Stopped(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def small(job, clip_folder):
    """Three epochs of two steps of DeAR."""
    from headroles import load

    return {**job, "model": load(str(clip_folder), "cpu"), "epochs": 3, "batch": 4}


@pytest.fixture
def wandb(monkeypatch):
    """Stands for the package: a list of the runs that were begun, each with what it was told."""
    runs = []

    class Run:
        def __init__(self, **given):
            self.given, self.logged = given, []
            runs.append(self)

        def log(self, values, step):
            self.logged += [(step, name, value) for name, value in values.items()]

        def finish(self):
            self.logged = tuple(self.logged)

    package = ModuleType("wandb")
    package.__spec__, package.init = ModuleSpec("wandb", None, origin="here"), Run
    monkeypatch.setitem(sys.modules, "wandb", package)
    return runs


def stop_at(step: int):
    def progress(seed, state) -> None:
        if state.step == step:
            raise Stopped

    return progress


def read_csv(folder) -> list[tuple[int, str, float]]:
    with (folder / "logs" / "log.csv").open() as file:
        return [(int(row["step"]), row["name"], float(row["value"])) for row in csv.DictReader(file)]


def read_events(folder) -> list[tuple[int, str, float]]:
    """What TensorBoard shows."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    (path,) = (folder / "logs" / "tensorboard").iterdir()
    values = ((event.step, value) for event in EventFileLoader(str(path)).Load() for value in event.summary.value)
    return [(step, value.tag, value.tensor.float_val[0]) for step, value in values]


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory):
    """A job that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, adapt(**small, output=folder, log="csv")


def test_a_log_says_every_step_every_epoch_and_the_results(whole):
    folder, (adapter,) = whole
    lines = read_csv(folder)
    said = {(step, name): value for step, name, value in lines}
    assert len(said) == len(lines) and [step for step, _, _ in lines] == sorted(step for step, _, _ in lines)
    assert [step for step, name in said if name == "step/lr"] == [1, 2, 3, 4, 5, 6]
    for record in adapter.history:
        last = 2 * record.epoch
        assert said[last, "epoch/loss"] == record.loss and said[last, "epoch/lr"] == record.lr
        assert said[last, "epoch/alpha/cls"] == record.alpha["cls"]
        for name, part in record.losses.items():
            own = [said[step, f"step/loss/{name}"] for step in (last - 1, last)]
            assert sum(own) / 2 == pytest.approx(part) and said[last, f"epoch/loss/{name}"] == part
    tested = {(name, value) for step, name, value in lines if name.startswith("test/")}
    rows = {f"test/{row.protocol}/{row.task}/{row.part}": row for row in adapter.measures}
    expected = {(f"{place}/adapted", row.adapted) for place, row in rows.items()}
    assert tested == expected | {(f"{place}/zero_shot", row.zero_shot) for place, row in rows.items()}


def test_a_stopped_training_logs_nothing_twice_and_leaves_nothing_out(small, whole, wandb, tmp_path):
    pytest.importorskip("tensorboard")
    more = {**small, "output": tmp_path, "log": ("tensorboard", "wandb")}
    for step in (3, 4):  # Within an epoch, and before its checkpoint is written.
        with pytest.raises(Stopped):
            adapt(**more, progress=stop_at(step), resume=step > 3)
        with (tmp_path / "unfinished" / "logs" / "log.csv").open("a") as file:
            file.write("9,step/lo")  # As a kill cuts a line.
    adapt(**more, resume=True)
    assert (tmp_path / "logs" / "log.csv").read_bytes() == (whole[0] / "logs" / "log.csv").read_bytes()
    lines = read_csv(tmp_path)
    assert [line[:2] for line in read_events(tmp_path)] == [line[:2] for line in lines]
    assert [value for *_, value in read_events(tmp_path)] == pytest.approx([value for *_, value in lines])
    assert wandb[-1].logged == tuple(lines) and len({run.given["id"] for run in wandb}) == 1
    assert Path(wandb[-1].given["dir"]) == tmp_path / "unfinished" / "logs" and wandb[-1].given["config"]["epochs"] == 3
    assert (tmp_path / "adapter_model.safetensors").read_bytes() == (
        whole[0] / "adapter_model.safetensors"
    ).read_bytes()


def test_an_adapter_without_a_log_takes_the_place_of_one_with(small, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "again")
    adapt(**{**small, "epochs": 1, "batch": 8}, output=tmp_path / "again", overwrite=True)
    assert not (tmp_path / "again" / "logs").exists()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"log": "csv"}, "log: is written into the job's folder; give output as well"),
        ({"log": "excel", "output": "out"}, "log must be among csv, tensorboard, wandb, got 'excel'"),
        ({"log": "wandb", "output": "out"}, "log: wandb needs the package wandb; pip install wandb"),
        ({"log": "csv", "output": "mine"}, "mine/logs holds other things than logs of a training"),
    ],
)
def test_a_log_that_cannot_be_is_one_line(small, tmp_path, monkeypatch, given, expected):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "wandb", None)
    (tmp_path / "mine" / "logs").mkdir(parents=True)
    with pytest.raises(InputError, match=expected):
        adapt(**small, **given)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_log_that_cannot_begin_leaves_nothing(small, wandb, tmp_path, monkeypatch):
    def refuse(**given):
        raise RuntimeError("no key")

    monkeypatch.setattr(sys.modules["wandb"], "init", refuse)
    with pytest.raises(InputError, match=r"log: wandb cannot begin \(no key\); WANDB_MODE=offline needs no server"):
        adapt(**small, output=tmp_path / "out", log="wandb")
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
