"""An export says what the adapter says, in a process that has no headroles."""

import json
import resource
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from headroles.adapt import export_adapter, load_adapter, predict
from headroles.errors import InputError

ALONE = """
import json, sys
sys.modules["headroles"] = None
from pathlib import Path
import torch
from PIL import Image
from transformers import AutoImageProcessor
folder, *images = map(Path, sys.argv[1:])
program = torch.export.load(folder / "classifier.pt2").module()
processor = AutoImageProcessor.from_pretrained(folder)
pixels = processor([Image.open(path).convert("RGB") for path in images], return_tensors="pt").pixel_values
print(json.dumps([program(pixels).tolist(), json.loads((folder / "export.json").read_text())["classes"]]))
"""


@pytest.fixture(scope="module")
def exported(adapted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "new" / "export"
    return export_adapter(adapted[0], folder)[0].parent


@pytest.mark.slow
def test_it_runs_without_headroles_and_says_the_same(exported, adapted, color_folder):
    images = sorted((color_folder / "test").rglob("*.png"))[::4]
    done = subprocess.run([sys.executable, "-c", ALONE, exported, *images], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows, classes = json.loads(done.stdout)
    for row, found in zip(rows, predict(adapted[0], images), strict=True):
        assert dict(zip(classes, row, strict=True)) == pytest.approx(found.shares, abs=1e-4)


def test_any_number_of_images(exported, adapted):
    program = torch.export.load(exported / "classifier.pt2").module()
    side = json.loads((exported / "export.json").read_text())["input"]["shape"][-1]
    pixels = torch.randn(7, 3, side, side)
    whole = program(pixels)
    assert whole.shape == (7, 4)
    torch.testing.assert_close(whole.sum(-1), torch.ones(7))
    torch.testing.assert_close(program(pixels[:1]), whole[:1])


def test_the_plain_state_is_all_of_it_and_nothing_else(exported, adapted):
    state, dear = load_file(exported / "state.safetensors"), adapted[0].method
    assert state["texts"].shape[0] == 4
    assert all(
        torch.equal(state[f"adapter.{name}"], value) for name, value in dear.state_dict().items() if "text" not in name
    )
    vision = [name for name in dear.model.clip.state_dict() if name.startswith(("vision_model", "visual_projection"))]
    assert vision and all(f"clip.{name}" in state for name in vision)
    assert not any("text_model" in name for name in state)


@pytest.mark.slow
def test_the_command_exports_beside_the_adapter(run, adapted, tmp_path):
    adapted[0].save(tmp_path / "own")
    code, text, errors = run("export", tmp_path / "own", "--classes", "cat,dog,bird")
    assert code == 0 and f"wrote {tmp_path / 'own' / 'export'}/classifier.pt2, state.safetensors" in text, errors
    assert json.loads((tmp_path / "own" / "export" / "export.json").read_text())["classes"] == ["cat", "dog", "bird"]
    assert load_adapter(tmp_path / "own", "cpu").info == adapted[0].info
    code, _, errors = run("export", tmp_path / "own")
    assert code == 2 and "exists already; give another --output or --overwrite" in errors
    assert run("export", tmp_path / "own", "--overwrite")[0] == 0


def test_what_cannot_be_exported_is_refused_and_leaves_nothing(run, adapted, tmp_path):
    with pytest.raises(InputError, match="two or more different names"):
        export_adapter(adapted[0], tmp_path / "out", ["cat"])
    code, _, errors = run("export", tmp_path, "--output", tmp_path / "out")
    assert code == 2 and "is no adapter folder" in errors and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_nothing(run, adapted, tmp_path):
    """By the system's own limit on files: torch's writer in C would end the process."""
    adapted[0].save(tmp_path / "own")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        code, _, errors = run("export", tmp_path / "own", "--output", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 2 and errors.splitlines()[-1].endswith("File too large") and not (tmp_path / "out").exists()
