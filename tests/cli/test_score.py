"""What a user sees: results on a good call; one line and exit code 2, and nothing overwritten, on a bad one."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from headroles import RoleMap, score
from headroles.cli.options.score_report import report_score
from headroles.images.deep import ImageNote
from headroles.jobs.score_job import Scored

QUICK = ("--null-draws", "50", "--bootstraps", "5", "--texts-per-head", "6")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        Image.effect_noise((50, 40), 20 * number + 1).convert("RGB").save(folder / f"{number:02}.png")
    return folder


def test_score_then_plot_on_own_folders(run, clip_folder, photos, tmp_path):
    out = tmp_path / "out"
    (photos / "broken.jpg").write_bytes(b"no")
    code, text, errors = run("score", "--model", clip_folder, "--images", photos, "--output", out, *QUICK)
    assert code == 0, errors
    assert "left out 1 broken image files: broken.jpg" in errors
    assert f"next: headroles plot {out}/role_map.json" in text
    names = sorted(path.name for path in out.iterdir())
    assert names == ["moments.safetensors", "role_map.csv", "role_map.json", "run.yaml"]
    assert f"\nmodel: {clip_folder}\nimages: {photos}\n" in (out / "run.yaml").read_text()
    again = run("score", "--config", out, "--output", tmp_path / "again", "--dry-run")
    assert again[0] == 0 and again[2] == errors[: len(again[2])]
    role_map = RoleMap.load(out / "role_map.json")
    assert role_map.images.count == 12 and role_map.images.broken == ("broken.jpg",)
    assert role_map.layers == (2,) and role_map.bank.name == "general"
    code, text, _ = run("plot", out / "role_map.json", "--kind", "all", "--output", tmp_path / "fig.svg")
    assert code == 0 and text.count("wrote") == 5
    assert {path.name for path in tmp_path.glob("fig*")} == {f"fig-{kind}.svg" for kind in RoleMap.figures}


def test_copies_of_one_picture_leave_no_head_with_a_role(run, photos, tmp_path):
    folder = tmp_path / "copies"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.png").write_bytes((photos / "03.png").read_bytes())
    code, text, errors = run("score", "--images", folder, "--output", tmp_path / "out", *QUICK)
    assert code == 0, errors
    assert errors.count("all images give the same output, so all heads are silent") == 1
    role_map = RoleMap.load(tmp_path / "out")
    assert role_map.counts() == {"attribute": 0, "mixed": 0, "generalization": 0, "silent": 24}
    assert not any(head.concept or head.texts for head in role_map)
    assert text.count("silent") == 1 and "clearest" not in text
    code, text, _ = run("plot", tmp_path / "out" / "role_map.json", "--output", tmp_path / "roles.png")
    assert code == 0 and text.count("wrote") == 3


def test_few_images_are_called_rough(run, photos, tmp_path):
    for photo in sorted(photos.iterdir())[2:]:
        photo.unlink()
    code, text, errors = run("score", "--images", photos, "--output", tmp_path / "out", *QUICK)
    assert code == 0 and errors.count("roles of 2 images are rough") == 1
    assert "0 Attribute heads stand out from chance" in text
    with pytest.warns(ImageNote, match="roles of 2 images are rough: .* score 50 or more"):
        score(images=photos, bootstraps=5, null_draws=50, texts_per_head=6)


def test_cut_heads_are_silent(run, tmp_path):
    code, text, errors = run("score", "--count", "60", "--ablate", "L6.H1", "--output", tmp_path / "out", *QUICK)
    assert code == 0 and "rough" not in errors, errors
    assert "without L6.H1: cut heads are silent" in text and "generalization          silent" in text
    assert [head.name for head in RoleMap.load(tmp_path / "out").heads(role="silent")] == ["L6.H1"]


def test_what_low_entropy_is_no_more_than_chance_is_counted(random_role_map, capsys):
    role_map = random_role_map()
    near = replace(role_map["L1.H0"], role="mixed", entropy=0.3)
    some = replace(role_map["L1.H2"], role="attribute", q_value=0.5)
    role_map = replace(role_map, head_roles=(near, role_map["L1.H1"], some, *role_map.head_roles[3:]))
    clear = sum(head.stands_out for head in role_map.heads(role="attribute"))
    report_score(Scored((Path("role_map.json"),), role_map, 10, (), None), Path("out"))
    said = f"{clear} of {clear + 1} Attribute heads stand out from chance; 1 more head has low entropy but does not"
    assert said in capsys.readouterr().out


def test_bundled_model_needs_no_argument(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, errors = run("score", "--count", "64", *QUICK)
    assert code == 0, errors
    raw = json.loads((tmp_path / "headroles-output" / "role_map.json").read_text())
    assert raw["model"]["name"] == "shapes" and raw["layers"] == [5, 6, 7]


def test_nothing_is_overwritten_unless_asked(run, tmp_path):
    (tmp_path / "role_map.json").write_text("mine")
    code, _, errors = run("score", "--output", tmp_path)
    assert code == 2 and "already holds role_map.json" in errors
    assert (tmp_path / "role_map.json").read_text() == "mine"


def test_mistakes_are_one_line_and_exit_2(run, clip_folder, photos, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "nolabel.csv").write_text("text\na dog\n")
    (tmp_path / "unlabelled.csv").write_text("text,concept\na dog,animal\nred,\n")
    (tmp_path / "file").write_text("x")
    (tmp_path / "foreign.json").write_text("[]")
    own = ("score", "--model", clip_folder, "--images", photos, "--output", tmp_path / "o")
    mistakes = {
        ("score", "--images", tmp_path / "empty", "--output", tmp_path / "o"): "no image file below",
        ("score", "--images", tmp_path / "nowhere", "--output", tmp_path / "o"): "is no folder",
        ("score", "--model", tmp_path / "nowhere", "--output", tmp_path / "o"): "no model named",
        ("score", "--model", tmp_path / "empty", "--output", tmp_path / "o"): "has no config.json",
        (*own, "--layers", "7"): "not within this model's layers 0-2",
        (*own, "--layers", "top"): "layers must be deep, all",
        (*own, "--probes", tmp_path / "nolabel.csv"): "has no column 'concept'",
        (*own, "--probes", tmp_path / "unlabelled.csv"): "line 3 of unlabelled.csv lacks a concept",
        (*own, "--probes", "birds"): "no bank named birds",
        (*own, "--weights", "size"): "weights must be one of",
        (*own, "--device", "toaster"): "cannot be used here",
        (*own, "--colour", "red"): "No such option",
        ("score", "--output", tmp_path / "file"): "is a file",
        ("plot", tmp_path / "none.json"): "no file",
        ("plot", tmp_path / "foreign.json"): "is no role map",
        ("paint",): "No such command",
    }
    for arguments, expected in mistakes.items():
        code, _, errors = run(*arguments)
        assert code == 2, arguments
        assert expected in errors and errors.count("\n") == 1, errors
    assert not (tmp_path / "o").exists()


def test_strict_refuses_a_broken_file(run, clip_folder, photos, tmp_path):
    (photos / "broken.jpg").write_bytes(b"no")
    own = ("--model", clip_folder, "--images", photos, "--output", tmp_path / "o")
    code, _, errors = run("score", *own, "--strict", *QUICK)
    assert code == 2 and "broken.jpg cannot be read" in errors
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("damage", ["truncated", "missing tensor", "text model"])
def test_a_damaged_model_is_refused(run, clip_folder, tmp_path, damage):
    import shutil

    from safetensors.torch import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(clip_folder, folder)
    weights = folder / "model.safetensors"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "missing tensor":
        tensors = load_file(weights)
        del tensors["visual_projection.weight"]
        save_file(tensors, weights, metadata={"format": "pt"})
    else:
        (folder / "config.json").write_text('{"model_type": "bert"}')
    code, _, errors = run("score", "--model", folder, "--output", tmp_path / "o")
    expected = {"truncated": "damaged", "missing tensor": "visual_projection.weight", "text model": "of type 'bert'"}
    assert code == 2 and expected[damage] in errors and errors.count("\n") == 1, errors


def test_lists(run):
    assert "openai/clip-vit-base-patch16" in run("models")[1]
    assert "general: short descriptions of natural images" in run("probes")[1]


def test_help_and_import_load_neither_torch_nor_matplotlib():
    script = (
        "import sys, headroles, headroles.cli.main as cli\n"
        "sys.argv = ['headroles', 'score', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "sys.exit(sorted({'torch', 'matplotlib', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "Usage: headroles score" in found.stdout and found.stderr.strip() in ("", "[]")


@pytest.mark.slow
def test_a_figure_never_replaces_another(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("score", "--count", "64", *QUICK)[0] == 0
    folder = tmp_path / "headroles-output"
    assert run("plot", folder, "--kind", "entropy")[0] == 0 and run("plot", folder, "--kind", "texts")[0] == 0
    assert {path.name for path in folder.glob("*.png")} == {"roles-entropy.png", "roles-texts.png"}
    (tmp_path / "mine.png").write_text("mine")
    (tmp_path / "ours-texts.svg").write_text("ours")
    for given in (("--kind", "texts", "--output", "mine.png"), ("--output", "ours.svg")):
        code, _, errors = run("plot", *given)
        assert code == 2 and "exists already" in errors and errors.count("\n") == 1
    assert (tmp_path / "mine.png").read_text() == "mine" and (tmp_path / "ours-texts.svg").read_text() == "ours"
    assert not (tmp_path / "ours-entropy.svg").exists()
    assert run("plot", "--kind", "texts", "--output", "mine.png", "--overwrite")[0] == 0
    assert (tmp_path / "mine.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_a_model_that_cannot_be_reached_is_one_line(tmp_path):
    script = "import sys; from headroles.cli.main import main; sys.argv = ['headroles', *sys.argv[1:]]; main()"
    given = ["score", "--model", "nobody/nothing", "--output", str(tmp_path / "o")]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", script, *given], capture_output=True, text=True, env=environment)
    assert found.returncode == 2 and found.stderr.count("\n") == 1 and "cannot load nobody/nothing" in found.stderr


def test_no_command_shows_the_help(run):
    code, text, _ = run()
    assert code == 0 and "score" in text and text.count("\n") > 10


def test_help_of_score_names_every_option_with_its_default(run):
    """The defaults that the help writes out are those of ScoreConfig, and by images those of ImageScoreConfig."""
    from dataclasses import fields

    from headroles import ImageScoreConfig, ScoreConfig, WeightScoreConfig
    from headroles.cli.score import SECTIONS, command

    words = {option.name: option.help for option in command.params}
    assert set(words) == {name for names in SECTIONS.values() for name in names}
    said = {"no": False, "yes": True}
    for place, name in enumerate(("low", "high")):
        texts, images = ScoreConfig().bounds[place], ImageScoreConfig().bounds[place]
        third = ("a third", "two thirds")[place]
        assert words[name].endswith(f"[default: {texts}; by images {images}; quantile: {third}]")
    for field in fields(ScoreConfig):
        if field.name in set(words) - {"low", "high"} and "[default:" in words[field.name]:
            default, _, weights = words[field.name].rpartition("[default: ")[2].rstrip("]").partition("; by weights ")
            by_weights = getattr(WeightScoreConfig(), field.name, field.default)
            assert by_weights == (said[weights] if weights else field.default), field.name
            assert getattr(ImageScoreConfig(), field.name, field.default) == field.default, field.name
            value = said.get(default, default) if isinstance(field.default, bool) else default
            assert str(value) == str(field.default), field.name
    _, text, _ = run("score", "--help")
    assert text.count("[default:") >= 24 and "IMAGES are one of" in text
