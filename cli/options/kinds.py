"""Kinds of values: what names one is looked up as it is read, before torch is imported, and completed on Tab."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from headroles.checks import near
from headroles.cli.options.names import split_names
from headroles.errors import InputError, told_as


def _option(param: click.Parameter | None) -> str:
    """How a parameter is called in a message."""
    return max(param.opts, key=len).lstrip("-") if param else "it"


class Choice(click.Choice):
    """One of a few words; another one is refused with the near one."""

    def __init__(self, choices: Iterable[str]) -> None:
        super().__init__(tuple(choices))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The word; InputError for none of them."""
        if value not in self.choices:
            known = ", ".join(self.choices)
            raise InputError(f"{_option(param)} must be one of {known}, got {value!r}{near(str(value), self.choices)}")
        return value


class _Named(click.ParamType):
    """A text that names something: `check` refuses what is none, `known` are the names that Tab offers."""

    name = "text"
    told = ""
    """What messages about such a name begin with, where another option may name one too."""

    def check(self, text: str, context: click.Context | None) -> None:
        """InputError where nothing has this name."""

    def known(self) -> Iterable[str]:
        """Names that are known without looking far."""
        return ()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value as it is given."""
        if isinstance(value, str):
            with told_as(_option(param), self.told):
                self.check(value, ctx)
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The known names that begin so, and paths."""
        found = [CompletionItem(name) for name in self.known() if name.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]


class Model(_Named):
    """What `--model` takes: a known name, a path, a hub id; also "TOWER + CLIP"."""

    def check(self, text: str, context: click.Context | None) -> None:
        from headroles.models.known_models import check_model, split_activation
        from headroles.models.words import split_names

        if not Path(text).exists():
            for part in filter(None, split_names(text)):
                check_model(split_activation(part)[0])

    def known(self) -> Iterable[str]:
        from headroles.models.known_models import KNOWN

        return [model.name for model in KNOWN]


class Task(_Named):
    """A built-in task, a benchmark's data set below --root, a path, or hf:NAME."""

    told = "task"

    def check(self, text: str, context: click.Context | None) -> None:
        from headroles.adapt.data.names import check_task

        # What --root is may be read later.
        rooted = any(option.name == "root" for option in context.command.params) if context else False
        check_task(text, "" if rooted and _is_data_set(text) else None)

    def known(self) -> Iterable[str]:
        from headroles.adapt.data.names import DATA_SETS, TASKS

        return [*TASKS, *DATA_SETS]


class Method(_Named):
    """A method of adaptation."""

    def check(self, text: str, context: click.Context | None) -> None:
        from headroles.adapt.methods.registry import check_method

        check_method(text)

    def known(self) -> Iterable[str]:
        from headroles.adapt.methods.registry import METHODS

        return METHODS


class Entry(Method):
    """A method in a comparison: METHOD, METHOD+roles, NAME=METHOD, or all."""

    def check(self, text: str, context: click.Context | None) -> None:
        if text != "all":
            super().check(text.rpartition("=")[2].strip().removesuffix("+roles"), context)


class Bank(_Named):
    """A bundled probe bank, or a CSV file."""

    def check(self, text: str, context: click.Context | None) -> None:
        from headroles.roles.probes import find_bank

        find_bank(text)

    def known(self) -> Iterable[str]:
        from headroles.roles.probes import BUNDLED

        return BUNDLED


class Word(_Named):
    """A word that Tab offers; what is none of them is for the library to refuse."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = words

    def known(self) -> Iterable[str]:
        return self.words


class Images(_Named):
    """What the images are called: a path, a pattern, or a name such as shapes or hf:NAME."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def check(self, text: str, context: click.Context | None) -> None:
        from headroles.images.sources.patterns import expand

        if text not in self.names and not text.startswith("hf:") and not Path(text).exists():
            expand(text)

    def known(self) -> Iterable[str]:
        return self.names


class Heads(_Named):
    """Names of heads, such as L6.H3,L7.*: how they are written, not which a model has."""

    def check(self, text: str, context: click.Context | None) -> None:
        from headroles.heads.names import check_written

        check_written(text)


class Concept(_Named):
    """A concept of the command's role map."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Those of the role map that is typed, or else of the last scoring."""
        from headroles.roles.role_map import RoleMap

        # Arguments are not read yet where the last option still lacks its value.
        for place in filter(None, (ctx.params.get("role_map"), *ctx.args, "headroles-output")):
            with suppress(InputError, OSError):
                known = RoleMap.load(place).concepts
                return [CompletionItem(name) for name in known if name.startswith(incomplete)]
        return []


class Listed(_Named):
    """Several of a kind, separated by commas; @FILE and "none" are taken as they are."""

    def __init__(self, kind: _Named, *words: str) -> None:
        self.kind, self.words, self.told = kind, words, kind.told

    def check(self, text: str, context: click.Context | None) -> None:
        for name in () if text in self.words else split_names(text):
            self.kind.check(name, context)

    def known(self) -> Iterable[str]:
        return [*self.kind.known(), *self.words]

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """What may follow the last comma."""
        before, comma, last = incomplete.rpartition(",")
        found = [CompletionItem(before + comma + name) for name in self.known() if name.startswith(last)]
        return found or [CompletionItem(incomplete, type="file")]


class File(click.Path):
    """A path: an adapter's folder, or a role map's file or folder; one that is not there is said at once."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def find(self, path: Path) -> Path:
        """The file or folder that is meant; InputError where there is none."""
        return path

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path that is meant."""
        path: Any = super().convert(value, param, ctx)
        return self.find(path)


class Existing(File):
    """A file or folder that must be there."""

    def __init__(self, called: str, advice: str) -> None:
        """`called`: what it is; `advice`: what to do where it is not there."""
        super().__init__()
        self.called, self.advice = called, advice

    def find(self, path: Path) -> Path:
        if not path.exists():
            raise InputError(f"{self.called}: there is no file or folder {path}; {self.advice}")
        return path


class RoleMapFile(File):
    """A role map's file, or the folder that holds it; gives the file."""

    def find(self, path: Path) -> Path:
        from headroles.roles.role_map import RoleMap

        return RoleMap.locate(path)


class AdapterFolder(File):
    """The folder of an adapter."""

    def __init__(self, several: bool = False) -> None:
        """`several`: that of a job with several adapters too."""
        super().__init__()
        self.several = several

    def find(self, path: Path) -> Path:
        from headroles.adapt.adapter.places import find_below, find_config

        if not (self.several and find_below(path)):
            find_config(path)
        return path


def _is_data_set(text: str) -> bool:
    from headroles.adapt.data.names import find_folder

    return find_folder(text.partition("?")[0]) is not None
