"""The model card of a role map. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headroles.models.on_hub import card_head, find_hub_id

if TYPE_CHECKING:
    from headroles.roles.role_map import RoleMap


def write_card(role_map: RoleMap, license: str | None = None) -> str:
    """The text of README.md."""
    model = role_map.model
    place = find_hub_id(model.name)
    where = f"[{place}](https://huggingface.co/{place})" if place else _cell(model.name)
    layers = ", ".join(map(str, role_map.layers))
    head = card_head(license, model.name, ["clip", "interpretability", "attention-heads"])
    return f"""{head}
# Roles of the attention heads of {_cell(model.name)}

What each of {len(role_map)} heads of {where} does (layers {layers} of {model.layers}), read from
{_cell(role_map.evidence)}. The model's own weights are not here; their hash is `{model.weights_hash}`.

| role | heads | of which stand out from chance |
|---|---|---|
{_roles(role_map)}

## The clearest head of each concept

| concept | head | role | Concept Entropy | stands out | its first text of it |
|---|---|---|---|---|---|
{_clearest(role_map)}

`role_map.json` has every head, text and setting, `role_map.csv` a row a head.

## Use

```python
import headroles

role_map = headroles.RoleMap.from_pretrained("FOLDER")
role_map.plot()
```
"""


def _roles(role_map: RoleMap) -> str:
    rows = [
        f"| {role} | {count} | {sum(head.stands_out for head in role_map.heads(role=role))} |"
        for role, count in role_map.counts().items()
    ]
    return "\n".join(rows)


def _clearest(role_map: RoleMap) -> str:
    rows = []
    for concept in role_map.concepts:
        found = role_map.heads(concept=concept)
        if not found:
            continue
        head = found[0]
        text = next((text.text for text in head.texts if text.concept == concept), "-")
        stands_out = "yes" if head.stands_out else "no"
        rows.append(
            f"| {_cell(concept)} | {head.name} | {head.role} | {head.entropy:.2f} | {stands_out} | {_cell(text)} |"
        )
    return "\n".join(rows)


def _cell(text: str) -> str:
    """Other people's words as Markdown takes them for text, on one line."""
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{letter}" if letter in "\\|*_`[]" else letter for letter in flat)
