"""`headroles adapt`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headroles.cli.ablation import ablation_options

if TYPE_CHECKING:
    from headroles.adapt.run import Adapted, Job
    from headroles.adapt.train import Step

_METHOD = ("layer", "enter_after", "mask", "mask_seed", "vision_tokens", "text_tokens", "beta", "fusion", "alpha_cls")
_LOSSES = ("lambda_image", "lambda_text", "lambda_fusion")
_TRAINING = ("epochs", "batch", "lr", "weight_decay", "warmup_epochs", "cache_views", "precision")


@click.command()
@click.option("--model", default="shapes", show_default=True, help="Name, folder or hub id; see `headroles models`.")
@click.option("--task", help="Built-in task, folder, CSV file or data set; default: shapes:tiny. See --list-tasks.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the data sets that --task names.")
@click.option("--template", help="Prompt with {} for the class; default: the task's own.")
@click.option("--list-tasks", is_flag=True, help="List the built-in tasks and stop.")
@click.option("--role-map", type=click.Path(path_type=Path), help="Default: headroles-output/role_map.json, or made.")
@click.option("--protocol", default="base-to-novel", show_default=True, help="Or few-shot, cross-dataset, domain-shift")
@click.option("--shots", default="16", show_default=True, help="Training images a class, or all.")
@click.option("--seeds", default="1", show_default=True, help="Such as 1, 1-3 or 1,5; one adapter each.")
@click.option("--targets", help="Tasks that cross-dataset and domain-shift test on, separated by commas.")
@click.option("--retention", help="Other tasks whose zero-shot accuracy is compared, separated by commas, or none.")
@click.option("--mask", help="What heads may exchange with the tokens: role, open, layer, random or inverted.")
@click.option("--mask-seed", type=int, help="Seed of the random mask.")
@click.option("--layer", type=int, help="First layer with tokens and masks; default: first of the last third.")
@click.option("--enter-after/--enter-at", default=None, help="Tokens enter after that layer, or at it.")
@click.option("--core", help="Concepts with an attribute token, separated by commas.")
@click.option("--vision-tokens/--no-vision-tokens", default=None, help="Attribute tokens in the vision tower.")
@click.option("--text-tokens", type=int, help="Learned tokens in the text tower; 0 for none.")
@click.option("--beta", type=float, help="Share of a learned token that enters anew at each layer.")
@click.option("--fusion", help="Weights of CLS and attributes: learned, fixed or cls.")
@click.option("--alpha-cls", type=float, help="Weight of CLS: at the start, or fixed.")
@click.option("--lambda-image", type=float, help="Weight of the loss that holds images near the frozen CLIP.")
@click.option("--lambda-text", type=float, help="The same for texts.")
@click.option("--lambda-fusion", type=float, help="Weight of the loss that holds the weight of CLS up.")
@click.option("--epochs", type=int, help="Passes over the training images.")
@click.option("--batch", type=int, help="Images a step, over all processes.")
@click.option("--lr", type=float, help="Learning rate after the warm-up.")
@click.option("--weight-decay", type=float, help="Of AdamW.")
@click.option("--warmup-epochs", type=int, help="Epochs at a very small rate.")
@click.option("--cache-views", type=int, help="Keep the trunk's outputs of so many augmented views on disk.")
@click.option("--precision", help="no, bf16 or fp16.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="Decoding processes.")
@click.option(
    "--output", type=click.Path(path_type=Path), default="headroles-output/adapter", show_default=True, help="Folder."
)
@click.option("--resume", is_flag=True, help="Go on with a job that was stopped.")
@click.option("--overwrite", is_flag=True, help="Replace an adapter that is already in the output folder.")
@ablation_options
def command(
    list_tasks: bool, output: Path, resume: bool, overwrite: bool, device: str, workers: int, **options: object
) -> None:
    """Adapt a CLIP to a task from a few images a class, with masks from its role map (DeAR).

    Writes an adapter folder in PEFT's layout. Without arguments it adapts the bundled model to a built-in task,
    offline, and shows what the adapter gives on seen and on unseen classes, and what it costs elsewhere.
    """
    if list_tasks:
        _list_tasks()
        return
    from headroles.adapt.processes import is_main
    from headroles.adapt.run import adapt

    job = _job({name: value for name, value in options.items() if value is not None})
    adapted = adapt(job, output, device=device, workers=workers, resume=resume, overwrite=overwrite, progress=_Bar())
    if is_main():
        _report(adapted)


def _job(options: dict[str, Any]) -> Job:
    """The job that the options describe."""
    from headroles.adapt.config import DearConfig, TrainConfig
    from headroles.adapt.run import Job

    dear = {name: options.pop(name) for name in (*_METHOD, *_LOSSES) if name in options}
    train = {name: options.pop(name) for name in _TRAINING if name in options}
    if "core" in options:
        dear["core"] = split_names(options.pop("core"))
    lists = {name: split_names(options.pop(name)) for name in ("targets", "retention") if name in options}
    plain = {"shots": _parse_shots(options.pop("shots")), "seeds": _parse_seeds(options.pop("seeds"))}
    return Job(**options, **plain, **lists, dear=DearConfig(**dear), train=TrainConfig(**train))


def split_names(text: str) -> tuple[str, ...]:
    """Names between commas; "none" is none."""
    return () if text.strip() == "none" else tuple(name.strip() for name in text.split(",") if name.strip())


def _parse_shots(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal():
        raise click.UsageError(f"--shots must be a number or all, got {text!r}")
    return int(text)


def _parse_seeds(text: str) -> tuple[int, ...]:
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise click.UsageError(f"--seeds must be numbers and ranges such as 1-3 or 1,5, got {text!r}")
        seeds += range(int(first), int(last or first) + 1)
    return tuple(seeds)


class _Bar:
    """A bar on a terminal, and a line an epoch everywhere; one bar a seed."""

    def __init__(self) -> None:
        self.bar = None

    def __call__(self, seed: int, step: Step) -> None:
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(total=step.steps, initial=step.step - 1, unit="step", disable=None, leave=False)
        facts = f"loss {step.loss:.3f}  accuracy {100 * step.accuracy:.1f}%"
        self.bar.set_postfix_str(facts, refresh=False)
        self.bar.update(1)
        if step.record:
            alpha = "  ".join(f"{name} {weight:.2f}" for name, weight in step.record.alpha.items())
            tqdm.write(f"seed {seed}  epoch {step.epoch:>2}  {facts}  alpha: {alpha}")
        if step.step == step.steps:
            self.bar.close()
            self.bar = None


def _report(adapted: Adapted) -> None:
    """Zero-shot beside adapted, what was trained, and what to type next."""
    from headroles.adapt.metrics import to_table

    click.echo(adapted.note)
    click.echo(adapted.trainable)
    seeds = len(adapted.folders)
    click.echo("percent of right answers" + (f", mean of {seeds} seeds with 95% interval" if seeds > 1 else ""))
    click.echo(to_table(adapted.measures))
    for folder in adapted.folders:
        click.echo(f"wrote {folder}")
    click.echo(f"next: headroles plot {adapted.folders[0]} --kind curves")


def _list_tasks() -> None:
    from headroles.adapt.tasks import SHIFTS, TASKS

    for title, names in (("tasks", TASKS), ("shifts, such as TASK@SHIFT", SHIFTS)):
        click.echo(f"{title}:")
        for name, note in names.items():
            click.echo(f"  {name:<20} {note}")
