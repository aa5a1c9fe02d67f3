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
    """Layers of the vision tower."""
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
)
