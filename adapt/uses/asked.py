"""Which of a role map's concepts a task asks for: what its classes differ in."""

from __future__ import annotations

from collections.abc import Sequence

from headroles.adapt.data.task import Task
from headroles.adapt.data.tasks import SHAPES
from headroles.errors import InputError
from headroles.roles.role_map import RoleMap
from headroles.shapes.tasks import TASKS

_ITEM = ("shape", "object")
"""What the world's tasks call "item"."""


def asked_concepts(task: Task, role_map: RoleMap, concepts: Sequence[str] | None = None) -> tuple[str, ...]:
    """The concepts that were given, or those that a built-in task's classes differ in, as the role map names them.

    Raises InputError where the role map does not know one that was given, or none was given for data of one's own.
    """
    known = ", ".join(role_map.concepts)
    if concepts is not None:
        strange = [concept for concept in concepts if concept not in role_map.concepts]
        if strange or not concepts:
            got = repr(strange[0]) if strange else "none"
            raise InputError(f"concepts: expected some of the role map's ({known}), got {got}")
        return tuple(dict.fromkeys(concepts))
    name = task.name.removeprefix(SHAPES).partition("@")[0]
    if not task.name.startswith(SHAPES) or name not in TASKS:
        raise InputError(f"concepts: what the classes of {task.name} differ in is not known; name some of {known}")
    shows = TASKS[name].shows
    asked = [concept for concept in role_map.concepts if concept in shows or (concept in _ITEM and "item" in shows)]
    if not asked:
        raise InputError(
            f"concepts: {task.name} asks for {', '.join(sorted(shows))}, and the role map's bank "
            f"{role_map.bank.name} knows {known}; score with --probes shapes, or name the concepts"
        )
    return tuple(asked)
