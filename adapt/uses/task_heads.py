"""task_heads(): which heads of a CLIP may I touch for my task?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from headroles.adapt.data.looking import look
from headroles.adapt.data.task import Task
from headroles.adapt.data.tasks import open_task
from headroles.adapt.jobs.job import MODEL, TASK
from headroles.adapt.jobs.role_map import find_left
from headroles.adapt.methods.entry import check_adaptable
from headroles.adapt.uses.agreement import Agreement, agree
from headroles.adapt.uses.asked import asked_concepts
from headroles.adapt.uses.costs import HeadCosts, TaskPixels, measure_costs
from headroles.adapt.uses.learned import LEARNED, learn_direct_factors, learn_of_heads
from headroles.adapt.uses.result import USES, HeadUse, TaskHeads
from headroles.checks import typed
from headroles.errors import InputError
from headroles.images.notes import LOG
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.layers import first_deep_layer
from headroles.models.load import load
from headroles.roles.concepts import q_values
from headroles.roles.own_model import preprocess_of
from headroles.roles.role_heads import check_model
from headroles.roles.role_map import SILENT, HeadRole, RoleMap

LEAST_IMAGES = 10
"""Fewer images tell no head from another."""
_SURE = 0.05
"""q-value up to which a cost counts."""


@typed
def task_heads(
    model: str | HookedCLIP = MODEL,
    task: str | Task = TASK,
    role_map: RoleMap | str | os.PathLike[str] | None = None,
    *,
    concepts: Sequence[str] | None = None,
    learn: Iterable[str] = (),
    images: int = 256,
    shots: int = 16,
    seed: int = 1,
    tolerance: float = 0.05,
    resamples: int = 2000,
    steps: int = 200,
    batch: int = 64,
    root: str | os.PathLike[str] | None = None,
    template: str | None = None,
    device: str = "auto",
    strict: bool = False,
) -> TaskHeads:
    """Cut every scored head on a task's training images: which does the task need, and did roles foretell it?

    `model`: a CLIP read at its CLS token, or what `load` takes; `task`: one, or what `open_task` takes with `root` and
    `template`. `role_map`: the map, its file or its folder; None for what `headroles score` left here or, for a bundled
    model, a new one. `concepts`: what the task's classes differ in, in the role map's words; None for a built-in task.
    `learn`: what is trained beside it,
    some of `headroles.adapt.uses.learned.LEARNED` (ltv, head-purification, talo), from `shots` images a class; `steps`
    of the factors. `images`: so many training images at most, drawn by `seed`. A head is free where the 95% interval of
    what it costs lies within `tolerance`, in nats: 0.05 move no probability by more than 1.3 points. `resamples`: of
    images, of heads and of roles. No test image is looked at. Raises InputError where task, role map and model do not
    fit, or there are fewer than ten images.
    """
    names = _check(learn, images, shots, seed, tolerance, resamples, steps, batch)
    opened = look(open_task(task, root, template) if not isinstance(task, Task) else task, strict)
    for line in (opened.summary, *opened.notes):
        LOG.info(line)
    if len(opened.train) < LEAST_IMAGES:
        raise InputError(
            f"task: {opened.name} has {len(opened.train)} training images; expected at least {LEAST_IMAGES}"
        )
    clip = load(model, device) if isinstance(model, str) else model
    check_adaptable(clip)
    scored = _find_map(clip, role_map)
    asked = asked_concepts(opened, scored, concepts)
    spoken = sorted(
        (head for head in scored if head.role != SILENT and head.layer < clip.visual.layers),
        key=lambda head: (head.layer, head.head),
    )
    if not spoken:
        raise InputError("role map: all its heads are silent, so none has a role; score on other images")
    drawn = np.sort(np.random.default_rng(seed).permutation(len(opened.train))[:images])
    pixels = TaskPixels.open([opened.train[number] for number in drawn], preprocess_of(clip), batch)
    texts = _class_texts(clip, opened)
    places = [(head.layer, head.head) for head in spoken]
    costs = measure_costs(clip, pixels, texts, places)
    learned = {LEARNED[name][0]: learn_of_heads(clip, opened, name, places, shots, seed) for name in names}
    learned["factor"] = learn_direct_factors(costs, pixels.labels, steps).tolist()
    uses = _judge(spoken, asked, costs, learned, tolerance, resamples, seed)
    settings: dict[str, Any] = {
        "learn": list(names), "images": images, "shots": shots, "seed": seed, "tolerance": tolerance, "steps": steps,
        "resamples": resamples, "template": opened.template, "images_of_map": scored.images.source,
    }  # fmt: skip
    return TaskHeads(
        scored.model, opened.name, asked, len(drawn), costs.right.mean().item(), uses,
        _agreements(uses, resamples, seed), settings,
    )  # fmt: skip


def _check(learn: Iterable[str], *numbers: float) -> tuple[str, ...]:
    names = tuple(dict.fromkeys([learn] if isinstance(learn, str) else learn))
    strange = [name for name in names if name not in LEARNED]
    if strange:
        raise InputError(f"learn: expected some of {', '.join(LEARNED)}, got {strange[0]!r}")
    least = {"images": LEAST_IMAGES, "shots": 1, "seed": 0, "tolerance": 0, "resamples": 100, "steps": 1, "batch": 1}
    for (name, bound), value in zip(least.items(), numbers, strict=True):
        if not value >= bound:
            raise InputError(f"{name} must be at least {bound}, got {value}")
    return names


def _find_map(clip: HookedCLIP, given: RoleMap | str | os.PathLike[str] | None) -> RoleMap:
    """The one that was given; else as `adapt` finds one, without asking for layers that are not deep."""
    if given is None:
        scored, where = find_left(clip.model_name, clip, first_deep_layer(clip.visual.layers))
        LOG.info(where)
    else:
        scored = RoleMap.of(given)
    check_model(scored, clip)
    return scored


def _class_texts(clip: HookedCLIP, task: Task) -> Any:
    """Unit embeddings of the classes: normalised means over their prompts."""
    from torch import stack
    from torch.nn.functional import normalize

    return normalize(stack([clip.embed_texts(texts).mean(0) for texts in task.prompts]), dim=-1)


def _judge(
    heads: Sequence[HeadRole],
    asked: Sequence[str],
    costs: HeadCosts,
    learned: dict[str, list[float | None]],
    tolerance: float,
    resamples: int,
    seed: int,
) -> tuple[HeadUse, ...]:
    """One a head, by a paired bootstrap of images."""
    count = len(costs.right)
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples) / count
    lost, wrong = (each.double().cpu().numpy() for each in (costs.margin, costs.accuracy))
    means = weights @ lost
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    q = q_values(_two_sided(means))
    uses = []
    for number, head in enumerate(heads):
        cost, sure = float(lost[:, number].mean()), q[number] <= _SURE
        free = -tolerance <= low[number] and high[number] <= tolerance
        verdict = "free" if free else ("needed" if cost > 0 else "harmful") if sure else "unclear"
        uses.append(
            HeadUse(
                head.name, head.layer, head.role, head.concept,
                min(1.0, sum(head.distribution[concept] for concept in asked)), cost, float(low[number]),
                float(high[number]), float(q[number]), float(wrong[:, number].mean()), verdict,
                costs.direct[:, number].mean().item(),
                **{name: values[number] for name, values in learned.items()},  # type: ignore[arg-type]
            )
        )  # fmt: skip
    return tuple(uses)


def _two_sided(means: Float[ndarray, "draw head"]) -> Float[ndarray, "head"]:
    """p-values of means other than 0."""
    draws = len(means)
    tails = np.minimum((means <= 0).sum(0), (means >= 0).sum(0))
    found: ndarray = np.minimum(1, 2 * (1 + tails) / (1 + draws))
    return found


def _agreements(uses: Sequence[HeadUse], draws: int, seed: int) -> tuple[Agreement, ...]:
    shares, layers = [use.asked for use in uses], [use.layer for use in uses]
    found = (agree(name, [getattr(use, name) for use in uses], shares, layers, draws, seed) for name in USES)
    return tuple(each for each in found if each is not None)
