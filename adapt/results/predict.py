"""predict(): classes of single images, from an adapter; the classes may be any words."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from headroles.adapt.adapter.adapter import Adapter, load_adapter
from headroles.adapt.adapter.info import AdapterInfo
from headroles.adapt.data.told_apart import check_told_apart
from headroles.adapt.methods.dear import Dear
from headroles.adapt.results.adapted import Adapted, pick_adapter
from headroles.adapt.results.prediction import Prediction, Predictions
from headroles.errors import InputError, said
from headroles.images.images import UNREADABLE, find_images, open_image
from headroles.images.pictures import Picture, to_picture
from headroles.images.prompts import check_template, write_prompts

Broken = Callable[[Path, str], None]
"""Called with an unreadable file, which is left out, and with why it is."""


def predict(
    adapter: str | os.PathLike[str] | Adapter | Adapted,
    images: str | os.PathLike[str] | Picture | Sequence[str | os.PathLike[str] | Picture],
    classes: Iterable[str] | None = None,
    *,
    template: str | None = None,
    model: str | None = None,
    device: str = "auto",
    batch: int = 64,
    broken: Broken | None = None,
) -> Predictions:
    """What an adapter, its folder or what `load_adapter` gives, sees in images, among `classes`.

    `images`: a file, a folder (the images below it), a PIL image or an array of bytes (height, width, 3), or several
    of them. `classes` and `template`, which holds {} for the class: None for those of the adapter's task. `model` and
    `device` say where the model of a folder's adapter is and runs. Raises InputError where fewer than two different
    classes are given, where a file lacks, or where an image cannot be read; while others can be read, it is left out
    where `broken` is to be told.
    """
    found = pick_adapter(adapter)
    info = found.info if isinstance(found, Adapter) else AdapterInfo.load(found)
    if isinstance(classes, str):
        raise InputError(f"classes: expected several names, got the text {classes!r}; give a list of names")
    names, template = info.classes if classes is None else tuple(classes), template or info.template
    check_classes(names)
    check_template(template)
    if not isinstance(found, Adapter):
        found = load_adapter(found, device, model)
    check_told_apart(found.method.model, names, template)
    return Predictions(tuple(predict_images(found.method, list_given(images), names, template, batch, broken)))


def check_classes(classes: Sequence[str]) -> None:
    """InputError where there are fewer than two different names, or a name twice."""
    if len(set(classes)) < 2 or len(set(classes)) < len(classes):
        raise InputError(f"classes must be two or more different names, got {', '.join(classes) or 'none'}")


def list_given(
    images: str | os.PathLike[str] | Picture | Sequence[str | os.PathLike[str] | Picture],
) -> list[Path | Image.Image]:
    """Paths and pictures, one or several, as a list."""
    if isinstance(images, (str, os.PathLike, Image.Image)) or (isinstance(images, np.ndarray) and images.ndim < 4):
        images = [images]
    return [Path(each) if isinstance(each, (str, os.PathLike)) else to_picture(each) for each in images]


@torch.inference_mode()
def predict_images(
    dear: Dear,
    images: Sequence[Path | Image.Image],
    classes: Sequence[str],
    template: str,
    batch: int = 64,
    broken: Broken | None = None,
) -> list[Prediction]:
    """`predict` with an adapter's module."""
    check_classes(classes)
    prompts = write_prompts(template, classes)
    texts = dear.encode_texts(dear.text_trunk(prompts))
    found, opened = [], _open_all(images, dear, broken)
    while part := list(itertools.islice(opened, batch)):
        pixels = torch.stack([pixels for _, pixels in part])
        for (name, _), row in zip(part, dear.predict(pixels, texts).tolist(), strict=True):
            shares = dict(zip(classes, row, strict=True))
            order = tuple(sorted(shares, key=shares.__getitem__, reverse=True))
            found.append(Prediction(name, order, tuple(shares[each] for each in order)))
    return found


def _open_all(
    images: Sequence[Path | Image.Image], dear: Dear, broken: Broken | None
) -> Iterator[tuple[str, Float[Tensor, "3 height width"]]]:
    """The name and the pixels of every image; InputError where none can be read, or one without `broken`."""
    for path in images:
        if isinstance(path, Path) and not path.exists():
            raise InputError(
                f"image: cannot read {path} (there is no such file); give an image file or a folder of them"
            )
    whole = 0
    broken_files: list[tuple[Path, BaseException]] = []
    for number, image in enumerate(images, 1):
        if isinstance(image, Image.Image):
            whole += 1
            yield f"picture {number}", dear.preprocess(image)
            continue
        for path in find_images(image) if image.is_dir() else [image]:
            try:
                pixels = dear.preprocess(open_image(path))
            except UNREADABLE as error:
                if not broken:
                    raise _unreadable(path, error) from error
                broken_files.append((path, error))
                broken(path, said(error))
                continue
            whole += 1
            yield str(path), pixels
    if broken_files and not whole:
        raise _unreadable(*broken_files[0])


def _unreadable(path: Path, error: BaseException) -> InputError:
    why = said(error)
    return InputError(f"image: cannot read {path} ({why}); give an image file or a folder of them")
