"""What the frozen CLIP makes of a batch of images, once for all methods that have it in common.

Outside of `headroles.adapt.data.image_memo.sharing` everything is made anew.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from jaxtyping import Float
from torch import Tensor

from headroles.adapt.data.image_memo import open_memo, recall
from headroles.adapt.methods.features import EMBEDDED
from headroles.adapt.methods.method import Method

Keys = Sequence[Hashable]
"""Of every image of a batch, `headroles.adapt.data.augment.TaskImages.key`."""


def kind_of(method: Method) -> Hashable:
    """The method's `trunk_kind`; None where a class below the one that says so has an `image_trunk` of its own."""
    order = [vars(each) for each in type(method).__mro__]
    told, trunk = (
        next(place for place, own in enumerate(order) if name in own) for name in ("trunk_kind", "image_trunk")
    )
    return method.trunk_kind if told <= trunk else None


def run_trunk(
    method: Method,
    keys: Keys,
    pixels: Float[Tensor, "image 3 height width"],
    precision: str = "no",
    view: bool = False,
) -> Float[Tensor, "image ..."]:
    """The method's `image_trunk`. `view`: of training images, as an epoch of one seed has them."""
    kind = kind_of(method)
    if kind is None:
        return method.image_trunk(pixels)
    place = ("trunk", kind, precision, *keys)
    return recall(place, lambda: method.image_trunk(pixels), view, always=kind == EMBEDDED)


def run_targets(
    method: Method,
    keys: Keys,
    trunk: Float[Tensor, "image ..."],
    precision: str = "no",
    view: bool = False,
) -> Float[Tensor, "image embed"]:
    """The method's `frozen_targets`, from its trunk."""
    kind = kind_of(method)
    if kind is None:
        return method.frozen_targets(trunk)
    place = ("targets", type(method).frozen_targets, type(method).frozen_images, kind, precision, *keys)
    return recall(place, lambda: method.frozen_targets(trunk), view, always=True)


def run_tested(
    method: Method, keys: Keys, pixels: Float[Tensor, "image 3 height width"]
) -> tuple[Float[Tensor, "image ..."], Float[Tensor, "image embed"]]:
    """The method's trunk of a batch that is tested, and the frozen CLIP's embeddings of it.

    These come from the trunk; or, where methods share, from the frozen CLIP alone, so that they are the same by every
    method.
    """
    trunk = run_trunk(method, keys, pixels)
    if open_memo() is None:
        return trunk, method.frozen_images(trunk)
    place = ("trunk", EMBEDDED, "no", *keys)
    return trunk, recall(place, lambda: Method.image_trunk(method, pixels), always=True)
