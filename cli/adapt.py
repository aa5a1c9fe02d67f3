"""`headroles adapt`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from headroles.adapt.config import DearConfig, TrainConfig
from headroles.cli.options import choices
from headroles.cli.options.ablation import ablation_options
from headroles.cli.options.activation import activation_option
from headroles.cli.options.adapt_help import SECTIONS
from headroles.cli.options.bars import open_bar, say
from headroles.cli.options.config import config_option
from headroles.cli.options.continual import continual_options, run_continual, take_continual
from headroles.cli.options.kinds import Choice, Listed, Method, Model, RoleMapFile, Task, Word
from headroles.cli.options.names import split_names
from headroles.cli.options.numbers import parse_numbers, parse_shots
from headroles.cli.options.pixels import pixels_option
from headroles.cli.options.sections import SectionedCommand
from headroles.cli.options.settings import setting, write_setting
from headroles.cli.options.task import join_reading, task_options
from headroles.cli.options.template import template_option

if TYPE_CHECKING:
    from headroles.adapt.results.adapted import Adapted
    from headroles.adapt.training.records import Step



@click.command(cls=SectionedCommand, sections=SECTIONS)
@click.option(
    "--model", type=Model(), default="shapes", show_default=True,
    help="Name, folder, file or hub id: `headroles models`.",
)  # fmt: skip
@activation_option
@click.option(
    "--task", type=Task(), help="Built-in task, folder, list or data set; see --list-tasks.  [default: shapes:turned]"
)
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the data sets that --task names.")
@task_options
@template_option("the task's own")
@click.option("--list-tasks", is_flag=True, help="List the built-in tasks and their shifts, and stop.")
@click.option(
    "--role-map",
    type=RoleMapFile(),
    help="Role map of the model.  [default: headroles-output/role_map.json; for a bundled model made if need be]",
)
@click.option(
    "--protocol",
    type=Choice(choices.PROTOCOLS),
    help="What is trained and tested: base-to-novel (half of the classes train, each half is tested among its own "
    "names), joint (the same training, every test image among the names of both halves), few-shot (all classes), "
    "cross-dataset (all classes; other tasks are tested), domain-shift (the same classes in other renderings are "
    "tested) or leave-one-domain-out (an adapter for each domain, which trains on all others and is tested on it).  "
    "[default: few-shot for data of your own and fewer than four classes, else base-to-novel]",
)
@click.option(
    "--shots",
    default="16",
    show_default=True,
    help="Training images a class (for leave-one-domain-out, of every domain), or all; several, such as 1,2,4,8,16, "
    "make one adapter each.",
)
@click.option("--seeds", default="1", show_default=True, help="Such as 1, 1-3 or 1,5; one adapter each.")
@click.option(
    "--targets",
    type=Listed(Task(), "none"),
    help="Tasks, separated by commas, that cross-dataset and domain-shift test on.  [default: for a built-in task all "
    "its peers, for a data set of CoOp's the other ten, for ImageNet its four shifts]",
)
@click.option(
    "--retention",
    type=Listed(Task(), "none"),
    help="Other tasks, separated by commas, whose zero-shot accuracy is compared, or none.  [default: for the bundled "
    "model, the plain concepts]",
)
@continual_options
@click.option("--method", type=Method(), default="dear", show_default=True, help="How to adapt; see --list-methods.")
@click.option("--list-methods", is_flag=True, help="List the methods and their settings, and stop.")
@click.option(
    "--set",
    "assigned",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of the method or of the training, by name; may be repeated. Other options of the training and of "
    "DeAR say DeAR's defaults.",
)
@setting(DearConfig, "mask", "What heads let through.", choices=choices.MASKS)
@setting(DearConfig, "mask_seed", "Seed of the random mask.")
@setting(DearConfig, "mask_floor", "Share of a concept up to which the soft mask parts its token.")
@setting(DearConfig, "mask_start", "Where learned masks begin; uniform: all alike.", choices=choices.MASK_STARTS)
@setting(DearConfig, "mask_rate", "Learning rate of learned masks, as a multiple of the training's.")
@setting(DearConfig, "lambda_mask", "Weight of the loss that holds learned masks near the role map's.")
@setting(DearConfig, "layer", "First layer with tokens and masks.", "first of the last third")
@setting(DearConfig, "enter_after", "Let the tokens enter one layer after that one.")
@setting(DearConfig, "core", "Concepts with an attribute token, separated by commas.")
@setting(DearConfig, "vision_tokens", "Attribute tokens in the vision tower.")
@setting(DearConfig, "text_tokens", "Learned tokens in the text tower; 0 for none.")
@setting(DearConfig, "beta", "Share of a learned token that enters anew at each layer.")
@setting(DearConfig, "train_norm", "Train the LayerNorm before the attribute tokens' projection too.")
@setting(
    DearConfig, "fusion", "Weights of CLS and attributes in the logits; cls: CLS alone.", choices=choices.FUSIONS
)
@setting(DearConfig, "alpha_cls", "Weight of CLS: at the start, or fixed.")
@setting(DearConfig, "lambda_image", "Weight of the loss that holds image embeddings near the frozen CLIP's.")
@setting(DearConfig, "lambda_text", "Weight of the loss that holds text embeddings near the frozen CLIP's.")
@setting(DearConfig, "lambda_fusion", "Weight of the loss that holds the weight of CLS up.")
@click.option(
    "--inference",
    type=Choice(choices.INFERENCES),
    help="Of mmrl and mmrlpp: unified, or decoupled, as published: classes that were not trained by CLS alone.  "
    "[default: unified]",
)
@setting(TrainConfig, "epochs", "Passes over the training images.")
@setting(TrainConfig, "batch", "Images a step, over all processes.")
@setting(TrainConfig, "lr", "Learning rate after the warm-up.")
@setting(TrainConfig, "weight_decay", "Weight decay of AdamW.")
@setting(TrainConfig, "warmup_epochs", "Epochs at a very small learning rate.")
@setting(TrainConfig, "cache_views", "Augmented views an image whose trunk outputs are kept on disk; 0: fresh views.")
@setting(
    TrainConfig, "select_epoch", "Which epoch is taken; validation: the best on validation images.",
    choices=choices.EPOCHS,
)
@setting(TrainConfig, "precision", "Mixed precision.", choices=choices.PRECISIONS)
@click.option(
    "--log", type=Listed(Word(choices.LOGS)),
    help="Log the training's numbers into the output's logs/: csv, tensorboard, wandb, or several.",
)  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="Decoding processes.")
@click.option(
    "--output", type=click.Path(path_type=Path), default="headroles-output/adapter", show_default=True, help="Folder."
)
@click.option("--resume", is_flag=True, help="Go on with a job that was stopped.")
@click.option("--overwrite", is_flag=True, help="Replace an adapter that is already in the output folder.")
@ablation_options
@pixels_option
@config_option
def command(list_tasks: bool, list_methods: bool, dry_run: bool, **options: Any) -> None:
    """Adapt a CLIP to a task from a few images a class, by DeAR, with masks from its role map, or another method.

    Writes an adapter folder in PEFT's layout. Without arguments it adapts the bundled model to a built-in task,
    offline, and shows what the adapter gives on seen and on unseen classes, and what it costs elsewhere.
    """
    if list_tasks:
        _list_tasks()
        return
    if list_methods:
        _list_methods()
        return
    options = {name: value for name, value in options.items() if value is not None}
    several = take_continual(options)
    given = _arguments(options)
    from headroles.adapt.jobs.adapt import adapt
    from headroles.adapt.training.processes import is_main

    if several:
        run_continual(several, given, _Bar(), dry_run)
        return
    if dry_run:
        _plan(given)
        return
    adapted = adapt(**given, progress=_Bar(), say=say)
    if is_main():
        _report(adapted, options["output"])


def _plan(options: dict[str, Any]) -> None:
    """How all would be read."""
    from headroles.adapt.jobs.plan import plan

    unread = {"role_map", "workers"}
    for line in plan(**{name: value for name, value in options.items() if name not in unread}):
        click.echo(line)


def _arguments(options: dict[str, Any]) -> dict[str, Any]:
    """What `headroles.adapt.adapt` takes, from the options that are given."""
    from headroles.adapt.data.names import DEFAULT
    from headroles.models.known_models import join_activation

    # One name says it all, so that the adapter's base model can be found again.
    model = join_activation(options["model"], options.pop("activation", None))
    listed = options.keys() & {"core", "targets", "retention", "log"}
    lists: dict[str, Any] = {name: split_names(options[name]) for name in listed}
    seeds = parse_numbers("seeds", options["seeds"])
    numbers: dict[str, Any] = {"shots": parse_shots(options["shots"]), "seeds": seeds}
    if options.keys() & {"task", "test_share", "val_share", "label", "class_names", "domains"}:
        options["task"] = join_reading(options.get("task", DEFAULT), options)
    assigned = _read_assigned(options["method"], options.pop("assigned", ()))
    twice = sorted(assigned.keys() & {**options, **lists}.keys())
    if twice:
        raise click.UsageError(f"--set {twice[0]}: also given as --{twice[0].replace('_', '-')}; give it once")
    return {**options, "model": model, **lists, **numbers, **assigned}


def _read_assigned(method: str, assigned: Sequence[str]) -> dict[str, Any]:
    """Values of NAME=VALUE, by the types of the settings."""
    from headroles.adapt.config import read_settings
    from headroles.adapt.methods.registry import find_method

    texts: dict[str, str] = {}
    for text in assigned:
        name, sign, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or not name or name in texts:
            raise click.UsageError(f"--set must be NAME=VALUE, each name once, got {text!r}")
        texts[name] = value.strip()
    return read_settings(texts, find_method(method).settings) if texts else {}


class _Bar:
    """A bar on a terminal, and a line an epoch everywhere; one bar a seed."""

    def __init__(self) -> None:
        self.bar: Any = None

    def __call__(self, seed: int, step: Step) -> None:
        from tqdm import tqdm

        if self.bar is None:
            self.bar = open_bar("training", step.steps, "step", initial=step.step - 1)
        facts = f"loss {step.loss:.3f}  accuracy {100 * step.accuracy:.1f}%"
        self.bar.set_postfix_str(facts, refresh=False)
        self.bar.update(1)
        if step.record:
            weights = "  ".join(f"{name} {weight:.2f}" for name, weight in step.record.alpha.items())
            alpha = f"  alpha: {weights}" if weights else ""
            tqdm.write(f"seed {seed}  epoch {step.epoch:>2}  {facts}{alpha}")
        if step.step == step.steps:
            self.bar.close()
            self.bar = None


def _report(adapted: Adapted, output: Path) -> None:
    """Zero-shot beside adapted, what was trained, and what to type next."""
    from headroles.adapt.adapter.folders import Draw
    from headroles.cli.options.stopped import typed

    if adapted.note:
        click.echo(adapted.note)
    click.echo(adapted.trainable)
    for info in (adapter.info for adapter in adapted):
        if info.validation and info.epoch:
            right = 100 * info.validation[info.epoch - 1]
            click.echo(f"seed {info.seed}: epoch {info.epoch} is taken, with {right:.1f}% of validation images right")
    seeds = len(adapted.seeds)
    click.echo("percent of right answers" + (f", mean of {seeds} seeds with 95% interval" if seeds > 1 else ""))
    click.echo(adapted.to_table())
    for adapter in adapted:
        for line in adapter.findings.lines if adapter.findings else ():
            click.echo(f"{Draw.of(adapter.info).words}: {line}")
    for folder in adapted.folders:
        click.echo(f"done before: {folder}" if folder in adapted.done else f"wrote {folder}")
    if len({info.shots for info in (adapter.info for adapter in adapted)}) > 1:
        click.echo("next: " + typed("plot", output, "--kind", "shots"))
    elif adapted[0].history:
        click.echo("next: " + typed("plot", adapted.folders[0], "--kind", "curves"))


def _list_tasks() -> None:
    from headroles.adapt.data.tasks import SHIFTS, TASKS

    for title, names in (("tasks", TASKS), ("shifts, such as TASK@SHIFT", SHIFTS)):
        click.echo(f"{title}:")
        for name, note in names.items():
            click.echo(f"  {name:<20} {note}")


def _list_methods() -> None:
    from headroles.adapt.methods.registry import METHODS

    for name, method in METHODS.items():
        known = f"novel classes {method.novel}" if method.novel else "the trained classes alone"
        role_map = {"needed": "; needs a role map", "taken": "; takes a role map", "none": ""}[method.role_maps]
        click.echo(f"{name:<16} {method.title} ({method.source}): names {known}{role_map}")
        own = {**method.settings().to_dict(), **(method.preset if method.steps else {})}
        for title, settings in (("", own), ("as published: ", method.as_published)):
            if settings:
                written = (f"{key}={quote(write_setting(value))}" for key, value in settings.items())
                click.echo(" " * 17 + title + " ".join(written))
        if method.preset_by_data:
            click.echo(" " * 17 + f"by the data: {method.preset_by_data}")
