"""Whole jobs by protocol: which folders and rows they leave, on what each adapter was trained, and what is refused."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest
from PIL import Image

from headroles import load
from headroles.adapt import Evaluation, adapt, evaluate, open_task
from headroles.adapt.adapter.folders import Draw
from headroles.adapt.data.coop import DATA_SETS
from headroles.adapt.jobs.job import Job
from headroles.adapt.jobs.tasks import JobTasks
from headroles.adapt.results.adapted import Adapted
from headroles.adapt.results.plot import read_runs
from headroles.adapt.training.trunk_cache import number_domains
from headroles.cli.made_again import adapt_line
from headroles.errors import InputError
from headroles.reports.adaptation import read_adaptation

COLORS = {"red": (200, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 200)}


def save(path, color, number=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32), tuple(part + number for part in color)).save(path)


@pytest.fixture(scope="module")
def clip(clip_folder):
    return load(str(clip_folder), "cpu")


@pytest.fixture(scope="module")
def domains(tmp_path_factory):
    """Three domains of three classes, four pictures each."""
    root = tmp_path_factory.mktemp("domains")
    for shift, domain in enumerate(("paint", "photo", "sketch")):
        for name, color in COLORS.items():
            for number in range(4):
                save(root / domain / name / f"{number}.png", color, 10 * shift + number)
    return root


@pytest.fixture(scope="module")
def left_out(clip, domains, tmp_path_factory):
    """A finished job with each domain left out in turn, of two seeds, and its folder."""
    folder = tmp_path_factory.mktemp("job") / "out"
    given = {"method": "linear-probe", "protocol": "leave-one-domain-out", "shots": 2, "seeds": (1, 2), "epochs": 1}
    return adapt(clip, str(domains), **given, output=folder), folder


def test_each_domain_is_left_out_and_tested_by_every_seed(left_out, domains):
    job, folder = left_out
    assert [Draw.of(each.info) for each in job] == [
        Draw(seed, 2, domain) for domain in ("paint", "photo", "sketch") for seed in (1, 2)
    ]
    rows = [row for row in job.measures if row.part != "mean"]
    assert [(row.part, row.seed, row.images, row.shots) for row in rows] == [
        (domain, seed, 12, 2) for domain in ("paint", "photo", "sketch") for seed in (1, 2)
    ]
    assert {row.task for row in job.measures} == {f"{domains}?domains=folders"}
    for seed in (1, 2):
        (mean,) = (row for row in job.measures if row.part == "mean" and row.seed == seed)
        assert mean.adapted == pytest.approx(sum(row.adapted for row in rows if row.seed == seed) / 3)
        assert mean.images == 36
    assert {path.parent.relative_to(folder).as_posix() for path in folder.rglob("adapter_config.json")} == {
        f"without-{domain}/seed-{seed}" for domain in ("paint", "photo", "sketch") for seed in (1, 2)
    }
    assert tuple(Evaluation.load(folder)) == job.measures


def test_an_adapter_knows_what_it_was_not_trained_on(left_out, clip, domains, tmp_path):
    job, folder = left_out
    place = folder / "without-photo" / "seed-1"
    assert json.loads((place / "adapter_config.json").read_text())["held_out"] == "photo"
    assert "without the images of domain photo" in (place / "README.md").read_text()
    model = str(clip.model_name)
    again = evaluate(place, model=model, device="cpu", images=True)
    assert again.rows == job[2].measures and {each.image.split("/")[0] for each in again.tested} == {"photo"}
    moved = evaluate(place, str(shutil.copytree(domains, tmp_path / "moved")), "leave-one-domain-out", model=model)
    assert [row.adapted for row in moved] == [row.adapted for row in again] and moved.notes == ()
    whole = Adapted.load(folder, model=clip)
    assert whole.measures == job.measures and whole.seeds == (1, 2)
    with pytest.raises(InputError, match="expected one, got those of 6 trainings"):
        evaluate(job)


def test_a_job_that_is_done_is_not_done_again_and_goes_wholly(left_out, clip, domains, tmp_path):
    job, folder = left_out
    steps = []
    given = {"method": "linear-probe", "epochs": 1, "progress": lambda *step: steps.append(step)}
    more = {"protocol": "leave-one-domain-out", "shots": 2, "seeds": (1, 2)}
    assert adapt(clip, str(domains), **given, **more, output=folder, resume=True).measures == job.measures
    assert steps == []
    shutil.copytree(folder, tmp_path / "out")
    adapt(clip, str(domains), **given, protocol="few-shot", shots=1, output=tmp_path / "out", overwrite=True)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".json", ".csv", ".md", ".safetensors"}


def test_a_report_says_the_shots_of_a_curve(curve):
    read = read_adaptation(curve[1])
    assert (read.seeds, read.shots) == ((1, 2), (1, 4, None))
    assert [row["part"] for row in read.summary] == ["all, 1 shot", "all, 4 shots", "all, all images"]
    assert "--shots 1,4,all" in adapt_line(read)


def test_training_sees_all_other_domains_by_name(domains):
    job = Job.of({}, task=str(domains), method="zero-shot", protocol="leave-one-domain-out", shots=2, retention=())
    trained = JobTasks.open(job).trained[Draw(1, 2, "sketch")]
    assert Counter(e.domain for e in trained.train) == {"paint": 6, "photo": 6}
    assert number_domains(trained, "cpu").tolist() == [{"paint": 0, "photo": 1}[e.domain] for e in trained.train]
    assert number_domains(open_task("shapes:tiny"), "cpu") is None, "one domain is none"
    job = Job.of({}, task="shapes:pastel", method="zero-shot", protocol="leave-one-domain-out", shots=1, retention=())
    tasks = JobTasks.open(job)
    names = {draw.held_out for draw in tasks.trained}
    assert {"plain", "blur"} < names and len(tasks.trained[Draw(1, 1, "blur")].train) == 16 * (len(names) - 1)
    (tested,) = tasks.tested(Draw(1, 1, "blur"))
    assert tested.test == open_task("shapes:pastel@blur").test


CURVE = {"method": "linear-probe", "epochs": 1, "seeds": (1, 2), "protocol": "few-shot"}


@pytest.fixture(scope="module")
def curve(clip, color_folder, tmp_path_factory):
    """A finished job with three numbers of shots, and its folder."""
    folder = tmp_path_factory.mktemp("curve") / "out"
    return adapt(clip, str(color_folder), **CURVE, shots=(4, 1, None), output=folder), folder


def test_several_numbers_of_shots_make_a_curve(curve, clip, color_folder):
    job, folder = curve
    assert [(row.shots, row.seed) for row in job.measures] == [(s, n) for s in (1, 4, None) for n in (1, 2)]
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"shots-1", "shots-4", "shots-all"}
    (one,) = adapt(clip, str(color_folder), **{**CURVE, "seeds": 1}, shots=4)
    assert one.measures == tuple(row for row in job.measures if (row.shots, row.seed) == (4, 1))
    whole = Evaluation.load(folder)
    assert whole.rows == job.measures and whole.kinds == ("shots",)
    runs = read_runs(folder)
    assert runs.kinds == ("curves", "shots")
    for found in (whole, job, runs):
        (axes,) = found.plot("shots").axes
        line = axes.lines[0].get_ydata()
        means = [sum(row.adapted for row in whole if row.shots == shots) / 2 for shots in (1, 4, None)]
        assert line.tolist() == pytest.approx([100 * each for each in means])
        assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "4", "all"]
    with pytest.raises(InputError, match="draws several numbers of shots; make them with headroles adapt --shots 1,2"):
        one.plot("shots")


def test_joint_trains_as_base_to_novel(clip, color_folder, tmp_path):
    given = {"method": "zero-shot", "shots": 2, "output": tmp_path / "out"}
    (joint,) = adapt(clip, str(color_folder), protocol="joint", **given)
    assert [row.part for row in joint.measures] == ["base", "novel", "hm", "all"]
    assert len(joint.info.trained_classes) == 2
    assert [row.part for row in evaluate(joint, protocol="base-to-novel")] == ["base", "novel", "hm"]
    assert evaluate(joint).rows == joint.measures
    several = evaluate(joint, [str(color_folder), replace(open_task(str(color_folder)), name="other")], "joint")
    assert [row.part for row in several if row.task == "mean"] == ["base", "novel", "mean of hm", "hm of means", "all"]
    with pytest.raises(InputError, match="knows the classes that it is trained on alone, and protocol joint"):
        Job.of({}, method="linear-probe", protocol="joint")


def write_data_set(root, name):
    """A data set in CoOp's layout, two classes, whatever it keeps its splits in."""
    place, data_set = root / name, DATA_SETS[name]
    images = place / data_set.images
    if name == "fgvc_aircraft":
        for number in range(6):
            save(images / f"{number}.jpg", COLORS["red"], number)
        (place / "variants.txt").write_text("A\nB\n")
        for start, split in enumerate(("train", "val", "test")):
            (place / f"images_variant_{split}.txt").write_text(f"{2 * start} A\n{2 * start + 1} B\n")
        return
    split = {}
    for part in ("train", "val", "test"):
        split[part] = [[f"{part}-{label}.jpg", label, f"{name} {label}"] for label in (0, 1)]
        for path, label, _ in split[part]:
            save(images / path, COLORS["green"], 9 * label)
    (place / data_set.listing).write_text(json.dumps(split))


def write_imagenet(root):
    """Four classes of ImageNet; its shifts A and R have two of them, as the true ones have 200 of 1,000."""
    names = {"n01": "tench", "n02": "shark", "n03": "hen", "n04": "ray"}
    parts = {
        "imagenet/images/train": names, "imagenet/images/val": names, "imagenet-sketch/images": names,
        "imagenetv2/imagenetv2-matched-frequency-format-val": range(4),
        "imagenet-adversarial/imagenet-a": ("n02", "n04"), "imagenet-rendition/imagenet-r": ("n01", "n04"),
    }  # fmt: skip
    for number, (place, folders) in enumerate(parts.items()):
        (root / place.split("/")[0]).mkdir(exist_ok=True)
        (root / place.split("/")[0] / "classnames.txt").write_text("".join(f"{k} {v}\n" for k, v in names.items()))
        for folder in folders:
            save(root / place / str(folder) / "1.JPEG", COLORS["blue"], number)


def test_coops_protocols_from_end_to_end(clip, tmp_path):
    write_imagenet(tmp_path)
    for name in DATA_SETS:
        if not name.startswith("imagenet"):
            write_data_set(tmp_path, name)
    given = {"root": tmp_path, "shots": 1, "device": "cpu"}
    (shifted,) = adapt(clip, "imagenet", method="linear-probe", epochs=1, protocol="domain-shift", **given)
    classes = {row.task: tuple(row.per_class.get("adapted", ())) for row in shifted.measures}
    whole = ("tench", "shark", "hen", "ray")
    assert classes == {
        "imagenet": whole, "imagenetv2": whole, "imagenet-sketch": whole, "imagenet-adversarial": ("shark", "ray"),
        "imagenet-rendition": ("tench", "ray"), "mean": (),
    }  # fmt: skip
    tested = evaluate(shifted, root=tmp_path, images=True).tested
    assert {each.adapted for each in tested if each.task == "imagenet-adversarial"} <= {"shark", "ray"}
    (crossed,) = adapt(clip, "imagenet", method="zero-shot", protocol="cross-dataset", **given)
    *rows, mean = crossed.measures
    assert [row.task for row in rows] == [name for name in DATA_SETS if not name.startswith("imagenet")]
    assert mean.task == "mean" and mean.images == sum(row.images for row in rows) == 20
    (tmp_path / "dtd" / "images").rename(tmp_path / "dtd" / "gone")
    with pytest.raises(InputError, match=r"dtd needs its images in .*; or name the tasks to test on: --targets a,b"):
        adapt(clip, "imagenet", method="zero-shot", protocol="cross-dataset", **given)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--shots", "4,four"], "--shots must be a number from 1, or all, got '4,four'; several are written 1,2,4"),
        (["--shots", "4,4"], "shots must be different numbers, at least one, got (4, 4)"),
        (["--shots", "0,4"], "--shots must be a number from 1, or all, got '0,4'"),
        (["--domains", "style"], "has no list of its images with a column 'style'"),
        (["--protocol", "leave-one-domain-out", "--targets", "shapes:tiny"], "tests on the task itself; leave them"),
    ],
)
def test_mistakes_are_one_line(run, domains, tmp_path, options, expected):
    code, _, error = run("adapt", "--task", domains, "--method", "coop", *options, "--output", tmp_path / "out")
    assert code == 2 and expected in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_domain_cannot_be_guessed_at_test(clip, color_folder):
    (one,) = adapt(clip, str(color_folder), method="zero-shot", shots=1)
    with pytest.raises(InputError, match="tests the domain that a training left out; this one left out none"):
        evaluate(one, protocol="leave-one-domain-out")
    with pytest.raises(InputError, match="has no domains; to leave one out it needs two or more"):
        adapt(clip, open_task(str(color_folder)), method="zero-shot", protocol="leave-one-domain-out")
