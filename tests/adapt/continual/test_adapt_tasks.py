"""Tasks one after the other: who answers when, what is written, and that a stopped job goes on to the same bytes."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch

from headroles import load
from headroles.adapt import Continual, adapt_tasks, load_adapter, measure_continual, open_task
from headroles.adapt.continual.drift import adapted_means, drift, frozen_means
from headroles.adapt.methods.registry import METHODS
from headroles.errors import InputError
from headroles.heads.contributions import image_contributions


@pytest.fixture(scope="module")
def given(clip_folder, color_folder, small_map):
    """Three tasks of the same pictures under other names, and how they are trained."""
    first = open_task(str(color_folder))
    first = dataclasses.replace(first, test=first.test[::3])
    named = {"b": ("hen", "cow", "dog", "cat"), "c": ("one", "two", "six", "ten")}
    others = [dataclasses.replace(first, name=name, classes=classes) for name, classes in named.items()]
    settings = {"role_map": small_map, "device": "cpu", "shots": 2, "epochs": 1, "lr": 5e-2, "warmup_epochs": 0}
    tasks = [dataclasses.replace(first, name="a"), *others]
    return {**settings, "model": load(str(clip_folder), "cpu"), "tasks": tasks}


@pytest.fixture(scope="module")
def done(given, tmp_path_factory):
    """The finished job, and its folder."""
    folder = tmp_path_factory.mktemp("continual") / "out"
    return adapt_tasks(**given, output=folder), folder


def contents(folder) -> dict:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_strategy_has_its_matrix(done, given):
    found, _ = done
    assert found.strategies == ("sequential", "newest", "own", "mean", "arithmetic", "recall")
    tables = {name: found.matrix(name) for name in found.strategies}
    for table in tables.values():
        assert table.shape == (3, 4)
        assert np.array_equal(table[:, 0], tables["newest"][:, 0])
        assert np.array_equal(table[:, 1], tables["newest"][:, 1]) or table is tables["own"]
    own, newest = tables["own"], tables["newest"]
    assert [own[task, task + 1] for task in range(3)] == [newest[task, task + 1] for task in range(3)]
    assert all((own[task, : task + 1] == own[task, 0]).all() for task in range(3))
    assert found.measures("mean") == (measure_continual(tables["mean"]),)
    assert found.measures("own")[0].forgetting == found.measures("own")[0].backward_transfer == 0


def test_folders_hold_the_adapters_of_every_step(done, given):
    found, folder = done
    names = {path.parent.name for path in folder.rglob("adapter_config.json")}
    merged = {f"{by}-{count}" for by in ("mean", "arithmetic", "recall") for count in (2, 3)}
    assert names == {"task-1", "task-2", "task-3", "sequential-2", "sequential-3"} | merged
    assert not list(folder.rglob("unfinished"))
    before, chain = folder / "task-1", load_adapter(folder / "sequential-2", model=given["model"])
    sha256 = hashlib.sha256((before / "adapter_model.safetensors").read_bytes()).hexdigest()
    assert chain.info.begun_with == sha256 and chain.info.task == "b"
    assert "begun_with" not in json.loads((before / "adapter_config.json").read_text())
    last = load_adapter(folder / "recall-3", model=given["model"])
    assert [part.task for part in last.info.merged.parts] == ["a", "b", "c"] and last.info.retention == ("a", "b")
    rows = {row.task: row.adapted for row in last.measures}
    assert [rows[name] for name in "abc"] == found.matrix("recall")[:, -1].tolist()


def test_results_are_written_and_read(done):
    found, folder = done
    assert Continual.load(folder) == found
    assert len(found.to_frame()) == 6 * 3 * 4 and len(found.measures_frame()) == 6
    assert (folder / "continual.csv").read_text().startswith("seed,strategy,task,trained,accuracy\n1,sequential,a,0,")
    assert len(json.loads((folder / "metrics.json").read_text())["rows"]) == 6 * 3 * 3
    assert {"attribute", "mixed"} < set(found.drift_frame()["role"])
    table = found.to_table()
    assert "Transfer" in table and "sequential  zero-shot  after 1" in table
    assert "\n2 b " in table and "attribute" in table
    assert found.kinds == ("matrix", "drift")
    assert all(found.plot(kind).axes for kind in found.kinds)


def test_a_stopped_job_goes_on_to_the_same_bytes(done, given, tmp_path):
    found, folder = done
    copy, begun = tmp_path / "copy", []

    def stop(seed, step):
        begun.append(step.step)
        if begun.count(1) == 3:  # The third training has begun: that of the adapter that goes on to the last task.
            raise RuntimeError

    with pytest.raises(RuntimeError):
        adapt_tasks(**given, output=copy, progress=stop)
    assert (copy / "sequential-3" / "unfinished").is_dir() and not (copy / "task-2").exists()
    with pytest.raises(InputError, match="holds an unfinished training; --resume it or --overwrite it"):
        adapt_tasks(**given, output=copy)
    with pytest.raises(InputError, match=r"was begun with lr 0\.05, got 0\.1"):
        adapt_tasks(**{**given, "lr": 0.1}, output=copy, resume=True)
    assert adapt_tasks(**given, output=copy, resume=True) == found
    assert contents(copy) == contents(folder)
    with pytest.raises(InputError, match="already holds"):
        adapt_tasks(**given, output=copy)
    with pytest.raises(InputError, match=r"was made with lr 0\.05, got 0\.1"):
        adapt_tasks(**{**given, "lr": 0.1}, output=copy, resume=True)


def test_drift_is_of_exact_contributions_and_0_where_nothing_is_trained(given):
    clip = given["model"]
    pixels = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before = frozen_means(clip, [pixels[:3], pixels[3:]])
    torch.testing.assert_close(before, image_contributions(clip, pixels).heads.mean(0), rtol=1e-4, atol=1e-5)
    for name in ("coop", "fine-tuning", "clip-svd"):  # As they begin, they are the frozen CLIP.
        assert drift(before, adapted_means(METHODS[name](clip), [pixels])).max() < 1e-5
    method = METHODS["fine-tuning"](clip)
    weight = method.weights.get_parameter("vision_model/encoder/layers/2/self_attn/out_proj/weight")
    with torch.no_grad():
        weight[:, :8] *= -1  # What the first head of the last layer writes.
    found = drift(before, adapted_means(method, [pixels]))
    # The others change by the final LayerNorm's deviation alone.
    assert found[2, 0] > 1.99 and found.flatten()[torch.arange(12) != 8].max() < 0.01


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"tasks": ["a"]}, "tasks must be two or more different ones, got a"),
        ({"tasks": ["a", "a"]}, "tasks must be two or more different ones, got a twice"),
        ({"continual": ["zip"]}, "continual must be some of sequential, separate, merged, or all, got 'zip'"),
        ({"continual": ()}, "continual must be some of .* got none"),
        ({"method": "clip-cite", "role_map": None}, "has tensors of the trained classes.* train one a task"),
        ({"method": "linear-probe", "role_map": None}, "knows the classes that it is trained on alone"),
        ({"method": "zero-shot", "role_map": None}, "zero-shot takes no training steps"),
        ({"drift_images": -1}, "drift_images must be at least 0"),
        ({"resume": True}, "resume: needs the job's folder"),
    ],
)
def test_what_cannot_work_is_said_first(given, wrong, expected):
    with pytest.raises(InputError, match=expected):
        adapt_tasks(**{**given, **wrong})
