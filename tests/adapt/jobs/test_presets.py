"""Presets that depend on the data: as published, unless somebody has set them, and said."""

import pytest

from headroles.adapt.jobs.job import Job
from headroles.adapt.jobs.plan import plan
from headroles.adapt.methods.training_data import TrainingData


def data(task: str = "dtd", shots: int | None = 16, protocol: str = "base-to-novel", classes: int = 24) -> TrainingData:
    return TrainingData(task, classes, classes * (shots or 40), shots, protocol)


@pytest.mark.parametrize(
    ("method", "given", "expected"),
    [
        ("coop", {"shots": 16}, {"epochs": 200}),
        ("coop", {"shots": 4}, {"epochs": 100}),
        ("coop", {"shots": 1}, {"epochs": 50}),
        ("coop", {"task": "imagenet"}, {"epochs": 50}),
        ("cocoop", {"shots": 1}, {"epochs": 10}),
        # 24 classes of 16 images are 12 batches: 667 epochs are the first with 500 steps a shot.
        ("clip-lora", {}, {"epochs": 667}),
        ("clip-lora", {"shots": None}, {"epochs": 50}),
        ("clip-cite", {"task": "eurosat"}, {"batch": 16}),
        ("clip-cite", {"task": "imagenet"}, {"batch": 64}),
        ("clip-cite", {}, {"batch": 32}),
        ("mmrlpp", {}, {"epochs": 10, "batch": 4, "lr": 1e-3}),
        ("mmrlpp", {"protocol": "few-shot"}, {"epochs": 100, "batch": 32, "lr": 2e-3}),
    ],
)
def test_the_published_schedule_of_the_data_is_taken(method, given, expected):
    job, lines = Job.of({}, method=method).follow(data(**given))
    assert {name: getattr(job.train, name) for name in expected} == expected
    assert bool(lines) == (job.train != Job.of({}, method=method).train)


def test_what_is_set_stays_and_the_rest_follows_it():
    assert Job.of({"epochs": 3}, method="clip-lora").follow(data())[0].train.epochs == 3
    job, (line,) = Job.of({"batch": 64}, method="clip-lora").follow(data())
    assert job.train.epochs == 1334
    assert line == "preset: epochs 1334 for these data (as many epochs as make 500 steps a shot)"
    own = Job(method="clip-lora", settings=job.settings, train=job.train)
    assert own.follow(data(shots=1)) == (own, ())


def test_a_plan_says_it(job):
    given = {name: job[name] for name in ("model", "task", "device")}
    lines = plan(**given, method="coop", shots=4)
    assert "preset: epochs 100 for these data (50 epochs for ImageNet and for one shot, 100 for up to four)" in lines
    assert not any(line.startswith("preset") for line in plan(**given, method="coop", shots=4, epochs=2))
