"""A page, or a picture, that no file of docs/ holds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """Something that the site gets beside the files of docs/."""

    path: str
    """Where it lies on the site, from docs/, such as `tutorial/02_adapt.md`."""
    content: str | bytes
    """Markdown, or a picture's bytes."""
    origin: str | None = None
    """The file of the repository that its links are relative to, from the root; None: links are the site's own."""


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; bars and line breaks in cells are kept out of its way."""
    lines = [columns, ["---"] * len(columns), *rows]
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells) + "\n"
