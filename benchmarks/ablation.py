"""Do role masks help? Zero-shot CLIP and DeAR with every kind of mask, on the built-in tasks, over seeds.

`python benchmarks/ablation.py --tune` tries settings on validation splits alone and prints the best;
`python benchmarks/ablation.py --why` asks, on validation splits too, which setting makes `role` lose or gain on `open`;
`python benchmarks/ablation.py --norm` asks there whether to train the LayerNorm before the attribute projection;
`python benchmarks/ablation.py` trains task x mask x seed with the defaults, and prints base, novel, their harmonic mean
and retention (mean change on the plain concept tasks) with 95% intervals over seeds, and paired differences against
`role`. Over tasks there are two harmonic means: the mean of the tasks' own, and that of mean base and mean novel, which
is what papers print. Every epoch sees fresh views of its images, whose trunk outputs all masks of a task and seed
share. Every finished run is a line of OUTPUT/runs.jsonl: stopped and started again, it goes on where it was.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from headroles import HookedCLIP, ProbeBank, RoleMap, ScoreConfig, ShapesImages, load
from headroles.adapt import Dear, DearConfig, Task, TrainConfig, fit, open_task
from headroles.adapt.config import HARD_MASKS as MASKS
from headroles.adapt.data.tasks import Example, TaskImages
from headroles.adapt.metrics import harmonic_mean, interval
from headroles.roles.score_texts import score_texts
from headroles.shapes import CONCEPTS
from headroles.shapes.tasks import RETENTION
from headroles.shapes.tasks import TASKS as SHAPES_TASKS

TASKS = tuple(name for name in SHAPES_TASKS if name not in RETENTION)
FIGURES = ("base", "novel", "mean of hm", "hm of means", "retention")
"""What is printed of several tasks together."""
TASK_FIGURES = ("base", "novel", "hm", "retention")
"""What a run gives of its task."""
TUNING_TASKS = ("hidden", "pastel", "rare", "weave")
TUNING_SEED = 101
"""Of the shots and the training when settings are tuned; the reported seeds are others."""
GRID: dict[str, Sequence[Any]] = {
    "layer": (5, 6),
    "beta": (0.5, 0.9),
    "lr": (2e-3, 1e-2),
    "lambda_image": (0.5, 5.0),
}
"""Settings that `--tune` crosses."""
WHY_TASKS = ("faint", "hidden", "clutter", "order", "weave")
WHY: dict[str, dict[str, Any]] = {
    "defaults": {},
    "a token for every concept": {"core": tuple(CONCEPTS)},
    "no text tokens": {"text_tokens": 0},
    "tokens enter one layer later": {"layer": 6},
    "image loss x 10": {"lambda_image": 5.0},
}
"""What `--why` changes, one at a time, for `role` and `open` alike."""


class Bench:
    """The bundled model, its role map, and trunk outputs of all images that are tested."""

    def __init__(self, output: Path) -> None:
        self.output = output
        output.mkdir(parents=True, exist_ok=True)
        self.model: HookedCLIP = load("shapes", "cpu")
        self.role_map = self._role_map()
        self.kept = [open_task(f"shapes:{name}") for name in RETENTION]
        self.trunks, self.frozen = cache(self._trunks), cache(self._frozen)
        self.lines = output / "runs.jsonl"
        self.done = {}
        if self.lines.is_file():
            self.done = {row["key"]: row for row in map(json.loads, self.lines.read_text().splitlines())}

    def _role_map(self) -> RoleMap:
        path = self.output / "role_map.json"
        if not path.is_file():
            images = ShapesImages(self.model.processor, 2000)
            score_texts(self.model, images, ProbeBank.load("shapes"), ScoreConfig(), source="shapes")[0].save(path)
        return RoleMap.load(path)

    @torch.inference_mode()
    def _trunks(self, examples: tuple[Example, ...], layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The residual stream before `layer`, and labels."""
        images = TaskImages(examples, self.model.processor, False, 0, 0)
        pixels = torch.stack([images[index][1] for index in range(len(images))])
        parts = [self.model.visual.run(self.model.start_images(part), range(layer)) for part in pixels.split(200)]
        return torch.cat(parts), torch.tensor([example.label for example in examples])

    @torch.inference_mode()
    def _frozen(self, examples: tuple[Example, ...], prompts: tuple[str, ...], layer: int) -> float:
        """Zero-shot accuracy."""
        trunk, labels = self.trunks(examples, layer)
        tower, texts = self.model.visual, self.model.embed_texts(prompts)
        rows = [tower.read(tower.run(part, range(layer, tower.layers))[:, 0]) for part in trunk.split(200)]
        return ((torch.cat(rows) @ texts.T).argmax(1) == labels).double().mean().item()

    @torch.inference_mode()
    def accuracies(self, dear: Dear, task: Task, split: str) -> tuple[float, float]:
        """Zero-shot and adapted accuracy on a split."""
        examples = getattr(task, split)
        trunk, labels = self.trunks(examples, dear.layer)
        encoded = dear.encode_texts(dear.text_trunk(task.prompts))
        logits = torch.cat([dear.logits(dear.encode_images(part), encoded) for part in trunk.split(200)])
        adapted = (logits.argmax(1) == labels).double().mean().item()
        return self.frozen(examples, tuple(text for (text,) in task.prompts), dear.layer), adapted

    def run(self, name: str, dear: DearConfig, train: TrainConfig, split: str, shots: int) -> dict[str, Any]:
        """Train and test once, or recall that: figures of the frozen ("zero-shot") and the adapted model."""
        settings = {"task": name, "dear": dear.to_dict(), "train": train.to_dict(), "split": split, "shots": shots}
        whole = json.dumps({**settings, "role map": self.role_map.to_json()}, sort_keys=True)
        key = hashlib.sha256(whole.encode()).hexdigest()
        if key not in self.done:
            row = {"key": key, **settings, **self._run(name, dear, train, split, shots)}
            with self.lines.open("a") as file:
                file.write(json.dumps(row) + "\n")
            self.done[key] = row
        return self.done[key]

    def _run(self, name: str, config: DearConfig, train: TrainConfig, split: str, shots: int) -> dict[str, Any]:
        task = open_task(f"shapes:{name}")
        base, novel = task.halves()
        dear = Dear(self.model, self.role_map, config, train.seed)
        views = self._views(f"{name}-{shots}-{train.seed}-{train.epochs}-{dear.layer}")
        fit(dear, task.few_shot(shots, train.seed).halves()[0], train, self.output / "scratch", views=views)
        pairs = [self.accuracies(dear, half, split) for half in (base, novel)]
        kept = [self.accuracies(dear, each, split) for each in self.kept]
        frozen, adapted = ([pair[side] for pair in pairs] for side in (0, 1))
        lost = float(np.mean([after - before for before, after in kept]))
        return {
            "zero-shot": [*frozen, harmonic_mean(*frozen), 0.0],
            "adapted": [*adapted, harmonic_mean(*adapted), lost],
            "alpha": dear.alpha.tolist(),
        }

    def _views(self, name: str) -> Path:
        """Where the trunk outputs of these training images are; those of others are removed."""
        folder = self.output / "views"
        for other in folder.glob("*"):
            if other.name != name:
                shutil.rmtree(other)
        return folder / name


def over_tasks(values: np.ndarray) -> np.ndarray:
    """FIGURES (..., 5) from the TASK_FIGURES (task, ..., 4) of several tasks."""
    base, novel, own, retention = np.moveaxis(values.mean(0), -1, 0)
    return np.stack([base, novel, own, np.vectorize(harmonic_mean)(base, novel), retention], -1)


def tune(bench: Bench, names: Sequence[str], train: TrainConfig, shots: int) -> None:
    """Every combination of GRID with the role mask, on validation splits; the best by mean harmonic mean last."""
    results = []
    for values in itertools.product(*GRID.values()):
        chosen = dict(zip(GRID, values, strict=True))
        dear, training = (
            replace(config, **{key: value for key, value in chosen.items() if hasattr(config, key)})
            for config in (DearConfig(), replace(train, seed=TUNING_SEED))
        )
        rows = [bench.run(name, dear, training, "val", shots)["adapted"] for name in names]
        results.append((over_tasks(np.array(rows)), chosen))
        click.echo(_tuning_line(*results[-1]))
    click.echo("best:")
    click.echo(_tuning_line(*max(results, key=lambda each: each[0][2])))


def explain(bench: Bench, names: Sequence[str], train: TrainConfig, shots: int, seeds: Sequence[int]) -> None:
    """`role` minus `open` under every change of WHY, on validation splits, with 95% intervals over seeds."""
    _head("change | mask", names)
    for change, settings in WHY.items():
        role, opened = (
            _validate(bench, names, DearConfig(mask=mask, **settings), train, shots, seeds) for mask in ("role", "open")
        )
        click.echo(f"| {change} | role | " + _by_task(role, np.zeros_like(role), _plain))
        click.echo(f"| {change} | role minus open | " + _by_task(role, opened, _signed))


def compare_norm(bench: Bench, names: Sequence[str], train: TrainConfig, shots: int, seeds: Sequence[int]) -> None:
    """`train_norm` off and on, and on minus off, on validation splits, with 95% intervals over seeds."""
    off, on = (_validate(bench, names, DearConfig(train_norm=each), train, shots, seeds) for each in (False, True))
    _head("train_norm", names)
    click.echo("| off | " + _by_task(off, np.zeros_like(off), _plain))
    click.echo("| on | " + _by_task(on, np.zeros_like(on), _plain))
    click.echo("| on minus off | " + _by_task(on, off, _signed))


def _validate(
    bench: Bench, names: Sequence[str], dear: DearConfig, train: TrainConfig, shots: int, seeds: Sequence[int]
) -> np.ndarray:
    """Figures (task, seed, 4) of the adapted model on validation splits."""
    trains = [replace(train, seed=seed) for seed in seeds]
    return np.array([[bench.run(name, dear, each, "val", shots)["adapted"] for each in trains] for name in names])


def _head(first: str, names: Sequence[str]) -> None:
    cells = [*first.split(" | "), *FIGURES, *(f"hm, {name}" for name in names)]
    click.echo("| " + " | ".join(cells) + " |")
    click.echo("|---" * len(cells) + "|")


def _by_task(values: np.ndarray, without: np.ndarray, write: Callable[[np.ndarray], str]) -> str:
    """Cells of `values` minus `without`, (task, seed, 4): FIGURES over the tasks, then every task's own hm."""
    whole = over_tasks(values) - over_tasks(without)
    cells = [write(column) for column in whole.T] + [write(task[:, 2]) for task in values - without]
    return " | ".join(cells) + " |"


def _tuning_line(figures: np.ndarray, chosen: dict[str, Any]) -> str:
    numbers = "  ".join(f"{name} {100 * value:6.2f}" for name, value in zip(FIGURES, figures, strict=True))
    return f"{numbers}  {chosen}"


def compare(bench: Bench, names: Sequence[str], train: TrainConfig, shots: int, seeds: Sequence[int]) -> None:
    """The table: every mask on every task with every seed."""
    adapted = {mask: np.zeros((len(names), len(seeds), 4)) for mask in MASKS}
    frozen = np.zeros((len(names), len(seeds), 4))
    for (row, name), (column, seed) in itertools.product(enumerate(names), enumerate(seeds)):
        for mask in MASKS:
            config = DearConfig(mask=mask, mask_seed=seed)
            result = bench.run(name, config, replace(train, seed=seed), "test", shots)
            adapted[mask][row, column], frozen[row, column] = result["adapted"], result["zero-shot"]
        click.echo(f"  {name}, seed {seed}: " + ", ".join(f"{m} {100 * adapted[m][row, column, 2]:.1f}" for m in MASKS))
    click.echo(f"mean over {len(names)} tasks, 95% intervals over {len(seeds)} seeds, percent")
    whole = {mask: over_tasks(values) for mask, values in {"zero-shot": frozen, **adapted}.items()}
    others = [mask for mask in MASKS if mask != "role"]
    _table(whole, FIGURES, _plain)
    click.echo("role minus each, paired by task and seed, 95% intervals over seeds")
    _table({mask: whole["role"] - whole[mask] for mask in others}, FIGURES, _signed)
    click.echo("the same, 95% intervals over tasks")
    _table({mask: (adapted["role"] - adapted[mask]).mean(1) for mask in others}, TASK_FIGURES, _signed)
    click.echo("harmonic mean by task, mean over seeds")
    click.echo("| task | " + " | ".join(["zero-shot", *MASKS]) + " |")
    click.echo("|---" * (2 + len(MASKS)) + "|")
    for row, name in enumerate(names):
        cells = [f"{100 * part[row, :, 2].mean():.1f}" for part in (frozen, *adapted.values())]
        click.echo(f"| {name} | " + " | ".join(cells) + " |")


def _table(rows: dict[str, np.ndarray], figures: Sequence[str], write: Callable[[np.ndarray], str]) -> None:
    """One row a mask, one column a figure: the mean over the first axis of (seed or task, figure)."""
    click.echo("| mask | " + " | ".join(figures) + " |")
    click.echo("|---" * (1 + len(figures)) + "|")
    for name, values in rows.items():
        click.echo(f"| {name} | " + " | ".join(write(column) for column in values.T) + " |")


def _plain(values: np.ndarray, sign: str = "") -> str:
    bounds = interval(values.tolist())
    around = "" if bounds is None else f" ± {50 * (bounds[1] - bounds[0]):.1f}"
    return f"{100 * values.mean():{sign}.1f}{around}"


def _signed(values: np.ndarray) -> str:
    return _plain(values, "+")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--tune", "tuning", is_flag=True, help="Tune on validation splits instead.")
@click.option("--why", is_flag=True, help="Ask on validation splits what role and open differ by instead.")
@click.option("--norm", is_flag=True, help="Ask on validation splits whether to train the LayerNorm instead.")
@click.option("--tasks", help="Built-in tasks; default: all that are not known already, some for --tune and --why.")
@click.option("--seeds", type=click.IntRange(min=2), default=5, show_default=True, help="Seeds 1 to N.")
@click.option("--shots", type=click.IntRange(min=1), default=16, show_default=True, help="Training images a class.")
@click.option("--epochs", type=int, default=20, show_default=True, help="Of every training.")
@click.option("--batch", type=int, default=16, show_default=True, help="Images a step.")
@click.option("--lr", type=float, default=1e-2, show_default=True, help="Learning rate; --tune tries its own.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("runs/ablation"), show_default=True)
def main(
    tuning: bool, why: bool, norm: bool, tasks: str | None, seeds: int, shots: int, epochs: int, batch: int, lr: float,
    output: Path,
) -> None:  # fmt: skip
    """Compare the masks, or tune settings on validation splits."""
    bench = Bench(output)
    names = tasks.split(",") if tasks else TUNING_TASKS if tuning or norm else WHY_TASKS if why else TASKS
    train = TrainConfig(epochs=epochs, batch=batch, lr=lr, cache_views=epochs)
    if tuning:
        tune(bench, names, train, shots)
    elif why:
        explain(bench, names, train, shots, range(TUNING_SEED, TUNING_SEED + seeds))
    elif norm:
        compare_norm(bench, names, train, shots, range(TUNING_SEED, TUNING_SEED + seeds))
    else:
        compare(bench, names, train, shots, range(1, seeds + 1))


if __name__ == "__main__":
    main()
