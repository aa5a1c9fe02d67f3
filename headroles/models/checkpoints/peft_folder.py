"""A PEFT folder (LoRA and its kin) over a CLIP: what training changed is merged into the base model's weights."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from headroles.errors import InputError, said
from headroles.models.checkpoints.quiet import quiet
from headroles.models.checkpoints.settings import read_settings

CONFIG = "adapter_config.json"
_OURS = "DEAR"
"""What the adapters of `headroles adapt` call themselves there."""


def find_base(folder: Path) -> str:
    """What the adapter in a folder was trained on; InputError where it does not say, or is one of `headroles adapt`."""
    settings = read_settings(folder / CONFIG)
    base = settings.get("base_model_name_or_path")
    if settings.get("peft_type") == _OURS:
        raise InputError(
            f"model: {folder} is an adapter of `headroles adapt`, no model; use it with headroles predict or evaluate, "
            f"or give the model that it adapts: {base}"
        )
    if not isinstance(base, str) or not base:
        raise InputError(f"model: {folder / CONFIG} names no base_model_name_or_path; write the model's folder there")
    if not Path(base).is_dir() and (base.count("/") != 1 or base.startswith((".", "/", "~"))):
        raise InputError(
            f"model: {folder} is a PEFT adapter over {base}, which is no folder here and no hub id; write where the "
            f"model is as base_model_name_or_path into {folder / CONFIG}"
        )
    return base


def merge_adapter(clip: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """The model with the folder's adapter merged into its weights, as the package peft does it.

    InputError where the package lacks, or the adapter does not fit the model in all of its tensors.
    """
    try:
        from peft import PeftModel, get_peft_model_state_dict
        from peft.utils import load_peft_weights
    except ImportError as error:
        raise InputError(
            f"model: {folder} is a PEFT adapter, and merging it needs the package peft; pip install 'headroles[peft]'"
        ) from error
    try:
        # What peft asks of transformers in old ways is no matter of the user's.
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            stored = load_peft_weights(str(folder), device="cpu")
            adapted: Any = PeftModel.from_pretrained(clip, str(folder))
            known = get_peft_model_state_dict(adapted)
    # Settings and files made by hand fail in many ways.
    except Exception as error:
        reason = said(error)
        raise InputError(f"model: the PEFT adapter in {folder} does not fit its model ({reason})") from error
    if stored.keys() != known.keys():
        other = min(stored.keys() ^ known.keys())
        raise InputError(
            f"model: the PEFT adapter in {folder} does not fit its model: {other} is in one of them alone; write the "
            f"right base_model_name_or_path into {folder / CONFIG}"
        )
    merged: PreTrainedModel = adapted.merge_and_unload()
    return merged.eval()
