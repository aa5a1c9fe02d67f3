"""Entries: what stands in one line of a comparison, a method with its settings, with or without a role map."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any

from headroles.adapt.config import Settings, TrainConfig, read_settings
from headroles.adapt.methods.method import Method
from headroles.adapt.methods.registry import METHODS, find_method
from headroles.errors import InputError

ALL = "all"
"""Every method there is."""
FROZEN = "zero-shot"
"""The name of the frozen CLIP's own line, which every comparison has."""
WITH_ROLES = "+roles"
"""Behind a method that takes a role map but does not need one: give it."""
TRAINING = frozenset(each.name for each in fields(TrainConfig)) - {"seed"}
"""Settings that all methods that take steps share."""
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.+-]*"


@dataclass(frozen=True)
class Entry:
    """A method as it is compared."""

    name: str
    """How the comparison calls it."""
    method: str
    """One of `headroles.adapt.METHODS`."""
    roles: bool = False
    """Whether it is given the role map."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the method and of its training that are not its preset's."""

    @property
    def kind(self) -> type[Method]:
        """The method's class."""
        return find_method(self.method)


def read_entries(names: Iterable[str]) -> tuple[Entry, ...]:
    """From METHOD, METHOD+roles, or NAME=METHOD or NAME=METHOD+roles where one method is there twice; or "all".

    InputError for none, an unknown method, or a name twice.
    """
    listed = [name for given in names for name in (METHODS if given == ALL else (given,))]
    if not listed:
        raise InputError(f"methods: the grid is empty; give some, such as dear,coop, or {ALL}: {', '.join(METHODS)}")
    entries = tuple(map(_read_entry, listed))
    for entry in entries:
        if sum(other.name == entry.name for other in entries) > 1:
            raise InputError(f"methods: {entry.name} is there twice; name them apart, as OTHER={entry.method}")
        if entry.name == FROZEN and entry.method != FROZEN:
            raise InputError(f"methods: {FROZEN} is the frozen CLIP's name; call {entry.method} otherwise")
    return entries


def _read_entry(text: str) -> Entry:
    name, sign, method = (part.strip() for part in text.rpartition("="))
    roles = method.endswith(WITH_ROLES)
    if not re.fullmatch(_NAME, name if sign else method):
        raise InputError(f"methods: expected METHOD, METHOD{WITH_ROLES} or NAME=METHOD, got {text!r}")
    kind = find_method(method.removesuffix(WITH_ROLES))
    if roles and kind.role_maps == "none":
        raise InputError(f"methods: {kind.name} has no use for a role map; leave {WITH_ROLES} out")
    return Entry(name if sign else method, kind.name, roles or kind.role_maps == "needed")


def with_settings(
    entries: Iterable[Entry], shared: Mapping[str, Any], own: Mapping[str, Mapping[str, Any]]
) -> tuple[Entry, ...]:
    """The entries with settings: `shared` ones of the training go to all that take steps, `own` to the one they name.

    InputError for an entry that is not there, and for shared settings that are not the training's.
    """
    entries = tuple(entries)
    names = [entry.name for entry in entries]
    for name in own.keys() - set(names):
        raise InputError(f"set: {name} is not compared; {_advise(name, names)}")
    for setting in shared.keys() - TRAINING:
        raise InputError(
            f"set: {setting} is no setting of the training, which all share; {_advise(setting, sorted(TRAINING))}; "
            f"one method's own is METHOD:{setting}=VALUE"
        )
    return tuple(replace(entry, settings={**_taken(entry, shared), **own.get(entry.name, {})}) for entry in entries)


def _taken(entry: Entry, shared: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shared.items() if entry.kind.steps or name == "precision"}


def _advise(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def read_assigned(texts: Iterable[str], entries: Iterable[Entry]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Settings from texts [NAME:]SETTING=VALUE: those of every entry's training, and those of one entry.

    A value is read as the setting's type says.
    """
    shared: dict[str, str] = {}
    own: dict[str, dict[str, str]] = {}
    for text in texts:
        place, sign, value = text.partition("=")
        name, colon, setting = (part.strip() for part in place.rpartition(":"))
        setting = setting.replace("-", "_")
        some = own.setdefault(name, {}) if colon else shared
        if not sign or not setting or setting in some or (colon and not name):
            raise InputError(f"set must be SETTING=VALUE or NAME:SETTING=VALUE, each once, got {text!r}")
        some[setting] = value.strip()
    kinds = {entry.name: entry.kind.settings for entry in entries}
    typed = {name: read_settings(some, kinds.get(name, Settings)) for name, some in own.items()}
    return read_settings(shared, Settings), typed
