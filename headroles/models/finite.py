"""What a model computes are numbers, or the work ends with one line that names the image or the text.

Weights are looked at when they are loaded; finite weights may still overflow, in 16 bits above all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headroles.errors import InputError


def finite_rows(values: Float[Tensor, "row *axes"]) -> Bool[Tensor, "row"]:
    """Whether all numbers of each row are finite."""
    return values.isfinite().flatten(1).all(1)


def check_rows(
    values: Float[Tensor, "row *axes"], names: Callable[[int], str], numbers: Iterable[int] | None = None,
    precision: str = "no",
) -> None:  # fmt: skip
    """InputError that names the first row with NaN or infinity; `names` takes its number, by default its place."""
    refuse_rows(finite_rows(values), names, range(len(values)) if numbers is None else numbers, precision)


def refuse_rows(
    finite: Bool[Tensor, "row"], names: Callable[[int], str], numbers: Iterable[int], precision: str = "no"
) -> None:
    """`check_rows` for what `finite_rows` found before."""
    if bool(finite.all()):
        return
    bad = next(number for number, good in zip(numbers, finite.tolist(), strict=True) if not good)
    half = f"numbers overflow in {precision}: give --precision no"
    whole = "headroles doctor MODEL says whether the weights are whole; leave it out if they are"
    remedy = whole if precision == "no" else half
    raise InputError(f"model: what it makes of {names(bad)} holds NaN or infinite numbers; {remedy}")


class FiniteRows:
    """`check_rows`, one batch later, so that a GPU is never waited for while it has nothing to do."""

    def __init__(self, names: Callable[[int], str], precision: str = "no") -> None:
        self.names, self.precision = names, precision
        self.waiting: tuple[Bool[Tensor, "row"], list[int]] | None = None

    def add(self, values: Float[Tensor, "row *axes"], numbers: Iterable[int]) -> None:
        """Look at the batch before this one, and remember this one."""
        found = finite_rows(values), list(numbers)
        self.finish()
        self.waiting = found

    def finish(self) -> None:
        """Look at the last batch; InputError as `check_rows`."""
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            refuse_rows(waiting[0], self.names, waiting[1], self.precision)


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no number of any is NaN or infinite."""
    return all(bool(torch.isfinite(each).all()) for each in tensors)
