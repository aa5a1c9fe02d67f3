"""The docs: they build strictly and offline, leave no public name or command out, and name only what is there."""

import ast
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_form import small_form

from headroles.adapt import METHODS
from headroles.cli.main import group

pytest.importorskip("mkdocs", reason="the docs need headroles[docs]")
pytest.importorskip("mkdocstrings", reason="the docs need headroles[docs]")

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from made import names  # noqa: E402
from made.links import mend_links  # noqa: E402

PAGES = [path for path in sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PAGES}
TEXTS |= {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md")}


def built(test):
    """Marks a test that needs the built site: slow, and all in one worker, which builds it once."""
    return pytest.mark.slow(pytest.mark.xdist_group("docs")(test))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> dict[str, str]:
    """The built pages: path below the site -> HTML. Built in a process without the web's addresses."""
    folder = tmp_path_factory.mktemp("site")
    nowhere = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **nowhere}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*.html")}


@built
def test_the_site_takes_nothing_from_outside(site):
    for path, page in site.items():
        taken = re.findall(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//[^"]*|<link[^>]+href="https?://[^"]*', page)
        assert not taken, path


@built
def test_every_public_name_is_on_its_page(site):
    for package in names.PACKAGES:
        page = site[f"reference/python/{package.replace('.', '-')}.html"]
        public = [name for name in importlib.import_module(package).__all__ if not name.startswith("__")]
        assert {name.name for name in names.find_names(package)} == set(public)
        for name in names.find_names(package):
            assert f'id="{name.path}"' in page, name.name


@built
def test_every_command_and_every_option_is_on_its_page(site):
    for name in group.list_commands(None):
        page = site[f"reference/commands/{name}.html"]
        for option in group.get_command(None, name).params:
            assert all(flag in page for flag in option.opts if flag.startswith("--")), f"{name} {option.name}"


@built
def test_every_schema_has_a_page_with_every_field(site):
    schemas = list((ROOT / "headroles").rglob("*.schema.json"))
    assert schemas
    for schema in schemas:
        page = site[f"reference/files/{schema.name.removesuffix('.schema.json')}-json.html"]
        for field in re.findall(r'"properties": \{\s+"(\w+)"', schema.read_text(encoding="utf-8")):
            assert field in page, f"{schema.name} {field}"


@built
def test_formulas_are_drawn(site):
    for page in ("explanation/method.html", "explanation/adaptation.html"):
        assert site[page].count("<math") > 20 and "arithmatex" not in site[page]
        assert not re.findall(r"<m[ion]>\\", site[page])


@built
def test_notebooks_show_their_stored_outputs(site):
    page = site["tutorial/03_are_roles_real.html"]
    assert "<img" in page and "class='output'" in page.replace('"', "'")


def test_a_dead_link_fails(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Start\n\n[gone](gone.md)\n")
    settings = re.search(r"validation:\n(?:  .+\n)+", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))[0]
    (tmp_path / "mkdocs.yml").write_text(f"site_name: test\nplugins: []\n{settings}")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "gone.md" in done.stderr


def test_a_public_name_or_part_without_a_docstring_is_found():
    source = 'class Result:\n    """A result."""\n    one: int\n    two: int\n    """Said."""\n    def three(self): 3\n'
    node = ast.parse(source).body[0]
    assert list(names.lacking(names.Name("Result", "home", node, "A result."))) == ["Result.one", "Result.three"]
    assert next(names.lacking(names.Name("Result", "home", node, None))) == "Result"


def test_links_of_the_repository_become_links_of_the_site():
    places = {"notebooks/02_adapt.ipynb": "tutorial/02_adapt.md"}
    mended = mend_links("[a](../../notebooks/02_adapt.ipynb) [b](x.md#y)", "howto/a.md", "docs/howto/a.md", places)
    assert mended == "[a](../tutorial/02_adapt.md) [b](x.md#y)"


@pytest.mark.parametrize("page", TEXTS)
def test_every_test_that_a_page_names_exists(page):
    for path, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", TEXTS[page]):
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{path}::{name}"


@pytest.mark.parametrize("page", TEXTS)
def test_every_file_and_every_dotted_name_that_a_page_names_exists(page):
    for path in re.findall(r"`((?:headroles|adapt|cli|docs|tests|benchmarks|notebooks)/[\w./-]+\.\w+)`", TEXTS[page]):
        assert (ROOT / path).exists() or {"mine", "SLUG"} & set(re.split(r"\W", path)), path
    for name in re.findall(r"`(headroles(?:\.[A-Za-z_]+)+)`", TEXTS[page]):
        assert pkgutil.resolve_name(name) is not None, name


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_to_a_file_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s#:]+)[^)\s]*\)", TEXTS[page]):
        # Pages that are made are checked by the build itself.
        place = (ROOT / page).parent / target
        assert place.exists() or (ROOT / "docs" / "reference") in place.resolve().parents, target


@pytest.mark.parametrize("page", TEXTS)
def test_every_command_line_that_a_page_shows_is_one(page):
    for line in re.findall(r"(?:^|\s|`)headroles ([a-z]+ [^`\n]*)", "\n".join(_code(TEXTS[page]))):
        name, _, rest = line.partition(" ")
        command = group.get_command(None, name)
        assert command, line
        flags = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)} | {"--help"}
        assert set(re.findall(r"(?<=\s)--[a-z-]+", " " + rest.partition("#")[0])) <= flags, line


def _code(text: str) -> list[str]:
    """Shell blocks, and what stands between single backquotes."""
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL) + re.findall(r"`(headroles [a-z]+ [^`]*)`", text)


@pytest.mark.slow
def test_the_page_about_files_names_every_file_that_scoring_writes(run, tmp_path):
    quick = ("--count", "64", "--layers", "7", "--null-draws", "19", "--bootstraps", "2")
    assert run("score", *quick, "--output", tmp_path / "roles")[0] == 0
    assert run("score", "--by", "images", "--count", "200", "--layers", "7", "--output", tmp_path / "by-images")[0] == 0
    page = TEXTS["docs/reference/files/index.md"]
    assert all(f"`{path.name}`" in page for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/howto/python.md"])
def test_python_that_a_page_shows_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space: dict = {}
    for block in re.findall(r"```python\n(.*?)```", TEXTS[page], re.DOTALL):
        exec(compile(small_form(block), page, "exec"), space)


def test_contributing_names_every_room():
    rooms = {path.name for path in (ROOT / "headroles").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == set(re.findall(r"`headroles/(\w+)/`", TEXTS["CONTRIBUTING.md"].partition("## How to add")[0]))


def test_pages_of_methods_say_which_take_a_role_map():
    lines = TEXTS["docs/methods/index.md"].splitlines()
    for name, method in METHODS.items():
        (said,) = [line.strip("| ").split(" | ")[-1] for line in lines if line[:1] == "|" and f"`{name}`" in line]
        assert said == method.role_maps, name
        (line,) = [line for line in TEXTS["docs/howto/adapt.md"].splitlines() if line.startswith(f"| `{name}` |")]
        assert ("role map" in line) == (method.role_maps != "none"), name


def test_methods_pages_say_what_the_tables_of_all_methods_say():
    told = TEXTS["docs/results.md"].partition("\n## Which method adapts best, tuned alike?\n")[2].partition("\n## ")[0]
    index = TEXTS["docs/methods/index.md"].splitlines()
    figures: dict[str, list[str]] = {}
    for model in ("shapes", "shapes-natural"):
        table = told.partition(f"\n### All methods on {model}\n")[2].partition("\n\n- ±")[0]
        lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line[:1] == "|"]
        heading, means = lines[0], {cells[0]: cells for cells in lines if len(cells) == len(lines[0])}
        named = METHODS.keys() & means.keys()
        assert len(named) > 15
        for name in means.keys() - {heading[0], "---"}:
            base, novel, hm = (means[name][heading.index(title)] for title in ("base", "novel", "hm of means"))
            short = [figure.partition(" ")[0] for figure in (base, novel, hm)]
            figures.setdefault(name, []).append(f"{short[0]} / {short[1]} / **{short[2]}**")
            if name in named:
                page = next(re.search(r"\(([\w-]+\.md)\)", line)[1] for line in index if f"`{name}`" in line)
                said = f"base {base}, novel {novel}, harmonic mean {hm} on `{model}`"
                assert said in " ".join(TEXTS[f"docs/methods/{page}"].split()).replace("Base", "base"), name
    for name, both in figures.items():
        assert f"| {name} | {' | '.join(both)} |" in TEXTS["docs/methods/which.md"], name


def test_methods_pages_say_what_the_tables_of_all_classes_say():
    figures: dict[str, list[str]] = {}
    for model in ("shapes", "shapes-natural"):
        told = TEXTS["docs/results.md"].partition(f"\n### All classes trained, {model}\n")[2]
        table = told.partition("\n\nfew-shot: minus")[0]
        rows = re.findall(r"^\| ([\w-]+) \| ([\d.]+ ± [\d.]+) \|", table, re.MULTILINE)
        assert len(rows) == 9
        for name, figure in rows:
            figures.setdefault(name, []).append(figure)
            if name in ("linear-probe", "layer-fusion"):
                page = " ".join(TEXTS[f"docs/methods/{name}.md"].split())
                assert f"{figure} on `{model}`" in page, name
    for name, both in figures.items():
        short = " | ".join(figure.partition(" ")[0] for figure in both)
        assert f"| {name} | {short} |" in TEXTS["docs/methods/which.md"], name
