"""Ablation: the settings of heads that are cut out of whatever model a command loads, and its record in results."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headroles.errors import InputError
from headroles.heads.names import Head, Part, parse_parts
from headroles.models.known_models import BUNDLED
from headroles.models.loading import when_loaded

if TYPE_CHECKING:
    from headroles.images.images import ImageFiles, ShapesImages
    from headroles.models.hooked_clip import HookedCLIP

_MODES, _EFFECTS = ("mean", "zero", "resample"), ("total", "direct")


@dataclass(frozen=True)
class Ablation:
    """Which heads of the vision tower are cut, and how; see `headroles.heads.ablate.ablating`."""

    heads: str
    """Such as L6.H3,L7.*,L6.H5.D0-2: as `headroles.heads.names.parse_parts` takes them."""
    mode: str = "mean"
    """What stands in for them: mean, zero or resample."""
    effect: str = "total"
    """total, through later layers; direct, only their own part of the embedding."""
    images: str | None = None
    """Where means and other images come from: a folder, or shapes; None: shapes with a bundled model."""
    count: int = 500
    """How many images."""
    seed: int = 2
    """Seed of rendered scenes and of drawn images."""

    def __post_init__(self) -> None:
        for name, choices in (("mode", _MODES), ("effect", _EFFECTS)):
            if getattr(self, name) not in choices:
                raise InputError(f"ablate-{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")


_CURRENT: ContextVar[Ablation | None] = ContextVar("ablation", default=None)


@contextmanager
def ablating_loaded(ablation: Ablation) -> Iterator[None]:
    """While open, every model that `headroles.load` returns runs without the heads; afterwards they have them again."""
    with ExitStack() as open_ones:
        token = _CURRENT.set(ablation)
        open_ones.callback(_CURRENT.reset, token)
        open_ones.enter_context(when_loaded(lambda model: _ablate(model, ablation, open_ones)))
        yield


@contextmanager
def intact() -> Iterator[None]:
    """While open, models are loaded whole, whatever is ablated around this, and results say so."""
    token = _CURRENT.set(None)
    try:
        with when_loaded(None):
            yield
    finally:
        _CURRENT.reset(token)


def current_ablation() -> dict[str, Any] | None:
    """The ablation that is open, as plain values for results; None where there is none."""
    ablation = _CURRENT.get()
    return None if ablation is None else dataclasses.asdict(ablation)


def cut_parts(layers: int, heads: int) -> tuple[Part, ...]:
    """What the open ablation cuts, of a tower with so many layers (one more where it pools) and heads."""
    ablation = _CURRENT.get()
    return () if ablation is None else parse_parts(ablation.heads, layers, heads)


def cut_heads(layers: int, heads: int) -> tuple[Head, ...]:
    """The heads of these that are cut whole."""
    return tuple(part.place for part in cut_parts(layers, heads) if not part.directions)


def check_whole_cuts(why: str) -> None:
    """InputError where the open ablation cuts directions of heads, for what can do without whole heads alone."""
    ablation = _CURRENT.get()
    if ablation is not None and ".D" in ablation.heads:
        raise InputError(f"ablate: {why}; cut whole heads, or score a copy that `headroles edit` writes")


def refuse_ablation(why: str) -> None:
    """InputError where an ablation is open, for what it does not reach."""
    if _CURRENT.get() is not None:
        raise InputError(f"ablate: {why}; leave it out")


def record_ablation(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`settings`, with `ablation` beside them where one is open."""
    ablation = current_ablation()
    return dict(settings) if ablation is None else {**settings, "ablation": ablation}


def _ablate(model: HookedCLIP, ablation: Ablation, open_ones: ExitStack) -> None:
    from headroles.heads.ablate import ablating
    from headroles.heads.parts import find_parts
    from headroles.heads.reference import HeadReference

    parts = find_parts(model.visual, ablation.heads)
    reference = None
    if ablation.mode != "zero":
        pool = 64 if ablation.mode == "resample" else 0
        layers = sorted({part.layer for part in parts})
        reference = HeadReference.collect(model, _reference_images(model, ablation), layers, pool, ablation.seed)
    open_ones.enter_context(ablating(model, parts, ablation.mode, ablation.effect, reference, ablation.seed))


def _reference_images(model: HookedCLIP, ablation: Ablation) -> ImageFiles | ShapesImages:
    from headroles.images.images import FolderImages, ShapesImages

    source = ablation.images or ("shapes" if model.model_name in BUNDLED else None)
    if source is None:
        raise InputError(
            f"ablate-images: {ablation.mode} in place of a head needs images of this model's kind; give "
            "--ablate-images FOLDER, or --ablate-mode zero"
        )
    if source == "shapes":
        return ShapesImages(model.processor, ablation.count, ablation.seed)
    return FolderImages(source, model.processor, ablation.count)
