"""Something to do to every model that is loaded while a context is open: commands load their models themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

if TYPE_CHECKING:
    from headroles.models.hooked_clip import HookedCLIP

P = ParamSpec("P")
_ACT: ContextVar[Callable[[HookedCLIP], None] | None] = ContextVar("act", default=None)


@contextmanager
def when_loaded(act: Callable[[HookedCLIP], None] | None) -> Iterator[None]:
    """While open, call `act` on every model that `headroles.load` returns; None for nothing, also within another."""
    token = _ACT.set(act)
    try:
        yield
    finally:
        _ACT.reset(token)


def announced(load: Callable[P, HookedCLIP]) -> Callable[P, HookedCLIP]:
    """Decorates a function that loads models, so that `when_loaded` reaches them."""

    @wraps(load)
    def loading(*args: P.args, **options: P.kwargs) -> HookedCLIP:
        model, act = load(*args, **options), _ACT.get()
        if act:
            act(model)
        return model

    return loading
