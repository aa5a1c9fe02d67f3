"""Copies of checkpoints of every layout: what was changed is changed, and every other number is the same to the bit."""

import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPModel

from headroles import InputError, load
from headroles.models.checkpoints.checkpoint import find_checkpoint
from headroles.models.checkpoints.rewrite import Change, copy_changed

WEIGHTS = "open_clip_model.safetensors"


def copy(source, folder, factor, layers=(1,)):
    """Scale output projections and shift their biases."""
    model = load(str(source), "cpu")
    names = {module: name for name, module in model.clip.named_modules()}
    modules = [model.visual.output(layer) for layer in layers]
    changes = [Change(names[each], each, lambda pair: (factor * pair[0], pair[1] + factor - 1)) for each in modules]
    folder.mkdir()
    copy_changed(find_checkpoint(str(source)), model.clip.config, changes, folder)
    return model, load(str(folder), "cpu")


@pytest.mark.parametrize("kind", ["archive", "state dict", "open_clip bin", "open_clip custom text"])
def test_every_layout_is_copied_into_its_own_with_one_module_changed(written, tmp_path, kind):
    before, after = copy(written[kind], tmp_path / "copy", 2.0)
    own = "vision_model.encoder.layers.1.self_attn.out_proj."
    old, new = before.clip.state_dict(), after.clip.state_dict()
    assert [name for name in old if not torch.equal(old[name], new[name])] == [own + "weight", own + "bias"]
    assert torch.equal(new[own + "weight"], 2 * old[own + "weight"])
    assert after.clip.config.vision_config.hidden_act == before.clip.config.vision_config.hidden_act
    assert after.tokenize(["a red circle"])["input_ids"].equal(before.tokenize(["a red circle"])["input_ids"])
    stored = load_file(tmp_path / "copy" / WEIGHTS)
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert "visual.proj" in stored and ("text.text_projection" in stored) == (kind == "open_clip custom text")


def test_shards_stay_shards_and_pickles_become_safetensors(clip_folder, tmp_path):
    parts, pickle = tmp_path / "parts", tmp_path / "pickle"
    clip = CLIPModel.from_pretrained(clip_folder)
    clip.save_pretrained(parts, max_shard_size="60KB")
    assert len(list(parts.glob("model-*.safetensors"))) > 2
    before, after = copy(parts, tmp_path / "copy", 1.0, layers=(0, 2))
    assert before.weights_hash() == after.weights_hash()
    names = {path.name for path in parts.iterdir() if path.name.startswith("model")}
    assert names == {path.name for path in (tmp_path / "copy").iterdir() if path.name.startswith("model")}
    shutil.copytree(clip_folder, pickle)
    (pickle / "model.safetensors").unlink()
    torch.save(clip.state_dict(), pickle / "pytorch_model.bin")
    _, after = copy(pickle, tmp_path / "second", 1.0)
    assert after.weights_hash() == before.weights_hash()
    left = {path.name for path in pickle.iterdir()} - {"pytorch_model.bin", "generation_config.json"}
    assert {path.name for path in (tmp_path / "second").iterdir()} == left | {"model.safetensors"}


@torch.no_grad()
def test_a_module_that_cannot_be_told_from_others_is_refused(clip_folder, make_clip, tmp_path):
    clip = make_clip()
    for tower in (clip.vision_model, clip.text_model):
        tower.encoder.layers[1].self_attn.out_proj.weight.zero_()
    shutil.copytree(clip_folder, tmp_path / "zeros")
    clip.save_pretrained(tmp_path / "zeros")
    _, after = copy(tmp_path / "zeros", tmp_path / "copy", 3.0)  # Its name tells it from the text tower's.
    assert not after.clip.vision_model.encoder.layers[1].self_attn.out_proj.bias.equal(
        clip.vision_model.encoder.layers[1].self_attn.out_proj.bias
    )
    model = load(str(clip_folder), "cpu")
    other = Change("vision_model.elsewhere", torch.nn.Linear(32, 32), lambda pair: pair)
    (tmp_path / "third").mkdir()
    with pytest.raises(InputError, match="under no name that tells it from others"):
        copy_changed(find_checkpoint(str(clip_folder)), model.clip.config, [other], tmp_path / "third")
