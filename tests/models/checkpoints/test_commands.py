"""What users do with a model that is no transformers' folder: score it, adapt it, use the adapter."""

import json
from pathlib import Path

import pytest

FAST = ("--epochs", 2, "--batch", 8, "--seeds", 1, "--retention", "none", "--shots", 2, "--protocol", "few-shot")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["open_clip safetensors", "state dict"])
def test_score_adapt_evaluate_predict(run, written, color_folder, tmp_path, kind):
    name, _, activation = str(written[kind]).partition(":")
    model = ("--model", name, *(("--activation", activation) if activation else ()))
    roles = tmp_path / "roles"
    quick = ("--null-draws", 50, "--bootstraps", 4, "--texts-per-head", 6, "--probes", "shapes", "--layers", "all")
    code, _, errors = run("score", *model, "--images", color_folder, "--output", roles, *quick)
    assert code == 0, errors
    assert json.loads((roles / "role_map.json").read_text())["model"]["name"] == str(written[kind])
    adapter = tmp_path / "adapter"
    task = ("--task", color_folder, "--role-map", roles / "role_map.json", "--core", "color")
    code, _, errors = run("adapt", *model, *task, *FAST, "--output", adapter)
    assert code == 0, errors
    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] == str(written[kind])
    code, text, errors = run("evaluate", adapter, "--json")
    assert code == 0 and json.loads(text)["rows"] == json.loads((adapter / "metrics.json").read_text())["rows"], errors
    image = next(Path(color_folder).rglob("*.png"))
    code, text, errors = run("predict", adapter, image, "--classes", "red,blue")
    assert code == 0 and "red" in text, errors
