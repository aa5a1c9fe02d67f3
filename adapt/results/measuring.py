"""Accuracies of an adapted CLIP beside the frozen one's, protocol by protocol, in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from torch.utils.data import DataLoader

from headroles.adapt.data.domains import keep_domain
from headroles.adapt.data.tasks import Example, Task, TaskImages
from headroles.adapt.methods.method import Method
from headroles.adapt.methods.shared_trunks import run_tested
from headroles.adapt.metrics import Accuracy, Measure, join_halves, with_mean
from headroles.adapt.results.protocols import LEFT_OUT, check_protocol
from headroles.adapt.results.tested import TestedImage
from headroles.adapt.training.processes import add_up, share
from headroles.errors import InputError
from headroles.images.counting import counted
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
    tell: Callable[[Example, int, int, float, float], None] | None = None,
) -> tuple[Accuracy, Accuracy]:
    """Accuracy of the frozen CLIP (zero-shot) and of the adapted one, in one pass that shares the trunk.

    Under several processes each takes its share of the examples. `tell` is called with every one of these, the frozen
    and the adapted CLIP's class, the probability of the latter, and that of the former.
    """
    if not examples:
        raise InputError(f"task: {task.name} has no test images")
    own = share(examples)
    images = TaskImages(own, method.preprocess, False, 0, 0)
    text = method.class_trunk(task.classes, task.template)
    texts = method.encode_texts(text)
    counts = torch.zeros(3, len(task.classes), dtype=torch.long, device=method.device)
    loader = read_ahead(DataLoader(images, batch_size=batch, num_workers=workers))
    for numbers, pixels, labels in counted(loader, f"testing {task.name}", len(own), size=lambda each: len(each[0])):
        names = [own[number].key for number in numbers.tolist()]
        keys = [images.key(number) for number in numbers.tolist()]
        (trunk, known), labels = run_tested(method, keys, pixels), labels.to(method.device)
        guesses = (known @ text.frozen.T, method.logits(method.encode_images(trunk), texts))
        for logits in guesses:
            check_rows(logits, names.__getitem__)
        if tell:
            columns = (
                *(logits.argmax(-1) for logits in guesses),
                guesses[1].softmax(-1).amax(-1),
                (method.scale * guesses[0]).softmax(-1).amax(-1),
            )
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
    shots: int | None = None,
    held_out: str = "",
    tested: list[TestedImage] | None = None,
) -> list[Measure]:
    """The rows of a protocol.

    base-to-novel, joint and few-shot test on `task` itself; cross-dataset on `targets`; domain-shift on the task and on
    `targets` (its other renderings); leave-one-domain-out on the task's domain `held_out`. Several targets get a row
    "mean" too. `halves`: base and novel, where they are not the halves of the classes. `shots`: what the rows say.
    `tested` takes up every tested image.
    """
    check_protocol(protocol)
    measuring = _Measuring(method, seed, protocol, batch, workers, tested, shots)
    if protocol == "base-to-novel":
        parts = zip(("base", "novel"), halves or task.halves(), strict=True)
        base, novel = (measuring.row(half, part, task.name) for part, half in parts)
        return [base, novel, join_halves(base, novel)]
    if protocol == "joint":
        base, novel, whole = measuring.joint(task, (halves or task.halves())[0].classes)
        return [base, novel, join_halves(base, novel), whole]
    if protocol == "few-shot":
        return [measuring.row(task)]
    if protocol == LEFT_OUT:
        return [measuring.row(keep_domain(task, held_out), held_out, task.name)]
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
    shots: int | None = None,
    tested: list[TestedImage] | None = None,
) -> list[Measure]:
    """What the adapted CLIP still knows: zero-shot accuracy on other tasks, all classes, beside the frozen CLIP's."""
    measuring = _Measuring(method, seed, "retention", batch, workers, tested, shots)
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
        shots: int | None,
    ) -> None:
        self.method, self.seed, self.protocol, self.batch, self.workers = method, seed, protocol, batch, workers
        self.tested, self.shots = tested, shots

    def row(self, task: Task, part: str = "all", name: str = "") -> Measure:
        """One row: the task's test images among its classes; `name`: what to call the task."""
        return self._row(name or task.name, part, *self._compare(task, part, name or task.name))

    def joint(self, task: Task, base: Collection[str]) -> list[Measure]:
        """Rows base, novel and all: images of the base classes, of the others, and all, each among all classes."""
        whole = self._compare(task, "all", task.name)
        kept = [name in base for name in task.classes]
        parts = {"base": kept, "novel": [not each for each in kept], "all": [True] * len(kept)}
        return [self._row(task.name, part, *(each.keep(which) for each in whole)) for part, which in parts.items()]

    def _row(self, name: str, part: str, frozen: Accuracy, adapted: Accuracy) -> Measure:
        per_class = {"zero_shot": frozen.per_class, "adapted": adapted.per_class}
        place = (self.seed, self.protocol, name, part)
        return Measure(*place, sum(frozen.total), frozen.mean, adapted.mean, per_class, self.shots)

    def _compare(self, task: Task, part: str, name: str) -> tuple[Accuracy, Accuracy]:
        seen: list[TestedImage] = []

        def tell(example: Example, frozen: int, adapted: int, *probabilities: float) -> None:
            label, *guesses = (task.classes[number] for number in (example.label, frozen, adapted))
            seen.append(
                TestedImage(self.protocol, name, part, example.key, label, guesses[0], guesses[1], *probabilities)
            )

        own = None if self.tested is None else tell
        found = compare(self.method, task, task.test, self.batch, self.workers, own)
        if self.tested is not None:
            self.tested += gather(seen)
        return found
