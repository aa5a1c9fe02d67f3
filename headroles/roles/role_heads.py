"""Which heads of a role map, or directions of heads, are meant: by name, by concept, or all with a weight each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from jaxtyping import Float
from numpy import array, ndarray

from headroles.checks import typed
from headroles.errors import InputError
from headroles.heads.names import Head, Part, head_list, head_name, parse_parts
from headroles.roles.role_map import SILENT, HeadRole, RoleMap

if TYPE_CHECKING:
    from headroles.models.hooked_clip import HookedCLIP


Heads: TypeAlias = "str | HeadRole | Head | Part | Sequence[str | HeadRole | Head | Part]"
"""Heads by name ("L6.H3,L7.*"), as (layer, head), or as a role map holds them; one or several. Where directions are
taken too, also those: "L6.H3.D0-2"."""


class Chosen(NamedTuple):
    """A scored head, and what of it is meant."""

    role: HeadRole
    """The head."""
    part: Part
    """All of it, or some of its directions."""


@typed
def choose_heads(
    role_map: RoleMap, names: Heads | None = None, concept: str | None = None, any_role: bool = False
) -> tuple[HeadRole, ...]:
    """The heads that a list of names, or a concept, stands for; by layer, then head.

    `names`: such as "L6.H3,L7.*", or `Heads` of another kind. `concept`: the Attribute heads with that dominant
    concept; with `any_role` all heads with it. Raises InputError where not exactly one of both is given, or a head was
    not scored, or is silent, or there is none, or directions of one are named; `L7.*` stands for the heads of layer 7
    that speak.
    """
    chosen = choose_parts(role_map, names, concept, any_role)
    split = next((each.part for each in chosen if each.part.directions), None)
    if split:
        raise InputError(f"heads: {split.name} names directions; expected whole heads here: {head_name(split.place)}")
    return tuple(each.role for each in chosen)


@typed
def choose_parts(
    role_map: RoleMap, names: Heads | None = None, concept: str | None = None, any_role: bool = False
) -> tuple[Chosen, ...]:
    """As `choose_heads`, where names may also be of directions: "L6.H3.D0-2" are the head's three strongest."""
    if (names is None) == (concept is None):
        raise InputError("heads: give either heads by name or a concept")
    if names is not None:
        return _named_parts(role_map, _write_names(names))
    found = role_map.heads(role=None if any_role else "attribute", concept=concept)
    if not found:
        raise InputError(
            f"concept: no {'' if any_role else 'Attribute '}head of {concept}; {_advice(role_map, str(concept))}",
            page="no-attribute-head",
        )
    ordered = sorted(found, key=lambda head: (head.layer, head.head))
    return tuple(Chosen(head, Part(head.layer, head.head)) for head in ordered)


def concept_parts(
    role_map: RoleMap, concept: str, any_role: bool = False, name: str = "concept"
) -> tuple[Part, ...]:
    """What speaks of a concept: of its Attribute heads the directions that write it, where the map knows directions.

    With `any_role` such directions of all heads. A map without directions (by texts, by images) gives whole heads, as
    `choose_heads` does. Raises InputError where there is none; `name` is the argument that gave the concept.
    """
    role_map.check_concept(concept, name)
    if not any(head.directions for head in role_map):
        return tuple(each.part for each in choose_parts(role_map, concept=concept, any_role=any_role))
    heads = role_map.head_roles if any_role else choose_heads(role_map, concept=concept)
    parts = [
        Part(head.layer, head.head, tuple(sorted(each.number for each in head.directions if each.concept == concept)))
        for head in heads
    ]
    found = tuple(part for part in sorted(parts) if part.directions)
    if not found:
        advice = _advice(role_map, concept)
        raise InputError(f"{name}: no direction writes {concept}; {advice}", page="no-attribute-head")
    return found


def concept_shares(role_map: RoleMap, concept: str) -> Float[ndarray, "layer head"]:
    """P(concept) of every scored head, in the order of the map's layers."""
    role_map.check_concept(concept)
    shares = {(head.layer, head.head): head.distribution[concept] for head in role_map}
    return array([[shares[layer, head] for head in range(role_map.model.heads)] for layer in role_map.layers])


def check_tower(role_map: RoleMap) -> None:
    """InputError where the role map speaks of the text tower's heads, which no image reaches."""
    if role_map.tower == "text":
        raise InputError("role map: it is of the text tower; expected one of the vision tower: score without --tower")


def check_model(role_map: RoleMap, model: HookedCLIP) -> None:
    """InputError where the role map speaks of another model's heads, or of its text tower's."""
    check_tower(role_map)
    check_same_weights(role_map, model)


def check_same_weights(role_map: RoleMap, model: HookedCLIP) -> None:
    """InputError where the role map speaks of another model's heads, of whichever tower."""
    own = model.weights_hash()
    if role_map.model.weights_hash != own:
        raise InputError(
            f"role map: it is of {role_map.model.name} with weights {role_map.model.weights_hash[:12]}, not those of "
            f"model {model.model_name} ({own[:12]}); score this model, or name the other one with --model",
            page="other-weights",
        )


def _write_names(heads: Heads) -> str:
    """Heads of any kind as the list that `parse_parts` reads."""
    if isinstance(heads, str):
        return heads
    if isinstance(heads, (HeadRole, Part)):
        return heads.name
    layer, head = (heads[0], heads[1]) if len(heads) == 2 else (None, None)
    if isinstance(layer, int) and isinstance(head, int):
        return head_name((layer, head))
    return ",".join(_write_names(each) for each in heads if not isinstance(each, int))


def _named_parts(role_map: RoleMap, names: str) -> tuple[Chosen, ...]:
    scored = {(head.layer, head.head): head for head in role_map}
    layers = max(role_map.model.layers, max(role_map.layers) + 1)  # Pooling heads count as one layer more.
    chosen = parse_parts(names, layers, role_map.model.heads)
    if "*" in names:
        chosen = tuple(part for part in chosen if part.place in scored)
    missing = [part for part in chosen if part.place not in scored]
    if missing or not chosen:
        what = head_list(missing[:1]) if missing else names
        known = ", ".join(map(str, role_map.layers))
        raise InputError(f"heads: {what} is not in this role map, which scored layers {known}; score with --layers all")
    silent = [part for part in chosen if scored[part.place].role == SILENT]
    if "*" in names and len(silent) < len(chosen):
        chosen = tuple(part for part in chosen if part not in silent)
    elif silent:
        raise InputError(f"heads: {head_list(silent[:1])} is silent in this role map, it says nothing; choose others")
    return tuple(Chosen(scored[part.place], part) for part in chosen)


def _advice(role_map: RoleMap, concept: str) -> str:
    """What to try for a concept without heads: those that speak of it most."""
    most = sorted((head for head in role_map if head.role != SILENT), key=lambda head: -head.distribution[concept])[:2]
    if not most:
        return "all heads of this role map are silent: score over images that differ"
    near = ", ".join(f"{head.name} ({head.distribution[concept]:.0%} {concept}, {head.role})" for head in most)
    return f"most of it is in {near}: choose with --heads"


def attribute_heads(role_map: RoleMap) -> tuple[HeadRole, ...]:
    """All Attribute heads, by concept, then clearest first; InputError where there is none."""
    found = role_map.heads(role="attribute")
    if not found:
        raise InputError(
            "heads: this role map has no Attribute head; choose with --heads, or score with other rules",
            page="no-attribute-head",
        )
    return tuple(sorted(found, key=lambda head: head.concept))
