"""What `headroles score` and `headroles merge` say of a role map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from headroles.shown import show_p

if TYPE_CHECKING:
    from headroles.jobs.score_job import Scored
    from headroles.roles.role_map import RoleMap


def report_score(scored: Scored, output: Path, texts_asked: int | None = None) -> None:
    """Roles per layer, the clearest head of every concept, and what to type next; by the main process alone."""
    from headroles.cli.options.score_kinds import report_variant
    from headroles.cli.options.stopped import typed
    from headroles.passes.processes import is_main

    if not is_main():
        return
    if scored.broken:
        names = ", ".join(scored.broken[:5]) + (" ..." if len(scored.broken) > 5 else "")
        click.echo(f"left out {len(scored.broken)} broken image files: {names}", err=True)
    role_map = scored.role_map
    if role_map is None:
        click.echo(f"wrote {scored.files[0]} ({scored.read:,} images; shards take turns at batches)")
        click.echo("next, with all shards: " + typed("merge", output, "--output", output))
        return
    texts = role_map.settings.get("texts_per_head")
    if texts_asked is not None and texts is not None and texts < texts_asked:
        click.echo(f"texts per head: {texts}, as many as a head is wide ({texts_asked} asked for)", err=True)
    report_variant(scored)
    if role_map.words:
        click.echo(f"words: {role_map.words.describe()}")
    _say_roles(role_map)
    if role_map.heads(role="silent") != role_map.heads():
        _say_chance(role_map)
        _say_clearest(role_map)
    click.echo(f"wrote {output}/{', '.join(path.name for path in scored.files)}")
    click.echo("next: " + typed("plot", output / "role_map.json"))


def _say_roles(role_map: RoleMap) -> None:
    """How many heads of each layer have each role, and how many of them stand out from chance."""
    if "ablation" in role_map.settings:
        click.echo(f"without {role_map.settings['ablation']['heads']}: cut heads are silent")
    kinds = list(role_map.counts())
    click.echo("layer  " + "  ".join(f"{kind:>14}" for kind in kinds))
    for layer in role_map.layers:
        counts = role_map.counts(layer)
        click.echo(f"{layer:>5}  " + "  ".join(f"{counts.get(kind, 0):>14}" for kind in kinds))
    if role_map.layers[-1] == role_map.model.layers:
        click.echo(f"layer {role_map.layers[-1]}: the heads of the pooling head")


def _say_chance(role_map: RoleMap) -> None:
    """How many Attribute heads stand out from chance, and how many of low entropy do not."""
    attribute = role_map.heads(role="attribute")
    clear = sum(head.stands_out for head in attribute)
    some = f"{clear}" if clear == len(attribute) else f"{clear} of {len(attribute)}"
    line = f"{some} Attribute {'head stands' if some == '1' else 'heads stand'} out from chance"
    low = role_map.settings["low"] if role_map.settings["roles_by"] == "threshold" else -1
    near = sum(head.entropy <= low for head in role_map.heads(role="mixed"))
    more = "1 more head has low entropy but does" if near == 1 else f"{near} more heads have low entropy but do"
    click.echo(line + (f"; {more} not (mixed)" if near else ""))
    if not attribute:
        click.echo("no head is an Attribute head by this rule; --roles-by quantile ranks the heads instead")


def _say_clearest(role_map: RoleMap) -> None:
    """The head of lowest entropy of every concept."""
    wide = max(12, *map(len, role_map.concepts))
    chance, first = ("0 to 1", "value") if role_map.probe_kind == "image" else ("1: chance on average", "text")
    click.echo(f"clearest head of each concept (entropy, {chance}; q; its first {first} of that concept):")
    for concept in role_map.concepts:
        heads = [head for head in role_map.heads(concept=concept) if head.leading]
        if heads:
            head = heads[0]
            text = next((picked.text for picked in head.texts if picked.concept == concept), "-")
            numbers = f"{head.entropy:.2f}  {show_p(head.q_value)}"
            click.echo(f"  {concept:<{wide}} {head.name:<8} {head.role:<14} {numbers}  {text}")
        else:
            click.echo(f"  {concept:<{wide}} none")
    undecided = sum(head.role != "silent" and not head.leading for head in role_map)
    if undecided:
        who = "1 head follows" if undecided == 1 else f"{undecided} heads follow"
        click.echo(f"{who} no concept more than another")
