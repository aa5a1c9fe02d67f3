"""adapt(): names or objects, memory or a folder, give the same; what cannot work is said before any training."""

import pytest

from headroles import load
from headroles.adapt import METHODS, Dear, DearConfig, TrainConfig, adapt, open_task
from headroles.adapt.jobs.job import Job
from headroles.adapt.results.adapted import Adapted
from headroles.errors import InputError


def contents(folder) -> dict:
    """Every file below a folder, byte for byte."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_objects_and_names_memory_and_folder_give_the_same_bytes(job, adapted, clip_folder, color_folder, tmp_path):
    assert adapted.folders == ()
    adapted.save(tmp_path / "memory")
    objects = {"model": load(str(clip_folder), "cpu"), "task": open_task(str(color_folder))}
    written = adapt(**{**job, **objects}, seeds=[1, 2], output=tmp_path / "folder")
    assert written.folders == (tmp_path / "folder" / "seed-1", tmp_path / "folder" / "seed-2")
    assert contents(tmp_path / "memory") == contents(tmp_path / "folder")
    assert {"metrics.json", "metrics.csv", "seed-2/adapter_config.json"} < set(contents(tmp_path / "folder"))
    steps = []
    again = adapt(
        **job, seeds=(1, 2), output=str(tmp_path / "folder"), resume=True, progress=lambda *at: steps.append(at)
    )
    assert steps == [] and again.measures == written.measures and again[1].history == written[1].history


def test_a_map_is_taken_by_file_or_folder(job, small_map, adapted, tmp_path):
    small_map.save(tmp_path / "role_map.json")
    for place in (tmp_path, tmp_path / "role_map.json"):
        one = adapt(**{**job, "role_map": place}, seeds=1)
        assert len(one) == 1 and one.measures == adapted[0].measures


def test_settings_go_where_they_belong(job):
    (one,) = adapt(**{**job, "epochs": 1, "shots": None, "protocol": None}, mask="open", beta=0.25)
    assert (one.info.settings.mask, one.info.settings.beta) == ("open", 0.25)
    assert (one.info.train.epochs, one.info.train.warmup_epochs, one.info.train.lr) == (1, 0, 5e-3)
    assert (one.info.protocol, one.info.shots, one.info.trained_classes) == ("few-shot", None, one.info.classes)
    assert [record.epoch for record in one.history] == [1]


def test_every_method_has_a_name():
    assert METHODS["dear"] is Dear
    for name, method in METHODS.items():
        assert method.name == name and Job.of({}, method=name).settings == method.settings()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"epoch": 3}, "epoch is no setting of the method or its training; did you mean epochs?"),
        ({"seed": 3}, "seed is no setting .* did you mean seeds?"),
        ({"qwerty": 3}, "qwerty is no setting .* known: core, mask"),
        ({"method": "lora"}, "method must be one of dear, zero-shot, .*, got 'lora'"),
        ({"seeds": ()}, "seeds must be different numbers"),
        ({"shots": 0}, "shots must be at least 1"),
        ({"protocol": "zero-shot"}, "protocol must be one of"),
        ({"targets": "shapes:color"}, "targets: base-to-novel tests on the task itself"),
        ({"mask": "zebra"}, "mask must be one of"),
        ({"resume": True}, "resume: needs the job's folder"),
        ({"resume": True, "overwrite": True, "output": "nowhere"}, "exclude each other"),
        ({"role_map": 7}, "role map: expected a RoleMap or its file's path, got a int"),
    ],
)
def test_mistakes_are_said_first(job, wrong, expected):
    with pytest.raises(InputError, match=expected):
        adapt(**{**job, **wrong})


def test_a_map_of_other_weights_is_refused(job):
    with pytest.raises(InputError, match="role map: given is of other weights than model shapes"):
        adapt("shapes", role_map=job["role_map"], device="cpu")


def test_one_line_says_what_was_made(adapted):
    assert repr(adapted).startswith("Adapted(") and "seeds 1, 2; trainable params" in repr(adapted)
    assert "<script" not in adapted._repr_html_() and "±" in adapted._repr_html_()
    frame = adapted.to_frame()
    assert list(frame["seed"]) == [1, 1, 1, 2, 2, 2] and list(frame["part"][:3]) == ["base", "novel", "hm"]
    assert adapted.to_table().splitlines()[0].split() == [
        "protocol",
        "task",
        "part",
        "zero-shot",
        "adapted",
        "difference",
    ]


def test_a_job_comes_back(adapted, tmp_path):
    adapted.save(tmp_path)
    again = Adapted.load(tmp_path, "cpu")
    assert again.measures == adapted.measures and [each.info.seed for each in again] == [1, 2]
    assert again[0].method.model is again[1].method.model
    alone = Adapted.load(tmp_path / "seed-2", model=again[0].method.model)
    assert alone.measures == adapted[1].measures
    with pytest.raises(InputError, match="is no adapter folder"):
        Adapted.load(tmp_path / "nowhere")


def test_its_pictures_are_those_of_its_folders(adapted, tmp_path):
    from headroles.adapt.results.plot import curves_figure, read_runs

    adapted.save(tmp_path)
    lines = [line.get_ydata().tolist() for axes in curves_figure(read_runs(tmp_path)).axes for line in axes.lines]
    assert [line.get_ydata().tolist() for axes in adapted.plot().axes for line in axes.lines] == lines
    for kind in ("curves", "mask", "fusion"):
        assert adapted.plot(kind).axes and adapted[0].plot(kind).axes
    with pytest.raises(InputError, match="kind must be one of curves, mask, fusion"):
        adapted.plot("texts")


def test_defaults_are_those_of_the_settings():
    assert (Job.of({}).settings, Job.of({}).train) == (DearConfig(), TrainConfig())
