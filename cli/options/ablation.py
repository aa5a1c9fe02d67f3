"""The options that cut heads out of the model of any command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import Any

import click

from headroles.cli.options import choices
from headroles.cli.options.kinds import Choice, Heads

_OPTIONS = (
    click.option(
        "--ablate",
        type=Heads(),
        metavar="HEADS",
        help="Heads, or directions of heads, to cut out: L6.H3,L7.*,L6.H5.D0-2.",
    ),
    click.option("--ablate-mode", type=Choice(choices.MODES), help="What stands in for them.  [default: mean]"),
    click.option(
        "--ablate-effect",
        type=Choice(choices.EFFECTS),
        help="total: through later layers; direct: their part of the embedding.  [default: total]",
    ),
    click.option(
        "--ablate-images", help="Folder of images for means; default: the command's own, or scenes (bundled model)."
    ),
)


def ablation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --ablate and its kin to a command, which then runs with these heads cut out of every model that it loads."""

    @wraps(command)
    def ablated(
        *args: Any,
        ablate: str | None,
        ablate_mode: str | None,
        ablate_effect: str | None,
        ablate_images: str | None,
        **options: Any,
    ) -> Any:
        all_given = {"mode": ablate_mode, "effect": ablate_effect, "images": ablate_images}
        given: dict[str, Any] = {name: value for name, value in all_given.items() if value is not None}
        if not ablate:
            if given:
                raise click.UsageError(f"--ablate-{next(iter(given))} needs --ablate HEADS")
            return command(*args, **options)
        from headroles.files.places import tidying
        from headroles.heads.ablation import Ablation, ablating_loaded

        own = options.get("images")
        if isinstance(own, str) and Path(own).is_dir():
            given.setdefault("images", own)
        output = options.get("output")
        with tidying(output) if isinstance(output, Path) else nullcontext(), ablating_loaded(Ablation(ablate, **given)):
            return command(*args, **options)

    for option in reversed(_OPTIONS):
        ablated = option(ablated)
    return ablated


def note_ablation(recorded: Mapping[str, Any] | None) -> None:
    """Say that an adapter was trained with heads cut, where this command runs with all of them."""
    from headroles.heads.ablation import current_ablation

    if recorded and current_ablation() is None:
        options = " ".join(
            f"--ablate-{name} {recorded[name]}" for name in ("mode", "effect", "images") if recorded[name]
        )
        click.echo(
            f"trained with heads cut that are whole here; to cut them: --ablate {recorded['heads']} {options}", err=True
        )
