"""Explorer: the page as a notebook's widget; what is chosen on it is a Python value, and the other way round."""

from __future__ import annotations

from typing import Any

import traitlets
from anywidget import AnyWidget

from headroles.errors import InputError
from headroles.explore.engine import Engine
from headroles.explore.page_files import page_module
from headroles.explore.question import is_pair, read_heads
from headroles.heads.names import Head, head_name
from headroles.roles.role_heads import choose_heads
from headroles.roles.role_map import HeadRole


class Explorer(AnyWidget):
    """A role map to play with: point at heads, cut them, ask with texts; see `RoleMap.explore`.

    `heads` and `image` follow the page, and the page follows them.
    """

    _esm = page_module()
    heads = traitlets.Any(()).tag(sync=True, to_json=lambda heads, _: [*map(list, heads)])
    """The taken heads as (layer, head), what `ablating` and `attend` take; set them as `choose_heads` takes names."""
    image = traitlets.Unicode("0").tag(sync=True)
    """Id of the chosen image."""

    def __init__(self, engine: Engine) -> None:
        """`engine` answers what the page asks."""
        self.engine = engine
        super().__init__()
        self.on_msg(self._reply)

    @property
    def image_name(self) -> str:
        """What the chosen image is called: its file below the folder, or its scene."""
        return self.engine.gallery.names[self.engine.gallery.row(self.image)]

    def __repr__(self) -> str:
        """One line."""
        taken = ", ".join(map(head_name, self.heads)) or "no head"
        return f"Explorer({self.engine.role_map.model.name}: {taken} taken, {len(self.engine.gallery)} images)"

    @traitlets.validate("heads")
    def _check_heads(self, proposal: Any) -> tuple[Head, ...]:
        """Known heads alone, each once, whatever they are given as; a silent one may be taken by its place."""
        value = proposal["value"]
        if not isinstance(value, (str, HeadRole, list, tuple)):
            raise InputError(f"heads: expected names such as L6.H3, or pairs (layer, head), got {str(value)[:60]!r}")
        if isinstance(value, (list, tuple)) and all(is_pair(each) for each in value):
            return self.engine.check_heads(read_heads(value))
        return tuple((head.layer, head.head) for head in choose_heads(self.engine.role_map, value))

    @traitlets.validate("image")
    def _check_image(self, proposal: Any) -> str:
        return str(self.engine.gallery.row(proposal["value"]))

    def _reply(self, _: Any, content: Any, __: Any) -> None:
        """Answer one question; a mistake goes back as its one line."""
        told = content if isinstance(content, dict) else {}
        try:
            answer = {"answer": self.engine.answer(told.get("message", {}))}
        except InputError as error:
            self.send({"id": told.get("id"), "error": str(error)})
        else:
            self.send({"id": told.get("id"), **answer})
