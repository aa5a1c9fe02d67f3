"""The house: rooms on floors, every import points down, and no room goes round in a circle."""

import ast
import re
import subprocess
from configparser import ConfigParser
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"headroles": "headroles", "adapt": "headroles.adapt", "cli": "headroles.cli"}
"""Source folder -> package."""

FLOORS = (
    ("headroles.errors",),
    ("headroles.checks",),
    ("headroles.files", "headroles.shown"),
    ("headroles.shapes", "headroles.models"),
    ("headroles.images", "headroles.bundled"),
    ("headroles.heads",),
    ("headroles.passes",),
    ("headroles.roles",),
    ("headroles.jobs",),
    ("headroles.causal", "headroles.uses", "headroles.diagnosis"),
    ("headroles.figures",),
    ("headroles.adapt.config", "headroles.adapt.metrics", "headroles.adapt.data"),
    ("headroles.adapt.methods",),
    ("headroles.adapt.training",),
    ("headroles.adapt.adapter",),
    ("headroles.adapt.merging",),
    ("headroles.adapt.results",),
    ("headroles.adapt.jobs",),
    ("headroles.adapt.comparison",),
    ("headroles.adapt.continual", "headroles.adapt.uses"),
    ("headroles.adapt.reproduction",),
    ("headroles.reports",),
    ("headroles.explore",),
    ("headroles.cli.options",),
    ("headroles.cli",),
)
"""The rooms from the ground up. A room imports only from itself and from floors below; a lone module is a room too."""
FACES = ("headroles", "headroles.adapt", "headroles.__main__")
"""They name all rooms, lazily; nobody is named by them at import."""


def modules() -> dict[str, Path]:
    """Module -> its file; a package is its `__init__`."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([package, *parts]).removesuffix(".__init__")] = path
    assert len(found) > 100
    return found


def imports(path: Path) -> set[str]:
    """Modules of ours that a file imports, also inside functions, as dotted names: of `from x import y` x and x.y."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            named |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return {name for name in named if name.split(".")[0] in FOLDERS}


def find_room(name: str) -> tuple[int, str] | None:
    """Floor and room of a dotted name: the longest room that it lies in."""
    found = [
        (len(room), floor, room)
        for floor, rooms in enumerate(FLOORS)
        for room in rooms
        if name == room or name.startswith(room + ".")
    ]
    return max(found)[1:] if found else None


def find_wrong(sources: dict[str, set[str]]) -> list[str]:
    """Imports that do not point down, as sentences."""
    wrong = []
    for module, named in sorted(sources.items()):
        home = find_room(module)
        for name in sorted(named):
            there = find_room(name)
            if name.split(".")[0] in ("adapt", "cli"):
                wrong.append(f"{module} imports {name} by its folder's name")
            elif there and there[1] != home[1] and there[0] >= home[0]:
                wrong.append(f"{module} imports {name}, which is no floor below")
    return wrong


@pytest.fixture(scope="module")
def sources() -> dict[str, set[str]]:
    """Module -> names of ours that it imports; all but the faces."""
    return {module: imports(path) for module, path in modules().items() if module not in FACES}


def test_every_module_has_a_room(sources):
    assert [module for module in sources if find_room(module) is None] == []


def test_every_arrow_points_down(sources):
    assert find_wrong(sources) == []


def test_an_arrow_that_points_up_is_found(sources):
    for module, name in (
        ("headroles.heads.moments", "headroles.roles.score_texts"),
        ("headroles.models.load", "headroles.adapt.adapter"),
        ("headroles.causal.validate", "headroles.uses.retrieve"),
        ("headroles.files.whole", "cli.main"),
    ):
        bent = {**sources, module: sources[module] | {name}}
        assert any(line.startswith(f"{module} imports {name}") for line in find_wrong(bent))


def test_no_module_goes_round_in_a_circle(sources):
    known = set(sources)
    graph = {module: {name for name in named if name in known and name != module} for module, named in sources.items()}
    # A package's own __init__ may name its modules, which lie in it.
    graph = {
        module: {name for name in named if not module.startswith(name + ".")} for module, named in graph.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_module_is_long():
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in modules().items()}
    assert {module: count for module, count in lines.items() if count > 300} == {}


def test_the_first_look_is_short():
    entries = [path for path in (ROOT / "headroles").iterdir() if path.name != "__pycache__"]
    assert sum(path.is_dir() for path in entries) <= 16
    assert sum(path.is_file() for path in entries) <= 6


def test_every_package_is_installed():
    listed = (ROOT / "setup.cfg").read_text(encoding="utf-8").partition("packages =")[2].partition("package_dir")[0]
    packages = {module for module, path in modules().items() if path.name == "__init__.py"}
    assert set(listed.split()) == packages


def test_every_data_file_is_installed():
    """What git knows beside modules lies in a package and fits one of its patterns."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    patterns = {package: re.split(r",\s*", given) for package, given in setup["options.package_data"].items()}
    known = subprocess.run(["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True)
    if known.returncode:
        pytest.skip("no git here to say which files belong to the packages")
    for name in known.stdout.split():
        path = Path(name)
        if path.suffix == ".py":
            continue
        homes = [parent for parent in path.parents if (ROOT / parent / "__init__.py").is_file()]
        package = ".".join([FOLDERS[path.parts[0]], *homes[0].parts[1:]])
        within = path.relative_to(homes[0])
        assert any(within.match(pattern) for pattern in patterns.get(package, ())), f"{name} is not installed"


def test_only_families_and_converters_know_the_modules_of_a_model():
    parts = ("out_proj", "o_proj", "self_attn", "in_proj", "layer_scale", "visual_projection", "vision_model.")
    parts += ("post_layernorm", "pre_layrnorm", "final_layer_norm", "layernorm_before")
    for path in modules().values():
        named = {part for part in parts if part in path.read_text(encoding="utf-8")}
        # The trainer builds the modules that it trains, and converters write their tensors.
        at_home = {"families", "bundled", "checkpoints"} & set(path.parts)
        assert at_home or not named, f"{path} names {named}"
