"""The pages that `headroles help` prints, as a part of the site."""

from headroles.cli.help import read_pages, title
from made.page import Page, table


def make_refusals() -> list[Page]:
    """The list of refusals and a page each."""
    pages = read_pages()
    rows = [[f"[{title(text)}]({slug}.md)", f"`headroles help {slug}`"] for slug, text in pages.items()]
    intro = (
        "A mistake is one line and exit code 2; from Python it is an `InputError`. The line says what was expected, "
        "what came and what to do. Where more can be said it ends with `[headroles help PAGE]`, which prints one of "
        "these pages in the terminal."
    )
    index = f"# Refusals\n\n{intro}\n\n{table(['Refusal', 'In the terminal'], rows)}"
    own = [Page(f"reference/refusals/{slug}.md", text) for slug, text in pages.items()]
    return [Page("reference/refusals/index.md", index), *own]
