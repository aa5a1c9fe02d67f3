"""What a user of adapt, evaluate, predict and plot sees; what survives a kill; what is refused, and left alone."""

import json
import random
import shutil
import subprocess
import sys
import time

import pytest
from PIL import Image

from headroles.cli import main as cli

QUICK = ("--epochs", "3", "--batch", "8", "--lr", "0.005")
BASE = ("--protocol", "base-to-novel")


@pytest.fixture(scope="module")
def role_map(clip_folder, tmp_path_factory):
    """What `headroles score` makes of the tiny model."""
    from headroles.jobs.score import score

    path = tmp_path_factory.mktemp("map") / "role_map.json"
    quick = {"null_draws": 20, "bootstraps": 2, "texts_per_head": 4}
    score(str(clip_folder), "shapes", "shapes", count=64, **quick).save(path)
    return path


@pytest.fixture(scope="module")
def job(clip_folder, color_folder, role_map) -> tuple:
    """The arguments of a quick job."""
    names = ("--model", clip_folder, "--task", color_folder, "--role-map", role_map)
    return ("adapt", *names, "--shots", 4, *QUICK, *BASE)


@pytest.fixture(scope="module")
def adapter(job, tmp_path_factory):
    """A finished job's folder."""
    folder = tmp_path_factory.mktemp("done") / "adapter"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["headroles", *map(str, job), "--output", str(folder)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert stop.value.code == 0
    return folder


def contents(folder) -> dict:
    """Every file below a folder, byte for byte."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_adapt_reports_and_leaves_an_adapter(run, job, tmp_path):
    out = tmp_path / "new" / "adapter"
    code, text, errors = run(*job, "--output", out)
    assert code == 0, errors
    for stage in ("model ", "seed 1: training on 8 images, 3 epochs\n", "seed 1: testing on 12 images\n"):
        assert stage in errors, errors  # Also where stderr is no terminal, and no bar is drawn.
    assert [line.split()[:4] for line in text.splitlines()[:3]] == [["seed", "1", "epoch", str(n)] for n in (1, 2, 3)]
    for expected in ("accuracy", "alpha: cls 0.", "trainable params: ", "zero-shot", f"next: headroles plot {out}"):
        assert expected in text
    rows = [line.split() for line in text.splitlines() if line.startswith("base-to-novel")]
    assert [row[2] for row in rows] == ["base", "novel", "hm"]
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors", "metrics.csv", "metrics.json", "role_map.json",
        "run.yaml",
    ]  # fmt: skip
    info = json.loads((out / "adapter_config.json").read_text())
    assert info["shots"] == 4 and info["trained_classes"] == ["blue", "green"] and len(info["classes"]) == 4


def test_evaluate_repeats_the_metrics(run, adapter, color_folder):
    code, text, errors = run("evaluate", adapter, "--json")
    assert code == 0, errors
    assert json.loads(text)["rows"] == json.loads((adapter / "metrics.json").read_text())["rows"]
    code, text, _ = run("evaluate", adapter, "--task", f"{color_folder},shapes:brightness", "--device", "cpu")
    rows = [line.split() for line in text.splitlines()[1:]]
    assert code == 0 and [row[:3] for row in rows] == [
        ["cross-dataset", str(color_folder), "all"],
        ["cross-dataset", "shapes:brightness", "all"],
        ["cross-dataset", "mean", "all"],
    ]
    code, text, _ = run("evaluate", adapter, "--protocol", "few-shot")
    assert code == 0 and text.splitlines()[1].split()[:3] == ["few-shot", str(color_folder), "all"]


def test_predict_takes_any_classes(run, adapter, color_folder):
    image = color_folder / "test" / "red" / "0.png"
    code, text, errors = run("predict", adapter, image, "--classes", "a red thing, tree,house", "--json")
    assert code == 0, errors
    (found,) = json.loads(text)
    assert found["image"] == str(image) and set(found["probabilities"]) == {"a red thing", "tree", "house"}
    assert sum(found["probabilities"].values()) == pytest.approx(1)
    code, text, _ = run("predict", adapter, color_folder / "test", "--top", "2")
    assert code == 0 and text.count("\n") == 12
    assert {name for name in ("blue", "green", "grey", "red") if f" {name} " in text}


def test_predict_treats_broken_files_alike_by_name_and_in_folders(run, adapter, color_folder, tmp_path):
    shutil.copy(next((color_folder / "test" / "red").iterdir()), tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    for images in ((tmp_path,), (tmp_path / "bad.png", tmp_path / "good.png")):
        code, text, errors = run("predict", adapter, *images, "--json")
        rows = {row["image"]: sorted(row) for row in json.loads(text)}
        reading, left_out = errors.splitlines()
        assert code == 0 and reading.startswith("images: given, 2 (.png 2); preprocessing: CLIPImageProcessor")
        assert "texts of up to 32 tokens" in reading and left_out.startswith(f"left out {tmp_path / 'bad.png'}: ")
        assert rows == {str(images[-1] if len(images) > 1 else tmp_path / "good.png"): ["image", "probabilities"],
                        str(tmp_path / "bad.png"): ["error", "image"]}  # fmt: skip
        code, _, errors = run("predict", adapter, *images, "--strict")
        assert code == 2 and "cannot read" in errors.splitlines()[-1]
        assert run("predict", adapter, *images, "--dry-run") == (0, "", f"{reading}\n")
    for wrong in ((tmp_path / "bad.png",), (tmp_path / "good.png", tmp_path / "typo.png")):
        code, text, errors = run("predict", adapter, *wrong)
        assert (code, text) == (2, "") and "cannot read" in errors.splitlines()[-1]


def test_predict_leaves_out_broken_files_of_a_folder_and_says_so(run, adapter, color_folder, tmp_path):
    shutil.copy(color_folder / "test" / "red" / "0.png", tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no")
    code, text, errors = run("predict", adapter, tmp_path)
    assert code == 0 and text.startswith(str(tmp_path / "good.png")) and text.count("\n") == 1
    assert errors.splitlines()[1].startswith(f"left out {tmp_path / 'bad.png'}: ") and errors.count("\n") == 2
    code, text, errors = run("predict", adapter, tmp_path / "bad.png")
    assert (code, text) == (2, "") and "cannot read" in errors


def test_plot_draws_an_adapter(run, adapter, tmp_path):
    code, _, errors = run("plot", adapter, "--kind", "all", "--output", tmp_path / "fig.png")
    assert code == 0, errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fig-curves.png", "fig-fusion.png", "fig-mask.png"]
    for path in tmp_path.iterdir():
        image = Image.open(path).convert("L")
        assert image.width > 600 and image.getextrema()[0] < 80 and image.getextrema()[1] == 255


def test_several_seeds_have_a_folder_each_and_an_interval(run, job, adapter, tmp_path):
    code, text, errors = run(*job, "--seeds", "1-2", "--output", tmp_path)
    assert code == 0, errors
    assert "±" in text and {path.name for path in tmp_path.iterdir()} == {
        "seed-1",
        "seed-2",
        "metrics.json",
        "metrics.csv",
        "run.yaml",
    }
    one = contents(adapter)
    assert contents(tmp_path / "seed-1") == {name: one[name] for name in one if name != "run.yaml"}
    raw = json.loads((tmp_path / "metrics.json").read_text())
    assert [row["seed"] for row in raw["rows"]] == [1, 1, 1, 2, 2, 2]
    assert {row["seeds"] for row in raw["summary"]} == {2} and raw["summary"][0]["adapted_interval"]
    assert run("plot", tmp_path, "--kind", "fusion", "--output", tmp_path / "fusion.svg")[0] == 0
    code, _, errors = run("predict", tmp_path, adapter / "nothing.png")
    assert code == 2 and "it holds one a seed" in errors
    before = contents(tmp_path)
    code, again, _ = run(*job, "--seeds", "1-2", "--output", tmp_path, "--resume")
    assert code == 0 and "epoch" not in again and contents(tmp_path) == before
    assert f"done before: {tmp_path / 'seed-2'}" in again and "wrote" not in again and "wrote" in text


@pytest.mark.slow
def test_the_bundled_model_makes_its_own_role_map(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("headroles.images.sources.find.SCENES", 64)
    small = ("--task", "shapes:brightness", "--shots", "2", "--epochs", "2", "--retention", "shapes:texture")
    code, text, errors = run("adapt", *small)
    assert code == 0, errors
    assert "role map: made from rendered scenes" in text and "retention" in text
    assert (tmp_path / "headroles-output" / "adapter" / "adapter_model.safetensors").is_file()
    shutil.copy(tmp_path / "headroles-output" / "adapter" / "role_map.json", tmp_path / "headroles-output")
    code, text, errors = run("adapt", *small, "--retention", "none", "--overwrite", "--mask", "open")
    assert code == 0, errors
    assert "role map: headroles-output/role_map.json" in text and "retention" not in text
    assert run("adapt", *small)[0] == 2


def test_a_kill_at_any_moment_changes_nothing(start, job, tmp_path):
    """Killed with signal 9 in each fifth of the job, then resumed: all files as if nothing had happened."""

    def finish(*more) -> float:
        _, wait = start(1, *job, *more)
        begun = time.monotonic()
        ((code, _, errors),) = wait()
        assert code == 0, errors
        return time.monotonic() - begun

    whole, rng = finish("--output", tmp_path / "whole"), random.Random(0)
    for fifth in range(5):
        out = tmp_path / f"killed-{fifth}"
        (child,), wait = start(1, *job, "--output", out)
        time.sleep((fifth + rng.random()) / 5 * whole)
        child.kill()
        wait()
        finish("--output", out, "--resume")
        assert contents(out) == contents(tmp_path / "whole"), f"killed in fifth {fifth}"


def test_nothing_is_overwritten_unless_asked(run, job, adapter, tmp_path):
    shutil.copytree(adapter, tmp_path / "mine")
    before = contents(tmp_path / "mine")
    code, _, errors = run(*job, "--output", tmp_path / "mine")
    assert code == 2 and "already holds adapter_model.safetensors" in errors
    code, _, errors = run(*job, "--lr", "0.1", "--output", tmp_path / "mine", "--resume")
    assert code == 2 and "was made with lr 0.005, got 0.1" in errors
    code, _, errors = run(*job, "--lr", "1e30", "--output", tmp_path / "mine", "--overwrite")
    assert code == 2 and "the loss is not a number in epoch" in errors
    assert {
        name: content for name, content in contents(tmp_path / "mine").items() if "unfinished" not in name
    } == before
    code, _, errors = run(*job, "--output", tmp_path / "mine")
    assert code == 2 and "holds an unfinished training" in errors
    code, _, errors = run(*job, "--seeds", "1-2", "--output", adapter, "--resume")
    assert code == 2 and "is one adapter, not a job of several" in errors
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "README.md").write_text("mine")
    for more in ((), ("--resume",)):
        code, _, errors = run(*job, "--output", tmp_path / "notes", *more)
        assert code == 2 and "already holds README.md" in errors
    assert contents(tmp_path / "notes") == {"README.md": b"mine"}
    code, _, errors = run(*job, "--output", tmp_path / "mine", "--overwrite")
    assert code == 0 and contents(tmp_path / "mine") == before, errors


def test_mistakes_are_one_line_and_exit_2(run, clip_folder, color_folder, role_map, job, adapter, tmp_path):
    (tmp_path / "file").write_text("x")
    image = color_folder / "test" / "red" / "0.png"
    lonely = tmp_path / "lonely"
    for name in ("cat", "dog"):
        (lonely / name).mkdir(parents=True)
        shutil.copy(image, lonely / name / "0.png")
    cut, pickled = tmp_path / "cut", tmp_path / "pickled"
    for folder in (cut, pickled):
        shutil.copytree(adapter, folder)
    (cut / "adapter_model.safetensors").write_bytes((cut / "adapter_model.safetensors").read_bytes()[:-9])
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    before = contents(tmp_path)
    out = ("--output", tmp_path / "o")
    own = (*job, *out)
    mistakes = {
        ("adapt", "--role-map", role_map, *out): "is of other weights than model shapes",
        (
            "adapt",
            "--model",
            clip_folder,
            "--task",
            color_folder,
            "--shots",
            4,
            *out,
        ): "make one: headroles score --model",
        ("adapt", "--role-map", tmp_path / "none.json", *out): "no file",
        ("adapt", "--task", lonely, *out): "class 'cat' of",
        ("adapt", "--task", "shapes:tiny", "--shots", "1700", *out): "training images, 1700 were asked for",
        ("adapt", "--task", tmp_path / "nowhere", *out): "there is no",
        ("adapt", "--task", "shapes:wings", *out): "no built-in task shapes:wings",
        ("adapt", "--task", "shapes:tinny", *out): "did you mean shapes:tiny?",
        ("adapt", "--model", tmp_path / "nowhere", *out): "no model named",
        ("adapt", "--output", tmp_path / "file"): "is a file",
        ("adapt", "--output", tmp_path / "file" / "below"): "is a file; give a folder",
        (*own, "--mask", "zebra"): "mask must be one of role, open, layer, random, inverted",
        (*own, "--layer", "7"): "tokens cannot enter at layer 7",
        (*own, "--layer", "0"): "layer 0 was not scored",
        (*own, "--core", "weather"): "knows none of weather",
        (*own, "--protocol", "one-shot"): "protocol must be one of",
        (*own, "--protocol", "cross-dataset"): "needs tasks to test on",
        (*own, "--shots", "few"): "--shots must be a number from 1, or all",
        (*own, "--shots", "0"): "--shots must be a number from 1, or all",
        (*own, "--seeds", "one"): "--seeds must be numbers",
        (*own, "--seeds", "3-1"): "--seeds must be numbers",
        (*own, "--targets", "shapes:color"): "targets: base-to-novel tests on the task itself",
        (*own, "--protocol", "cross-dataset", "--targets", "nowhere"): "targets: there is no nowhere",
        (*own, "--retention", "shapes:wings"): "retention: there is no built-in task shapes:wings",
        (*own, "--text-tokens", "100000"): "text_tokens must be at most the context, 32, got 100000",
        (*own, "--seeds", "1,1"): "seeds must be different",
        (*own, "--epochs", "0"): "epochs must be at least 1",
        (*own, "--lr", "nan"): "lr must be a finite number",
        (*own, "--precision", "fp16", "--device", "cpu"): "fp16 needs a GPU",
        (*own, "--device", "toaster"): "cannot be used here",
        (*own, "--resume", "--overwrite"): "exclude each other",
        ("evaluate", tmp_path): "is no adapter folder",
        ("evaluate", cut): "damaged or no safetensors file",
        ("evaluate", pickled): "holds a pickle, adapter_model.bin",
        ("evaluate", adapter, "--model", "shapes"): "not for those of model shapes",
        ("evaluate", adapter, "--protocol", "zero-shot"): "protocol must be one of",
        ("predict", adapter, tmp_path / "none.png"): "cannot read",
        ("predict", adapter, tmp_path / "file"): "cannot read",
        ("predict", adapter, image, "--classes", "cat"): "two or more different names",
        ("predict", adapter, image, "--template", "a photo"): "template: expected one",
        ("predict", adapter): "Missing argument",
        ("plot", tmp_path / "cut", "--kind", "texts"): "kind: texts is drawn of a role map, which headroles score",
        ("plot", tmp_path / "cut", "--kind", "mask", "--output", tmp_path / "fig.bmp"): "must end in .png",
        ("plot", tmp_path / "lonely"): "is no adapter folder",
    }
    for arguments, expected in mistakes.items():
        code, _, errors = run(*arguments)
        assert code == 2, arguments
        said = [line for line in errors.splitlines() if not line.startswith("images: ")]  # What is said before work.
        assert expected in errors and len(said) == 1, (arguments, errors)
    assert contents(tmp_path) == before


def test_help_and_lists(run):
    from headroles.adapt.data.tasks import SHIFTS, TASKS
    from headroles.adapt.jobs.job import TASK
    from headroles.cli.task_heads import command as task_heads

    assert f"[default: {TASK}]" in run("adapt", "--help")[1]
    assert next(param.default for param in task_heads.params if param.name == "task") == TASK
    code, text, _ = run("adapt", "--list-tasks")
    assert code == 0 and all(f"  {name} " in text for name in (*TASKS, *SHIFTS))


def test_help_loads_neither_torch_nor_matplotlib():
    for name in ("adapt", "evaluate", "predict", "plot"):
        script = (
            "import sys, headroles.cli.main as cli\n"
            f"sys.argv = ['headroles', '{name}', '--help']\n"
            "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
            "sys.exit(sorted({'torch', 'matplotlib', 'transformers', 'accelerate'} & set(sys.modules)) or 0)"
        )
        found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert found.returncode == 0 and f"Usage: headroles {name}" in found.stdout, found.stderr
