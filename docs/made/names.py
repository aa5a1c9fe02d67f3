"""Pages of the public names: all of `__all__`, described by their own docstrings."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from made.page import Page, table

PACKAGES = {"headroles": "headroles", "headroles.adapt": "adapt"}
"""Public package -> its folder."""


@dataclass(frozen=True)
class Name:
    """A public name and where it is written."""

    name: str
    home: str
    """The module that defines it."""
    node: ast.stmt | ast.Module
    """Its definition."""
    docstring: str | None

    @property
    def kind(self) -> str:
        """Which part of the page it belongs to."""
        kinds = {ast.ClassDef: "Classes", ast.FunctionDef: "Functions", ast.Module: "Modules"}
        return kinds.get(type(self.node), "Data")

    @property
    def path(self) -> str:
        """Its full name, where it is written."""
        return self.home if self.kind == "Modules" else f"{self.home}.{self.name}"


def make_names() -> list[Page]:
    """A page a public package. Raises LookupError where a public name, or a public part of one, has no docstring."""
    missing = [f"{package}.{each}" for package in PACKAGES for name in find_names(package) for each in lacking(name)]
    if missing:
        raise LookupError(f"public names without a docstring: {', '.join(missing)}")
    return [_page(package) for package in PACKAGES]


def find_names(package: str) -> list[Name]:
    """The names that `from package import *` would give, but for dunders, from the sources alone: nothing is loaded."""
    face = importlib.import_module(package)
    found = [_find(face, home, name) for home, names in face._HOMES.items() for name in names]
    return sorted(found, key=lambda name: name.name)


def lacking(name: Name) -> Iterator[str]:
    """What of a public name has no docstring: itself, a method, or a field."""
    if not name.docstring:
        yield name.name
    for node, docstring in _statements(name.node.body) if isinstance(name.node, ast.ClassDef) else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own, docstring = node.name, ast.get_docstring(node)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if "ClassVar" in ast.unparse(node.annotation):
                continue  # Described where it is declared, by the class that reads it.
            own = node.target.id
        else:
            continue
        if not own.startswith("_") and not docstring:
            yield f"{name.name}.{own}"


def link_tree(root: Path, folder: Path) -> None:
    """The packages as they install, in `folder`, as links: in the repository headroles.adapt lies beside headroles."""
    (folder / "headroles").mkdir()
    for path in (root / "headroles").iterdir():
        (folder / "headroles" / path.name).symlink_to(path)
    for package in ("adapt", "cli"):
        (folder / "headroles" / package).symlink_to(root / package)


def _page(package: str) -> Page:
    names = find_names(package)
    about = inspect.getdoc(importlib.import_module(package)) or ""
    parts = [f"# {package} {{ #python-{package} }}", about, "```python\nimport " + package + "\n```"]
    for kind in ("Functions", "Classes", "Data", "Modules"):
        chosen = [name for name in names if name.kind == kind]
        if chosen:
            rows = [[f"[`{each.name}`](#{each.path})", _first(each.docstring)] for each in chosen]
            parts.append(f"**{kind}**\n\n{table(['Name', 'What it is'], rows)}")
    for each in names:
        options = f"    options:\n      heading: {each.name}\n      toc_label: {each.name}"
        options += "\n      members: false" if each.kind == "Modules" else ""
        parts.append(f"::: {each.path}\n{options}")
    return Page(f"reference/python/{package.replace('.', '-')}.md", "\n\n".join(parts) + "\n")


def _first(docstring: str | None) -> str:
    """The first sentence or paragraph, on one line."""
    return " ".join((docstring or "").partition("\n\n")[0].split())


def _find(face: ModuleType, home: str, name: str) -> Name:
    """A name of the table of a package's public names; `home` is "" for a module that is public itself."""
    place = f"{face.__name__}.{home or name}"
    tree = ast.parse(Path(find_spec(place).origin).read_text(encoding="utf-8"))
    if not home:
        return Name(name, place, tree, ast.get_docstring(tree))
    for node, docstring in _statements(tree.body):
        if _defines(node, name):
            own = node if isinstance(node, ast.ClassDef | ast.FunctionDef) else None
            return Name(name, place, node, ast.get_docstring(own) if own else docstring)
    raise LookupError(f"{face.__name__}.{name} is not defined in {place}, where its table says")


def _defines(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return node.name == name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _statements(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, str | None]]:
    """Every statement with the string that stands below it, if one does."""
    for node, after in zip(body, [*body[1:], None], strict=True):
        below = after.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
        yield node, below.value if below and isinstance(below.value, str) else None
