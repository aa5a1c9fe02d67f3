"""What do weights alone say of heads? Choices of the reader held against known specialists, images, texts and cuts.

python benchmarks/weights.py choices    a row a choice: specialists of the bundled model whose dominant concept is
                                        right; heads of the deep layers with the concept that labelled images give,
                                        that texts give; Spearman's correlation of Concept Entropy with that by
                                        images, by texts, and (its opposite) with causal selectivity
python benchmarks/weights.py level      how often heads with random output weights have p <= .05, under random
                                        writers and under random directions of the embedding
python benchmarks/weights.py time       seconds of the command, and of a random ViT-B/16 with 3,500 texts
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from subprocess import run
from tempfile import TemporaryDirectory
from unittest.mock import patch

import click
import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from headroles import (
    SPECIALISTS,
    HookedCLIP,
    ProbeBank,
    RoleMap,
    ShapesImages,
    WeightScoreConfig,
    load,
    score,
    validate,
)
from headroles.heads.upstream import strengths
from headroles.images.images import batches
from headroles.roles import score_weights
from headroles.roles.score_weights import explain_weights

GOALS = {"bundled": 10.0, "ViT-B/16": 60.0}
"""Seconds, on two cores."""


@click.group()
def main() -> None:
    """See above."""


@main.command()
@click.option("--scenes", default=2000, show_default=True, help="Of the maps by texts and images, and of cuts.")
def choices(scenes: int) -> None:
    """Print the table of choices."""
    model, bank = load("shapes", "cpu"), ProbeBank.load("shapes")
    texts, images = (score(model, "shapes", by=by, count=scenes) for by in ("texts", "images"))
    found = validate(texts, model=model, images="shapes", count=scenes, seed=5)
    cuts = {head.name: head.selectivity for head in found.heads if head.selectivity is not None}
    mean = mean_embedding(model, scenes)
    titles = ("choice", "specialists", "concept by images", "by texts", "entropy: images", "texts", "selectivity")
    click.echo(f"| {' | '.join(titles)} |\n|---" + "|---:" * (len(titles) - 1) + "|")
    click.echo(row("(texts, for comparison)", texts, images, texts, cuts))
    for name, make in variants(model, bank, mean).items():
        click.echo(row(name, make(), images, texts, cuts))


def variants(model: HookedCLIP, bank: ProbeBank, mean: Tensor) -> dict[str, Callable[[], RoleMap]]:
    """Name -> the role map under that choice, all else as shipped."""
    shipped = WeightScoreConfig(null_draws=19)
    none = torch.zeros(model.visual.embed)

    def explained(mean: Tensor | None = None, **settings: object) -> Callable[[], RoleMap]:
        return lambda: explain_weights(model, bank, replace(shipped, **settings), mean=mean)

    def power(exponent: float) -> Callable[[], RoleMap]:
        def make() -> RoleMap:
            def other(tower: object, directions: object, reading: str) -> Tensor:
                return strengths(tower, directions, reading) * directions.sigma ** (exponent - 2)

            with patch.object(score_weights, "strengths", other):
                return explained()()

        return make

    first = {"reading": "equal", "coherence": 0.3}
    return {
        "as shipped": explained(),
        "coherence 0": explained(coherence=0.0),
        "coherence 0.3": explained(coherence=0.3),
        "coherence 1": explained(coherence=1.0),
        "1 text a direction": explained(texts_per_direction=1),
        "10 texts a direction": explained(texts_per_direction=10),
        "texts not centred": explained(center_texts=False),
        "mean embedding kept": explained(none),
        "mean embedding of scenes off": explained(mean),
        "all read equally (sigma^2 alone)": explained(reading="equal"),
        "sigma^1": power(1),
        "sigma^4": power(4),
        "SITH: sigma^2 alone, coherence 0.3, mean kept": explained(none, **first),
    }


def row(name: str, found: RoleMap, images: RoleMap, texts: RoleMap, cuts: dict[str, float]) -> str:
    """One line of the table."""
    right = sum(found[place].concept == concept for place, concept in SPECIALISTS.items())
    same = [sum(head.concept == other[head.name].concept for head in found) for other in (images, texts)]
    entropy = [head.entropy for head in found]
    like = [spearmanr(entropy, [other[head.name].entropy for head in found]).statistic for other in (images, texts)]
    cut = spearmanr([found[name].entropy for name in cuts], list(cuts.values())).statistic
    counts = f"{right} of {len(SPECIALISTS)} | {same[0]} of {len(entropy)} | {same[1]} of {len(entropy)}"
    return f"| {name} | {counts} | {like[0]:.2f} | {like[1]:.2f} | {-cut:.2f} |"


def mean_embedding(model: HookedCLIP, scenes: int) -> Tensor:
    """Mean of the unit embeddings of some scenes."""
    parts = [model.embed_images(pixels) for _, pixels, _ in batches(ShapesImages(model.processor, scenes, 9), 64, 0)]
    return torch.cat(parts).double().mean(0)


@main.command()
@click.option("--draws", default=20, show_default=True, help="Models with random output weights.")
def level(draws: int) -> None:
    """Print how often a random head is called significant."""

    def uniform(written: Tensor, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(2048, written.shape[1], generator=generator, dtype=torch.float64)
        return torch.nn.functional.normalize(drawn, dim=-1)

    nulls = {"random writers (shipped)": score_weights.random_writers, "random directions": uniform}
    found: dict[str, list[float]] = {name: [] for name in nulls}
    bank = ProbeBank.load("shapes")
    for seed in range(draws):
        model = load("shapes", "cpu")
        randomise(model, seed)
        for name, writers in nulls.items():
            with patch.object(score_weights, "random_writers", writers):
                role_map = explain_weights(model, bank, WeightScoreConfig())
            found[name] += [head.p_value for head in role_map]
    click.echo("| null model | heads | p <= .05 | p <= .2 |\n|---|---:|---:|---:|")
    for name, p in found.items():
        low, more = (np.mean(np.array(p) <= bound) for bound in (0.05, 0.2))
        click.echo(f"| {name} | {len(p)} | {low:.1%} | {more:.1%} |")


@torch.no_grad()
def randomise(model: HookedCLIP, seed: int) -> None:
    """Random output weights for the heads of the deep layers."""
    generator = torch.Generator().manual_seed(seed)
    for layer in model.clip.vision_model.encoder.layers[5:]:
        weight = layer.self_attn.out_proj.weight
        weight.copy_(torch.randn(weight.shape, generator=generator))


@main.command(name="time")
def take_time() -> None:
    """Print seconds by the clock and of the cores, and exit with 1 where the clock's are over the goals."""
    found = {"bundled": time_command(), "ViT-B/16": time_large()}
    for name, (clock, cores) in found.items():
        click.echo(f"{name:<10} {clock:5.1f} s, goal {GOALS[name]:.0f}; {cores:.1f} s of cores")
    sys.exit(any(clock > GOALS[name] for name, (clock, _) in found.items()))


def time_command() -> tuple[float, float]:
    """Of the command in a process of its own, imports included."""
    with TemporaryDirectory() as folder:
        start, before = time.perf_counter(), children()
        command = [sys.executable, "-m", "headroles", "score", "--by", "weights", "--output", folder]
        run(command, check=True, capture_output=True)
        return time.perf_counter() - start, children() - before


def children() -> float:
    """Seconds of cores that processes started from here have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def time_large() -> tuple[float, float]:
    """Of a random ViT-B/16 whose last four layers are described in 3,500 texts of some words."""
    tokenizer = load("shapes", "cpu").tokenizer
    vision = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    marks = {f"{mark}_token_id": getattr(tokenizer, f"{mark}_token_id") for mark in ("bos", "eos", "pad")}
    config = CLIPConfig(vision_config={**vision, "image_size": 224, "patch_size": 16}, text_config=marks)
    torch.manual_seed(0)
    model = HookedCLIP(CLIPModel(config).eval(), "random ViT-B/16", tokenizer)
    bank, words = ProbeBank.load("shapes"), ("a", "the", "some", "one", "no", "this", "any")
    short = sorted(zip(bank.texts, bank.labels, strict=True), key=lambda pair: len(pair[0]))
    pairs = [(f"{word} {text}", label) for word in words for text, label in short][:3500]
    texts, labels = zip(*pairs, strict=True)
    start, before = time.perf_counter(), time.process_time()
    explain_weights(model, ProbeBank("3,500 texts", texts, labels))
    return time.perf_counter() - start, time.process_time() - before


if __name__ == "__main__":
    main()
