"""A transformers' folder as the model it describes: config checked first, every weight present, nothing guessed."""

from __future__ import annotations

import pickle
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from headroles.errors import InputError, said
from headroles.models.checkpoints.config_check import check_config, check_settings
from headroles.models.checkpoints.hub import CONFIG
from headroles.models.checkpoints.quiet import quiet
from headroles.models.checkpoints.settings import read_settings
from headroles.models.checkpoints.weights_file import WRAPPERS, explain_pickle
from headroles.models.families import find_family

_CALLED = {
    "missing_keys": "missing keys", "mismatched_keys": "mismatched keys", "unexpected_keys": "unknown keys",
}  # fmt: skip
"""transformers' names of what is wrong with a file's tensors, and ours."""


def load_folder(folder: Path, name: str, dtype: torch.dtype) -> tuple[PreTrainedModel, str]:
    """The model, and its config's type of numbers; InputError names the setting, the tensor or the file."""
    config = read_config(folder, name)
    family = find_family(config.model_type, name)
    check_config(config, str(folder / CONFIG))
    kind, options = family.loader(config, name)
    stored = str(config.dtype or torch.float32).removeprefix("torch.")
    clip, report = read_model(folder, name, kind, dtype, options)
    if report.get("missing_keys") and (prefix := _prefix(report.get("unexpected_keys", ()))):
        mapping = {"key_mapping": {f"^{re.escape(prefix)}": ""}}
        clip, report = read_model(folder, name, kind, dtype, {**options, **mapping})
    # A ViT may come from a classifier, whose head is left out; what a CLIP has beyond its own tensors would be lost.
    whole = config.model_type in ("clip", "metaclip_2") or not getattr(config, "vision_use_head", True)
    extra = ("unexpected_keys",) if whole else ()
    check_report(report, ("missing_keys", "mismatched_keys", *extra), name, f"whole {family.title}")
    return clip, stored


def check_report(report: Mapping[str, Collection], troubles: Collection[str], name: str, what: str) -> None:
    """InputError that names the first tensor which `read_model` found to be missing, of other sizes, or unknown."""
    for trouble in troubles:
        if report.get(trouble):
            found = f"{_CALLED[trouble]}, such as {sorted(map(_describe, report[trouble]))[0]}"
            raise InputError(f"model: {name} has {found}; it is no {what}")


def read_config(folder: Path, name: str, larger: bool = False) -> PretrainedConfig:
    """The checked config.json of a folder; `larger`: of a model that holds a vision tower among others."""
    settings = read_settings(folder / CONFIG)
    if not isinstance(settings.get("model_type"), str):
        raise InputError(f"model: {folder / CONFIG} has the model_type {settings.get('model_type')!r}; expected a name")
    if not larger:
        find_family(settings["model_type"], name)
    if "quantization_config" in settings:
        raise InputError(
            f"model: {folder / CONFIG} has a quantization_config; quantised weights are not read: take the model as it "
            "was before, in fp32, fp16 or bf16"
        )
    looked = ("vision_config",) if larger else settings.keys()
    check_settings({part: settings[part] for part in looked if part in settings}, str(folder / CONFIG))
    try:
        with quiet():
            return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    # Settings made by hand fail in many ways, most of them in a validator of many lines.
    except Exception as error:
        reason = said(error, 300)
        raise InputError(f"model: {folder / CONFIG} cannot be read ({reason}); get the model's own file") from error


def read_model(
    folder: Path | None, name: str, kind: Any, dtype: torch.dtype, options: Mapping[str, Any]
) -> tuple[PreTrainedModel, dict[str, Collection]]:
    """The model, and what transformers says of its tensors; without a folder, `options` give config and tensors."""
    # Mismatched sizes are refused by name; from_pretrained itself would not say which.
    checks = {"weights_only": True, "ignore_mismatched_sizes": True, "output_loading_info": True}
    try:
        with quiet():
            return kind.from_pretrained(
                folder, dtype=dtype, attn_implementation="sdpa", local_files_only=True, **checks, **options
            )
    except pickle.UnpicklingError as error:
        raise InputError(f"model: a weights file of {name} {explain_pickle(error)}") from error
    except SafetensorError as error:
        why = f"the weights of {name} are damaged ({said(error)})"
        raise InputError(f"model: {why}; copy or download them again") from error
    # Whatever an index, a shard or a setting does to transformers.
    except Exception as error:
        raise InputError(f"model: cannot load {name}: {said(error, 300)}") from error


def _prefix(names: Collection[str]) -> str:
    """The wrappers that all names are under: "", or such as "_orig_mod.model."."""
    prefix, names = "", list(names)
    while names and (own := next((each for each in WRAPPERS if all(name.startswith(each) for name in names)), "")):
        prefix, names = prefix + own, [name.removeprefix(own) for name in names]
    return prefix


def _describe(key: str | tuple) -> str:
    """A tensor's name; of a mismatched one its shapes too."""
    if isinstance(key, str):
        return key
    tensor, found, expected = key
    return f"{tensor} ({tuple(found)}, expected {tuple(expected)})"
