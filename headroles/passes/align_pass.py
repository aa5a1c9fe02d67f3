"""The pass that an alignment rests on: one image, two models; sums from which ridge regression follows in closed form.

With embeddings x of the vision tower and unit embeddings y of the CLIP, weight = Cov(y, x) (Cov(x) + r v I)^-1, v the
mean variance of x. Every fifth image, up to a number, is not learned from but kept: on half of these the ridge r is
chosen, on the other half the fidelity is measured. All of it is sums in float64, so it streams and adds up over
processes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from torch.nn.functional import cosine_similarity

from headroles.images.images import Images, Preprocess
from headroles.images.sources.stream import StreamedImages
from headroles.models.finite import check_rows
from headroles.models.hooked_clip import HookedCLIP
from headroles.passes.image_pass import PassOptions, Progress, run_pass
from headroles.passes.memory_fit import FittingForward
from headroles.passes.state import Seen

KEPT = 2000
"""Images that are kept, at most."""
_EVERY = 5
"""One image in so many is kept."""
RIDGES = tuple(10 ** (exponent / 2) for exponent in range(-12, 5))
"""Penalties that are tried, as shares of the mean variance."""


@dataclass(frozen=True)
class PairPreprocess:
    """One image as both models want it: their pixels in one row, one model's after the other's."""

    first: Preprocess
    """The vision tower's."""
    second: Preprocess
    """The CLIP's."""

    def __call__(self, image: Image.Image) -> Float[Tensor, "number"]:
        return torch.cat([self.first(image).flatten(), self.second(image).flatten()])


def fold_pairs(
    vision: HookedCLIP,
    clip: HookedCLIP,
    images: Images | StreamedImages,
    options: PassOptions,
    fit: bool = False,
    progress: Progress | None = None,
) -> tuple[dict[str, Tensor], Seen]:
    """Sums over this process's part of `images`, which were opened with a `PairPreprocess`, and what was seen.

    `fit`: forward in halves where memory does not take a whole unit. Raises InputError as `run_pass`, and where an
    embedding is no number.
    """
    width, embed = vision.visual.width, clip.visual.embed
    sums = _empty(width, embed, vision.device)
    forward = FittingForward(lambda pixels: _see_both(vision, clip, pixels), fit)

    def fold(number: Int[Tensor, "image"], pixels: Float[Tensor, "image number"]) -> None:
        pairs = forward(pixels)
        check_rows(pairs, images.name, number.tolist())
        _add(sums, number.to(pairs.device), pairs, width)

    return sums, run_pass(images, sums, fold, options, {}, progress)


@torch.inference_mode()
def _see_both(
    vision: HookedCLIP, clip: HookedCLIP, pixels: Float[Tensor, "image number"]
) -> Float[Tensor, "image width_and_embed"]:
    """x and y of a batch, side by side, float64."""
    shape = (3, *vision.image_shape)
    first = pixels[:, : shape[0] * shape[1] * shape[2]].unflatten(1, shape)
    second = pixels[:, first[0].numel() :].unflatten(1, (3, *clip.image_shape))
    x = vision(first.to(vision.device, vision.dtype))
    return torch.cat([x.double(), clip.embed_images(second).double()], 1)


def _empty(width: int, embed: int, device: torch.device) -> dict[str, Tensor]:
    shapes = {"count": (1,), "sum": (width + embed,), "square": (width, width + embed), "kept": (KEPT, width + embed)}
    return {name: torch.zeros(shape, dtype=torch.float64, device=device) for name, shape in shapes.items()}


def _add(sums: dict[str, Tensor], number: Tensor, pairs: Tensor, width: int) -> None:
    """`kept` has a row an image, zeros where another process, or nobody, saw it: so it adds up too."""
    slots = number // _EVERY
    kept = (number % _EVERY == _EVERY - 1) & (slots < KEPT)
    sums["kept"][slots[kept]] = pairs[kept]
    learned = pairs[~kept]
    sums["count"] += len(learned)
    sums["sum"] += learned.sum(0)
    sums["square"] += learned[:, :width].T @ learned


@dataclass(frozen=True)
class Solved:
    """A map, and how well it does on the kept images."""

    weight: Float[Tensor, "embed width"]
    bias: Float[Tensor, "embed"]
    ridge: float
    count: int
    """Images that it was learned from."""
    chosen_on: int
    judged_on: int
    r2: float
    cosine: float
    mean_cosine: float


def solve(sums: dict[str, Tensor]) -> Solved:
    """The map of the ridge that does best on one half of the kept images, judged on the other half."""
    width, count = len(sums["square"]), sums["count"].item()
    mean = sums["sum"] / count
    square = sums["square"] / count - mean[:width, None] * mean
    values, vectors = torch.linalg.eigh(square[:, :width])
    cross = vectors.T @ square[:, width:]
    kept = sums["kept"][sums["kept"].any(1)]
    choose, judge = ((rows[:, :width] - mean[:width], rows[:, width:]) for rows in (kept[::2], kept[1::2]))
    found: list[tuple[float, float, Tensor]] = []
    for ridge in RIDGES:
        weight = (vectors / (values.clamp(min=0) + ridge * values.mean())) @ cross
        found.append((_r2(choose[0] @ weight + mean[width:], choose[1], mean[width:]), ridge, weight))
    _, ridge, weight = max(found, key=lambda each: each[0])
    guess = judge[0] @ weight + mean[width:]
    return Solved(
        weight=weight.T,
        bias=mean[width:] - mean[:width] @ weight,
        ridge=ridge,
        count=int(count),
        chosen_on=len(choose[1]),
        judged_on=len(judge[1]),
        r2=_r2(guess, judge[1], mean[width:]),
        cosine=cosine_similarity(guess, judge[1]).mean().item(),
        mean_cosine=cosine_similarity(mean[width:].expand_as(judge[1]), judge[1]).mean().item(),
    )


def _r2(
    guess: Float[Tensor, "image embed"], truth: Float[Tensor, "image embed"], mean: Float[Tensor, "embed"]
) -> float:
    return 1 - ((truth - guess).square().sum() / (truth - mean).square().sum()).item()
