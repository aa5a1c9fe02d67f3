"""A rendered world of known concepts, and the small CLIP that was trained on it."""

from headroles.shapes.captions import caption, value_texts
from headroles.shapes.render import render
from headroles.shapes.world import CONCEPTS, NAMES, Scene, sample_scene

__all__ = ["CONCEPTS", "NAMES", "Scene", "caption", "render", "sample_scene", "value_texts"]
