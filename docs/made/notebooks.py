"""Notebooks as pages: their text, their code, and the outputs that are stored in them. Nothing is run."""

import base64
import json
from pathlib import Path

from made.page import Page


def make_notebooks(root: Path) -> list[Page]:
    """A page a notebook, and its pictures."""
    return [page for path in sorted((root / "notebooks").glob("*.ipynb")) for page in _make(path)]


def _make(path: Path) -> list[Page]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts, pictures = [], []
    for cell in cells:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif source:
            parts.append(f"```python\n{source}\n```")
            for output in cell["outputs"]:
                parts.append(_show(output, path.stem, pictures))
    note = f"This page is the notebook `notebooks/{path.name}`, with the outputs that are stored in it."
    heading, _, rest = "\n\n".join(filter(None, parts)).partition("\n")
    markdown = f"{heading}\n\n*{note}*\n{rest}\n"
    return [Page(f"tutorial/{path.stem}.md", markdown, f"notebooks/{path.name}"), *pictures]


def _show(output: dict, stem: str, pictures: list[Page]) -> str:
    """One output as Markdown: a picture if it has one, else HTML, else text."""
    data = output.get("data", {})
    if "image/png" in data:
        picture = Page(f"tutorial/{stem}-{len(pictures) + 1}.png", base64.b64decode("".join(data["image/png"])))
        pictures.append(picture)
        return f"![Output of the cell above]({Path(picture.path).name})"
    if "text/html" in data:
        lines = "".join(data["text/html"]).splitlines()
        return "<div class='output'>\n" + "\n".join(filter(str.strip, lines)) + "\n</div>"
    text = "".join(output.get("text") or data.get("text/plain") or ()).rstrip()
    return f"```text\n{text}\n```" if text else ""
