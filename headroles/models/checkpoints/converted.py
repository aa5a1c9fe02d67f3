"""A CLIP of OpenAI's or OpenCLIP's layout as transformers' CLIPModel, with nothing guessed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from transformers import CLIPModel

from headroles.errors import InputError
from headroles.models.checkpoints.architecture import EPS, Architecture, read_architecture
from headroles.models.checkpoints.checkpoint import Checkpoint
from headroles.models.checkpoints.convert import build_config, check_tensors, convert_tensors, name_as_openai
from headroles.models.checkpoints.image_processor import read_processor
from headroles.models.checkpoints.open_clip import CONFIG, OpenClipConfig
from headroles.models.checkpoints.preprocessing import build_processor
from headroles.models.checkpoints.weights_file import StoredWeights, read_weights
from headroles.models.known_models import ACTIVATIONS, GELU, QUICK
from headroles.models.preprocess import Preprocess


@dataclass(frozen=True)
class Converted:
    """A converted model and what was read beside it."""

    clip: CLIPModel
    """With every weight of the file, in the asked type."""
    processor: Preprocess
    """Its image preprocessing."""
    preprocessing: str
    """Where that was found."""
    tokenizer: str | None
    """Hub id of a tokenizer that the config asks for."""
    container: str
    """What kind of file the weights were in."""
    stored: str
    """Type of the stored numbers."""


def load_converted(checkpoint: Checkpoint, dtype: torch.dtype) -> Converted:
    """Read, check and convert; InputError names the tensor, the option or the file that does not fit."""
    weights = cast(Path, checkpoint.weights)  # transformers' layout alone has none.
    config = OpenClipConfig.load(path) if (path := checkpoint.folder / CONFIG).is_file() else None
    stored = read_weights(weights)
    tensors, source = name_as_openai(stored.tensors), str(weights)
    if config:
        architecture = config.architecture
        check_activation(checkpoint, architecture.vision.activation, str(path))
        _check_sign(stored, architecture, source)
    else:
        activation = _find_activation(checkpoint, stored, source)
        architecture = read_architecture(tensors, activation, stored.eps or EPS, source)
    check_tensors(tensors, architecture, source)
    processor, preprocessing = _find_processor(checkpoint, config, architecture)
    # from_pretrained alone sets every buffer and the attention as for transformers' own files.
    clip = CLIPModel.from_pretrained(
        None,
        config=build_config(architecture),
        state_dict=convert_tensors(tensors, architecture),
        dtype=dtype,
        attn_implementation="sdpa",
    )
    named = config.tokenizer if config else None
    return Converted(clip, processor, preprocessing, named, stored.container, stored.dtype)


def check_activation(checkpoint: Checkpoint, activation: str, source: str) -> None:
    """InputError where the user, or the table of models, says another activation than the checkpoint."""
    if checkpoint.activation and checkpoint.activation != activation:
        raise InputError(
            f"model: {source} says activation {activation}, {checkpoint.stated_by} says {checkpoint.activation}; a "
            "wrong one gives silently worse embeddings, so one of them has to be put right"
        )


def _find_activation(checkpoint: Checkpoint, stored: StoredWeights, source: str) -> str:
    if stored.activation:
        check_activation(checkpoint, stored.activation, source)
        return stored.activation
    if checkpoint.activation is None:
        raise InputError(
            f"model: {source} does not say its activation; give --activation {' or '.join(ACTIVATIONS)}, or write "
            f"{Path(source).name}:{QUICK} (OpenAI, DFN and MetaCLIP trained with {QUICK}, LAION and DataComp "
            f"with {GELU})",
            page="no-activation",
        )
    return checkpoint.activation


def _check_sign(stored: StoredWeights, architecture: Architecture, source: str) -> None:
    """What an archive says of itself must be what the config beside it says."""
    for what, own, said in (
        ("activation", stored.activation, architecture.vision.activation),
        ("LayerNorm eps", stored.eps, architecture.vision.eps),
    ):
        if own is not None and own != said:
            raise InputError(
                f"model: {source} was made with {what} {own}, {CONFIG} beside it says {said}; get both anew"
            )


def _find_processor(
    checkpoint: Checkpoint, config: OpenClipConfig | None, architecture: Architecture
) -> tuple[Preprocess, str]:
    side = architecture.image
    if config and config.preprocess is not None:
        path = str(checkpoint.folder / CONFIG)
        return Preprocess(build_processor(config.preprocess, side, path), path), path
    if found := read_processor(checkpoint.folder):
        return found
    return Preprocess(build_processor({}, side, ""), "OpenAI's constants"), "OpenAI's constants"
