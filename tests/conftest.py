"""Tiny random CLIPs for all tests, built from configs, offline, on CPU; and the command line, called in process."""

import dataclasses
import gc
import hashlib
import os
import socket
import sys
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from chromium import open_chromium
from forked_commands import ForkedCommands
from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    MetaClip2Config,
    MetaClip2Model,
    Siglip2Config,
    Siglip2Model,
    SiglipConfig,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
    ViTConfig,
    ViTModel,
)
from transformers.models.idefics2.configuration_idefics2 import Idefics2VisionConfig
from transformers.models.idefics2.modeling_idefics2 import Idefics2VisionTransformer
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
from transformers.models.idefics3.modeling_idefics3 import Idefics3VisionTransformer

from headroles.causal.validation import Validation
from headroles.cli import main as cli
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import BankInfo, HeadRole, ImagesInfo, ModelInfo, PickedText, RoleMap

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: one thread each, and one for each process that a test starts.
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


_HERE = Path(__file__).parent
_LONG = (
    "cli/test_adapt.py", "cli/test_help.py", "cli/test_reading.py", "cli/test_writing.py", "images/test_sources.py",
    "models/checkpoints/test_converted.py", "models/checkpoints/test_odd_models.py",
    "models/checkpoints/test_tokenizer.py", "models/families/test_hook_points.py", "models/families/test_load.py",
    "roles/test_score_images.py", "uses/test_retrieve.py",
)  # fmt: skip
"""Files of tests that take seconds together: all are slow."""


@pytest.hookimpl(tryfirst=True)  # Before pytest-xdist reads the groups.
def pytest_collection_modifyitems(items):
    """Tests of the command line in processes are slow, and run one by one: side by side they would time out.

    Notebooks take longest: they run first, so that all workers end at one time.
    """
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")
    for item in items:
        if item.path.relative_to(_HERE).as_posix() in _LONG:
            item.add_marker(pytest.mark.slow)
        if "start" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("processes"))


def pytest_collection_finish():
    """What all imports have made stays: no collection of garbage needs to look through it in every test."""
    gc.freeze()


@pytest.fixture(scope="session")
def tokenizer():
    """The bundled model's, from its file: learned anew, its ids (and so all tiny models) would differ run by run."""
    return AutoTokenizer.from_pretrained(str(resources.files("headroles.bundled") / "model"))


def build_clip(
    tokenizer, layers=3, heads=4, width=32, embed=24, side=32, patch=8, act="quick_gelu", seed=0, meta=False
) -> CLIPModel | MetaClip2Model:
    """A random CLIP whose biases and norms are random too, so that no term of a sum is zero by accident."""
    shared = {"num_hidden_layers": layers, "hidden_act": act}
    config_type, model_type = (MetaClip2Config, MetaClip2Model) if meta else (CLIPConfig, CLIPModel)
    config = config_type(
        projection_dim=embed,
        vision_config={
            **shared, "hidden_size": width, "intermediate_size": 2 * width, "num_attention_heads": heads,
            "image_size": side, "patch_size": patch, "projection_dim": embed,
        },
        text_config={
            **shared, "hidden_size": width, "intermediate_size": 2 * width, "num_attention_heads": heads,
            "vocab_size": len(tokenizer), "max_position_embeddings": 32, "projection_dim": embed,
            "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_type(config).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name != "logit_scale":
                    parameter.copy_(torch.randn_like(parameter) * 0.3 + (1.0 if "norm" in name else 0.0))
    return model


def fill_randomly(model, seed=0):
    """Random weights, norms near 1, no term zero by accident."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for name, parameter in model.named_parameters():
            if not name.startswith("logit_"):
                parameter.copy_(torch.randn_like(parameter) * 0.3 + (1.0 if "norm" in name else 0.0))
    return model.eval()


def build_siglip(
    tokenizer, layers=3, heads=4, width=32, side=32, patch=8, context=16, act="gelu_pytorch_tanh", seed=0, naflex=False
):
    """A random SigLIP, or SigLIP 2 NaFlex; see `build_clip`."""
    shared = {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": 2 * width, "hidden_act": act}
    shared["num_attention_heads"] = heads
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": context, "pad_token_id": tokenizer.pad_token_id}
    text |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    vision = {"num_patches": (side // patch) ** 2} if naflex else {"image_size": side}
    vision = {**shared, **vision, "patch_size": patch}
    config_type, model_type = (Siglip2Config, Siglip2Model) if naflex else (SiglipConfig, SiglipModel)
    return fill_randomly(model_type(config_type(text_config={**shared, **text}, vision_config=vision)), seed)


def build_vision(family, layers=3, heads=4, width=32, side=32, patch=8, seed=0, **settings):
    """A random "vit", "dinov2", "dinov2_with_registers", "dinov3", "idefics3" or "siglip"; see `build_clip`."""
    config_type, model_type = {
        "vit": (ViTConfig, partial(ViTModel, add_pooling_layer=False)),
        "dinov2": (Dinov2Config, Dinov2Model),
        "dinov2_with_registers": (Dinov2WithRegistersConfig, Dinov2WithRegistersModel),
        "dinov3": (DINOv3ViTConfig, DINOv3ViTModel),
        "idefics2": (Idefics2VisionConfig, Idefics2VisionTransformer),
        "idefics3": (Idefics3VisionConfig, Idefics3VisionTransformer),
        "siglip": (SiglipVisionConfig, SiglipVisionModel),
    }[family]
    sizes = {"num_hidden_layers": layers, "num_attention_heads": heads, "hidden_size": width, "image_size": side}
    sizes |= {"patch_size": patch, **({"mlp_ratio": 2} if "dinov2" in family else {"intermediate_size": 2 * width})}
    return fill_randomly(model_type(config_type(**sizes, **settings)), seed)


@pytest.fixture(scope="session")
def make_siglip(tokenizer):
    """A function that builds a tiny random SiglipModel; see `build_siglip` for its sizes."""
    return partial(build_siglip, tokenizer)


@pytest.fixture(scope="session")
def make_vision():
    """A function that builds a tiny random vision model; see `build_vision`."""
    return build_vision


@pytest.fixture(scope="session")
def make_clip(tokenizer):
    """A function that builds a tiny random CLIPModel; see `build_clip` for its sizes."""
    return partial(build_clip, tokenizer)


@pytest.fixture
def model(tokenizer) -> HookedCLIP:
    return HookedCLIP(build_clip(tokenizer), "tiny", tokenizer)


@pytest.fixture(scope="session")
def clip_folder(tokenizer, tmp_path_factory):
    """A CLIP folder as transformers writes it."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    folder = tmp_path_factory.mktemp("clip")
    build_clip(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def color_folder(tmp_path_factory):
    """A task on disk, train/val/test: four classes of coloured noise, of 5, 1 and 3 images each."""
    import numpy as np
    from PIL import Image

    folder, rng = tmp_path_factory.mktemp("colors"), np.random.default_rng(0)
    for label, name in enumerate(("red", "green", "blue", "grey")):
        level = np.full(3, 60.0) if name == "grey" else 180.0 * np.eye(3)[label]
        for split, count in (("train", 5), ("val", 1), ("test", 3)):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = (level + rng.integers(0, 60, (36, 32, 3))).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    return folder


def silence(head: HeadRole) -> HeadRole:
    """The head as scoring writes it where it says nothing."""
    none = dict.fromkeys(head.distribution, 0.0)
    sure = {"interval": (1.0, 1.0), "p_value": 1.0, "q_value": 1.0, "stability": 1.0, "variance": 0.0}
    return dataclasses.replace(
        head, role="silent", concept="", concept_share=0.0, entropy=1.0, null_entropy=1.0, effective_rank=0.0,
        distribution=none, texts=(), **sure,
    )  # fmt: skip


def build_random_role_map(texts=("a red thing",), layers=(1, 2), heads=3, seed=0, name="tiny", silent=()) -> RoleMap:
    """Random numbers of full precision; `texts` go round over the picks; Attribute heads stand out; some are silent."""
    names = "animal color count object position shape size texture time weather"
    rng, concepts = np.random.default_rng(seed), names.split()

    def head(layer, number):
        shares = rng.dirichlet(np.full(len(concepts), 0.3)).tolist()
        best = int(np.argmax(shares))
        picks = tuple(
            PickedText(texts[pick % len(texts)], concepts[pick % len(concepts)], float(rng.random()))
            for pick in range(5)
        )
        entropy = float((0.1, 0.52, 0.7)[(layer + number) % 3] + 0.07 * rng.random())
        role = "attribute" if entropy <= 0.5 else "generalization" if entropy >= 0.6 else "mixed"
        p, stability, variance = rng.random(3).tolist()
        found = HeadRole(
            layer, number, role, concepts[best], shares[best], 3 * entropy, entropy,
            null_entropy=0.8 + 0.3 * p, interval=(0.9 * entropy, 1.05 * entropy),
            p_value=0.02 * p if role == "attribute" else 0.06 + p / 2,
            q_value=0.05 * p if role == "attribute" else 0.1 + p / 2,
            stability=stability, effective_rank=1 + 7 * stability, variance=variance,
            distribution=dict(zip(concepts, shares, strict=True)), texts=picks,
        )  # fmt: skip
        return silence(found) if found.name in silent else found

    return RoleMap(
        model=ModelInfo(name, "abc123" + 58 * "0", max(layers) + 1, heads),
        images=ImagesInfo("photos", 10, ("broken.jpg",)),
        bank=BankInfo("own.csv", "def456" + 58 * "0", dict.fromkeys(concepts, 7)),
        settings={"roles_by": "threshold", "low": 0.5, "high": 0.6, "seed": 0},
        layers=layers,
        head_roles=tuple(head(layer, number) for layer in layers for number in range(heads)),
    )


def build_random_validation(role_map: RoleMap, seed=0) -> Validation:
    """Random numbers of full precision, a test without matched sets, an infinite interval, a head that hits nothing."""
    rng, names = np.random.default_rng(seed), ("color", "shape", "material")

    def estimate(high=True):
        value = float(rng.normal(2, 2))
        return {"value": value, "low": value - 0.5, "high": value + 0.5 if high else None}

    def cut(concept, matched):
        costs = {
            name: {"margin": estimate(), "times": estimate(), "accuracy": float(rng.random()),
                   "random": float(rng.random()) if matched else None, "general": None}
            for name in names
        }  # fmt: skip
        against = {"against_random": estimate(False) if matched else None, "against_general": None}
        return {"concept": concept, "heads": ["L1.H0", "L2.H1"], "draws": 30 if matched else 0, "distinct": 9,
                "ranked_among": 12,
                "variance_ratio": float(rng.random()), "costs": costs, **against, "against_others": estimate(),
                "p_value": float(rng.random()) if matched else None}  # fmt: skip

    heads = [
        {"name": head.name, "role": head.role, "concept": head.concept, "entropy": head.entropy,
         "effective_rank": head.effective_rank,
         "strongest": None if number == 1 else "shape", "selectivity": None if number == 1 else float(rng.random()),
         "costs": {name: float(rng.normal()) for name in names}}
        for number, head in enumerate(role_map)
    ]  # fmt: skip
    model = dataclasses.asdict(role_map.model)
    more = {"p_value": 0.01} if "p_value" in {field.name for field in dataclasses.fields(Validation)} else {}
    return Validation.from_dict(
        {
            "format": "headroles.validation", "schema_version": 2, "model": model,
            "role_map": hashlib.sha256(role_map.to_json().encode()).hexdigest(),
            "images": {"source": "labelled", "count": 40, "broken": [], "sketch": ""}, "overlap": 0.0,
            "settings": {"effect": "direct", "mode": "mean", "draws": 30},
            "concepts": [{"name": name, "values": 3, "images": 40, "margin": 1.5, "accuracy": 0.9} for name in names],
            "tests": [cut("color", True), cut("shape", False)], "heads": heads,
            "correlations": {
                "entropy": {"rho": -0.4321, "low": -0.8, "high": 0.1, "p_value": 1.2345e-5, "heads": len(heads)}
            },
            **more,
        }
    )  # fmt: skip


@pytest.fixture(scope="session")
def random_role_map():
    """A function that builds a role map without a model; see `build_random_role_map`."""
    return build_random_role_map


@pytest.fixture(scope="session")
def random_validation():
    """A function that makes up a validation of a role map, on two of its concepts and one of its own."""
    return build_random_validation


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """One Chromium for all tests that are marked `chromium.IN_CHROMIUM`."""
    with open_chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def run(monkeypatch, capsys):
    """Calls the command line: run("score", "--model", ...) -> (exit code, stdout, stderr)."""

    def call(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["headroles", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out = capsys.readouterr()
        return stop.value.code, out.out, out.err

    return call


@pytest.fixture(scope="session")
def forked_commands():
    """The process that commands are forked from."""
    commands = ForkedCommands()
    yield commands
    commands.close()


@pytest.fixture
def start(forked_commands, tmp_path_factory):
    """Starts the command line in processes that form a group, as a launcher does, one thread each:
    start(2, "score", ...) -> (processes, finish); finish() waits and gives (exit code, stdout, stderr) of each. What
    still runs when the test ends is killed. This process has one thread meanwhile: bytes depend on their number.
    """
    started, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)

    def call(ranks: int, *arguments):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        folder, group = tmp_path_factory.mktemp("group"), []
        for rank in range(ranks):
            place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks), "RANK": str(rank)}
            place = {**place, "LOCAL_RANK": str(rank)} if ranks > 1 else {}
            texts = (folder / f"{rank}.out", folder / f"{rank}.err")
            group.append(forked_commands.start([str(argument) for argument in arguments], place, *texts))
        started.extend(group)

        def finish() -> list[tuple[int, str, str]]:
            codes = [process.wait(300) for process in group]
            texts = [[(folder / f"{rank}.{end}").read_text() for end in ("out", "err")] for rank in range(ranks)]
            return [(code, *text) for code, text in zip(codes, texts, strict=True)]

        return group, finish

    yield call
    torch.set_num_threads(threads)
    for process in started:
        process.kill()
        process.wait()
