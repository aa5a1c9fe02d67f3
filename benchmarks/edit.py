"""Does a concept leave an edited checkpoint, and it alone? And is a kept mean mean ablation?

`python benchmarks/edit.py` scores the bundled model by weights, writes checkpoints without the directions, or without
the heads, of each concept, by `headroles edit`, and prints their zero-shot accuracy on that concept and on the others,
over fresh scenes. Then, for single heads of each layer, how far an edit that keeps CLS's mean is from mean ablation, as
a share of the ablation's own effect on embeddings.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click
import torch

from headroles import HeadReference, RoleMap, ShapesImages, ablating, edit, load, score, zero_shot
from headroles.bundled.clip import to_pixels
from headroles.bundled.evaluate import TEST_SEED
from headroles.heads.scaled_output import scale_output
from headroles.models.hooked_clip import HookedCLIP


def accuracies(model: HookedCLIP, scenes: int, seed: int) -> dict[str, float]:
    """Concept -> zero-shot accuracy, in percent."""
    found = zero_shot(lambda images: model(to_pixels(images)), model.embed_texts, scenes, "all", seed)
    return {concept: 100 * each.mean for concept, each in found.items()}


def compare(
    role_map: RoleMap, concept: str, intact: dict[str, float], scenes: int, seed: int, folder: Path
) -> list[str]:
    """A row: the concept's accuracy, and the mean of the others', as it is and by each way to edit."""
    heads = ",".join(head.name for head in role_map.heads(role="attribute", concept=concept))
    cells = []
    for chosen in ({"damp": concept, "role_map": role_map}, {"heads": heads}):
        for mean in (None, "shapes"):
            edit("shapes", folder / "copy", keep_mean=mean, device="cpu", **chosen)
            cells.append(accuracies(load(str(folder / "copy"), "cpu"), scenes, seed))
            shutil.rmtree(folder / "copy")
    return [show(found, concept) for found in (intact, *cells)]


def show(found: dict[str, float], concept: str) -> str:
    others = [value for name, value in found.items() if name != concept]
    return f"{found[concept]:.0f} / {sum(others) / len(others):.1f}"


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


@click.command()
@click.option("--scenes", default=1000, show_default=True, help="Fresh scenes to test on.")
@click.option("--seed", default=TEST_SEED, show_default=True)
def main(scenes: int, seed: int) -> None:
    role_map, model = score("shapes", by="weights"), load("shapes", "cpu")
    intact = accuracies(model, scenes, seed)
    concepts = sorted({head.concept for head in role_map.heads(role="attribute")})
    click.echo(f"zero-shot accuracy over {scenes} scenes, percent: the concept / mean of the others\n")
    click.echo("| concept | intact | its directions at 0 | their mean kept | its heads at 0 | their mean kept |")
    click.echo("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for concept in concepts:
            cells = compare(role_map, concept, intact, scenes, seed, Path(folder))
            click.echo(f"| {concept} | {' | '.join(cells)} |")
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
