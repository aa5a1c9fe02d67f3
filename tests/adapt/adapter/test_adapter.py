"""The adapter folder: what is in it, that it comes back whole, and that a damaged or foreign one is refused."""

import dataclasses
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from headroles import load
from headroles.adapt.adapter.adapter import Adapter, load_adapter
from headroles.adapt.adapter.info import CONFIG, FILES, FINDINGS, ROLE_MAP, WEIGHTS, AdapterInfo
from headroles.adapt.config import DearConfig, TrainConfig
from headroles.adapt.data.tasks import open_task
from headroles.adapt.methods.dear import Dear
from headroles.adapt.metrics import Measure, read_measures
from headroles.adapt.results.predict import list_given, predict_images
from headroles.adapt.training.checkpoint import FOLDER
from headroles.adapt.training.train import fit
from headroles.errors import InputError

MEASURES = [Measure(3, "few-shot", "colors", "all", 12, 0.25, 0.75, {"adapted": {"red": 1.0}})]


@pytest.fixture(scope="module")
def saved(clip_folder, make_role_map, color_folder, tmp_path_factory) -> tuple[Path, Dear]:
    """A trained adapter's folder, and the adapter itself."""
    folder = tmp_path_factory.mktemp("adapter")
    model = load(str(clip_folder), "cpu")
    role_map = make_role_map(model, [["mixed", "general", "color", "shape"]])
    task, train = open_task(str(color_folder)), TrainConfig(epochs=2, batch=10, seed=3)
    config = DearConfig(text_tokens=2, beta=0.5)
    dear = Dear(model, role_map, config, 3)
    history = fit(dear, task, train, folder)
    adapter = Adapter.of(dear, task, train, measures=MEASURES, history=history)
    assert (folder / FOLDER).is_dir()
    adapter.save(folder)
    return folder, dear


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    """A copy to be damaged."""
    shutil.copytree(saved[0], tmp_path / "adapter")
    return tmp_path / "adapter"


def edit(path: Path, **changes) -> None:
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, **changes}))


def test_the_folder_has_pefts_layout_and_no_leavings(saved):
    folder, dear = saved
    assert sorted(path.name for path in folder.iterdir()) == sorted({*FILES} - {FINDINGS})
    raw = json.loads((folder / CONFIG).read_text())
    assert (folder / CONFIG).read_text() == json.dumps(raw, indent=2, sort_keys=True) + "\n"
    assert raw["base_model_hash"] == dear.model.weights_hash() == dear.role_map.model.weights_hash
    assert raw["dear"] == {**DearConfig(text_tokens=2, beta=0.5).to_dict()}
    assert raw["train"] == TrainConfig(epochs=2, batch=10, seed=3).to_dict()
    tensors = load_file(folder / WEIGHTS)
    assert sum(tensor.numel() for tensor in tensors.values()) == sum(each.numel() for each in dear.parameters())
    card = (folder / "README.md").read_text()
    assert "| few-shot | colors | all | 25.0 | 75.0 | +50.0 |" in card and dear.trainable_summary() in card
    assert read_measures((folder / "metrics.json").read_text()) == MEASURES
    assert len(json.loads((folder / "metrics.json").read_text())["history"]) == 2


def test_it_comes_back_whole(saved, color_folder):
    folder, dear = saved
    again = load_adapter(folder, "cpu").method
    task = open_task(str(color_folder))
    pixels = torch.stack([dear.model.processor(example.open()) for example in task.test])
    expected = dear.predict(pixels, dear.text_trunk(task.prompts))
    assert torch.equal(again.predict(pixels, again.text_trunk(task.prompts)), expected)
    assert again.config == dear.config and again.attributes == dear.attributes and again.layer == dear.layer
    fresh = Dear(dear.model, dear.role_map, dear.config, 3)
    assert not torch.equal(fresh.predict(pixels, fresh.text_trunk(task.prompts)), expected)


def test_it_comes_back_from_a_folder_of_the_hub(saved, tmp_path):
    first = load_adapter(saved[0], "cpu", saved[1].model)
    first.save_pretrained(tmp_path / "hub", license="apache-2.0")
    again = Adapter.from_pretrained(tmp_path / "hub", device="cpu", model=saved[1].model)
    assert again.weights_sha256 == first.weights_sha256 and again.info == first.info
    data = ModelCard.load(tmp_path / "hub" / "README.md").data
    assert data.license == "apache-2.0" and data.pipeline_tag == "zero-shot-image-classification"
    assert data.library_name == "headroles" and data.base_model is None, "a folder is no place on the hub"


def test_the_card_says_that_peft_knows_the_layout_alone(saved):
    peft = pytest.importorskip("peft")
    with pytest.raises(KeyError, match="DEAR"):
        peft.PeftConfig.from_pretrained(str(saved[0]))
    assert "PEFT does not know the method and cannot load it" in (saved[0] / "README.md").read_text()


def test_it_knows_its_settings(saved):
    info = AdapterInfo.load(saved[0])
    assert info.classes == ("blue", "green", "grey", "red") and info.train.epochs == 2 and info.seed == 3
    assert info.to_json() == (saved[0] / CONFIG).read_text()


def test_the_same_training_gives_the_same_bytes(saved, tmp_path, color_folder):
    folder, first = saved
    dear = Dear(first.model, first.role_map, first.config, 3)
    info = AdapterInfo.load(folder)
    history = fit(dear, open_task(str(color_folder)), info.train, tmp_path)
    Adapter(dear, info, tuple(MEASURES), history).save(tmp_path)
    for name in {*FILES} - {FINDINGS}:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def cut_weights(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-8])


def cut_header(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:5])


def lose_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def swap_for_pickle(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()


def disguise_pickle(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(pickle.dumps({"fusion": [1.0]}))


def lose_tensor(folder: Path) -> None:
    save_file({name: t for name, t in load_file(folder / WEIGHTS).items() if name != "fusion"}, folder / WEIGHTS)


def add_tensor(folder: Path) -> None:
    save_file({**load_file(folder / WEIGHTS), "extra": torch.zeros(2)}, folder / WEIGHTS)


def reshape_tensor(folder: Path) -> None:
    save_file({**load_file(folder / WEIGHTS), "fusion": torch.zeros(2)}, folder / WEIGHTS)


def edit_role_map(folder: Path) -> None:
    (folder / ROLE_MAP).write_text((folder / ROLE_MAP).read_text().replace("generalization", "mixed"))


def lose_role_map(folder: Path) -> None:
    (folder / ROLE_MAP).unlink()


def cut_config(folder: Path) -> None:
    (folder / CONFIG).write_text((folder / CONFIG).read_text()[:-20])


def empty_config(folder: Path) -> None:
    (folder / CONFIG).write_text("[]")


def lose_config(folder: Path) -> None:
    (folder / CONFIG).unlink()


def lose_key(folder: Path) -> None:
    raw = json.loads((folder / CONFIG).read_text())
    del raw["template"]
    (folder / CONFIG).write_text(json.dumps(raw))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (cut_weights, "adapter_model.safetensors is damaged or no safetensors file"),
        (cut_header, "adapter_model.safetensors is damaged or no safetensors file"),
        (lose_weights, "lacks adapter_model.safetensors"),
        (swap_for_pickle, "holds a pickle, adapter_model.bin"),
        (disguise_pickle, "adapter_model.safetensors is damaged or no safetensors file"),
        (lose_tensor, r"tensor fusion of .* does not fit: expected \(\d+,\), got none"),
        (add_tensor, "tensor extra of .* does not fit: expected none"),
        (reshape_tensor, r"tensor fusion of .* does not fit: expected .* got \(2,\)"),
        (edit_role_map, "is not the role map that the adapter was trained with"),
        (lose_role_map, "lacks role_map.json"),
        (cut_config, "is not JSON"),
        (empty_config, "holds no settings"),
        (lose_config, "is no adapter folder"),
        (lose_key, "has no key 'template'"),
        (lambda folder: edit(folder / CONFIG, color="red"), "has an unknown key 'color'"),
        (lambda folder: edit(folder / CONFIG, dear={"speed": 1}), "DearConfig has no setting 'speed'"),
        (lambda folder: edit(folder / CONFIG, train={"lr": -1}), "lr must be above 0"),
        (lambda folder: edit(folder / CONFIG, dear=3), "DearConfig needs a mapping"),
        (lambda folder: edit(folder / CONFIG, classes=5), "does not fit the schema"),
        (lambda folder: edit(folder / CONFIG, format="lora"), "has format 'lora'"),
        (lambda folder: edit(folder / CONFIG, schema_version=99), "has schema_version 99"),
        (lambda folder: edit(folder / CONFIG, base_model_hash="0" * 64), "was made for weights 000000000000"),
    ],
)
def test_what_is_damaged_or_foreign_is_refused(folder, damage, expected):
    damage(folder)
    with pytest.raises(InputError, match=expected) as caught:
        load_adapter(folder, "cpu")
    assert "\n" not in str(caught.value)


def test_another_model_is_refused(saved):
    with pytest.raises(InputError, match="not for those of model shapes"):
        load_adapter(saved[0], "cpu", "shapes")


def test_a_folder_of_several_seeds_says_so(saved, tmp_path):
    shutil.copytree(saved[0], tmp_path / "seed-3")
    with pytest.raises(InputError, match=r"one a seed, such as .*seed-3"):
        load_adapter(tmp_path, "cpu")


def test_it_predicts_classes_named_at_call_time(saved, color_folder):
    _, dear = saved
    images = [color_folder / "test" / "red" / "0.png", color_folder / "test" / "blue"]
    found = predict_images(dear, list_given(images)[0], ("dark_tree", "house", "cup"), "a photo of a {}")
    assert [Path(each.image).name for each in found] == ["0.png", "0.png", "1.png", "2.png"]
    pixels = dear.model.processor(open_task(str(color_folder)).test[0].open())
    assert pixels.shape[-1] == dear.model.image_size
    for each in found:
        assert set(each.classes) == {"dark_tree", "house", "cup"}
        assert sum(each.probabilities) == pytest.approx(1)
        assert list(each.probabilities) == sorted(each.probabilities, reverse=True)
    texts = dear.text_trunk(["a photo of a dark tree", "a photo of a house", "a photo of a cup"])
    from headroles.images.images import open_image

    row = dear.predict(dear.model.processor(open_image(images[0]))[None], texts)[0]
    expected = dict(zip(("dark_tree", "house", "cup"), row.tolist(), strict=True))
    assert dict(zip(found[0].classes, found[0].probabilities, strict=True)) == pytest.approx(expected, abs=1e-5)


def test_predicting_mistakes(saved, color_folder, tmp_path):
    _, dear = saved
    image = color_folder / "test" / "red" / "0.png"
    (tmp_path / "broken.png").write_bytes(b"no")
    for arguments, expected in (
        (([image], ("a",), "{}"), "two or more different names"),
        (([image], ("a", "a"), "{}"), "two or more different names"),
        (([image], ("a", "b"), "a photo"), "template: expected one"),
        (([tmp_path / "broken.png"], ("a", "b"), "{}"), "cannot read .*broken.png"),
        (([tmp_path / "none.png"], ("a", "b"), "{}"), "cannot read .*none.png"),
    ):
        with pytest.raises(InputError, match=expected):
            predict_images(dear, list_given(arguments[0])[0], *arguments[1:])


def test_info_is_frozen(saved):
    with pytest.raises(dataclasses.FrozenInstanceError):
        AdapterInfo.load(saved[0]).seed = 4
