"""How long a question to the explore page takes: every kind that people wait for, asked of an engine as the page does.

`python benchmarks/explore.py` opens the bundled model and a ViT-B/16 with random weights on rendered scenes and prints
a Markdown table: for every question the median and the 95th percentile in milliseconds over `--repeats` of it, and what
the first of all took (`first`: what is computed once is computed then). Every question is a new one, about another
head, text, set of heads, image or scale, so that nothing is answered from memory; `again` asks an answered one once
more. The answer's way to the page is in `over HTTP`. The goal is that of the bundled model on 2 cores, at the 95th
percentile.
"""

from __future__ import annotations

import http.client
import io
import itertools
import json
import statistics
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import click
import numpy as np
import torch
from benchmark import benchmark
from measure import random_model

from headroles import HookedCLIP, load, score
from headroles.explore.engine import Engine
from headroles.explore.opening import open_engine
from headroles.explore.page_files import page_files
from headroles.explore.serving import LocalPage, open_port

GOAL = 300.0
"""Milliseconds."""
MODELS = ("shapes", "ViT-B/16, random")
COLORS = ["red", "green", "blue", "yellow", "orange", "purple", "pink", "brown", "grey", "black", "white"]
SHAPES = ["square", "circle", "triangle", "star", "ring", "cross", "heart", "moon", "arrow", "cube"]

Message = dict[str, Any]


def open_model(name: str, images: int) -> tuple[Engine, float]:
    """An engine on scenes, and the seconds that opening it took, without the model's."""
    model: HookedCLIP = load(name, "cpu") if name == "shapes" else random_model(name, 224)
    # Without images: what heads are called does not change what an answer costs.
    role_map = score(model, by="weights", probes="shapes", layers="deep")
    start = time.perf_counter()
    engine = open_engine(role_map, model, "shapes", count=images, seed=1)
    return engine, time.perf_counter() - start


def questions(engine: Engine) -> dict[str, Iterator[Message]]:
    """Kind -> messages of that kind, each unlike all before it."""
    heads = [[head.layer, head.head] for head in engine.role_map if head.role != "silent"]
    count, classes = engine.gallery.first, [f"a {color} thing" for color in COLORS[:8]]
    turns = [itertools.count() for _ in range(6)]
    pairs = itertools.cycle([f"a {color} {shape}" for color in COLORS for shape in SHAPES])
    concepts: dict[str, list[list[int]]] = {}
    for head in engine.role_map.heads(role="attribute"):
        concepts.setdefault(head.concept, []).append([head.layer, head.head])
    several = max(concepts.values(), key=len, default=heads[:4])

    def image(turn: int) -> str:
        return str(turn % count)

    def cut(turn: int, chosen: list[list[int]], **more: Any) -> Message:
        scale = round(turn % 1000 / 1000, 3)
        return {"ask": "cut", "heads": chosen, "scale": scale, "image": image(turn), "classes": classes, **more}

    def head(turn: int) -> Message:
        layer, number = heads[turn % len(heads)]
        return {"ask": "head", "layer": layer, "head": number, "image": image(turn // len(heads))}

    return {
        "head": (head(turn) for turn in turns[0]),
        "text": ({"ask": "text", "text": next(pairs), "image": image(turn)} for turn in turns[1]),
        "cut, one head": (cut(turn, [heads[turn % len(heads)]]) for turn in turns[2]),
        "cut, a concept's heads": (cut(turn, several) for turn in turns[3]),
        "cut, all heads": (cut(turn, heads) for turn in turns[4]),
        "add image": ({"ask": "add image", "data": picture(turn)} for turn in turns[5]),
    }


def picture(turn: int) -> str:
    """A JPEG of a phone's proportions, in base64."""
    from PIL import Image

    levels = np.random.default_rng(turn).integers(0, 256, (75, 100, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(levels).resize((1600, 1200)).save(content, "JPEG")
    return b64encode(content.getvalue()).decode()


def clock(ask: Callable[[Message], object], messages: Iterator[Message], repeats: int) -> list[float]:
    """Milliseconds of each answer."""
    taken = []
    for message in itertools.islice(messages, repeats):
        start = time.perf_counter()
        ask(message)
        taken.append(1000 * (time.perf_counter() - start))
    return taken


class OverHTTP:
    """Asks the page's server, as the page does, on one connection that stays open."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.path, self.connection = f"{parts.path}ask", http.client.HTTPConnection(str(parts.hostname), parts.port)

    def __call__(self, message: Message) -> Any:
        self.connection.request("POST", self.path, json.dumps(message), {"Content-Type": "application/json"})
        answer = json.loads(self.connection.getresponse().read())
        assert "error" not in answer, answer["error"]
        return answer


def tell(model: str, ask: str, taken: list[float], goal: float | None = None) -> None:
    """A row of the table; the first is told apart."""
    first, rest = taken[0], taken[1:] or taken
    late = float(np.quantile(rest, 0.95))
    verdict = "" if goal is None else "met" if late <= goal else "missed"
    click.echo(f"| {model} | {ask} | {statistics.median(rest):.0f} | {late:.0f} | {first:.0f} | {verdict} |")


@benchmark()
@click.option("--only", type=click.Choice(MODELS), help="Measure this model alone.")
@click.option("--repeats", type=click.IntRange(min=2), default=60, show_default=True, help="Questions of each kind.")
@click.option("--images", type=click.IntRange(min=2), default=200, show_default=True, help="Scenes.")
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Threads of torch.")
def main(only: str | None, repeats: int, images: int, threads: int) -> None:
    """Print how long answers take."""
    torch.set_num_threads(threads)
    click.echo(f"{repeats} questions of each kind, {images} images, {threads} threads, milliseconds; goal {GOAL:g}")
    click.echo("| model | question | median | 95% | first | goal |\n|---|---|---:|---:|---:|---|")
    for name in (only,) if only else MODELS:
        engine, seconds = open_model(name, images)
        goal = GOAL if name == "shapes" else None
        tell(name, "opening", [1000 * seconds])
        asked = questions(engine)
        for kind, messages in asked.items():
            tell(name, kind, clock(engine.answer, messages, repeats), goal)
        known = next(asked["head"])
        engine.answer(known)
        tell(name, "head, again", clock(engine.answer, itertools.repeat(known), repeats), goal)
        with open_port(0) as place, LocalPage(engine.answer, page_files(), place).running() as address:
            tell(name, "head, over HTTP", clock(OverHTTP(address), asked["head"], repeats), goal)


if __name__ == "__main__":
    main()
