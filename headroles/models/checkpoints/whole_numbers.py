"""Whole numbers where a config wants a float, such as "attention_dropout": 0: taken, as Python takes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from huggingface_hub import dataclasses

_CHECK = "_validate_simple_type"
"""What the strict configs of transformers ask; where it has moved, nothing is done."""


@contextmanager
def whole_numbers() -> Iterator[None]:
    """Meanwhile strict configs take an int for a float; true and false stay wrong."""
    check = getattr(dataclasses, _CHECK, None)

    def tolerant(name: str, value: Any, expected: type) -> None:
        if check and not (expected is float and type(value) is int):
            check(name, value, expected)

    if check:
        setattr(dataclasses, _CHECK, tolerant)
    try:
        yield
    finally:
        if check:
            setattr(dataclasses, _CHECK, check)
