"""A PEFT folder over a CLIP is read as the merged model, or refused by name."""

import json
import sys
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPModel

from headroles import InputError, load
from headroles.heads.contributions import image_contributions


@pytest.fixture
def lora(clip_folder, tmp_path):
    """A random LoRA over the query and value projections of both towers, and the folder that it is in."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    config = peft.LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers in old ways.
        adapted = peft.get_peft_model(CLIPModel.from_pretrained(clip_folder), config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    folder = tmp_path / "lora"
    adapted.save_pretrained(folder)
    return adapted.eval(), folder


@torch.inference_mode()
def test_it_is_merged_on_load(lora, clip_folder, run):
    adapted, folder = lora
    model, pixels = load(str(folder), "cpu"), torch.randn(2, 3, 32, 32)
    expected = adapted.base_model.model.get_image_features(pixels)
    expected = getattr(expected, "pooler_output", expected)
    torch.testing.assert_close(model(pixels), expected, rtol=1e-4, atol=1e-5)
    plain = load(str(clip_folder), "cpu")
    assert not torch.allclose(model(pixels), plain(pixels), atol=1e-3)
    assert model.weights_hash() != plain.weights_hash() and model.weights_hash() == load(str(folder)).weights_hash()
    torch.testing.assert_close(image_contributions(model, pixels).total(), model(pixels), rtol=1e-4, atol=1e-4)
    ids = model.tokenize(["a red circle"])
    texts = adapted.base_model.model.get_text_features(**ids)
    torch.testing.assert_close(model(**ids), getattr(texts, "pooler_output", texts), rtol=1e-4, atol=1e-5)
    code, out, errors = run("doctor", folder, "--device", "cpu")
    assert code == 0 and str(folder) in out, errors


def test_an_adapter_that_does_not_fit_is_refused(lora, run):
    _, folder = lora
    tensors = load_file(folder / "adapter_model.safetensors")
    left_out = sorted(tensors)[0]
    for changed in (
        {name: each for name, each in tensors.items() if name != left_out},
        {name.replace("encoder.layers.2", "encoder.layers.7"): each for name, each in tensors.items()},
        {name: each[:1] for name, each in tensors.items()},
    ):
        save_file(changed, folder / "adapter_model.safetensors")
        with pytest.raises(InputError, match=r"the PEFT adapter in .* does not fit its model"):
            load(str(folder), "cpu")
    (folder / "adapter_model.safetensors").write_bytes(b"no")
    code, _, errors = run("doctor", folder)
    assert code == 2 and "does not fit its model" in errors and errors.count("\n") == 1


def test_what_lacks_is_named(clip_folder, tmp_path, run, monkeypatch):
    config = tmp_path / "adapter_config.json"
    cases = {
        None: "names no base_model_name_or_path",
        "/gone": "a PEFT adapter over /gone, which is no folder here and no hub id",
    }
    for base, expected in cases.items():
        config.write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": base}))
        code, _, errors = run("doctor", tmp_path)
        assert code == 2 and expected in errors and errors.count("\n") == 1
    config.write_text(json.dumps({"peft_type": "DEAR", "base_model_name_or_path": "shapes"}))
    code, _, errors = run("doctor", tmp_path)
    assert code == 2 and "is an adapter of `headroles adapt`" in errors
    config.write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(clip_folder)}))
    monkeypatch.setitem(sys.modules, "peft", None)
    code, _, errors = run("doctor", tmp_path)
    assert code == 2 and "pip install 'headroles[peft]'" in errors and errors.count("\n") == 1
