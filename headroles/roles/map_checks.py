"""What every role map keeps to, beyond the types of its fields: heads that the model has, shares that are shares."""

from __future__ import annotations

import math
from collections.abc import Iterator, Set
from typing import Any

from headroles.files.sketch import Sketch

_SHARES = ("concept_share", "p_value", "q_value")
_AMOUNTS = ("entropy_bits", "entropy", "null_entropy", "effective_rank", "variance")
_ROOM = 1e-6
"""What rounding may add to a share or a sum of shares."""


def find_contradiction(role_map: Any, roles: tuple[str, ...], silent: str) -> str | None:
    """The first place where a RoleMap contradicts itself, and how; None where it does not.

    `roles`: the known ones; `silent`: the state beside them.
    """
    return next(_contradictions(role_map, roles, silent), None)


def _contradictions(role_map: Any, roles: tuple[str, ...], silent: str) -> Iterator[str]:
    model, layers = role_map.model, role_map.layers
    if len(set(layers)) < len(layers) or not all(0 <= layer <= model.layers for layer in layers):
        yield f"layers: {list(layers)[:8]} are not different layers of a model of {model.layers}"
    if not role_map.bank.counts:
        yield "bank.counts: expected at least one concept"
    by_weights = role_map.probe_kind == "weights"
    if role_map.images.count < 2 and not (by_weights and role_map.images.count == 0):
        yield f"images.count: expected at least 2 (by weights also 0), got {role_map.images.count}"
    try:
        _ = Sketch(role_map.images.sketch).kept
    except ValueError as error:
        yield f"images.sketch: it is no sketch of images ({error})"
    strange = {spread.concept for spread in role_map.concept_spread} - role_map.bank.counts.keys()
    if strange or len({spread.concept for spread in role_map.concept_spread}) < len(role_map.concept_spread):
        yield f"concept_spread: {min(strange, default='a concept')!r} is none of bank.counts, or is there twice"
    if role_map.words and (role_map.words.difference is None) == (role_map.words.fit is None):
        yield "words: expected either the difference from the tower's own CLIP, or the fit of a learned map"
    taken = set()
    for number, head in enumerate(role_map.head_roles):
        place = f"head_roles[{number}]"
        if head.layer not in layers or not 0 <= head.head < model.heads:
            yield f"{place}: {head.name} is no head of layers {', '.join(map(str, layers))}, {model.heads} heads each"
        if head.name in taken:
            yield f"{place}: {head.name} is there twice"
        taken.add(head.name)
        yield from (f"{place}.{wrong}" for wrong in _wrong_values(head, role_map, roles, silent))


def _wrong_values(head: Any, role_map: Any, roles: tuple[str, ...], silent: str) -> Iterator[str]:
    concepts = role_map.bank.counts.keys()
    if head.role not in (*roles, silent):
        yield f"role: expected one of {', '.join(roles)}, {silent}, got {head.role!r}"
    if head.role == silent and (head.concept or head.texts):
        yield f"role: a {silent} head has neither concept nor texts"
    if head.distribution.keys() != concepts:
        other = sorted(head.distribution.keys() ^ concepts)[0]
        yield f"distribution: its concepts are not those of bank.counts; {other!r} is in one of them alone"
    if head.concept not in concepts and head.role != silent:
        yield f"concept: {head.concept!r} is none of bank.counts"
    drawn = (head.interval, head.stability)
    if (None in drawn) if role_map.probe_kind != "weights" else (drawn != (None, None)):
        yield "interval: interval and stability come from images; expected null by weights, and numbers else"
    shares = [(name, getattr(head, name)) for name in _SHARES]
    shares += [] if head.stability is None else [("stability", head.stability)]
    for name, share in shares + [(f"distribution.{name}", each) for name, each in head.distribution.items()]:
        if not -_ROOM <= share <= 1 + _ROOM:
            yield f"{name}: expected a share from 0 to 1, got {share}"
    if sum(head.distribution.values()) > 1 + 1e-3:
        yield f"distribution: shares sum to {sum(head.distribution.values()):.4g}, over 1"
    if head.concept in head.distribution and not _near(head.concept_share, head.distribution[head.concept]):
        yield f"concept_share: {head.concept_share} is not that of {head.concept!r} in distribution"
    amounts = [(name, getattr(head, name)) for name in _AMOUNTS] + [("interval", end) for end in head.interval or ()]
    for name, amount in amounts:
        if amount < -_ROOM:
            yield f"{name}: expected a number of at least 0, got {amount}"
    if head.spread:
        yield from (f"spread.{wrong}" for wrong in _wrong_spread(head.spread, concepts))
    sides = [side for each in head.directions for side in (each.plus, each.minus)]
    if not all(text.concept in concepts for texts in (head.texts, *(side.texts for side in sides)) for text in texts):
        yield "texts: a text has a concept that is none of bank.counts"
    if len({each.number for each in head.directions}) < len(head.directions):
        yield "directions: one is there twice"


def _wrong_spread(spread: Any, concepts: Set[str]) -> Iterator[str]:
    for name in ("explained", "importance"):
        found = getattr(spread, name)
        if found and found.keys() != concepts:
            other = sorted(found.keys() ^ concepts)[0]
            yield f"{name}: its concepts are not those of bank.counts; {other!r} is in one of them alone"


def _near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6)
