"""Classes that a model's tokenizer cannot tell apart: their accuracy would say nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headroles.errors import InputError
from headroles.images.prompts import write_prompts
from headroles.models.hooked_clip import HookedCLIP


def check_told_apart(model: HookedCLIP, classes: Sequence[str], template: str, strict: bool = True) -> tuple[str, ...]:
    """Notes on classes whose names the tokenizer does not know; InputError where two prompts have equal tokens.

    `strict`: False for benchmarks, some of which have two classes of one name: a note instead.
    """
    notes = list(_unknown_names(model, classes))
    seen: dict[frozenset[tuple[int, ...]], str] = {}
    for name, texts in zip(classes, write_prompts(template, classes), strict=True):
        ids = frozenset(_token_ids(model, texts))
        other = seen.setdefault(ids, name)
        if other is name:
            continue
        said = f"classes: {other!r} and {name!r} are the same tokens to model {model.model_name}"
        if strict:
            raise InputError(f"{said}, once cleaned and cut to its context; name them apart, or shorten the template")
        notes.append(said)
    return tuple(notes)


def _token_ids(model: HookedCLIP, texts: Sequence[str]) -> list[tuple[int, ...]]:
    """Ids of each text without padding, as the model reads them."""
    tokens = model.tokenize(texts)
    mask = tokens.get("attention_mask")
    ids = tokens["input_ids"].tolist()
    if mask is None:
        return [tuple(row) for row in ids]
    return [
        tuple(i for i, kept in zip(row, keep, strict=True) if kept)
        for row, keep in zip(ids, mask.tolist(), strict=True)
    ]


def _unknown_names(model: HookedCLIP, classes: Sequence[str]) -> tuple[str, ...]:
    """Of names that are unknown tokens alone."""
    tokenizer: Any = model.tokenizer
    unknown = getattr(tokenizer, "unk_token_id", None)
    if unknown is None or unknown == getattr(tokenizer, "eos_token_id", None):
        return ()
    found = [
        name
        for name in classes
        if set(tokenizer([name.replace("_", " ")], add_special_tokens=False)["input_ids"][0]) == {unknown}
    ]
    if not found:
        return ()
    shown = ", ".join(map(repr, found[:3])) + (" ..." if len(found) > 3 else "")
    return (f"class names that model {model.model_name} does not know, as they are unknown tokens alone: {shown}",)
