"""A page a JSON Schema that ships with the package: every field of a file, with its type and meaning."""

import json
from collections.abc import Iterator
from pathlib import Path

from made.page import Page, table


def make_schemas(root: Path) -> list[Page]:
    """A page a schema, named as the file that it describes."""
    paths = sorted(path for folder in ("headroles", "adapt") for path in (root / folder).rglob("*.schema.json"))
    return [_page(path, str(path.relative_to(root))) for path in paths]


def _page(path: Path, place: str) -> Page:
    schema, name = json.loads(path.read_text(encoding="utf-8")), path.name.replace(".schema", "")
    rows = [[f"`{field}`", kind, meaning] for field, kind, meaning in _fields(schema, schema, "")]
    text = f"# {name}\n\n{schema.get('description', schema.get('title', ''))}\n\n"
    text += f"From the JSON Schema `{place}`. `a.b` is the field b of a, `a[]` an element of the list a, `a.*` the "
    text += "value of any key of a; *may lack* marks fields that a file need not have.\n\n"
    text += table(["Field", "Type", "Meaning"], rows)
    return Page(f"reference/files/{name.replace('.', '-')}.md", text)


def _fields(node: dict, root: dict, name: str, lacking: bool = False) -> Iterator[tuple[str, str, str]]:
    """Name, type and meaning of a node and all below it."""
    node = _resolve(node, root)
    if name:
        yield name, _kind(node, root) + (", may lack" if lacking else ""), node.get("description", "")
    for either in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        below = _resolve(either, root)
        node = {**node, **{key: below[key] for key in ("required", "properties", "items") if key in below}}
    required = node.get("required", ())
    for key, below in node.get("properties", {}).items():
        yield from _fields(below, root, f"{name}.{key}".lstrip("."), key not in required)
    if isinstance(below := node.get("additionalProperties"), dict) and below:
        yield from _fields(below, root, f"{name}.*".lstrip("."))
    for below in [node["items"]] if isinstance(node.get("items"), dict) else []:
        yield from _fields(below, root, f"{name}[]")


def _resolve(node: dict, root: dict) -> dict:
    """The node that a reference within the schema means; its own description goes first."""
    if "$ref" not in node:
        return node
    target = root
    for part in node["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return {**_resolve(target, root), **{key: value for key, value in node.items() if key != "$ref"}}


def _kind(node: dict, root: dict) -> str:
    """The type in words, with what bounds it."""
    if "const" in node:
        return f"always `{json.dumps(node['const'])}`"
    if "enum" in node:
        return "one of " + ", ".join(f"`{json.dumps(value)}`" for value in node["enum"])
    either = node.get("anyOf") or node.get("oneOf")
    if either:
        return " or ".join(_kind(_resolve(each, root), root) for each in either)
    kind = node.get("type", "anything")
    kind = " or ".join(kind) if isinstance(kind, list) else kind
    low = next((f"from {node[key]}" for key in ("minimum", "exclusiveMinimum") if key in node), "")
    high = next((f"to {node[key]}" for key in ("maximum", "exclusiveMaximum") if key in node), "")
    return " ".join(filter(None, (kind, low, high)))
