"""Models that `load` knows by a short name, or as OpenCLIP names them: model:weights. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from headroles.errors import InputError


@dataclass(frozen=True)
class KnownModel:
    """A model that `load` knows by a short name."""

    name: str
    """What to type."""
    hub_id: str | None
    """Where its weights are on the Hugging Face hub; None for those that ship with the package."""
    layers: int
    """Layers of the vision tower."""
    heads: int
    """Heads of a layer."""
    note: str
    """One line about it."""
    activation: str | None = None
    """What it was trained with; a checkpoint under this name that says something else is refused."""


QUICK, GELU = "quick_gelu", "gelu"
ACTIVATIONS = (QUICK, GELU)
QUICK_SUFFIX = "-quickgelu"
"""In OpenCLIP's names of models; the activation comes from the checkpoint, so the suffix may be left out."""

_SIZES = {
    "ViT-B-32": (12, 12),
    "ViT-B-32-256": (12, 12),
    "ViT-B-16": (12, 12),
    "ViT-L-14": (24, 16),
    "ViT-L-14-336": (24, 16),
    "ViT-H-14": (32, 16),
    "ViT-H-14-378": (32, 16),
    "ViT-g-14": (40, 16),
    "ViT-bigG-14": (48, 16),
}
"""Layers and heads of the vision tower."""

_OPENAI, _LAION2B, _DATACOMP, _LAION400M = "OpenAI", "LAION-2B", "DataComp", "LAION-400M"
_OPEN_CLIP = (
    ("ViT-B-32:openai", "openai/clip-vit-base-patch32", QUICK, _OPENAI),
    ("ViT-B-16:openai", "openai/clip-vit-base-patch16", QUICK, _OPENAI),
    ("ViT-L-14:openai", "openai/clip-vit-large-patch14", QUICK, _OPENAI),
    ("ViT-L-14-336:openai", "openai/clip-vit-large-patch14-336", QUICK, _OPENAI),
    ("ViT-B-32:laion400m_e32", "timm/vit_base_patch32_clip_224.laion400m_e32", QUICK, _LAION400M),
    ("ViT-B-16:laion400m_e32", "timm/vit_base_patch16_clip_224.laion400m_e32", GELU, _LAION400M),
    ("ViT-L-14:laion400m_e32", "timm/vit_large_patch14_clip_224.laion400m_e32", GELU, _LAION400M),
    ("ViT-B-32:laion2b_e16", "timm/vit_base_patch32_clip_224.laion2b_e16", GELU, _LAION2B),
    ("ViT-B-32:laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", GELU, _LAION2B),
    ("ViT-B-16:laion2b_s34b_b88k", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K", GELU, _LAION2B),
    ("ViT-L-14:laion2b_s32b_b82k", "laion/CLIP-ViT-L-14-laion2B-s32B-b82K", GELU, _LAION2B),
    ("ViT-H-14:laion2b_s32b_b79k", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", GELU, _LAION2B),
    ("ViT-g-14:laion2b_s12b_b42k", "laion/CLIP-ViT-g-14-laion2B-s12B-b42K", GELU, _LAION2B),
    ("ViT-g-14:laion2b_s34b_b88k", "laion/CLIP-ViT-g-14-laion2B-s34B-b88K", GELU, _LAION2B),
    ("ViT-bigG-14:laion2b_s39b_b160k", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k", GELU, _LAION2B),
    ("ViT-B-32:datacomp_m_s128m_b4k", "laion/CLIP-ViT-B-32-DataComp.M-s128M-b4K", GELU, _DATACOMP),
    ("ViT-B-32:datacomp_xl_s13b_b90k", "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K", GELU, _DATACOMP),
    ("ViT-B-32-256:datacomp_s34b_b86k", "laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K", GELU, _DATACOMP),
    ("ViT-B-16:datacomp_l_s1b_b8k", "laion/CLIP-ViT-B-16-DataComp.L-s1B-b8K", GELU, _DATACOMP),
    ("ViT-B-16:datacomp_xl_s13b_b90k", "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K", GELU, _DATACOMP),
    ("ViT-L-14:datacomp_xl_s13b_b90k", "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K", GELU, _DATACOMP),
    ("ViT-B-16-quickgelu:dfn2b", "apple/DFN2B-CLIP-ViT-B-16", QUICK, "DFN-2B"),
    ("ViT-L-14-quickgelu:dfn2b", "apple/DFN2B-CLIP-ViT-L-14", QUICK, "DFN-2B"),
    ("ViT-H-14-quickgelu:dfn5b", "apple/DFN5B-CLIP-ViT-H-14", QUICK, "DFN-5B"),
    ("ViT-H-14-378-quickgelu:dfn5b", "apple/DFN5B-CLIP-ViT-H-14-378", QUICK, "DFN-5B"),
    ("ViT-B-32-quickgelu:metaclip_400m", "facebook/metaclip-b32-400m", QUICK, "MetaCLIP"),
    ("ViT-B-16-quickgelu:metaclip_400m", "facebook/metaclip-b16-400m", QUICK, "MetaCLIP"),
    ("ViT-L-14-quickgelu:metaclip_400m", "facebook/metaclip-l14-400m", QUICK, "MetaCLIP"),
    ("ViT-B-32-quickgelu:metaclip_fullcc", "facebook/metaclip-b32-fullcc2.5b", QUICK, "MetaCLIP"),
    ("ViT-B-16-quickgelu:metaclip_fullcc", "facebook/metaclip-b16-fullcc2.5b", QUICK, "MetaCLIP"),
    ("ViT-L-14-quickgelu:metaclip_fullcc", "facebook/metaclip-l14-fullcc2.5b", QUICK, "MetaCLIP"),
    ("ViT-H-14-quickgelu:metaclip_fullcc", "facebook/metaclip-h14-fullcc2.5b", QUICK, "MetaCLIP"),
)
"""Name, hub id, activation in training, data."""


def _size(name: str) -> tuple[int, int]:
    return _SIZES[name.partition(":")[0].removesuffix(QUICK_SUFFIX)]


FILES = (".pt", ".pth", ".bin", ".safetensors")
"""How files of weights end."""
_DATA_PREFIX = "hf:"
"""What data sets of the hub are called with; models have none."""
_HUB_PREFIX = "hf-hub:"
"""OpenCLIP's way to write a hub id."""
BUNDLED = {"shapes": "model", "shapes-natural": "natural"}
"""Name of a model that ships with the package -> its folder in `headroles.bundled`."""
KNOWN = (
    KnownModel("shapes", None, 8, 8, "bundled, of the shapes world, roles planted"),
    KnownModel("shapes-natural", None, 8, 12, "bundled, of the same world, no role planted"),
    KnownModel("ViT-B/32", "openai/clip-vit-base-patch32", 12, 12, "OpenAI CLIP", QUICK),
    KnownModel("ViT-B/16", "openai/clip-vit-base-patch16", 12, 12, "OpenAI CLIP, the paper's model", QUICK),
    KnownModel("ViT-L/14", "openai/clip-vit-large-patch14", 24, 16, "OpenAI CLIP", QUICK),
    KnownModel("ViT-L/14@336", "openai/clip-vit-large-patch14-336", 24, 16, "OpenAI CLIP at 336 pixels", QUICK),
    KnownModel("SigLIP-B/16", "google/siglip-base-patch16-224", 12, 12, "SigLIP; a pooling layer more"),
    KnownModel("SigLIP-B/16@384", "google/siglip-base-patch16-384", 12, 12, "SigLIP at 384 pixels"),
    KnownModel("SigLIP-L/16@256", "google/siglip-large-patch16-256", 24, 16, "SigLIP at 256 pixels"),
    KnownModel("SigLIP-L/16@384", "google/siglip-large-patch16-384", 24, 16, "SigLIP at 384 pixels"),
    KnownModel("SigLIP-So400m/14@384", "google/siglip-so400m-patch14-384", 27, 16, "SigLIP at 384 pixels"),
    KnownModel("SigLIP2-B/16", "google/siglip2-base-patch16-224", 12, 12, "SigLIP 2; a pooling layer more"),
    KnownModel("SigLIP2-B/16@384", "google/siglip2-base-patch16-384", 12, 12, "SigLIP 2 at 384 pixels"),
    KnownModel("SigLIP2-L/16@256", "google/siglip2-large-patch16-256", 24, 16, "SigLIP 2 at 256 pixels"),
    KnownModel("SigLIP2-L/16@384", "google/siglip2-large-patch16-384", 24, 16, "SigLIP 2 at 384 pixels"),
    KnownModel("SigLIP2-So400m/14@384", "google/siglip2-so400m-patch14-384", 27, 16, "SigLIP 2 at 384 pixels"),
    KnownModel("DINOv2-S/14", "facebook/dinov2-small", 12, 6, "vision alone"),
    KnownModel("DINOv2-B/14", "facebook/dinov2-base", 12, 12, "vision alone"),
    KnownModel("DINOv2-L/14", "facebook/dinov2-large", 24, 16, "vision alone"),
    KnownModel("DINOv2-g/14", "facebook/dinov2-giant", 40, 24, "vision alone"),
    KnownModel("DINOv2-S/14-reg", "facebook/dinov2-with-registers-small", 12, 6, "vision alone, with registers"),
    KnownModel("DINOv2-B/14-reg", "facebook/dinov2-with-registers-base", 12, 12, "vision alone, with registers"),
    KnownModel("DINOv2-L/14-reg", "facebook/dinov2-with-registers-large", 24, 16, "vision alone, with registers"),
    KnownModel("DINOv2-g/14-reg", "facebook/dinov2-with-registers-giant", 40, 24, "vision alone, with registers"),
    KnownModel("DINOv3-S/16", "facebook/dinov3-vits16-pretrain-lvd1689m", 12, 6, "vision alone"),
    KnownModel("MetaCLIP2-H/14", "facebook/metaclip-2-worldwide-huge-quickgelu", 32, 16, "MetaCLIP 2, all languages"),
    KnownModel("SigLIP2-B/16-NaFlex", "google/siglip2-base-patch16-naflex", 12, 12, "SigLIP 2 at one square grid"),
    KnownModel("LLaVA-1.5", "llava-hf/llava-1.5-7b-hf", 24, 16, "its vision tower, of ViT-L/14@336"),
    KnownModel("LLaVA-1.6", "llava-hf/llava-v1.6-mistral-7b-hf", 24, 16, "its vision tower, of ViT-L/14@336"),
    KnownModel("Gemma-3-4B", "google/gemma-3-4b-it", 27, 16, "its vision tower, a SigLIP without pooling head"),
    KnownModel("ViT-B/16-IN21k", "google/vit-base-patch16-224-in21k", 12, 12, "vision alone, ImageNet-21k classes"),
    KnownModel("ViT-B/16-IN1k", "google/vit-base-patch16-224", 12, 12, "vision alone, ImageNet classes"),
    KnownModel("ViT-L/16-IN1k", "google/vit-large-patch16-224", 24, 16, "vision alone, ImageNet classes"),
    *(KnownModel(name, hub_id, *_size(name), note, activation) for name, hub_id, activation, note in _OPEN_CLIP),
)


def find_known(name: str) -> KnownModel | None:
    """The model of a name, or None.

    Raises InputError for weights of a known architecture that are not in the table, and for `-quickgelu` before
    weights that were trained with GELU.
    """
    for model in KNOWN:
        if model.name == name:
            return model
    architecture, colon, weights = name.partition(":")
    plain = architecture.removesuffix(QUICK_SUFFIX)
    if not colon or plain not in _SIZES:
        return None
    tags = {model.name.partition(":")[2]: model for model in KNOWN if _is_of(model, plain)}
    if weights not in tags:
        raise InputError(
            f"model: no weights {weights!r} of {plain}; known: {', '.join(sorted(tags))}, or give a hub id"
        )
    model = tags[weights]
    if architecture != plain and model.activation != QUICK:
        raise InputError(f"model: {model.name} was trained with GELU; give it without {QUICK_SUFFIX}")
    return model


def split_activation(name: str, activation: str | None = None) -> tuple[str, str | None]:
    """A name without the activation that ends it, and the activation."""
    if activation is not None and activation not in ACTIVATIONS:
        raise InputError(f"activation: expected {' or '.join(ACTIVATIONS)}, got {activation!r}")
    base, _, ending = name.rpartition(":")
    if not base or ending not in ACTIVATIONS:
        return name, activation
    if activation not in (None, ending):
        raise InputError(f"activation: {activation} contradicts the end of {name}; give one of them")
    return base, ending


def join_activation(name: str, activation: str | None) -> str:
    """The opposite of `split_activation`: one name that says all that `load` needs."""
    name, activation = split_activation(name, activation)
    return f"{name}:{activation}" if activation else name


def check_model(name: str) -> None:
    """InputError for a name that is none of the known models, no path, and cannot be a hub id."""
    if find_known(name) is None and not Path(name).exists():
        read_hub_id(name)


def read_hub_id(name: str) -> str:
    """The hub id that a name must be which is neither known nor there; InputError where it cannot be one."""
    if name.startswith(_DATA_PREFIX):
        raise InputError(
            f"model: {name} names a data set; a model of the hub is given by its id alone, such as OWNER/NAME"
        )
    hub_id = name.removeprefix(_HUB_PREFIX)
    if name.startswith((".", "/", "~")) or hub_id.count("/") != 1 or hub_id.endswith(FILES):
        short = ", ".join(near_names(name) or (model.name for model in KNOWN if ":" not in model.name))
        which = "did you mean" if near_names(name) else "names:"
        raise InputError(
            f"model: no model named {name} and no such folder or file; {which} {short}, those of `headroles models`, "
            "or a Hugging Face hub id",
            page="unknown-model",
        )
    return hub_id


def near_names(name: str) -> tuple[str, ...]:
    """Known names that may have been meant, nearest first."""
    return tuple(get_close_matches(name, [model.name for model in KNOWN], 3, 0.7))


def _is_of(model: KnownModel, architecture: str) -> bool:
    first, colon, _ = model.name.partition(":")
    return bool(colon) and first.removesuffix(QUICK_SUFFIX) == architecture
