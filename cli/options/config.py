"""--config: options from a YAML file, by their names; and the file that a run leaves, which makes it again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from headroles.cli.options.kinds import Choice
from headroles.cli.options.pixels import VARIABLE

if TYPE_CHECKING:
    from yaml import MappingNode, Node

COMMAND = "command"
"""The key that says which command a file is for; it may lack."""
_HOW = ("config", "output", "resume", "overwrite", "dry_run", "as_json", "list_tasks", "list_methods")
"""Options that say nothing of the result, and are not written: where it lies, a file in it says by being there."""
_FIT = "expected lines such as epochs: 20"
_BELOW = ("shots-", "without-", "seed-")
"""What folders of one training begin with, below that of a job with several."""


def config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --config to a command, whose results get a run.yaml (`headroles.files.run_file.write_run`)."""

    @wraps(command)
    def configured(*arguments: Any, **given: Any) -> Any:
        from headroles.files.run_file import recording

        context = click.get_current_context()
        given |= _merge_assigned(context)
        context.params.update(given)
        with recording(write_config(context)):
            return command(*arguments, **given)

    return click.option(
        "--config", type=click.Path(path_type=Path), is_eager=True, expose_value=False, callback=_take,
        help="YAML file of options by name, such as the run.yaml of an earlier run, or its folder; what is typed wins.",
    )(configured)  # fmt: skip


def _take(context: click.Context, option: click.Parameter, path: Path | None) -> None:
    if path is not None:
        context.default_map = {**(context.default_map or {}), **read_config(path, context)}


def read_config(path: Path, context: click.Context) -> dict[str, Any]:
    """Parameter -> what the file says, in the words of the command line, for click's `default_map`.

    Every scalar is taken as it is written, and checked as if it were typed. A list stands for values with commas (or
    for an option that is repeated), a mapping for NAME=VALUE, nothing for not given. InputError names the key. The
    output of a file that a run has left in its output is that folder.
    """
    from headroles.errors import InputError

    place, path = path, _find(path, str(context.info_name))
    known = {_key(option): option for option in context.command.params if option.name != "config"}
    given: dict[str, Any] = _own_place(place, path) if "output" in known else {}
    for key, node in _read_lines(path):
        option = known.get(key.replace("_", "-"))
        if key == COMMAND:
            _check_command(path, str(node.value), context)
        elif option is None or option.name is None:
            near = get_close_matches(key.replace("_", "-"), known, 1)
            advice = f"did you mean {near[0]}?" if near else f"options: {', '.join(known)}"
            raise InputError(f"config: {path} has {key}, which is no option of {_name(context)}; {advice}")
        elif (value := _words(path, key, node, option)) is not None:
            try:
                option.type_cast_value(context, value)
            except click.BadParameter as error:
                raise InputError(f"config: {path} has a wrong {key}: {error.message}") from error
            except InputError as error:  # A name may have moved since, and another be typed: it is looked up later.
                if isinstance(option.type, Choice):
                    raise InputError(f"config: {path} has a wrong {key}: {error}") from error
            given[option.name] = value
    return given


def _find(path: Path, command: str) -> Path:
    """The file itself; of a folder that a run wrote, or has begun, its run.yaml, or a file named by the command."""
    from headroles.files.run_file import RUN

    if not path.is_dir():
        return path
    begun = (place for depth in range(4) for place in sorted(path.glob("*-*/" * depth + f"unfinished/{RUN}")))
    places = (path / f"{command}.yaml", path / RUN, *begun)
    return next(filter(Path.is_file, places), places[1])


def _own_place(given: Path, path: Path) -> dict[str, Any]:
    """The output of a file that a run has left in it."""
    from headroles.errors import InputError
    from headroles.files.run_file import is_ours

    if not is_ours(path):
        return {}
    begun = path.parent.name == "unfinished"
    folder = given if given.is_dir() else path.parent.parent if begun else path.parent
    if begun and folder != given and folder.name.startswith(_BELOW):
        job = next(place for place in folder.parents if not place.name.startswith(_BELOW))
        raise InputError(f"config: {path} is of one training of a job; give the job's folder, {job}")
    return {"output": str(folder)}


def _read_lines(path: Path) -> Iterator[tuple[str, Node]]:
    """Keys and values of the file's one mapping, in its order."""
    import yaml

    from headroles.errors import InputError, said

    try:
        root = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise InputError(f"config: cannot read {path} ({error.strerror}); {_FIT}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"config: {path} is no YAML ({said(error)}); {_FIT}") from error
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"config: {path} holds no options; {_FIT}")
    yield from _read_pairs(path, root)


def _read_pairs(path: Path, mapping: MappingNode) -> Iterator[tuple[str, Node]]:
    """Keys and values of a mapping; InputError where a key is there twice, of which YAML would take the last."""
    from headroles.errors import InputError

    seen = set()
    for name, node in mapping.value:
        key = str(name.value)
        if key.replace("_", "-") in seen:
            raise InputError(f"config: {path} has {key} twice; give it once")
        seen.add(key.replace("_", "-"))
        yield key, node


def _words(path: Path, key: str, node: Node, option: click.Parameter) -> str | list[str] | None:
    """A value as the command line would have it; None of an empty one."""
    import yaml

    from headroles.errors import InputError

    several = option.multiple or option.nargs != 1
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag.endswith(":null") else [node.value] if several else node.value
    if isinstance(node, yaml.MappingNode) and _assigns(option):
        pairs = list(_read_pairs(path, node))
        if all(isinstance(value, yaml.ScalarNode) for _, value in pairs):
            return [f"{name}={value.value}" for name, value in pairs]
    if isinstance(node, yaml.SequenceNode) and all(isinstance(each, yaml.ScalarNode) for each in node.value):
        values = [each.value for each in node.value]
        return values if several else ",".join(f'"{each}"' if "," in each else each for each in values)
    raise InputError(f"config: {path} has a wrong {key}: expected a value, or a list of values")


def _check_command(path: Path, name: str, context: click.Context) -> None:
    from headroles.errors import InputError

    if name != context.info_name:
        raise InputError(f"config: {path} is for headroles {name}, not for {_name(context)}; give it another")


def _merge_assigned(context: click.Context) -> dict[str, Any]:
    """NAME=VALUE options that are typed and stand in the file: a typed name wins, the file's others stay."""
    merged = {}
    for option in context.command.params:
        name = str(option.name)
        if _assigns(option) and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            typed: Sequence[str] = context.params[name]
            names = {each.partition("=")[0].strip().replace("-", "_") for each in typed}
            old = (context.default_map or {}).get(name, ())
            kept = (each for each in old if each.partition("=")[0].strip().replace("-", "_") not in names)
            merged[name] = (*kept, *typed)
    return merged


def write_config(context: click.Context) -> str:
    """What was typed or stood in a file, for `read_config` to read: the command's run.yaml."""
    import yaml

    import headroles
    from headroles.files.run_file import MARK

    given: dict[str, Any] = {COMMAND: context.info_name}
    for option in context.command.params:
        value = context.params.get(str(option.name))
        said = context.get_parameter_source(str(option.name)) not in (None, ParameterSource.DEFAULT)
        if said and value is not None and option.name not in _HOW:
            given[_key(option)] = _plain(value, _assigns(option))
    if os.environ.get(VARIABLE) and any(option.name == "max_pixels" for option in context.command.params):
        given["max-pixels"] = os.environ[VARIABLE]
    head = f"{MARK}{headroles.__version__}; {_name(context)} --config FILE --output ANOTHER makes it again.\n"
    return head + yaml.safe_dump(given, sort_keys=False, allow_unicode=True, width=10**6)


def _plain(value: Any, assigns: bool) -> Any:
    """As YAML has it."""
    if isinstance(value, tuple | list) and assigns:
        return {name: text for name, _, text in (str(each).partition("=") for each in value)}
    if isinstance(value, tuple | list):
        return [str(each) for each in value]
    return value if isinstance(value, bool | int | float) else str(value)


def _key(option: click.Parameter) -> str:
    """An option's name as it is typed, an argument's as it is shown, in small letters with dashes."""
    longest = max(option.opts, key=len) if isinstance(option, click.Option) else str(option.name)
    return longest.lstrip("-").replace("_", "-")


def _assigns(option: click.Parameter) -> bool:
    return isinstance(option, click.Option) and option.multiple and "=" in (option.metavar or "")


def _name(context: click.Context) -> str:
    return f"headroles {context.info_name}"
