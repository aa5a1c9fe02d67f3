"""What MkDocs calls while it builds the site: adds the pages that are made, mends links, draws formulas."""

import shutil
import tempfile
from pathlib import Path

from made.commands import make_commands
from made.formulas import draw_formulas
from made.links import mend_links
from made.names import link_tree, make_names
from made.notebooks import make_notebooks
from made.page import Page
from made.refusals import make_refusals
from made.schemas import make_schemas
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
BORROWED = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "headroles/bundled/model/README.md": "explanation/model-card.md",
    "headroles/bundled/natural/README.md": "explanation/natural-model-card.md",
}
"""File of the repository -> page of the site."""

_made: dict[str, Page] = {}
_tree: list[str] = []


@event_priority(100)  # Before mkdocstrings looks for the packages, and before the navigation is read.
def on_config(config):
    """Make the pages, show mkdocstrings the packages, and fill the navigation."""
    try:
        pages = [*make_notebooks(ROOT), *make_commands(), *make_names(), *make_schemas(ROOT), *make_refusals()]
    except LookupError as error:
        raise PluginError(str(error)) from error
    pages += [Page(path, _borrow(origin), origin) for origin, path in BORROWED.items()]
    _made.clear()
    _made.update({page.path: page for page in pages})
    _tree.append(tempfile.mkdtemp(prefix="headroles-docs-"))
    link_tree(ROOT, Path(_tree[-1]))
    config.plugins["mkdocstrings"].config["handlers"]["python"]["paths"] = [_tree[-1]]
    named = set(_paths(config.nav))
    config.nav = _fill(config.nav, named)
    return config


def on_files(files, config):
    """Add the pages that no file of docs/ holds."""
    for page in _made.values():
        files.append(File.generated(config, page.path, content=page.content))
    return files


def on_page_markdown(markdown, page, config, files):
    """Lead links of the repository to pages."""
    path = page.file.src_uri
    made = _made.get(path)
    if made and made.origin is None:
        return markdown
    places = BORROWED | {made.origin: made.path for made in _made.values() if made.origin}
    return mend_links(markdown, path, made.origin if made else f"docs/{path}", places)


def on_page_content(content, page, config, files):
    """Draw formulas."""
    return draw_formulas(content)


def on_post_build(config):
    """Leave nothing behind."""
    _forget()


def on_build_error(error):
    """Leave nothing behind."""
    _forget()


def _forget() -> None:
    while _tree:
        shutil.rmtree(_tree.pop(), ignore_errors=True)


def _borrow(origin: str) -> str:
    """A file's Markdown, without the settings on top that a hub reads."""
    text = (ROOT / origin).read_text(encoding="utf-8")
    return text.split("\n---\n", 1)[1] if text.startswith("---\n") else text


def _paths(nav) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [path for part in parts for path in _paths(part)]


def _fill(nav, named):
    """The navigation with `folder/*` replaced by the made pages there that it does not name elsewhere."""
    if isinstance(nav, dict):
        return {title: _fill(part, named) for title, part in nav.items()}
    if isinstance(nav, str):
        return nav
    filled = []
    for part in nav:
        if isinstance(part, str) and part.endswith("/*"):
            found = [path for path in _made if path.startswith(part[:-1]) and path.endswith(".md")]
            filled += sorted(path for path in found if path not in named)
        else:
            filled.append(_fill(part, named))
    return filled
