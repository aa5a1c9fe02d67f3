"""`load(name)`: from a name, a hub id, a folder or a file to a HookedCLIP."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import PretrainedConfig

from headroles.checks import typed
from headroles.errors import InputError
from headroles.models.alignment import FACTS, AlignedMap
from headroles.models.checkpoints.checkpoint import TRANSFORMERS, Checkpoint, find_checkpoint
from headroles.models.checkpoints.converted import check_activation, load_converted
from headroles.models.checkpoints.image_processor import FILES, makes_pictures, read_numbers, read_processor
from headroles.models.checkpoints.larger import is_larger
from headroles.models.checkpoints.peft_folder import merge_adapter
from headroles.models.checkpoints.quiet import quiet
from headroles.models.checkpoints.tokenizer import find_tokenizer, read_tokenizer
from headroles.models.checkpoints.transformers_folder import load_folder
from headroles.models.checkpoints.vision_part import load_part
from headroles.models.checkpoints.whole_numbers import whole_numbers
from headroles.models.families import find_family
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.joining import take_words
from headroles.models.known_models import join_activation
from headroles.models.loading import announced
from headroles.models.preprocess import Preprocess as Preprocess
from headroles.models.text_check import check_texts
from headroles.models.weights_check import check_input, check_weights
from headroles.models.words import Words, join_names, split_names


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
    note: str = ""
    """What of a larger model was taken; "" for a whole one."""


@typed
@announced
def load(
    name: str = "shapes",
    device: str = "auto",
    dtype: torch.dtype = torch.float32,
    activation: str | None = None,
    texts_from: str | None = None,
) -> HookedCLIP:
    """A CLIP, SigLIP, ViT or DINO with hooks: a name of `KNOWN`, a folder, a weights file or a hub id.

    Folders are transformers' or OpenCLIP's, files OpenAI's or OpenCLIP's. Of a larger model's folder (LLaVA, Gemma 3,
    Idefics) the vision tower is read, and no byte of its language model.

    `device`: "auto" (cuda, else cpu) or any torch device. `activation`: quick_gelu or gelu, for a file that does not
    say its own; a name that ends in :quick_gelu or :gelu says the same. `texts_from`: the CLIP that a vision tower
    comes from, whose texts, and what it lacks of an embedding, it is given; "TOWER + CLIP" says the same. Raises
    InputError where there is no such model, its files are broken or incomplete, or something that changes its
    embeddings would have to be guessed.
    """
    model, origin = open_model(join_names(name, texts_from), device, dtype, activation)
    check_weights(model, origin.source)
    return model


@whole_numbers()
def open_model(
    name: str = "shapes", device: str = "auto", dtype: torch.dtype = torch.float32, activation: str | None = None
) -> tuple[HookedCLIP, Origin]:
    """`load`, and where everything was found; weights that are no numbers are let through, for `doctor` to look at."""
    vision, words = split_names(str(name))
    if words is not None and not Path(name).exists():
        return _open_joint(vision, words, device, dtype, activation)
    if (Path(name) / FACTS).is_file():
        return _open_aligned(str(name), device, dtype)
    model, origin = _open(name, device, dtype, activation)
    check_input(model, origin.preprocessing)
    check_texts(model, str(origin.tokenizer))
    return model, origin


def _open_joint(
    vision: str, words: str, device: str, dtype: torch.dtype, activation: str | None
) -> tuple[HookedCLIP, Origin]:
    """A vision tower with the texts of the CLIP that it comes from."""
    eyes, origin = open_model(vision, device, dtype, activation)
    clip, source = open_model(words, device, dtype)
    joined = take_words(eyes, clip)
    notes = [note for note in (origin.note, cast(Words, joined.words).describe()) if note]
    return joined, dataclasses.replace(origin, tokenizer=source.tokenizer, note="; ".join(notes))


def _open_aligned(name: str, device: str, dtype: torch.dtype) -> tuple[HookedCLIP, Origin]:
    """A vision tower with the texts of a CLIP that a map was learned to."""
    aligned = AlignedMap.load(name)
    eyes, origin = open_model(aligned.facts.vision, device, dtype)
    clip, source = open_model(aligned.facts.words.model, device, dtype)
    joined = aligned.join(eyes, clip, name)
    return joined, dataclasses.replace(origin, tokenizer=source.tokenizer, note=aligned.facts.words.describe())


def _open(name: str, device: str, dtype: torch.dtype, activation: str | None) -> tuple[HookedCLIP, Origin]:
    place, name = _resolve_device(device), str(name)
    checkpoint = find_checkpoint(name, activation)
    name = join_activation(name, activation)
    if checkpoint.layout == TRANSFORMERS:
        return _open_transformers(checkpoint, name, place, dtype)
    with quiet():
        found = load_converted(checkpoint, dtype)
    clip: Any = found.clip
    vocabulary = clip.config.text_config.vocab_size
    tokenizer, tokenizer_place = find_tokenizer(checkpoint, vocabulary, found.tokenizer)
    origin = Origin(
        checkpoint.layout, str(checkpoint.weights), found.container, found.stored, tokenizer_place, found.preprocessing
    )
    return HookedCLIP(clip.to(place), name, tokenizer, found.processor), origin


def _open_transformers(
    checkpoint: Checkpoint, name: str, place: torch.device, dtype: torch.dtype
) -> tuple[HookedCLIP, Origin]:
    source = str(checkpoint.adapter or checkpoint.folder)
    clip: Any
    projector, note = None, ""
    if is_larger(checkpoint.folder):
        part = load_part(checkpoint.folder, name, dtype)
        clip, stored, projector, note = part.model, part.stored, part.projector, part.note
    else:
        clip, stored = load_folder(checkpoint.folder, name, dtype)
    towers = [getattr(clip.config, part) for part in ("vision_config", "text_config") if hasattr(clip.config, part)]
    for tower in towers or [clip.config]:
        check_activation(checkpoint, tower.hidden_act, str(checkpoint.folder / "config.json"))
    if checkpoint.adapter:
        clip = merge_adapter(clip, checkpoint.adapter)
    processor, place_of_processor = _find_processor(checkpoint.folder, clip.config, name)
    model = HookedCLIP(clip.to(place), name, None, processor)
    found = (None, None) if model.text is None else read_tokenizer(checkpoint.folder)
    model.tokenizer, place_of_tokenizer = found
    model.projector = projector
    container = "safetensors" if any(checkpoint.folder.glob("model*.safetensors")) else "state dict"
    return model, Origin(TRANSFORMERS, source, container, stored, place_of_tokenizer, place_of_processor, note)


def _find_processor(folder: Path, config: PretrainedConfig, name: str) -> tuple[Preprocess, str]:
    """The folder's own image preprocessing, or its family's standard one where it has none, and where it was found.

    Where the folder's own makes tiles, or pictures of any shape, its numbers alone are taken.
    """
    family = find_family(config.model_type, name)
    if family.own_pictures and makes_pictures(folder) and (found := read_processor(folder)):
        return found
    kind: Any
    kind, standard = family.processor(config)
    numbers, path = read_numbers(folder)
    place = f"{family.title}'s standard, since the folder has no {FILES[0]}"
    if path is not None:
        place = f"{family.title}'s standard at one size, with the numbers of {path}"
    return Preprocess(kind(**{**standard, **numbers}), place), place


def _resolve_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    # torch's own message lists twenty kinds of devices, none of them this one.
    except (RuntimeError, TypeError) as error:
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
