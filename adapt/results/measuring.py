"""Accuracies of an adapted CLIP beside the frozen one's, protocol by protocol, in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.utils.data import DataLoader

from headroles.adapt.data.tasks import Example, Task, TaskImages
from headroles.adapt.methods.method import Method
from headroles.adapt.metrics import Accuracy, Measure, join_halves, with_mean
from headroles.adapt.results.frozen_memo import run_images
from headroles.adapt.results.protocols import check_protocol
from headroles.adapt.results.tested import TestedImage
from headroles.adapt.training.processes import add_up, share
from headroles.errors import InputError
from headroles.images.images import read_ahead
from headroles.models.finite import check_rows
from headroles.passes.processes import gather


@torch.inference_mode()
def compare(
    method: Method,
    task: Task,
    examples: Sequence[Example],
    batch: int = 64,
    workers: int = 0,
    tell: Callable[[Example, int, int, float], None] | None = None,
) -> tuple[Accuracy, Accuracy]:
    """Accuracy of the frozen CLIP (zero-shot) and of the adapted one, in one pass that shares the trunk.

    Under several processes each takes its share of the examples. `tell` is called with every one of these, the frozen
    and the adapted CLIP's class, and the probability of the latter.
    """
    if not examples:
        raise InputError(f"task: {task.name} has no test images")
    own = share(examples)
    images = TaskImages(own, method.preprocess, False, 0, 0)
    text = method.class_trunk(task.classes, task.template)
    texts = method.encode_texts(text)
    counts = torch.zeros(3, len(task.classes), dtype=torch.long, device=method.device)
    for numbers, pixels, labels in read_ahead(DataLoader(images, batch_size=batch, num_workers=workers)):
        names = [own[number].key for number in numbers.tolist()]
        (trunk, known), labels = run_images(method, task.name, names, pixels), labels.to(method.device)
        guesses = (known @ text.frozen.T, method.logits(method.encode_images(trunk), texts))
        for logits in guesses:
            check_rows(logits, names.__getitem__)
        if tell:
            found = guesses[1].softmax(-1).max(-1)
            columns = (guesses[0].argmax(-1), found.indices, found.values)
            for number, *guess in zip(numbers.tolist(), *(column.tolist() for column in columns), strict=True):
                tell(own[number], *guess)
        hits = [labels[logits.argmax(-1) == labels] for logits in guesses]
        counts += torch.stack([part.bincount(minlength=len(task.classes)) for part in (*hits, labels)])
    *rights, total = add_up(counts).tolist()
    frozen, adapted = (Accuracy(task.classes, tuple(right), tuple(total)) for right in rights)
    return frozen, adapted


def measure(
    method: Method,
    task: Task,
    protocol: str,
    seed: int,
    targets: Sequence[Task] = (),
    batch: int = 64,
    workers: int = 0,
    *,
    halves: tuple[Task, Task] | None = None,
    tested: list[TestedImage] | None = None,
) -> list[Measure]:
    """The rows of a protocol.

    base-to-novel and few-shot test on `task` itself; cross-dataset on `targets`; domain-shift on the task and on
    `targets` (its other renderings). Several targets get a row "mean" too. `halves`: base and novel, where they are not
    the halves of the classes. `tested` takes up every tested image.
    """
    check_protocol(protocol)
    measuring = _Measuring(method, seed, protocol, batch, workers, tested)
    if protocol == "base-to-novel":
        parts = zip(("base", "novel"), halves or task.halves(), strict=True)
        base, novel = (measuring.row(half, part, task.name) for part, half in parts)
        return [base, novel, join_halves(base, novel)]
    if protocol == "few-shot":
        return [measuring.row(task)]
    if not targets:
        raise InputError(f"targets: {protocol} of {task.name} needs tasks to test on; name them, such as a,b")
    own = [measuring.row(task)] if protocol == "domain-shift" else []
    return own + with_mean([measuring.row(target) for target in targets])


def measure_retention(
    method: Method,
    tasks: Sequence[Task],
    seed: int,
    batch: int = 64,
    workers: int = 0,
    *,
    tested: list[TestedImage] | None = None,
) -> list[Measure]:
    """What the adapted CLIP still knows: zero-shot accuracy on other tasks, all classes, beside the frozen CLIP's."""
    measuring = _Measuring(method, seed, "retention", batch, workers, tested)
    return with_mean([measuring.row(task) for task in tasks])


class _Measuring:
    """What all rows of one call share."""

    def __init__(
        self,
        method: Method,
        seed: int,
        protocol: str,
        batch: int,
        workers: int,
        tested: list[TestedImage] | None,
    ) -> None:
        self.method, self.seed, self.protocol, self.batch, self.workers = method, seed, protocol, batch, workers
        self.tested = tested

    def row(self, task: Task, part: str = "all", name: str = "") -> Measure:
        """One row: the task's test images among its classes; `name`: what to call the task."""
        seen: list[TestedImage] = []

        def tell(example: Example, frozen: int, adapted: int, probability: float) -> None:
            label, *guesses = (task.classes[number] for number in (example.label, frozen, adapted))
            seen.append(
                TestedImage(
                    self.protocol, name or task.name, part, example.key, label, guesses[0], guesses[1], probability
                )
            )

        own = None if self.tested is None else tell
        frozen, adapted = compare(self.method, task, task.test, self.batch, self.workers, own)
        if self.tested is not None:
            self.tested += gather(seen)
        per_class = {"zero_shot": frozen.per_class, "adapted": adapted.per_class}
        place = (self.seed, self.protocol, name or task.name, part)
        return Measure(*place, sum(frozen.total), frozen.mean, adapted.mean, per_class)
