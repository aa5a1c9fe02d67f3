"""Models that `load` knows by a short name. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownModel:
    """A model that `load` knows by a short name."""

    name: str
    """What to type."""
    hub_id: str | None
    """Where its weights are on the Hugging Face hub; None for the one that ships with the package."""
    layers: int
    """Layers of the vision tower; SigLIP's pooling layer is not counted."""
    heads: int
    """Heads of a layer."""
    note: str
    """One line about it."""


KNOWN = (
    KnownModel("shapes", None, 8, 8, "bundled, trained on the shapes world; works offline"),
    KnownModel("ViT-B/32", "openai/clip-vit-base-patch32", 12, 12, "OpenAI CLIP"),
    KnownModel("ViT-B/16", "openai/clip-vit-base-patch16", 12, 12, "OpenAI CLIP, the paper's model"),
    KnownModel("ViT-L/14", "openai/clip-vit-large-patch14", 24, 16, "OpenAI CLIP"),
    KnownModel("ViT-L/14@336", "openai/clip-vit-large-patch14-336", 24, 16, "OpenAI CLIP at 336 pixels"),
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
    KnownModel("ViT-B/16-IN21k", "google/vit-base-patch16-224-in21k", 12, 12, "vision alone, ImageNet-21k classes"),
    KnownModel("ViT-B/16-IN1k", "google/vit-base-patch16-224", 12, 12, "vision alone, ImageNet classes"),
    KnownModel("ViT-L/16-IN1k", "google/vit-large-patch16-224", 24, 16, "vision alone, ImageNet classes"),
)
