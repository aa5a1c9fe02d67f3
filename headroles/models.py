"""`load(name)`: from a name, a hub id or a folder to a HookedCLIP."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from logging import ERROR, getLogger
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from headroles.errors import InputError
from headroles.families import find_family
from headroles.hooked_clip import HookedCLIP
from headroles.known_models import KNOWN
from headroles.loading import announced


@announced
def load(name: str = "shapes", device: str = "auto", dtype: torch.dtype = torch.float32) -> HookedCLIP:
    """A CLIP, SigLIP, ViT or DINOv2 with hooks: "shapes", a name of `KNOWN`, a transformers' folder, or a hub id.

    `device`: "auto" (cuda, else cpu) or any torch device. Raises InputError where there is no such model,
    or its files are broken or incomplete.
    """
    place = _resolve_device(device)
    source = _locate(name)
    clip = _load_clip(source, name, dtype)
    model = HookedCLIP(clip.to(place), name, None, _load_preprocess(source, clip))
    model.tokenizer = None if model.text is None else _load_tokenizer(source)
    return model


def _locate(name: str) -> str:
    """The folder or hub id behind a name."""
    known = {model.name: model for model in KNOWN}
    if name in known:
        hub_id = known[name].hub_id
        return hub_id or str(resources.files("headroles.shapes") / "model")
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise InputError(f"model: folder {name} has no config.json; expected one that save_pretrained wrote")
        return name
    if Path(name).exists() or name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise InputError(
            f"model: no model named {name} and no such folder; give a name that `headroles models` lists, a folder, or "
            "a Hugging Face hub id"
        )
    return name


def _load_clip(source: str, name: str, dtype: torch.dtype) -> PreTrainedModel:
    """The transformers' model, with every weight present and nothing guessed."""
    try:
        with _quiet():
            config = AutoConfig.from_pretrained(source)
        family = find_family(config.model_type, name)
        kind, options = family.loader(config, name)
        options = {**options, "attn_implementation": "sdpa", "output_loading_info": True, "use_safetensors": True}
        with _quiet():
            clip, report = kind.from_pretrained(source, dtype=dtype, **options)
    except InputError:
        raise
    except SafetensorError as error:
        raise InputError(f"model: the weights of {name} are damaged ({error}); copy or download them again") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"model: cannot load {name}: {' '.join(str(error).split())[:300]}") from error
    for trouble in ("missing_keys", "mismatched_keys"):
        if report.get(trouble):
            example = sorted(map(str, report[trouble]))[0]
            raise InputError(
                f"model: {name} has {trouble.replace('_', ' ')}, such as {example}; it is no whole {family.title}"
            )
    return clip


@contextmanager
def _quiet():
    """No warnings and no bar of transformers: what is wrong with a model is said by the checks that follow."""
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub = getLogger("huggingface_hub")
    hub_level = hub.level
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub.setLevel(ERROR)
    try:
        yield
    finally:
        hub.setLevel(hub_level)
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def _load_tokenizer(source: str) -> Callable | None:
    """The folder's tokenizer; None where it has none."""
    try:
        return AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError):
        return None


def _load_preprocess(source: str, clip: PreTrainedModel) -> Callable[[Image.Image], Tensor]:
    """The folder's own image preprocessing, or its family's standard one at the model's size where it has none."""
    kind, standard = find_family(clip.config.model_type, source).processor(clip.config)
    try:
        processor = kind.from_pretrained(source)
    except (OSError, ValueError):
        processor = kind(**standard)
    return Preprocess(processor)


@dataclass(frozen=True)
class Preprocess:
    """PIL image -> pixels (3, height, width); an object and not a closure, so that worker processes can take it."""

    processor: Callable
    """An image processor of transformers."""

    def __call__(self, image: Image.Image) -> Tensor:
        return self.processor(images=image, return_tensors="pt").pixel_values[0]


def _resolve_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device: {device!r} cannot be used here ({str(error).splitlines()[0]}); try cpu") from error
    return place
