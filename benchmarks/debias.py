"""Do a cue's heads carry a planted cue? Worst-group accuracy before and after, over drawn tasks, beside random heads.

`python benchmarks/debias.py` draws tasks (two items, two backgrounds) with a seed, none chosen by its result, for every
way that items can look, and prints the mean over tasks with 95% t intervals over tasks: as it is, without the
Attribute heads of background, without all heads of background, without matched random heads of other concepts, and with
head weights learned on 80 val images. Class vectors come from biased training images, for "zero-shot" from prompts.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from benchmark import benchmark

from headroles import ProbeBank, RoleMap, ScoreConfig, ShapesImages, load
from headroles.adapt.metrics import interval
from headroles.heads.weights import LearnConfig
from headroles.images.grouped import open_grouped
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.judged import Judged
from headroles.roles.role_heads import choose_heads
from headroles.roles.score_texts import score_texts
from headroles.shapes.compositions import ITEMS
from headroles.shapes.cues import CueTask
from headroles.shapes.world import CONCEPTS
from headroles.uses.cue_bench import CueBench, DebiasConfig
from headroles.uses.worst_group import measure_debias, measure_weights

ZERO_SHOT = ("zero-shot", "zero-shot concept")
WAYS = (*ZERO_SHOT, "before", "attribute", "random for attribute", "concept", "random for concept", "learned")


def draw_tasks(look: str, count: int, seed: int) -> list[CueTask]:
    """Tasks of two items and two backgrounds."""
    rng = np.random.default_rng([seed, count])
    return [
        CueTask(
            *(tuple(map(str, rng.choice(kinds, 2, replace=False))) for kinds in (ITEMS, CONCEPTS["background"])), look
        )
        for _ in range(count)
    ]


def measure(
    model: HookedCLIP, role_map: RoleMap, task: CueTask, seed: int, draws: int
) -> dict[str, tuple[float, float]]:
    """Way -> worst-group and mean accuracy."""
    grouped = open_grouped(f"shapes:{task.name}", model.processor, seed)
    judged = Judged(role_map, grouped.name, grouped.splits == "test")
    bench = CueBench(model, role_map, grouped, DebiasConfig(draws=draws, resamples=2, seed=seed), judged=judged)
    prompts = bench.with_config(DebiasConfig("prompts", draws=1, resamples=2, seed=seed))
    concept = [(head.layer, head.head) for head in choose_heads(role_map, None, "background", any_role=True)]
    zero_shot = measure_debias(prompts, concept)
    found = {"zero-shot": zero_shot.before, "zero-shot concept": zero_shot.after}
    rows = {}
    for name, any_role in (("attribute", False), ("concept", True)):
        heads = [(head.layer, head.head) for head in choose_heads(role_map, None, "background", any_role)]
        result = measure_debias(bench, heads)
        found |= {"before": result.before, name: result.after}
        rows[f"random for {name}"] = (result.before.worst + result.random.mean, float("nan"))
    found["learned"] = measure_weights(bench, bench.learn(LearnConfig()), "learned").after
    return rows | {name: (each.worst, each.mean) for name, each in found.items()}


def show(values: np.ndarray, sign: str = "") -> str:
    """Mean and 95% t interval over tasks."""
    ends = interval(values.tolist())
    around = "" if ends is None else " [{:{sign}.1f}, {:{sign}.1f}]".format(*(100 * end for end in ends), sign=sign)
    return f"{100 * values.mean():{sign}.1f}{around}"


@benchmark()
@click.option("--model", "name", default="shapes", show_default=True, help="A bundled model.")
@click.option("--tasks", default=12, show_default=True, help="Tasks a look.")
@click.option("--looks", default="see-through,turned,tiny", show_default=True, help="How items look.")
@click.option("--draws", default=100, show_default=True, help="Draws of random heads.")
@click.option("--seed", default=0, show_default=True)
@click.option("--role-map", type=click.Path(path_type=Path), help="Default: score 2000 scenes anew.")
def main(name: str, tasks: int, looks: str, draws: int, seed: int, role_map: Path | None) -> None:
    model = load(name, "cpu")
    if role_map is None:
        scored, _ = score_texts(
            model, ShapesImages(model.processor, 2000), ProbeBank.load("shapes"), ScoreConfig(), source="shapes"
        )
    else:
        scored = RoleMap.load(role_map)
    if not any(head.concept == "background" for head in scored):
        raise click.ClickException(f"{name} has no head of background, so no cut of such heads can be tried")
    for look in looks.split(","):
        rows = [measure(model, scored, task, seed, draws) for task in draw_tasks(look, tasks, seed)]
        click.echo(f"{look}: {tasks} tasks, percent, 95% t intervals over tasks\n")
        click.echo("| | worst group | gain | mean | tasks with 10 points more |\n|---|---|---|---|---|")
        for way in WAYS:
            worst, mean = np.array([row[way] for row in rows]).T
            base = np.array([row["zero-shot" if way in ZERO_SHOT else "before"][0] for row in rows])
            gain = "" if way in ("zero-shot", "before") else show(worst - base, "+")
            more = "" if not gain else f"{(worst - base >= 0.1).sum()}"
            click.echo(f"| {way} | {show(worst)} | {gain} | {'' if np.isnan(mean[0]) else show(mean)} | {more} |")
        click.echo()


if __name__ == "__main__":
    main()
