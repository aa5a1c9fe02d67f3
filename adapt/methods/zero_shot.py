"""Zero-shot CLIP (arXiv 2103.00020): the frozen model by its texts, as the row beside which all others are read."""

from __future__ import annotations

from headroles.adapt.methods.method import Method


class ZeroShot(Method):
    """Nothing is trained, and nothing taken from the training images."""

    name = "zero-shot"
    title = "zero-shot CLIP"
    source = "https://arxiv.org/abs/2103.00020"
    steps = False
