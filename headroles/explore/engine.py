"""Engine: answers what a page asks about a role map's heads. A message in, a message out, both plain JSON.

Before the first question there is one pass over the images, which keeps what every scored head writes on each. All
else is computed when it is asked for, and kept: where a head looks on an image, how a text is read, what a cut does.
"""

from __future__ import annotations

import binascii
import dataclasses
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch

import headroles
from headroles.errors import InputError
from headroles.explore.classes import BARE, MOST, embed_classes, suggest_classes, write_texts
from headroles.explore.cutting import STAND_INS, Cutting, tell_classes
from headroles.explore.gallery import Gallery
from headroles.explore.question import Question
from headroles.explore.writing import Texts, Writing, describe_look
from headroles.heads.ablate import EFFECTS
from headroles.heads.names import Head, head_name
from headroles.images.labelled import LabelledImages
from headroles.images.prompts import check_template
from headroles.models.hooked_clip import HookedCLIP
from headroles.reports.render import looks_of
from headroles.roles.diff import diff
from headroles.roles.role_heads import check_model
from headroles.roles.role_map import HeadRole, RoleMap

FIELDS: Mapping[str, tuple[str, ...]] = {
    "map": (),
    "images": ("start", "count"),
    "image": ("image",),
    "add image": ("data", "name"),
    "head": ("layer", "head", "image", "text"),
    "text": ("text", "image"),
    "cut": ("heads", "scale", "image", "classes", "concept", "template", "mode", "effect"),
}
"""What can be asked -> the fields that it takes."""
LARGEST = 24_000_000
"""Bytes of an image file that may be added."""
_SMALL, _LARGE = 96, 336
"""Pixels of the longer side: pictures in rows, and the chosen one."""
_TOP, _MAPS = 4, 8
"""Images of a head, and heads of a text whose maps are answered."""
_KEPT = 500
"""Answers that are kept, the latest."""


class Engine:
    """A role map, its model and some images, ready to be asked. `answer` may be called from several threads."""

    def __init__(
        self,
        role_map: RoleMap,
        model: HookedCLIP,
        images: LabelledImages,
        *,
        classes: Sequence[str] | None = None,
        against: RoleMap | None = None,
        batch: int = 64,
        workers: int = 0,
    ) -> None:
        """`classes`: those to begin with; None for the values of the labels, or texts of the role map. `against`: a
        role map to show side by side with it.

        Raises InputError where the role map is of another model or of a text tower, the two maps cannot be compared, or
        no image can be read.
        """
        check_model(role_map, model)
        self.against = against
        self.changes = None if against is None else diff(role_map, against)
        self.role_map, self.model = role_map, model
        self.gallery = Gallery(model, images, role_map.layers, batch, workers)
        self.texts = Texts(model)
        self.writing = Writing(model, role_map, self.gallery, self.texts)
        self.cutting = Cutting(model, self.gallery)
        self.concepts = images.concepts
        own = None if classes is None else [{"concept": None, "classes": [*classes]}]
        self.classes = own or (suggest_classes(role_map, images.concepts) if self.texts.can_read else [])
        self._heads = {(head.layer, head.head): head for head in role_map}
        self._lock = Lock()
        self._kept: OrderedDict[Any, dict[str, Any]] = OrderedDict()
        self._answers: dict[str, Callable[[Question], dict[str, Any]]] = {
            "map": self._answer_map, "images": self._answer_images, "image": self._answer_image,
            "add image": self._add_image, "head": self._answer_head, "text": self._answer_text,
            "cut": self._answer_cut,
        }  # fmt: skip

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a message such as {"ask": "head", "layer": 7, "head": 0, "image": "3"}; see `FIELDS`.

        Raises InputError for a message that asks nothing known, or about what is not there.
        """
        question = Question(message, FIELDS)
        with self._lock, self.model.turns, torch.inference_mode():
            return self._answers[question.ask](question)

    def _answer_map(self, question: Question) -> dict[str, Any]:
        """The role map, looks of its concepts, and what else a page needs to begin."""
        return {
            "version": headroles.__version__,
            "role_map": self.role_map.to_dict(),
            "against": self.against.to_dict() if self.against else None,
            "changes": self.changes.to_dict() if self.changes else None,
            "looks": looks_of(self.role_map, *([self.against] if self.against else [])),
            "images": {
                "source": self.gallery.images.name, "count": self.gallery.first, "broken": self.gallery.broken,
            },
            "reads_texts": self.texts.can_read,
            "shows_where": self.model.visual.at_row,
            "classes": self.classes,
            "largest": LARGEST,
        }  # fmt: skip

    def _answer_images(self, question: Question) -> dict[str, Any]:
        """Small pictures, from `start` on; a visitor's own first."""
        total = len(self.gallery)
        order = [*range(self.gallery.first, total), *range(self.gallery.first)]
        start, count = question.whole("start", 0, total, 0), question.whole("count", 1, 100, 24)
        rows = order[start : start + count]
        return {"total": total, "images": [self.gallery.describe(row, _SMALL) for row in rows]}

    def _answer_image(self, question: Question) -> dict[str, Any]:
        """One image, larger."""
        return self.gallery.describe(self._row(question), _LARGE)

    def _add_image(self, question: Question) -> dict[str, Any]:
        """One more image, given as base64 of its file; it has an id from now on."""
        data = question.text("data", LARGEST * 4 // 3 + 100)
        try:
            content = b64decode(data.partition(",")[2] if data.startswith("data:") else data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputError("data: expected base64 of an image file, got something else") from error
        row = self.gallery.add(content, question.maybe_text("name", 255))
        return {**self.gallery.describe(row, _LARGE), "total": len(self.gallery)}

    def _answer_head(self, question: Question) -> dict[str, Any]:
        """What a head speaks of, where it looks on the image, and on which images it writes most and least."""
        head, row = self._head(question), self._row(question)
        text = self.writing.text_of(head, question.maybe_text("text"))
        key = ("head", head.name, row, text, len(self.gallery))
        return self._keep(key, lambda: self._describe_head(head, row, text))

    def _describe_head(self, head: HeadRole, row: int, text: str | None) -> dict[str, Any]:
        amounts = self.writing.amounts(head, text)
        order = np.argsort(-amounts, kind="stable").tolist()
        top, least = order[:_TOP], order[::-1][: min(_TOP, len(order) - _TOP)] if len(order) > _TOP else []
        views = self.writing.look([row, *top], [(head.layer, head.head)], text)

        def show(place: int, number: int | None = None) -> dict[str, Any]:
            look = {} if views is None or number is None else describe_look(views, number, 0, text)
            return {**self.gallery.describe(place, _SMALL), "amount": float(amounts[place]), **look}

        return {
            "name": head.name,
            **dataclasses.asdict(head),
            "text": text,
            "image": show(row, 0),
            "mean": float(amounts[: self.gallery.first].mean()),
            "top": [show(place, number) for number, place in enumerate(top, 1)],
            "least": [show(place) for place in least],
        }

    def _answer_text(self, question: Question) -> dict[str, Any]:
        """The scored heads by what they add to the image's cosine with a text beyond their mean over the images."""
        text, row = question.text("text"), self._row(question)
        return self._keep(("text", text, row), lambda: self._describe_text(text, row))

    def _describe_text(self, text: str, row: int) -> dict[str, Any]:
        amounts, heads = self.writing.along(text), self.writing.heads
        here, mean = amounts[row], amounts[: self.gallery.first].mean(0)
        order = np.argsort(-(here - mean), kind="stable").tolist()
        ranked = [
            {"layer": heads[place][0], "head": heads[place][1], "name": head_name(heads[place]),
             "amount": float(here[place]), "mean": float(mean[place]), "more": float(here[place] - mean[place])}
            for place in order
        ]  # fmt: skip
        views = self.writing.look([row], heads, text)
        found: dict[str, Any] = {"text": text, "image": str(row), "heads": ranked, "maps": [], "sum": None}
        found["cosine"] = float(self.gallery.embeddings[row] @ self.texts.embed([text])[0].float().cpu().numpy())
        if views is not None:
            found["maps"] = [describe_look(views, 0, place, text) for place in order[:_MAPS]]
            found["sum"] = views.grid("contribution")[0].sum(0).tolist()
        return found

    def _answer_cut(self, question: Question) -> dict[str, Any]:
        """Probabilities of classes for the image, with all heads and with some cut or scaled."""
        row, heads = self._row(question), self.check_heads(question.heads("heads"))
        scale = question.number("scale", -10, 10, 0.0)
        mode = question.choice("mode", STAND_INS, STAND_INS[0])
        effect = question.choice("effect", EFFECTS, EFFECTS[0])
        names = question.texts("classes", MOST)
        template, concept = question.maybe_text("template"), question.maybe_text("concept")
        check_template(template or BARE)
        classes = embed_classes(self.texts, write_texts(names, self.concepts, concept, template))
        whole = torch.from_numpy(self.gallery.embeddings[row]).to(classes)
        cut = self.cutting.embed(row, heads, scale, mode, effect) if heads and scale != 1 else whole
        return {
            "image": str(row), "heads": [*map(list, heads)], "scale": scale, "classes": [*names],
            "before": tell_classes(self.model, whole, classes), "after": tell_classes(self.model, cut, classes),
        }  # fmt: skip

    def _row(self, question: Question) -> int:
        return self.gallery.row(question.message.get("image"))

    def _head(self, question: Question) -> HeadRole:
        return self._heads[self.check_heads([question.head()])[0]]

    def check_heads(self, places: Sequence[Head]) -> tuple[Head, ...]:
        """The same (layer, head) pairs; InputError for one that the role map does not hold."""
        for place in places:
            if place not in self._heads:
                known = ", ".join(map(str, self.role_map.layers))
                raise InputError(f"heads: {head_name(place)} is not in this role map, which scored layers {known}")
        return (*places,)

    def _keep(self, key: Any, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was answered before, or the new answer."""
        if key not in self._kept:
            self._kept[key] = make()
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]
