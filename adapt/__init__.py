"""Adapt a CLIP with its role map. Nothing public yet: scoring comes first (see CHANGELOG.md)."""
