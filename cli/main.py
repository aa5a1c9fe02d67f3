"""Entry point: finds commands lazily and turns a user's mistake into one line and exit code 2."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from difflib import get_close_matches
from importlib import import_module

import click

import headroles
from headroles.cli.options.bars import is_first, telling_progress
from headroles.cli.options.telling import telling
from headroles.errors import InputError, ToldElsewhere, said

_SECTIONS = {
    "Models": {
        "models": "List the models that `--model` knows by name.",
        "doctor": "Look at a model: what it is, whether it is read exactly, what works with it.",
    },
    "Roles of heads": {
        "probes": "List the bundled probe banks.",
        "score": "Turn images into a role map of a CLIP's heads.",
        "merge": "Put the shards of a scoring run together.",
        "plot": "Draw a role map or an adapter.",
        "report": "Write one HTML page about a role map.",
        "diff": "Compare two role maps, or two models: which heads changed.",
        "validate": "Cut heads: does a concept die with its heads, and it alone?",
    },
    "Use of roles": {
        "attend": "Draw where heads look on images.",
        "retrieve": "Find images that one concept's heads find alike.",
        "explore": "Play with heads on a page of this machine.",
        "debias": "Damp the heads of a spurious concept; measure the worst group.",
        "edit": "Write a checkpoint whose heads are scaled in its weights.",
    },
    "Adaptation": {
        "task-heads": "Say which heads a task uses, and which may be touched.",
        "adapt": "Adapt a CLIP to a task from a few images a class.",
        "evaluate": "Test an adapter on its own task or on others.",
        "predict": "Say what is in images with an adapter.",
        "export": "Write an adapter for serving, for torch alone.",
        "merge-adapters": "Make one adapter of several.",
        "compare": "Compare methods of adaptation on tasks, over seeds.",
        "reproduce": "Run CoOp's benchmark; published tables beside ours.",
    },
    "Help": {
        "help": "Say more about a refusal, or about a command.",
    },
}
"""Title -> commands and what they do, in the order in which they are of use."""
_COMMANDS = {name: says for commands in _SECTIONS.values() for name, says in commands.items()}


class _LazyGroup(click.Group):
    """Imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return import_module(f"headroles.cli.{name.replace('-', '_')}").command if name in _COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], _COMMANDS, 1)
            hint = f"Did you mean {near[0]}?" if near else "`headroles --help` lists the commands."
            ctx.fail(f"No such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))


@click.group(cls=_LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(headroles.__version__, prog_name="headroles")
@click.pass_context
def group(context: click.Context) -> None:
    """What does each attention head of this CLIP do?

    Start with `headroles score`: without arguments it scores the bundled model.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> None:
    """Run the command line."""
    atexit.register(gc.freeze)  # At its end the interpreter would look for a second through all that torch has made.
    try:
        with telling(), telling_progress():
            code = group(standalone_mode=False)
    except click.ClickException as error:
        if not is_first():
            sys.exit(2)  # One of several processes with the same mistake in their options: the first one says it.
        _fail(error.format_message())
    except click.Abort:
        if is_first():
            from headroles.cli.options.stopped import how_to_go_on

            click.echo("\n" + how_to_go_on(group, sys.argv[1:]), err=True)
        sys.exit(130)
    except ToldElsewhere:
        sys.exit(2)
    except InputError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        if os.environ.get("HEADROLES_DEBUG"):
            raise
        what = f"{type(error).__name__}: {said(error)}"
        _fail(f"{what}; a fault of headroles, please report it (HEADROLES_DEBUG=1 shows where)")
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    click.echo("Error: " + " ".join(message.split()), err=True)
    sys.exit(2)
