"""Explorable: a result that opens as a widget, though widgets live floors above results."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Explorable:
    """A role map with `explore`. The module is imported when it is asked for, as figures are."""

    def explore(self, model: Any = None, images: Any = None, **options: Any) -> Any:
        """Play with the heads in a notebook: point at one, cut some, ask with a text, and see what changes.

        `model`: the HookedCLIP, or its name; None for the one that the role map names. `images`: a folder, labelled
        (CONCEPT/VALUE/) or not, a CSV file, "shapes", image files, PIL images or arrays; None for scenes with a bundled
        model. `options`: `count` (at most so many of a folder or scenes, 200), `seed`, `classes` (names to tell images
        among, to begin with), `against` (another role map, to show side by side), `device`, `batch`, `workers`.
        Returns an `Explorer`: its `heads` are those that were taken, as (layer, head), and `image` is the id of the
        chosen image; both can be set. Raises InputError without anywidget, which `pip install "headroles[notebook]"`
        installs, and where model and role map do not fit.
        """
        return import_module("headroles.explore.explore").explore(self, model, images, **options)
