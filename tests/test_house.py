"""Imports run one way, cli -> adapt -> headroles; `score` stands on top of the core, `role_map` stands alone."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = {"headroles": "headroles", "adapt": "headroles.adapt", "cli": "headroles.cli"}
"""Source folder -> package."""
ON_TOP = tuple(f"headroles.{name}" for name in ("score", "score_run", "score_job", "score_discovered", "probe_runs"))


def imports(path: Path) -> set[str]:
    """Modules of ours that a file names, also inside functions, as dotted names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return {name for name in found if name.split(".")[0] in FOLDERS}


def sources() -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports."""
    modules = {}
    for folder, package in FOLDERS.items():
        for path in (ROOT / folder).rglob("*.py"):
            modules[".".join([package, *path.relative_to(ROOT / folder).with_suffix("").parts])] = imports(path)
    assert len(modules) > 30
    return modules


def test_no_arrow_points_back():
    for module, named in sources().items():
        home = next(package for package in reversed(FOLDERS.values()) if module.startswith(package + "."))
        later = list(FOLDERS.values())[list(FOLDERS.values()).index(home) + 1 :]
        wrong = [name for name in named if name.startswith(tuple(later)) or name.split(".")[0] in ("adapt", "cli")]
        assert not wrong, f"{module} imports {wrong}"


def test_score_is_on_top_and_the_role_map_stands_alone():
    core = {
        name: named for name, named in sources().items() if not name.startswith(("headroles.adapt", "headroles.cli"))
    }
    for module, named in core.items():
        if module not in (*ON_TOP, "headroles.__init__"):
            assert not named & set(ON_TOP), module
    assert {name for name in core["headroles.role_map"] if name.count(".")} <= {
        "headroles.errors",
        "headroles.errors.InputError",
        "headroles.files",
        "headroles.files.write_text",
    }


def test_only_the_families_know_the_modules_of_a_model():
    parts = ("out_proj", "o_proj", "self_attn", "in_proj", "layer_scale", "visual_projection", "vision_model.")
    parts += ("post_layernorm", "pre_layrnorm", "final_layer_norm", "layernorm_before")
    for path in [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]:
        named = {part for part in parts if part in path.read_text(encoding="utf-8")}
        at_home = "families" in path.parts or "shapes" in path.parts  # the trainer builds the modules it trains
        assert at_home or not named, f"{path} names {named}"
