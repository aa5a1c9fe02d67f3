"""The public face: names that editors see are those that load, on first use, and no module stands in their way."""

import ast
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import headroles
import headroles.adapt

FACES = ("headroles", "headroles.adapt")


@pytest.fixture(params=FACES)
def face(request):
    return import_module(request.param)


def named_for_editors(face) -> set[tuple[str, str]]:
    """(module, name) of every import that only type checkers see; each gives its name again, which exports it."""
    found = set()
    for node in ast.parse(Path(face.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for each in node.body:
                assert all(name.asname == name.name for name in each.names)
                found |= {(each.module, name.name) for name in each.names}
    return found


def test_editors_see_the_names_that_load(face):
    places = {f"{face.__name__}.{home}".rstrip("."): names for home, names in face._HOMES.items()}
    assert named_for_editors(face) == {(home, name) for home, names in places.items() for name in names}


def test_every_public_name_loads(face):
    assert len(set(face.__all__)) == len(face.__all__) and set(face.__all__) <= set(dir(face))
    for home, names in face._HOMES.items():
        for name in names:
            module = import_module(f"{face.__name__}.{home or name}")
            assert getattr(face, name) is (getattr(module, name) if home else module)


def test_no_module_stands_in_the_way_of_a_name(face):
    """An imported module is an attribute of its package and would be found before the name that loads on first use."""
    modules = {path.stem for path in Path(face.__file__).parent.iterdir()}
    modules |= {"adapt", "cli"} if face is headroles else set()  # Installed there.
    assert modules & set(face.__all__) == set(face._HOMES.get("", ()))


def test_rooms_beside_the_package_are_found_and_nothing_else_there():
    """In a checkout, whatever install is used: Python that is started in its root finds the folder headroles first."""
    for name in ("headroles.adapt", "headroles.cli", "headroles.roles"):
        assert find_spec(name).origin.endswith("__init__.py")
    assert find_spec("headroles.headroles") is find_spec("headroles.tests") is None


def test_a_name_that_is_not_there_says_the_near_one():
    for face, name, said in (
        (headroles, "scor", "module 'headroles' has no attribute 'scor'; did you mean 'score'?"),
        (headroles, "Rolemap", "module 'headroles' has no attribute 'Rolemap'; did you mean 'RoleMap'?"),
        (headroles, "zzz", "module 'headroles' has no attribute 'zzz'"),
        (headroles, "__wrapped__", "module 'headroles' has no attribute '__wrapped__'"),
        (headroles.adapt, "load_adaptor", "did you mean 'load_adapter'?"),
    ):
        with pytest.raises(AttributeError) as raised:
            getattr(face, name)
        assert str(raised.value).endswith(said)


def run_script(script: str) -> list[str]:
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return found.stdout.split()


def test_importing_is_quick_and_loads_nothing_heavy():
    """In processor seconds, which other processes do not lengthen."""
    script = (
        "import sys, time\nstart = time.process_time()\nimport headroles, headroles.adapt\n"
        "print(time.process_time() - start, *sys.modules)"
    )
    seconds, *loaded = run_script(script)
    heavy = {"torch", "numpy", "pandas", "matplotlib", "transformers", "transformer_lens", "scipy", "PIL", "click"}
    assert {"headroles", "headroles.adapt"} <= set(loaded) and not heavy & set(loaded)
    assert float(seconds) < 0.1


def test_the_help_comes_quickly():
    script = (
        "import sys, time\nfrom headroles.cli.main import main\nsys.argv = ['headroles', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    print(time.process_time())"
    )
    *text, seconds = run_script(script)
    assert "score" in text and float(seconds) < 0.3
