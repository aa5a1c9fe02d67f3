"""`headroles help`: every page that a refusal names is there, and shows what the code really says."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from headroles.cli.help import read_pages, title
from headroles.cli.main import group
from headroles.errors import InputError

ROOT = Path(__file__).parent.parent.parent
PAGES = read_pages()


def as_pattern(message: ast.expr) -> str:
    """A regular expression for all that an f-string can say."""
    if isinstance(message, ast.JoinedStr):
        return "".join(map(as_pattern, message.values))
    return re.escape(message.value) if isinstance(message, ast.Constant) else ".*"


@cache
def refusals() -> list[tuple[str, str]]:
    """Page and message, as a regular expression, of every refusal in the code that names a page."""
    found = []
    for folder in ("headroles", "adapt", "cli"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InputError":
                    pages = [keyword.value.value for keyword in node.keywords if keyword.arg == "page"]
                    found += [(page, as_pattern(node.args[0])) for page in pages]
    return found


def test_every_page_that_a_refusal_names_is_there_and_every_page_is_named():
    assert {page for page, _ in refusals()} == set(PAGES)


@pytest.mark.parametrize("slug", PAGES)
def test_a_page_shows_messages_of_the_code_their_cause_and_the_remedy(slug):
    page = PAGES[slug]
    assert re.findall("^## (.+)", page, re.MULTILINE) == ["Symptom", "Cause", "Remedy"]
    symptoms = re.search("```text\n(.+?)```", page, re.DOTALL)[1].splitlines()
    patterns = [pattern for name, pattern in refusals() if name == slug]
    for symptom in symptoms:
        assert any(re.fullmatch(pattern, symptom) for pattern in patterns), symptom
    assert max(map(len, page.partition("## Cause")[2].splitlines())) <= 120


def test_a_message_stays_one_line_and_says_what_to_type():
    assert str(InputError("model: none", page="unknown-model")) == "model: none [headroles help unknown-model]"
    assert str(InputError("model: none")) == "model: none"


def test_help_prints_a_page_a_list_of_pages_or_the_help_of_a_command():
    run = CliRunner().invoke
    assert run(group, ["help", "missing-file"]).output == PAGES["missing-file"].rstrip() + "\n"
    assert all(title(page) in run(group, ["help"]).output for page in PAGES.values())
    assert run(group, ["help", "merge"]).output.startswith("Usage: ")
    wrong = run(group, ["help", "nothing"])
    assert wrong.exit_code == 2 and "must be a command or one of" in wrong.output
