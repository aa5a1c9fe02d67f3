"""A task: classes, prompts, and images to train, validate and test on; halves and shots as the peers draw them."""

from __future__ import annotations

import dataclasses
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from headroles.adapt.data.examples import Example, ShapesSource
from headroles.errors import InputError
from headroles.images.prompts import check_template, write_prompts

Examples = tuple[Example, ...]
VAL_SHOTS = 4
"""At most so many validation images a class go with few shots."""
HALVABLE = 4
"""So many classes give halves of two each; among one class every answer is right."""


@dataclass(frozen=True)
class Task:
    """Images of named classes in three splits; `train` and `val` are empty in data sets that only test."""

    name: str
    """How to name it in results."""
    classes: tuple[str, ...]
    """Class names by label."""
    template: str
    """Prompt with {} for the class name; one a line where there are several, whose embeddings are averaged."""
    train: tuple[Example, ...] = field(repr=False)
    """Images to train on, or to draw shots from."""
    val: tuple[Example, ...] = field(repr=False)
    """Images for choosing settings."""
    test: tuple[Example, ...] = field(repr=False)
    """Images for reported figures."""
    augment: bool = True
    """Whether cropping and mirroring leave the classes as they are."""
    own: bool = False
    """Data of one's own, not a benchmark: few-shot by default, and a class with fewer images than shots gives all."""
    split: str = field(default="", compare=False, repr=False)
    """How the images came to their splits; "" where nothing is said."""
    split_here: bool = field(default=False, compare=False, repr=False)
    """Whether the test images were chosen by us, as the data bring no split."""
    notes: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """What was left out or is odd, a line each."""
    left_out: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """Keys of the images that were left out, such as broken ones."""

    def __post_init__(self) -> None:
        check_template(self.template)
        if not self.classes or not self.test:
            raise InputError(f"task: {self.name} has no classes or no test images; check what it was read from")

    @property
    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """The texts of every class, in label order: `headroles.images.prompts.write_prompts`."""
        return write_prompts(self.template, self.classes)

    @property
    def summary(self) -> str:
        """One line: classes, images of each split, and how they were split."""
        names = ", ".join(self.classes[:3]) + (" ..." if len(self.classes) > 3 else "")
        counts = f"{len(self.train)} train, {len(self.val)} validation, {len(self.test)} test images"
        how = f"; {self.split}" if self.split else ""
        return f"task {self.name}: {len(self.classes)} classes ({names}); {counts}{how}"

    @property
    def default_protocol(self) -> str:
        """What is trained and tested where nothing is asked for: few-shot also where halves would have one class."""
        return "few-shot" if self.own or len(self.classes) < HALVABLE else "base-to-novel"

    def halves(self) -> tuple[Task, Task]:
        """Base and novel: the first ceil(n / 2) classes and the rest, each relabelled from 0.

        Shots are drawn over all classes first (`few_shot`), as CoOp does, so that a seed's base and few-shot
        training images agree.
        """
        if len(self.classes) < HALVABLE:
            has = "one class" if len(self.classes) == 1 else f"{len(self.classes)} classes"
            raise InputError(
                f"task: {self.name} has {has}; base and novel halves need at least two each, as among one class every "
                "answer is right; use protocol few-shot"
            )
        middle = math.ceil(len(self.classes) / 2)
        return self._keep(range(middle), "base"), self._keep(range(middle, len(self.classes)), "novel")

    def few_shot(self, shots: int, seed: int, each_domain: bool = False) -> Task:
        """`shots` training images a class and min(shots, 4) validation images (all where there are fewer).

        `each_domain`: so many of every class and domain (`Example.domain`).

        CoOp's protocol: one stream of Python's `random` from `seed`; `random.sample` per class in the order in which
        the classes first appear, training images first. So the shots of a seed do not nest: 1 is none of 2. Where a
        class has fewer training images, data of one's own give all of them and a note; else InputError.
        """
        if shots < 1:
            raise InputError(f"shots: expected at least 1, got {shots}")
        notes = self._check_shots(shots, each_domain)
        rng = random.Random(seed)
        train = _sample(self.train, shots, rng, each_domain)
        val = _sample(self.val, min(shots, VAL_SHOTS), rng, each_domain)
        return dataclasses.replace(self, train=train, val=val, notes=(*self.notes, *notes))

    def shifted(self, shift: str) -> Task:
        """The same pictures under a domain shift, in all splits; built-in tasks only."""
        from headroles.shapes.tasks import find_task

        source = self.test[0].source
        if not isinstance(source, ShapesSource):
            raise InputError(f"task: {self.name} cannot be shifted by {shift}; only shapes tasks can")
        find_task(source.task, shift)
        return self._map(lambda examples: tuple(_shift(e, shift) for e in examples), f"{self.name}@{shift}")

    def _check_shots(self, shots: int, each_domain: bool) -> tuple[str, ...]:
        if not self.train:
            raise InputError(f"task: {self.name} has no training images; it only tests, train on another task")
        counts = self._count_train(each_domain)
        least = min(counts, key=lambda name: counts[name])
        if counts[least] >= shots:
            return ()
        if not self.own:
            has = "1 training image" if counts[least] == 1 else f"{counts[least]} training images"
            raise InputError(
                f"shots: class {least} of {self.name} has {has}, {shots} were asked for; "
                f"give --shots {counts[least]} or fewer, or add images",
                page="too-few-images",
            )
        few = [f"{name} has {count}" for name, count in counts.items() if count < shots]
        more = f" and {len(few) - 3} more" if len(few) > 3 else ""
        of = "a class and domain" if each_domain else "a class"
        return (
            f"shots: {shots} {of} were asked for; class {', '.join(few[:3])}{more} to train on; all of these are used",
        )

    def _count_train(self, each_domain: bool) -> dict[str, int]:
        """Class, and its domain, in words -> how many training images it has."""
        domains = sorted({example.domain for example in self.train}) if each_domain else [""]
        counts = Counter((example.label, example.domain if each_domain else "") for example in self.train)
        return {
            repr(name) + (f" in {domain}" if domain else ""): counts[label, domain]
            for label, name in enumerate(self.classes)
            for domain in domains
        }

    def _keep(self, labels: range, half: str) -> Task:
        def keep(examples: Examples) -> Examples:
            kept = (example for example in examples if example.label in labels)
            return tuple(dataclasses.replace(example, label=example.label - labels.start) for example in kept)

        halved = self._map(keep, f"{self.name}-{half}")
        return dataclasses.replace(halved, classes=self.classes[labels.start : labels.stop])

    def _map(self, change: Callable[[Examples], Examples], name: str) -> Task:
        """The task with all splits changed alike, under another name."""
        train, val, test = map(change, (self.train, self.val, self.test))
        return dataclasses.replace(self, name=name, train=train, val=val, test=test)


def _sample(examples: Sequence[Example], shots: int, rng: random.Random, each_domain: bool) -> tuple[Example, ...]:
    groups: dict[tuple[int, str], list[Example]] = defaultdict(list)
    for example in examples:
        groups[example.label, example.domain if each_domain else ""].append(example)
    drawn = [group if len(group) < shots else rng.sample(group, shots) for group in groups.values()]
    return tuple(example for group in drawn for example in group)


def _shift(example: Example, shift: str) -> Example:
    assert isinstance(example.source, ShapesSource)
    return dataclasses.replace(example, source=dataclasses.replace(example.source, shift=shift), domain=shift)
