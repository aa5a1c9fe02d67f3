"""MetaCLIP 2: CLIP over texts of all languages, read at their first end of text, whatever its number."""

from __future__ import annotations

from transformers import MetaClip2Model, MetaClip2VisionModel, MetaClip2VisionModelWithProjection

from headroles.models.families.clip import Clip


class MetaClip2(Clip):
    """MetaClip2Model, or its vision tower alone, with or without projection."""

    title = "MetaCLIP 2"
    kinds = (MetaClip2Model, MetaClip2VisionModelWithProjection, MetaClip2VisionModel)

    @property
    def reads_largest(self) -> bool:
        """Never: its end of text has the number 2."""
        return False
