"""TransformerLens's hook points, without the rest of it: its packages read their contents when somebody asks for them.

`import transformer_lens` imports `datasets` and all that its evaluations need, which takes a second or more; a hook
point needs none of it. Whoever imports or asks for anything else of it gets the whole package, as if it had always been
there.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import Any, cast

_LOCK = RLock()
_ASIDE = "_modules_within"
"""Where a package that waits keeps its modules that are imported already."""
_PATH = "_path"
"""Where it keeps its `__path__` once the others are no more imported alone."""


class WaitingPackage(ModuleType):
    """A package that has not run its `__init__`.

    While `waiting`, its modules import alone, and names are taken from where the `__init__` would; later, whatever is
    asked for runs it first. Without `__path__`, importing a module of it asks.
    """

    def __getattr__(self, name: str) -> Any:
        if "__path__" in self.__dict__:
            if home := _find_home(self, name):
                return getattr(import_module(*home[:2]), home[2])
            if name in (within := self.__dict__.get(_ASIDE, {})):
                return within[name]
        _run(self)
        return getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """A module within is kept aside: the package's own name may be the same, and is meant."""
        if isinstance(value, ModuleType) and value.__name__ == f"{self.__name__}.{name}":
            self.__dict__.setdefault(_ASIDE, {})[name] = value
        else:
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        _run(self)
        return dir(self)


def _find_home(package: ModuleType, name: str) -> tuple[str, str, str] | None:
    """Module, package and name of what the `__init__` of a package imports from within, by its text; None of others."""
    source = cast(Any, package.__loader__).get_source(package.__name__) or ""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            for each in node.names:
                if name == (each.asname or each.name):
                    return f".{node.module}", package.__name__, each.name
    return None


def _run(package: ModuleType) -> None:
    """Run the `__init__` of a package that waits, after that of the one around it; it is one like others then."""
    with _LOCK:
        around = sys.modules.get(package.__name__.rpartition(".")[0])
        if around is not None:
            _run(around)
        if type(package) is not WaitingPackage:
            return
        _open(package)
        cast(Any, package).__class__ = ModuleType  # A name that is not there meanwhile is none.
        try:
            cast(Loader, package.__loader__).exec_module(package)
        except BaseException:
            package.__class__ = WaitingPackage
            _close(package)
            raise
        for name, module in package.__dict__.pop(_ASIDE, {}).items():
            package.__dict__.setdefault(name, module)


class _Waiting(Loader):
    """Makes a package wait that another loader would run."""

    def __init__(self, real: Loader) -> None:
        self.real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = cast(ModuleSpec, module.__spec__).loader = self.real
        module.__class__ = WaitingPackage


class _Finder(MetaPathFinder):
    """Finds one package, and the packages within, as ones that wait; plain modules as everywhere."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self.package and not name.startswith(self.package + "."):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None and spec.submodule_search_locations is not None:
            spec.loader = _Waiting(spec.loader)
        return spec


def _close(package: ModuleType) -> None:
    if "__path__" in package.__dict__:
        package.__dict__[_PATH] = package.__dict__.pop("__path__")


def _open(package: ModuleType) -> None:
    if _PATH in package.__dict__:
        package.__dict__["__path__"] = package.__dict__.pop(_PATH)


@contextmanager
def waiting(package: str) -> Iterator[None]:
    """Inside, imports of modules of `package` run no `__init__` of a package above them. One that is imported stays."""
    finder = _Finder(package)
    for each in _waiting_packages():
        _open(each)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for each in _waiting_packages():
            _close(each)


def _waiting_packages() -> list[ModuleType]:
    return [module for module in sys.modules.values() if type(module) is WaitingPackage]


with waiting("transformer_lens"):
    from transformer_lens.hook_points import HookPoint as HookPoint
    from transformer_lens.HookedRootModule import HookedRootModule as HookedRootModule
