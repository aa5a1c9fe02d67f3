"""Hook points come without the rest of their library, which is all there when it is asked for."""

import sys
from importlib import import_module

import pytest

from headroles.models.lens import HookedRootModule, HookPoint, WaitingPackage, waiting


@pytest.fixture
def slow(tmp_path, monkeypatch):
    """A package that says when its __init__ runs, in `slow.RAN`; a package within; a class with its module's name."""
    files = {
        "slow/__init__.py": "from . import inner\nfrom .Thing import Thing\nfrom .inner import deep\nRAN = True",
        "slow/Thing.py": "class Thing: pass",
        "slow/light.py": "from slow.inner.deep import DEEP\nimport slow.inner.deep as deep\nassert deep.DEEP == DEEP",
        "slow/inner/__init__.py": "from .deep import DEEP\nfrom slow.light import DEEP as ROUND\nRAN = True",
        "slow/inner/deep.py": "DEEP = 7",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "slow"]:
        del sys.modules[name]


def ran(name):
    return "RAN" in sys.modules[name].__dict__


def test_a_module_is_imported_without_the_packages_above_it(slow):
    with waiting("slow"):
        light = import_module("slow.light")
    assert light.DEEP == 7 and not ran("slow") and not ran("slow.inner")


def test_whoever_asks_for_more_gets_the_whole_package(slow):
    """A class that is named as its module is the class, as if the package had run."""
    with waiting("slow"):
        import_module("slow.Thing")
    package = import_module("slow")
    assert type(package) is WaitingPackage and not ran("slow")
    from slow import Thing

    assert isinstance(Thing, type) and Thing is sys.modules["slow.Thing"].Thing is package.Thing
    assert package.RAN and type(package) is not WaitingPackage
    assert package.inner.ROUND == 7 and package.inner.RAN and {"inner", "Thing"} <= set(dir(package))
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing


def test_importing_another_module_later_runs_the_package_first(slow):
    with waiting("slow"):
        import_module("slow.Thing")
    assert import_module("slow.light").DEEP == 7 and ran("slow") and ran("slow.inner")


def test_a_package_that_fails_waits_again(slow, tmp_path):
    (tmp_path / "slow" / "__init__.py").write_text("import no_such_module\n")
    with waiting("slow"):
        import_module("slow.Thing")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_module"):
            _ = import_module("slow").anything


def test_one_that_was_imported_already_stays(slow):
    package = import_module("slow")
    with waiting("slow"):
        import_module("slow.light")
    assert import_module("slow") is package and package.RAN


def test_hook_points_come_without_datasets(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] in ("transformer_lens", "datasets")]:
        monkeypatch.delitem(sys.modules, name)
    before = set(sys.modules)
    with waiting("transformer_lens"):
        import_module("transformer_lens.HookedRootModule")
    new = {name for name in sys.modules if name not in before}
    assert "datasets" not in sys.modules and "transformer_lens.hook_points" in new
    for name in new:
        del sys.modules[name]


def test_they_are_the_librarys_own():
    lens = import_module("transformer_lens")
    assert lens.HookedRootModule is HookedRootModule
    assert import_module("transformer_lens.hook_points").HookPoint is HookPoint
