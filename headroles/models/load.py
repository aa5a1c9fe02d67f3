"""`load(name)`: from a name, a hub id, a folder or a file to a HookedCLIP."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from headroles.errors import InputError
from headroles.models.checkpoints.checkpoint import TRANSFORMERS, Checkpoint, find_checkpoint, join_activation
from headroles.models.checkpoints.converted import check_activation, load_converted
from headroles.models.checkpoints.hub import has_tokenizer
from headroles.models.checkpoints.preprocessing import check_processor
from headroles.models.checkpoints.tokenizer import find_tokenizer
from headroles.models.checkpoints.weights_file import explain_pickle
from headroles.models.families import find_family
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.loading import announced


@dataclass(frozen=True)
class Origin:
    """Where a loaded model came from."""

    layout: str
    """transformers, OpenCLIP or OpenAI."""
    source: str
    """The folder or file that was read."""
    container: str
    """What kind of file the weights were in."""
    stored: str
    """Type of the stored numbers."""
    tokenizer: str | None
    """Where the tokenizer was found."""
    preprocessing: str
    """Where the image preprocessing was found."""


@announced
def load(
    name: str = "shapes", device: str = "auto", dtype: torch.dtype = torch.float32, activation: str | None = None
) -> HookedCLIP:
    """A CLIP, SigLIP, ViT or DINOv2 with hooks: "shapes", a name of `KNOWN`, a folder, a weights file or a hub id.

    Folders are transformers' or OpenCLIP's, files OpenAI's or OpenCLIP's.

    `device`: "auto" (cuda, else cpu) or any torch device. `activation`: quick_gelu or gelu, for a file that does not
    say its own; a name that ends in :quick_gelu or :gelu says the same. Raises InputError where there is no such
    model, its files are broken or incomplete, or something that changes its embeddings would have to be guessed.
    """
    return open_model(name, device, dtype, activation)[0]


def open_model(
    name: str = "shapes", device: str = "auto", dtype: torch.dtype = torch.float32, activation: str | None = None
) -> tuple[HookedCLIP, Origin]:
    """`load`, and where everything was found."""
    place, name = _resolve_device(device), str(name)
    checkpoint = find_checkpoint(name, activation)
    name = join_activation(name, activation)
    if checkpoint.layout == TRANSFORMERS:
        return _open_transformers(checkpoint, name, place, dtype)
    with _quiet():
        found = load_converted(checkpoint, dtype)
    clip: Any = found.clip
    vocabulary = clip.config.text_config.vocab_size
    tokenizer, tokenizer_place = find_tokenizer(checkpoint, vocabulary, found.tokenizer)
    origin = Origin(
        checkpoint.layout, str(checkpoint.weights), found.container, found.stored, tokenizer_place, found.preprocessing
    )
    return HookedCLIP(clip.to(place), name, tokenizer, Preprocess(found.processor)), origin


def _open_transformers(
    checkpoint: Checkpoint, name: str, place: torch.device, dtype: torch.dtype
) -> tuple[HookedCLIP, Origin]:
    source = str(checkpoint.folder)
    clip: Any
    clip, stored = _load_clip(source, name, dtype)
    towers = [getattr(clip.config, part) for part in ("vision_config", "text_config") if hasattr(clip.config, part)]
    for tower in towers or [clip.config]:
        check_activation(checkpoint, tower.hidden_act, str(checkpoint.folder / "config.json"))
    processor, place_of_processor = _load_preprocess(source, clip)
    check_processor(processor, place_of_processor)
    model = HookedCLIP(clip.to(place), name, None, processor)
    model.tokenizer = None if model.text is None else _load_tokenizer(source)
    container = "safetensors" if any(checkpoint.folder.glob("model*.safetensors")) else "state dict"
    place_of_tokenizer = None if model.tokenizer is None else source
    return model, Origin(TRANSFORMERS, source, container, stored, place_of_tokenizer, place_of_processor)


def _load_clip(source: str, name: str, dtype: torch.dtype) -> tuple[PreTrainedModel, str]:
    """The transformers' model of a local folder, every weight present and nothing guessed, and its config's type."""
    try:
        with _quiet():
            config = AutoConfig.from_pretrained(source)
        family = find_family(config.model_type, name)
        kind: Any
        kind, options = family.loader(config, name)
        # Mismatched sizes are refused below, by name; from_pretrained itself would not say which.
        checks = {"weights_only": True, "ignore_mismatched_sizes": True, "output_loading_info": True}
        stored = str(config.dtype or torch.float32).removeprefix("torch.")
        with _quiet():
            clip, report = kind.from_pretrained(source, dtype=dtype, attn_implementation="sdpa", **checks, **options)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(f"model: a weights file of {name} {explain_pickle(error)}") from error
    except SafetensorError as error:
        raise InputError(f"model: the weights of {name} are damaged ({error}); copy or download them again") from error
    # A config that does not fit fails in many ways, in transformers and in torch.
    except Exception as error:
        why = " ".join(str(error).split())[:300]
        raise InputError(f"model: cannot load {name}: {type(error).__name__}: {why}") from error
    # A ViT may come from a classifier, whose head is left out; what a CLIP has beyond its own tensors would be lost.
    extra = ("unexpected_keys",) if config.model_type == "clip" else ()
    for trouble in ("missing_keys", "mismatched_keys", *extra):
        if report.get(trouble):
            example = sorted(map(_describe, report[trouble]))[0]
            raise InputError(
                f"model: {name} has {trouble.replace('_', ' ')}, such as {example}; it is no whole {family.title}"
            )
    return clip, stored


def _describe(key: str | tuple) -> str:
    """A tensor's name; of a mismatched one its shapes too."""
    if isinstance(key, str):
        return key
    tensor, found, expected = key
    return f"{tensor} ({tuple(found)}, expected {tuple(expected)})"


@contextmanager
def _quiet() -> Iterator[None]:
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
    """The folder's tokenizer; None where it has none: without files transformers would make up one of three tokens."""
    if not has_tokenizer(Path(source)):
        return None
    try:
        return AutoTokenizer.from_pretrained(source, local_files_only=True)
    # Files made by hand fail in many ways, also with plain exceptions of the tokenizers library.
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise InputError(f"model: the tokenizer files in {source} cannot be read ({why}); copy them again") from error


def _load_preprocess(source: str, clip: PreTrainedModel) -> tuple[Preprocess, str]:
    """The folder's own image preprocessing, or its family's standard one where it has none, and where it was found."""
    family = find_family(clip.config.model_type, source)
    kind: Any
    kind, standard = family.processor(clip.config)
    try:
        return Preprocess(kind.from_pretrained(source)), str(Path(source) / "preprocessor_config.json")
    except (OSError, ValueError):
        return Preprocess(kind(**standard)), f"{family.title}'s standard"


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
    # torch's own message lists twenty kinds of devices, none of them this one.
    except RuntimeError as error:
        raise InputError(
            f"device: {device!r} cannot be used here (no such kind of device); try auto, cpu or cuda"
        ) from error
    try:
        torch.empty(1, device=place)
        if place.type == "meta":
            raise NotImplementedError
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        missing = isinstance(error, NotImplementedError)
        reason = "this PyTorch cannot compute on it" if missing else str(error).splitlines()[0][:120]
        raise InputError(f"device: {device!r} cannot be used here ({reason}); try cpu") from error
    return place
