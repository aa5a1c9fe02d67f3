"""open_clip_config.json: OpenCLIP's description of a model, read as far as transformers' CLIP can express it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headroles.errors import InputError, said
from headroles.files.json_files import read_object
from headroles.models.checkpoints.architecture import EPS, Architecture, TowerShape

CONFIG = "open_clip_config.json"
WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
)
"""Names of its weights, the first that is there is read."""
_MODEL = ("embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "custom_text")
_TOWER = ("layers", "width", "mlp_ratio", "act_kwargs", "norm_kwargs")
_VISION = (*_TOWER, "head_width", "patch_size", "image_size")
_TEXT = (*_TOWER, "heads", "context_length", "vocab_size", "hf_tokenizer_name")
_BLOCK = {
    "block_type": (None, "default"), "qk_norm": (False,), "scaled_cosine_attn": (False,), "scale_heads": (False,),
    "scale_attn_inner": (False,), "scale_attn": (False,), "scale_fc": (False,), "ls_init_value": (None,),
}  # fmt: skip
_ONLY: dict[str, dict[str, tuple]] = {
    "": {"init_logit_bias": (None,), "multimodal_cfg": (None,)},
    "vision_cfg.": {
        **_BLOCK, "attentional_pool": (False,), "no_ln_pre": (False,), "pool_type": ("tok",),
        "pos_embed_type": ("learnable", "sin_cos_2d"), "final_ln_after_pool": (False,), "timm_model_name": (None, ""),
    },
    "text_cfg.": {
        **_BLOCK, "embed_cls": (False,), "no_causal_mask": (False,), "pool_type": ("argmax",), "proj_bias": (False,),
        "proj_type": ("linear",), "final_ln_after_pool": (False,), "hf_model_name": (None, ""),
        "tokenizer_mode": (None,), "tokenizer_kwargs": (None, {}),
    },
}  # fmt: skip
"""Options whose other values transformers' CLIP has no place for."""
_WITHOUT_EFFECT = {
    "": ("init_logit_scale", "nonscalar_logit_scale", "cast_dtype", "output_dict"),
    "vision_cfg.": (
        "patch_dropout", "output_tokens", "attn_pooler_queries", "attn_pooler_heads", "timm_model_pretrained",
        "timm_pool", "timm_proj", "timm_proj_bias", "timm_drop", "timm_drop_path",
    ),
    "text_cfg.": ("pad_id", "eos_id", "output_tokens", "hf_model_pretrained", "hf_proj_type", "hf_pooler_type"),
}  # fmt: skip
"""Options of training, of towers that are refused anyway, or of outputs that are not read."""


@dataclass(frozen=True)
class OpenClipConfig:
    """A model's architecture and its preprocessing."""

    architecture: Architecture
    """Sizes, activation, eps."""
    preprocess: Mapping[str, Any] | None
    """preprocess_cfg as it is: mean, std, interpolation, resize_mode; None where there is none."""
    tokenizer: str | None
    """Hub id of a tokenizer other than CLIP's own."""

    @classmethod
    def load(cls, path: Path) -> OpenClipConfig:
        """Read the file; InputError, by name, for an option that transformers' CLIP cannot express."""
        try:
            raw = read_object(path, "model")
            model = raw.get("model_cfg", raw)
            vision, text = dict(model["vision_cfg"]), dict(model["text_cfg"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"model: {path} is no OpenCLIP config ({type(error).__name__}: {said(error)})") from error
        for place, options, read in (("", model, _MODEL), ("vision_cfg.", vision, _VISION), ("text_cfg.", text, _TEXT)):
            _check_options(options, place, read, path)
        try:
            architecture = _build(model, vision, text, path)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            why = f"{type(error).__name__}: {said(error)}"
            raise InputError(f"model: {path} lacks or misstates a size ({why})") from error
        _check_sizes(architecture, path)
        return cls(architecture, raw.get("preprocess_cfg"), text.get("hf_tokenizer_name"))


def _check_options(options: Mapping[str, Any], place: str, read: tuple[str, ...], path: Path) -> None:
    for name, value in options.items():
        only = _ONLY[place].get(name)
        if only is None and name not in (*read, *_WITHOUT_EFFECT[place]):
            raise InputError(f"model: {path} has the option {place}{name}, which headroles does not know")
        if only is not None and value not in only:
            raise InputError(
                f"model: {path} sets {place}{name} to {value!r}; transformers' CLIP can only be {only[0]!r} there, so "
                "this model cannot be read"
            )


def _check_sizes(sizes: Any, path: Path) -> None:
    """Whole numbers from 1 on, and positive eps."""
    for field in dataclasses.fields(sizes):
        value = getattr(sizes, field.name)
        if dataclasses.is_dataclass(value):
            _check_sizes(value, path)
        elif field.name == "eps" and not (isinstance(value, float) and value > 0):
            raise InputError(f"model: {path} has the LayerNorm eps {value!r}; expected a small positive number")
        elif field.type == "int" and not (type(value) is int and value > 0):
            raise InputError(f"model: {path} has the size {field.name} {value!r}; expected a whole number from 1 on")


def _build(model: Mapping, vision: Mapping, text: Mapping, path: Path) -> Architecture:
    if not isinstance(vision.get("layers", 12), int):
        raise InputError(f"model: {path} has a ResNet as vision tower; only transformers have attention heads")
    quick, width = bool(model.get("quick_gelu", False)), vision.get("width", 768)
    return Architecture(
        embed=model["embed_dim"],
        image=_square(vision.get("image_size", 224), "image_size", path),
        patch=_square(vision.get("patch_size", 16), "patch_size", path),
        vision=_tower(vision, quick, width, width // vision.get("head_width", 64), "vision_cfg", path),
        context=text.get("context_length", 77),
        vocabulary=text.get("vocab_size", 49408),
        text=_tower(text, quick, text.get("width", 512), text.get("heads", 8), "text_cfg", path),
    )


def _tower(options: Mapping, quick: bool, width: int, heads: int, place: str, path: Path) -> TowerShape:
    """Defaults are those of OpenCLIP's own config classes: they belong to the format."""
    if heads < 1 or width % heads:
        raise InputError(f"model: {path}: {place} is {width} wide, which does not make {heads} heads")
    activation = _activation(options.get("act_kwargs") or {}, quick, place, path)
    norm = options.get("norm_kwargs") or {}
    if norm.keys() - {"eps"}:
        raise InputError(f"model: {path} sets {place}.norm_kwargs to {norm!r}; only eps can be set")
    mlp = int(width * options.get("mlp_ratio", 4.0))
    return TowerShape(options.get("layers", 12), width, heads, mlp, activation, norm.get("eps", EPS))


def _activation(arguments: Mapping, quick: bool, place: str, path: Path) -> str:
    if quick and not arguments:
        return "quick_gelu"
    known = {"none": "gelu", "tanh": "gelu_pytorch_tanh"}
    if quick or arguments.keys() - {"approximate"} or arguments.get("approximate", "none") not in known:
        raise InputError(f"model: {path} sets {place}.act_kwargs to {dict(arguments)!r}, which headroles does not know")
    return known[arguments.get("approximate", "none")]


def _square(size: Any, name: str, path: Path) -> int:
    sides = {*size} if isinstance(size, list) else {size}
    if len(sides) != 1 or not isinstance(side := sides.pop(), int):
        raise InputError(f"model: {path} sets {name} to {size!r}; expected a square")
    return side
