"""Does a concept leave an edited checkpoint, and it alone? And is a kept mean mean ablation?

`python benchmarks/edit.py` scores the bundled model by weights, writes checkpoints without the directions, or without
the heads, of each concept, by `headroles edit`, and prints their zero-shot margins (log odds of the right value) on
labelled scenes, of that concept and of the others. Then, for single heads of each layer, how far an edit that keeps
CLS's mean is from mean ablation, as a share of the ablation's own effect on embeddings.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click
import torch
from benchmark import benchmark

from headroles import (
    ABSENT,
    HeadReference,
    RoleMap,
    ShapesImages,
    ValueTexts,
    ablating,
    edit,
    load,
    margin,
    open_labelled,
    score,
)
from headroles.heads.scaled_output import scale_output
from headroles.models.hooked_clip import HookedCLIP


@torch.inference_mode()
def measure(model: HookedCLIP, scenes: int, seed: int) -> dict[str, float]:
    """Concept -> mean margin, in nats, of the right value (`headroles.margin`)."""
    labelled = open_labelled("shapes", model.processor, scenes, seed)
    texts = ValueTexts.embed(model, labelled.concepts)
    pixels = torch.stack([labelled.images[number][1] for number in range(scenes)])
    embeddings = torch.cat([model.embed_images(batch) for batch in pixels.split(100)])
    found = {}
    for column, (name, rows) in enumerate(zip(texts.names, texts.embeddings, strict=True)):
        codes = torch.from_numpy(labelled.codes[:, column])
        there = codes != ABSENT
        found[name] = margin(texts.scale * embeddings[there] @ rows.T, codes[there])[0].mean().item()
    return found


def compare(role_map: RoleMap, concept: str, intact: dict[str, float], scenes: int, seed: int, folder: Path) -> str:
    """A row: the concept's margin, and the mean of the others', as it is and by each way to edit."""
    heads = ",".join(head.name for head in role_map.heads(role="attribute", concept=concept))
    cells = [show(intact, concept)]
    for chosen in ({"damp": concept, "role_map": role_map}, {"heads": heads}):
        for mean in (None, "shapes"):
            edit("shapes", folder / "copy", keep_mean=mean, device="cpu", **chosen)
            cells.append(show(measure(load(str(folder / "copy"), "cpu"), scenes, seed), concept))
            shutil.rmtree(folder / "copy")
    return f"| {concept} | {' | '.join(cells)} |"


def show(found: dict[str, float], concept: str) -> str:
    """The concept's, and the mean of the others'."""
    others = [value for name, value in found.items() if name != concept]
    return f"{found[concept]:.1f} / {sum(others) / len(others):.1f}"


@torch.no_grad()
def compare_means(model: HookedCLIP, layer: int, reference: HeadReference, pixels: torch.Tensor) -> list[float]:
    """For every head of a layer: |edit - mean ablation| / |mean ablation - intact|, the edit keeping CLS's mean."""
    module, plain, found = model.visual.output(layer), model(pixels), []
    weight, bias = module.weight.clone(), module.bias.clone()
    for head in range(model.visual.heads):
        with ablating(model, [(layer, head)], "mean", reference=reference):
            ablated = model(pixels)
        nothing = torch.zeros(model.visual.head_width, model.visual.head_width)
        edited = scale_output({head: nothing}, {head: reference.mean_of(layer)[0, head]}, (weight, bias))
        module.weight.copy_(edited[0]), module.bias.copy_(edited[1])
        found.append(((model(pixels) - ablated).norm() / (ablated - plain).norm()).item())
        module.weight.copy_(weight), module.bias.copy_(bias)
    return sorted(found)


@benchmark()
@click.option("--scenes", default=1000, show_default=True, help="Labelled scenes to test on.")
@click.option("--seed", default=1, show_default=True)
def main(scenes: int, seed: int) -> None:
    role_map, model = score("shapes", by="weights"), load("shapes", "cpu")
    intact = measure(model, scenes, seed)
    concepts = sorted({head.concept for head in role_map.heads(role="attribute")})
    click.echo(f"zero-shot margin over {scenes} scenes, nats: the concept / mean of the others\n")
    click.echo("| concept | intact | its directions at 0 | their mean kept | its heads at 0 | their mean kept |")
    click.echo("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for concept in concepts:
            click.echo(compare(role_map, concept, intact, scenes, seed, Path(folder)))
    reference = HeadReference.collect(model, ShapesImages(model.processor, 500, 2), pool=0)
    images = ShapesImages(model.processor, 64, seed)
    pixels = torch.stack([images[number][1] for number in range(64)])
    click.echo("\nan edit that keeps CLS's mean, against mean ablation, as a share of its effect (single heads)\n")
    click.echo("| layer | median | largest |\n|---|---|---|")
    for layer in range(model.visual.layers // 2, model.visual.layers):
        found = compare_means(model, layer, reference, pixels)
        click.echo(f"| {layer} | {found[len(found) // 2]:.2g} | {found[-1]:.2g} |")


if __name__ == "__main__":
    main()
