"""Every method, by the interface alone: it trains, resumes, comes back, refuses, has as many numbers as published."""

import dataclasses
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from headroles import load
from headroles.adapt.adapter.adapter import Adapter, load_adapter
from headroles.adapt.adapter.info import FINDINGS, ROLE_MAP, AdapterInfo
from headroles.adapt.config import TrainConfig, split_settings
from headroles.adapt.data.tasks import open_task
from headroles.adapt.jobs.job import Job
from headroles.adapt.methods import branches
from headroles.adapt.methods.averaging import gaussian_weights, uniform_weights
from headroles.adapt.methods.features import Batch
from headroles.adapt.methods.linear_probe import LinearProbe
from headroles.adapt.methods.method import Method
from headroles.adapt.methods.registry import METHODS
from headroles.adapt.results.export import export_adapter
from headroles.adapt.training.train import fit
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP

PUBLISHED = {
    "coop": ({"context": 4, "init": ""}, 2_048),
    "cocoop": ({"context": 4, "init": ""}, 35_360),
    "maple": ({"init": ""}, 3_555_072),
    "promptsrc": ({"init": ""}, 46_080),
    "mmrl": ({}, 4_992_256),
    "mmrlpp": ({}, 813_312),
    "tac": ({"init": ""}, 733_440),
    "clip-lora": ({}, 184_320),
}
"""Method -> settings and trained numbers at ViT-B/16."""
SMALL = {"tip-adapter": {"views": 0}, "tip-adapter-f": {"views": 1}}
"""Method -> settings that make the tests quick."""
BY_ROLES = (
    ("dear", {"mask": "learned"}),
    ("mmrlpp", {"mask": "learned", "layer": 2, "space": 8}),
    ("clip-lora", {"heads": "attribute"}),
)
"""Methods with a role map, and settings that use it."""
FROZEN_TEXTS = {
    *("head-purification", "linear-probe", "tip-adapter-f", "ltv"),
    *("hcvp", "layer-fusion", "layer-fusion-texts"),
}
"""Methods that leave the text tower out of their steps."""
QUICK = {"epochs": 2, "warmup_epochs": 0, "lr": 1e-2, "batch": 10, "cache_views": 0}


class Stopped(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def clip(clip_folder):
    return load(str(clip_folder), "cpu")


@pytest.fixture(scope="module")
def task(color_folder):
    return open_task(str(color_folder))


@pytest.fixture(scope="module")
def pixels(clip, task):
    return torch.stack([clip.processor(example.open()) for example in task.test[::2]])


@pytest.fixture(scope="module")
def build(clip, task, small_map):
    """A function that builds a method by its name."""

    def call(name: str, **given) -> Method:
        if name == "clip-lora":
            pytest.importorskip("peft")
        kind = METHODS[name]
        settings = kind.settings(**SMALL.get(name, {}), **given)
        return kind(clip, small_map if given or kind.role_maps == "needed" else None, settings, 1, task.classes)

    return call


def train_config(name: str) -> TrainConfig:
    return split_settings(QUICK, METHODS[name].settings, METHODS[name].preset)[1]


def stop(state) -> None:
    if state.step == 3:
        raise Stopped


def answers(method: Method, pixels: torch.Tensor, task) -> torch.Tensor:
    return method.predict(pixels, method.class_trunk(task.classes, task.template))


@pytest.mark.parametrize(("name", "given"), [*((name, {}) for name in METHODS), *BY_ROLES])
def test_it_trains_its_own_tensors_and_comes_back_from_its_folder(name, given, build, task, pixels, tmp_path):
    method, train, steps = build(name, **given), train_config(name), []
    frozen = method.model.weights_hash()
    history = fit(method, task, train, tmp_path / "whole", progress=steps.append)
    assert bool(history) == method.steps == bool(method.trained_count)
    assert all(torch.isfinite(torch.tensor(list(record.losses.values()))).all() for record in history)
    assert method.model.weights_hash() == frozen
    assert not any(parameter.requires_grad for parameter in method.model.parameters())
    adapter = Adapter.of(method, task, train, history=history)
    adapter.save(tmp_path / "whole")
    again = load_adapter(tmp_path / "whole", model=method.model)
    expected = answers(method, pixels, task)
    assert torch.equal(answers(again.method, pixels, task), expected) and again.history == history
    assert torch.allclose(expected.sum(1), torch.ones(len(pixels)))
    assert (tmp_path / "whole" / ROLE_MAP).exists() == (bool(given) or METHODS[name].role_maps == "needed")
    assert AdapterInfo.load(tmp_path / "whole").settings == method.config
    assert (tmp_path / "whole" / FINDINGS).exists() == (method.findings() is not None)
    assert again.findings == method.findings()
    if method.steps:
        with pytest.raises(Stopped):
            fit(build(name, **given), task, train, tmp_path / "stopped", progress=stop)
    resumed = build(name, **given)
    history = fit(resumed, task, train, tmp_path / "stopped", resume=True)
    Adapter.of(resumed, task, train, history=history).save(tmp_path / "stopped")
    for file in (path.name for path in (tmp_path / "whole").iterdir()):
        assert (tmp_path / "stopped" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


@pytest.mark.parametrize("name", METHODS)
def test_what_losses_hold_images_to_are_frozen_clips_embeddings(name, build, pixels):
    method = build(name)
    trunk = method.image_trunk(pixels)
    torch.testing.assert_close(method.frozen_targets(trunk), method.frozen_images(trunk), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].steps and name not in FROZEN_TEXTS])
def test_a_hook_in_the_text_tower_sees_all_tokens_of_all_texts_and_changes_no_answer(name, build, task):
    method = build(name).eval()
    texts = method.class_trunk(task.classes, task.template)
    images = torch.nn.functional.normalize(torch.eye(2, method.model.visual.embed), dim=-1)
    encode = (lambda: method.logits(images, method.encode_texts(texts))) if name == "cocoop" else None
    seen, found = [], []
    for hooks in ([], [("text.blocks.2.attn.hook_z", lambda z, hook: seen.append(z.shape))]):
        with method.model.hooks(fwd_hooks=hooks), torch.no_grad():
            answer = encode() if encode else method.encode_texts(texts)
        found.append(getattr(answer, "embeddings", answer))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)
    assert seen and seen[0][0] % len(task.classes) == 0 and seen[0][1] > 2


@pytest.mark.parametrize("name", METHODS)
def test_it_knows_its_settings_and_no_others(name):
    kind = METHODS[name]
    names = {field.name for field in dataclasses.fields(kind.settings)}
    assert not names & {field.name for field in dataclasses.fields(TrainConfig)}
    job = Job.of({}, method=name)
    assert job.settings == kind.settings.from_dict(job.settings.to_dict())
    assert all(getattr(job.train, field) == value for field, value in kind.preset.items())
    assert all(getattr(job.settings, setting) != value for setting, value in kind.as_published.items())
    assert Job.of(dict(kind.as_published), method=name).settings.to_dict() == job.settings.to_dict() | kind.as_published
    with pytest.raises(InputError, match="speed is no setting of the method or its training"):
        Job.of({"speed": 1}, method=name)


@pytest.mark.parametrize("name", METHODS)
def test_it_names_novel_classes_or_says_that_it_cannot(name, build, pixels):
    method = build(name)
    if method.novel:
        trunk = method.class_trunk(["a cat", "a dog", "rain"], "a photo of {}.")
        assert method.predict(pixels, trunk).shape == (len(pixels), 3)
        return
    with pytest.raises(InputError, match=r"knows the classes that it was trained on alone .*, not 'a cat'"):
        method.class_trunk(["a cat", "a dog"], "a photo of {}.")
    for given, what in (
        ({"protocol": "base-to-novel"}, "protocol base-to-novel tests others; use protocol few-shot"),
        ({"retention": ["shapes:color"]}, "retention tests others; leave it out"),
    ):
        with pytest.raises(InputError, match=f"knows the classes that it is trained on alone, and {what}"):
            Job.of({}, method=name, **given)


@pytest.fixture(scope="module")
def vit_b_16():
    """CLIP ViT-B/16 without weights."""
    vision = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    text = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 8}
    sizes = {"projection_dim": 512}
    with torch.device("meta"):
        model = CLIPModel(
            CLIPConfig(**sizes, vision_config={**vision, **sizes, "patch_size": 16}, text_config={**text, **sizes})
        )
    return HookedCLIP(model, "ViT-B/16")


@pytest.mark.parametrize("name", PUBLISHED)
def test_as_many_numbers_are_trained_as_published(name, vit_b_16):
    if name == "clip-lora":
        pytest.importorskip("peft")
    settings, expected = PUBLISHED[name]
    method = METHODS[name](vit_b_16, None, METHODS[name].settings(**settings))
    assert method.trained_count == expected


def test_zero_shot_is_the_frozen_clip(build, pixels, task):
    method = build("zero-shot")
    model, prompts = method.model, [text for (text,) in task.prompts]
    expected = (model.logit_scale * model.embed_images(pixels) @ model.embed_texts(prompts).T).softmax(-1)
    assert torch.allclose(answers(method, pixels, task), expected, atol=1e-6)


def test_the_mean_over_epochs_is_that_of_their_tensors_also_resumed(build, task, tmp_path, clip):
    class Mean(LinearProbe):
        def epoch_weights(self, epochs):
            return gaussian_weights(epochs, 2, 1)

    train, method, seen = train_config("linear-probe"), Mean(clip, classes=task.classes), []

    def keep(state) -> None:
        if state.record:
            seen.append(method.weights.detach().clone())

    fit(method, task, train, tmp_path / "whole", progress=keep)
    weights = gaussian_weights(2, 2, 1)
    assert torch.allclose(method.weights, weights[0] * seen[0] + weights[1] * seen[1], atol=1e-7)
    with pytest.raises(Stopped):
        fit(Mean(clip, classes=task.classes), task, train, tmp_path / "stopped", progress=stop)
    resumed = Mean(clip, classes=task.classes)
    fit(resumed, task, train, tmp_path / "stopped", resume=True)
    assert torch.equal(resumed.weights, method.weights)
    with pytest.raises(InputError, match="select_epoch: linear-probe takes the mean over its epochs"):
        fit(resumed, task, dataclasses.replace(train, select_epoch="validation"), tmp_path / "none")
    assert sum(weights) == pytest.approx(1) and uniform_weights(4) == (0.25,) * 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear-probe", "cocoop", "clip-cite"])
def test_an_export_takes_any_number_of_images(name, build, task, pixels, tmp_path):
    method = build(name)
    files = export_adapter(Adapter.of(method, task, train_config(name)), tmp_path)
    program = torch.export.load(next(path for path in files if path.suffix == ".pt2")).module()
    method.eval()
    for some in (pixels[:1], pixels):
        torch.testing.assert_close(program(some), answers(method, some, task), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(METHODS) - FROZEN_TEXTS - {"zero-shot", "tip-adapter", "talo"}))
def test_alike_tokens_that_are_computed_once_give_what_whole_texts_give(name, build, pixels, task, monkeypatch):
    """Losses and gradients of a step, and how many calls there were of either way."""
    method, found, calls = build(name).eval(), [], []
    tower, labels = type(method.text_tower), torch.arange(len(pixels)) % len(task.classes)
    run_alike = tower.run_alike
    monkeypatch.setattr(tower, "run_alike", lambda *given, **more: calls.append(1) or run_alike(*given, **more))
    texts, trunk = method.class_trunk(task.classes, task.template), method.image_trunk(pixels)
    frozen = method.frozen_targets(trunk) if method.needs_frozen_images else None
    for least in (0, 2**60):
        monkeypatch.setattr(branches, "WORTHWHILE", least)
        method.zero_grad()
        torch.manual_seed(1)
        loss = sum(method(Batch(trunk, labels, texts, frozen, numbers=tuple(range(len(pixels)))))[1].values())
        loss.backward()
        found.append((loss, [each.grad.clone() for each in method.parameters() if each.grad is not None], len(calls)))
    (once, one, alike), (whole, other, still) = found
    assert alike == still > 0
    torch.testing.assert_close(once, whole, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"method": "coop", "role_map": "map.json"}, "role map: method coop has no use for one"),
        ({"method": "tip-adapter", "settings": {"epochs": 3}}, "epochs: method tip-adapter takes no training steps"),
        ({"method": "tip-adapter-f", "settings": {"beta": 0.0}}, "beta must be above 0, got 0.0"),
        ({"settings": {"optimizer": "lion"}}, "optimizer must be one of adamw, sgd, got 'lion'"),
        ({"settings": {"momentum": 0.5}}, "momentum must be 0 with optimizer adamw"),
    ],
)
def test_mistakes_are_said_first(given, expected):
    with pytest.raises(InputError, match=expected):
        Job.of(given.pop("settings", {}), **given)


def test_the_page_about_methods_shows_one_that_works(clip, task, pixels, tmp_path, monkeypatch):
    page = (Path(__file__).parents[3] / "docs" / "howto" / "add-a-method.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    module = ModuleType("shift")
    monkeypatch.setitem(sys.modules, "shift", module)  # Where dataclasses look for the types of their fields.
    exec(code, vars(module))
    method = module.Shift(clip)
    before = answers(method, pixels, task)
    fit(method, task, dataclasses.replace(train_config("dear"), epochs=1), tmp_path)
    assert method.trained_count == clip.visual.embed and not torch.equal(answers(method, pixels, task), before)
    assert all(name in page for name in vars(Method) if not name.startswith("_"))


def test_a_method_is_told_the_classes_of_the_task(build, clip, task, tmp_path):
    with pytest.raises(InputError, match="classes: tip-adapter has to be told the names that are trained"):
        METHODS["tip-adapter"](clip)
    with pytest.raises(InputError, match=r"classes: tip-adapter was built for a, b, and .* trains blue, green"):
        fit(METHODS["tip-adapter"](clip, classes=("a", "b")), task, TrainConfig(), tmp_path)
    assert not list(tmp_path.iterdir())
