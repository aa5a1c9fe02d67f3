"""The sizes and choices that a CLIP's tensors alone, or a config beside them, fix: OpenAI's and OpenCLIP's layout."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

from headroles.errors import InputError

HEAD_WIDTH = 64
"""Width of every head in OpenAI's layout, which stores no number of heads."""
EPS = 1e-5
"""Of every LayerNorm in OpenAI's layout, and OpenCLIP's where its config names none."""
_WIDEST = 1024
"""The widest tower that OpenAI published; wider ones of OpenCLIP have heads of 80, 88 or 104."""


@dataclass(frozen=True)
class TowerShape:
    """One transformer."""

    layers: int
    """Number of layers."""
    width: int
    """Width D of the residual stream."""
    heads: int
    """Heads of a layer."""
    mlp: int
    """Width inside an MLP."""
    activation: str
    """transformers' name: quick_gelu, gelu or gelu_pytorch_tanh."""
    eps: float = EPS
    """What LayerNorms add to the variance."""


@dataclass(frozen=True)
class Architecture:
    """Both towers of a CLIP with a class token, a pre-LayerNorm and texts read at their largest token id."""

    embed: int
    """Width of the embedding."""
    image: int
    """Height and width of an image, in pixels."""
    patch: int
    """Height and width of a patch."""
    vision: TowerShape
    """The vision tower."""
    context: int
    """Tokens of the longest text."""
    vocabulary: int
    """Number of token ids."""
    text: TowerShape
    """The text tower."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor of the layout, by name."""
        vision, text = self.vision, self.text
        return {
            "logit_scale": (),
            "text_projection": (text.width, self.embed),
            "token_embedding.weight": (self.vocabulary, text.width),
            "positional_embedding": (self.context, text.width),
            **_norm("ln_final", text.width),
            **_blocks("transformer.resblocks", text),
            "visual.class_embedding": (vision.width,),
            "visual.conv1.weight": (vision.width, 3, self.patch, self.patch),
            "visual.positional_embedding": ((self.image // self.patch) ** 2 + 1, vision.width),
            **_norm("visual.ln_pre", vision.width),
            **_blocks("visual.transformer.resblocks", vision),
            **_norm("visual.ln_post", vision.width),
            "visual.proj": (vision.width, self.embed),
        }


def read_architecture(tensors: Mapping[str, Tensor], activation: str, eps: float, source: str) -> Architecture:
    """The architecture of a file in OpenAI's layout that has no config.

    Raises InputError where a tensor is missing, the vision tower is no transformer, or a tower is wider than any of
    OpenAI's: then the number of heads is not known.
    """
    if any(name.startswith("visual.layer1.") for name in tensors):
        raise InputError(f"model: {source} has a ResNet as vision tower; only transformers have attention heads")
    patches, width = _shape(tensors, "visual.positional_embedding", 2, source)
    patch = _shape(tensors, "visual.conv1.weight", 4, source)[-1]
    vocabulary, text_width = _shape(tensors, "token_embedding.weight", 2, source)
    side = math.isqrt(max(patches - 1, 0))
    if side * side != patches - 1:
        raise InputError(f"model: {source} has {patches - 1} patch positions, no square number; expected square images")
    return Architecture(
        embed=_shape(tensors, "visual.proj", 2, source)[1],
        image=side * patch,
        patch=patch,
        vision=_read_tower(tensors, "visual.transformer.resblocks", width, activation, eps, source),
        context=_shape(tensors, "positional_embedding", 2, source)[0],
        vocabulary=vocabulary,
        text=_read_tower(tensors, "transformer.resblocks", text_width, activation, eps, source),
    )


def _read_tower(
    tensors: Mapping[str, Tensor], prefix: str, width: int, activation: str, eps: float, source: str
) -> TowerShape:
    if width % HEAD_WIDTH or width > _WIDEST:
        raise InputError(
            f"model: {source} does not say how many heads {prefix} has, {width} wide; put the model's "
            "open_clip_config.json beside it"
        )
    mlp = _shape(tensors, f"{prefix}.0.mlp.c_fc.weight", 2, source)[0]
    return TowerShape(count_layers(tensors, prefix), width, width // HEAD_WIDTH, mlp, activation, eps)


def count_layers(names: Collection[str], prefix: str) -> int:
    """How many blocks there are below `prefix`."""
    parts = (name[len(prefix) + 1 :].split(".")[0] for name in names if name.startswith(prefix + "."))
    return len({part for part in parts if part.isdecimal()})


def check_naming(tensors: Collection[str], source: str) -> None:
    """InputError for tensors under transformers' names, which are read with the config beside them."""
    if any(name.startswith(("vision_model.", "text_model.")) for name in tensors):
        raise InputError(
            f"model: {source} has tensors under transformers' names, whose sizes its config.json says; put it beside "
            "that as model.safetensors or pytorch_model.bin, and give the folder"
        )


def _shape(tensors: Mapping[str, Tensor], name: str, dimensions: int, source: str) -> tuple[int, ...]:
    if name not in tensors:
        check_naming(tensors, source)
        raise InputError(f"model: {source} has no tensor {name}; expected both towers of a CLIP, all of its tensors")
    if tensors[name].ndim != dimensions:
        raise InputError(f"model: {source}: {name} has {tensors[name].ndim} dimensions, expected {dimensions}")
    return tuple(tensors[name].shape)


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _blocks(prefix: str, tower: TowerShape) -> dict[str, tuple[int, ...]]:
    width, mlp = tower.width, tower.mlp
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(tower.layers):
        block = f"{prefix}.{layer}"
        shapes |= _norm(f"{block}.ln_1", width) | _norm(f"{block}.ln_2", width)
        shapes |= {f"{block}.attn.in_proj_weight": (3 * width, width), f"{block}.attn.in_proj_bias": (3 * width,)}
        shapes |= {f"{block}.attn.out_proj.weight": (width, width), f"{block}.attn.out_proj.bias": (width,)}
        shapes |= {f"{block}.mlp.c_fc.weight": (mlp, width), f"{block}.mlp.c_fc.bias": (mlp,)}
        shapes |= {f"{block}.mlp.c_proj.weight": (width, mlp), f"{block}.mlp.c_proj.bias": (width,)}
    return shapes
