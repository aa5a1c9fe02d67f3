"""Ways through several tasks, and what can be said after each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headroles.adapt.merging.config import ARITHMETIC, MEAN, RECALL, MergeConfig
from headroles.adapt.methods.registry import find_method
from headroles.errors import InputError

WAYS = SEQUENTIAL, SEPARATE, MERGED = ("sequential", "separate", "merged")
"""What is trained: one adapter through all tasks; one a task; one a task, and all so far merged."""
NEWEST, OWN = "newest", "own"
STRATEGIES: Mapping[str, str] = {
    SEQUENTIAL: "one adapter, trained on each task in turn",
    NEWEST: "each task's own adapter, the newest one for all tasks",
    OWN: "each task's own adapter, for its task alone: an oracle says which; zero-shot before it is trained",
    MEAN: "the mean of the adapters so far",
    ARITHMETIC: "task arithmetic of the adapters so far",
    RECALL: "RECALL of the adapters so far",
}
"""What answers after a task is trained -> what it is."""
MERGINGS = (MergeConfig(MEAN), MergeConfig(ARITHMETIC, strength=0.5), MergeConfig(RECALL))
"""How adapters are merged where nothing else is asked for; the strength is ours."""


def check_ways(method: str, ways: Sequence[str], merging: Sequence[MergeConfig]) -> None:
    """InputError for a way that is none, or that the method cannot go."""
    for way in ways:
        if way not in WAYS:
            raise InputError(f"continual must be some of {', '.join(WAYS)}, or all, got {way!r}")
    if not ways or len(set(ways)) < len(ways):
        raise InputError(f"continual must be some of {', '.join(WAYS)}, each once, got {', '.join(ways) or 'none'}")
    rules = [config.by for config in merging]
    if len(set(rules)) < len(rules) or (MERGED in ways and not rules):
        raise InputError(f"merging must be one MergeConfig a rule, each once, got {', '.join(rules) or 'none'}")
    _check_method(method, ways)


def _check_method(method: str, ways: Sequence[str]) -> None:
    kind = find_method(method)
    if not kind.novel:
        raise InputError(
            f"method: {method} knows the classes that it is trained on alone, and each task has others; take a method "
            "that knows classes by their texts"
        )
    why = ""
    if not kind.steps:
        why = "takes no training steps, so there is nothing to go on from or to merge"
    elif kind.needs_classes:
        why = "has tensors of the trained classes, so its adapter of one task serves no other"
    if why and set(ways) != {SEPARATE}:
        raise InputError(f"method: {method} {why}; train one a task: continual separate")


def check_tasks(names: Sequence[str]) -> None:
    """InputError where there are not two tasks, or one is there twice."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if len(names) < 2 or twice:
        got = f"{twice[0]} twice" if twice else ", ".join(names) or "none"
        raise InputError(f"tasks must be two or more different ones, got {got}")
