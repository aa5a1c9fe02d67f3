"""How well do heat maps find the item, and where do heads of other concepts look?

The renderer knows which pixels the items of a scene cover. Every kind of heat map is held against these masks as
transformers' maps are since Chefer et al. (arXiv 2012.09838): above the map's mean is item; pixel accuracy and mean IoU
over all pixels, average precision by scene. Maps that ask for a text get the scene's item. The maps: heads of shape and
object, as `headroles attend` draws them; the whole embedding, which is all heads of all layers (TextSpan, 2310.05916),
and layer by layer; as many other heads of the same layers and similar variance; the last layer's attention of CLS;
attention rollout (2005.00928); gradients times attention, of all layers (2103.15679) and of the last alone; and a blob
in the middle, which has seen nothing. "Less the mean text": the text's embedding without the mean of all items' texts.

A second table says how much of what heads of each concept look at, and of what they add for the scene's own value of
that concept, lies on the item, beside the share of the picture that items cover. Intervals are 95%, by bootstrap of
scenes; in brackets differences of mIoU to the whole embedding, by the same draws. Scenes of the scoring differ.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import click
import numpy as np
import torch
from benchmark import benchmark
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import normalize

from headroles import RoleMap, load, score
from headroles.causal.margins import ValueTexts
from headroles.heads.matched import draw_matched
from headroles.heads.names import Head, head_list
from headroles.images.labelled import open_labelled
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.lens import HookPoint
from headroles.roles.role_map import SILENT
from headroles.shapes.render import render_with_mask
from headroles.shapes.world import CONCEPTS, NAMES, Scene, sample_scene
from headroles.uses.head_views import view_heads
from headroles.uses.map_scores import MEASURES, MapScores, draw_images, item_sums

_SEED = 4_000_037
"""Of the scenes; scoring uses seed 0."""
_WHOLE = "whole embedding (all heads)"
_DRAWS = 1000
_ITEM = ("shape", "object")


@dataclass(frozen=True)
class Scenes:
    """Scenes as the model takes them, and which of their pixels are the item's."""

    scenes: list[Scene]
    pixels: Float[Tensor, "image 3 height width"]
    cover: Float[Tensor, "image height width"]

    @classmethod
    def render(cls, model: HookedCLIP, count: int) -> Scenes:
        scenes = [sample_scene(_SEED, index) for index in range(count)]
        images = open_labelled("shapes", model.processor, count, _SEED).images
        pixels = torch.stack([images[number][1] for number in range(count)])
        cover = np.stack([render_with_mask(scene)[1] for scene in scenes])
        return cls(scenes, pixels, torch.from_numpy(cover))

    @property
    def masks(self) -> Bool[Tensor, "image height width"]:
        return self.cover >= 0.5

    def by_value(self, concepts: tuple[str, ...]) -> Iterator[tuple[str, int, list[int]]]:
        """Concept, value and the scenes that show it."""
        for concept in concepts:
            labels = [scene.labels[NAMES.index(concept)] for scene in self.scenes]
            for value in range(len(CONCEPTS[concept])):
                chosen = [number for number, label in enumerate(labels) if label == value]
                if chosen:
                    yield concept, value, chosen


class Views:
    """What every patch of every scene adds to each head along the scene's own value, and what heads attend to."""

    def __init__(self, model: HookedCLIP, scenes: Scenes, concepts: tuple[str, ...], less_mean: bool) -> None:
        tower = model.visual
        places = [(layer, head) for layer in range(tower.layers) for head in range(tower.heads)]
        shape = len(scenes.scenes), tower.layers, tower.heads, *model.grid
        self.added, self.attention = torch.full(shape, torch.nan), torch.full(shape, torch.nan)
        texts = value_texts(model)
        mean = torch.cat([texts[concept] for concept in concepts]).mean(0) if less_mean else 0.0
        for concept, value, chosen in scenes.by_value(concepts):
            direction = (texts[concept][value] - mean).expand(len(places), -1)
            views = view_heads(model, scenes.pixels[chosen], places, direction)
            self.added[chosen] = views.grid("contribution").unflatten(1, shape[1:3])
            self.attention[chosen] = views.grid("attention").unflatten(1, shape[1:3])
        self.seen = self.added.isfinite().flatten(1).all(1)
        """Which scenes have one of the concepts."""


def value_texts(model: HookedCLIP) -> dict[str, Float[Tensor, "value embed"]]:
    """Unit text embeddings of the values of every concept."""
    found = ValueTexts.embed(model, open_labelled("shapes", model.processor, 1, _SEED).concepts)
    return dict(zip(found.names, found.embeddings, strict=True))


def pick(grids: Float[Tensor, "image layer head row column"], heads: tuple[Head, ...]) -> Tensor:
    """The sum of some heads' maps."""
    return torch.stack([grids[:, layer, head] for layer, head in heads]).sum(0)


def weigh(grids: Float[Tensor, "image layer head row column"], role_map: RoleMap) -> Tensor:
    """All scored heads' maps, each times its share of shape and object."""
    return sum(
        grids[:, head.layer, head.head] * sum(head.distribution[concept] for concept in _ITEM)
        for head in role_map if head.role != SILENT
    )  # fmt: skip


def gradient_maps(model: HookedCLIP, scenes: Scenes) -> dict[str, Tensor]:
    """Maps by gradients and by attention alone: one forward and backward a batch."""
    names = ("rollout of attention", "attention x gradient, all layers", "attention x gradient, last layer")
    found: dict[str, list[Tensor]] = {name: [] for name in (*names, "attention of the last layer")}
    texts, order = value_texts(model), list[int]()
    for concept, value, chosen in scenes.by_value(_ITEM):
        looks, slopes = attention_and_gradient(model, scenes.pixels[chosen], texts[concept][value].clone())
        rows = looks.mean(2), (looks * slopes).clamp_min(0).mean(2)
        found[names[0]].append(unroll(rows[0], half=True))
        found[names[1]].append(unroll(rows[1], half=False))
        found[names[2]].append((looks[:, -1, :, 0] * slopes[:, -1, :, 0]).mean(1).clamp_min(0))
        found["attention of the last layer"].append(rows[0][:, -1, 0])
        order += chosen
    back = torch.tensor(order).argsort()
    return {name: torch.cat(rows)[back, -model.patches :].unflatten(1, model.grid) for name, rows in found.items()}


def attention_and_gradient(
    model: HookedCLIP, pixels: Tensor, text: Float[Tensor, "embed"]
) -> tuple[Float[Tensor, "image layer head query key"], Float[Tensor, "image layer head query key"]]:
    """Every pattern, and the gradient of the cosine with the text with respect to it."""
    kept: list[Tensor] = []

    def hook(pattern: Tensor, hook: HookPoint) -> Tensor:
        kept.append(pattern if pattern.requires_grad else pattern.detach().requires_grad_())
        return kept[-1] * 1

    hooks = [(f"visual.blocks.{layer}.attn.hook_pattern", hook) for layer in range(model.visual.layers)]
    with torch.enable_grad(), model.hooks(fwd_hooks=hooks):
        cosine = normalize(model(pixels), dim=-1) @ text
        slopes = torch.autograd.grad(cosine.sum(), kept)
    return torch.stack(kept, 1).detach(), torch.stack(slopes, 1)


def unroll(rows: Float[Tensor, "image layer query key"], half: bool) -> Float[Tensor, "image key"]:
    """CLS's row of the product over layers of I + A, with rows of sum 1 where `half` (rollout)."""
    one = torch.eye(rows.shape[-1])
    reach = one.expand_as(rows[:, 0])
    for layer in range(rows.shape[1]):
        step = one + rows[:, layer]
        reach = (step / step.sum(-1, keepdim=True) if half else step) @ reach
    return reach[:, 0]


def blob(scenes: Scenes, grid: tuple[int, int]) -> Float[Tensor, "image row column"]:
    """A bell in the middle of every picture."""
    rows, columns = (torch.linspace(-1, 1, side) for side in grid)
    return torch.exp(-(rows[:, None] ** 2 + columns**2) / 0.5).expand(len(scenes.scenes), *grid)


def report_maps(maps: Mapping[str, Tensor], random: list[Tensor], masks: Tensor) -> None:
    """One line a kind of map, best mIoU first."""
    weights = draw_images(len(masks), _DRAWS, 1)
    found = {name: MapScores.of(own, masks) for name, own in maps.items()}
    drawn = {name: {title: of(each, weights) for title, of in MEASURES.items()} for name, each in found.items()}
    click.echo(f"| map | {' | '.join(MEASURES)} | mIoU less the whole embedding's |\n|---|---:|---:|---:|---:|")
    for name, each in sorted(drawn.items(), key=lambda item: -item[1]["mIoU"][0]):
        cells = [show(values) for values in each.values()]
        click.echo(f"| {name} | {' | '.join(cells)} | {show(each['mIoU'] - drawn[_WHOLE]['mIoU'], '+')} |")
    if random:
        scores = [MapScores.of(each, masks) for each in random]
        rows = {title: np.array([of(each, weights[:1])[0] for each in scores]) for title, of in MEASURES.items()}
        cells = [f"{100 * row.mean():.1f} ({100 * row.min():.1f} to {100 * row.max():.1f})" for row in rows.values()]
        own = drawn["heads of shape and object"]["mIoU"][0]
        rank = (1 + (rows["mIoU"] >= own).sum()) / (1 + len(random))
        click.echo(f"| {len(random)} sets of other heads, matched (least to most) | {' | '.join(cells)} | |")
        click.echo(f"\nHeads of shape and object are held against these sets by mIoU: p = {rank:.3f}.")


def report_looks(model: HookedCLIP, scenes: Scenes, role_map: RoleMap) -> None:
    """One line a concept: how much of what its heads look at lies on the item."""
    even = torch.ones(len(scenes.scenes), *model.grid)
    click.echo("\n| heads of | heads | item's share of the picture | of their attention | of what they add |")
    click.echo("|---|---|---:|---:|---:|")
    for concept in CONCEPTS:
        heads = tuple((head.layer, head.head) for head in role_map.heads(role="attribute", concept=concept))
        if not heads:
            continue
        views = Views(model, scenes, (concept,), less_mean=True)
        seen = views.seen
        masks, weights = scenes.cover[seen], draw_images(int(seen.sum()), _DRAWS, 2)
        looks = (even[seen], pick(views.attention[seen], heads), pick(views.added[seen], heads).clamp_min(0))
        sums = [weights @ item_sums(each, masks) for each in looks]
        cells = [show(each[:, 0] / each[:, 1]) for each in sums]
        click.echo(f"| {concept} | {head_list(heads)} | {' | '.join(cells)} |")


def show(values: Float[ndarray, "draw"], sign: str = "") -> str:
    """The estimate and its interval, in percent."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return f"{100 * values[0]:{sign}.1f} [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"


def draw_maps(
    model: HookedCLIP, scenes: Scenes, role_map: RoleMap, sets: int
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Every kind of map, and those of matched random heads."""
    plain, less = (Views(model, scenes, _ITEM, mean) for mean in (False, True))
    every = tuple((layer, head) for layer in range(model.visual.layers) for head in range(model.visual.heads))
    own = tuple((head.layer, head.head) for head in role_map.heads(role="attribute") if head.concept in _ITEM)
    maps = {"blob in the middle": blob(scenes, model.grid), **gradient_maps(model, scenes)}
    for layer in range(model.visual.layers):
        maps[f"all heads of layer {layer}"] = pick(
            plain.added, every[layer * model.visual.heads :][: model.visual.heads]
        )
    for views, how in ((plain, ""), (less, ", less the mean text")):
        maps[f"{_WHOLE}{how}"] = pick(views.added, every)
        maps[f"all scored heads by P(item){how}"] = weigh(views.added, role_map)
        if own:
            maps[f"heads of shape and object{how}"] = pick(views.added, own)
    if not own:
        click.echo("No Attribute head speaks of shape or object.")
        return maps, []
    maps["attention of heads of shape and object"] = pick(plain.attention, own)
    variance = {(head.layer, head.head): head.variance for head in role_map}
    drawn = dict.fromkeys(draw_matched(own, variance, sets, np.random.default_rng(3)))
    return maps, [pick(plain.added, heads) for heads in drawn]


@benchmark()
@click.option("--model", "name", default="shapes", show_default=True, help="A bundled model, or a folder trained so.")
@click.option("--scenes", default=1000, show_default=True, help="Scenes that maps are drawn of.")
@click.option("--scored", default=2000, show_default=True, help="Scenes that the role map is of.")
@click.option("--layers", default="deep", show_default=True, help="Layers whose heads have roles.")
@click.option("--sets", default=50, show_default=True, help="Sets of random heads.")
@click.option("--threads", type=int, default=1, show_default=True)
def main(name: str, scenes: int, scored: int, layers: str, sets: int, threads: int) -> None:
    """Print both tables."""
    torch.set_num_threads(threads)
    start, model = time.perf_counter(), load(name, "cpu")
    role_map, drawn = score(model, count=scored, probes="shapes", layers=layers), Scenes.render(model, scenes)
    own = [f"{head.name} {head.concept}" for head in role_map.heads(role="attribute") if head.concept in _ITEM]
    click.echo(f"{name}: {scenes} scenes, maps of {model.grid[0]} x {model.grid[1]} patches; {', '.join(own)}\n")
    report_maps(*draw_maps(model, drawn, role_map, sets), drawn.masks)
    report_looks(model, drawn, role_map)
    click.echo(f"\n{time.perf_counter() - start:.0f} s on {threads} thread(s)")


if __name__ == "__main__":
    main()
