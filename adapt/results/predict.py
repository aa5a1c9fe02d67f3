"""predict(): classes of single images, from an adapter; the classes may be any words."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from headroles.adapt.adapter.adapter import Adapter, load_adapter
from headroles.adapt.adapter.info import AdapterInfo
from headroles.adapt.data.told_apart import check_told_apart
from headroles.adapt.methods.method import Method
from headroles.adapt.results.adapted import Adapted, pick_adapter
from headroles.adapt.results.prediction import Prediction, Predictions
from headroles.checks import typed
from headroles.errors import InputError, said
from headroles.images.counting import counted
from headroles.images.images import UNREADABLE, ImageFiles, find_images, open_image
from headroles.images.pictures import Picture, to_picture
from headroles.images.prompts import check_named, check_template
from headroles.images.reading import Reading, announce, describe_images
from headroles.models.finite import check_rows

Broken = Callable[[Path, str], None]
"""Called with an unreadable file, which is left out, and with why it is."""


@typed
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
    of them. `classes` and `template`, which holds {} for the class, one a line (`write_prompts`): None for
    those of the adapter's task. `model` and
    `device` say where the model of a folder's adapter is and runs. Raises InputError where fewer than two different
    classes are given, where a file lacks, or where an image cannot be read; while others can be read, it is left out
    where `broken` is to be told.
    """
    found = pick_adapter(adapter)
    info = found.info if isinstance(found, Adapter) else AdapterInfo.load(found)
    if isinstance(classes, str):
        raise InputError(f"classes: expected several names, got the text {classes!r}; give a list of names")
    names, given_template = info.classes if classes is None else tuple(classes), template
    template = template or info.template
    check_classes(names)
    check_template(template)
    if given_template:
        check_named(template, names)
    if not isinstance(found, Adapter):
        found = load_adapter(found, device, model)
    check_told_apart(found.method.model, names, template)
    given, left_out = list_given(images)
    reading = announce(_describe(found.method, given, left_out))
    predicted = predict_images(found.method, given, names, template, batch, broken)
    return Predictions(tuple(predicted), reading=reading.to_dict())


def check_classes(classes: Sequence[str]) -> None:
    """InputError where there are fewer than two different names, or a name twice."""
    if len(set(classes)) < 2 or len(set(classes)) < len(classes):
        raise InputError(f"classes must be two or more different names, got {', '.join(classes) or 'none'}")


def list_given(
    images: str | os.PathLike[str] | Picture | Sequence[str | os.PathLike[str] | Picture],
) -> tuple[list[Path | Image.Image], Counter[str]]:
    """Files, those of folders too, and pictures, one or several; and what lies in the folders and is not read."""
    if isinstance(images, (str, os.PathLike, Image.Image)) or (isinstance(images, np.ndarray) and images.ndim < 4):
        images = [images]
    found: list[Path | Image.Image] = []
    left_out: Counter[str] = Counter()
    for each in images:
        path = Path(each) if isinstance(each, (str, os.PathLike)) else None
        if path is not None and not path.exists():
            raise InputError(
                f"image: cannot read {path} (there is no such file); give an image file or a folder of them"
            )
        found += find_images(path, left_out) if path and path.is_dir() else [path or to_picture(cast(Picture, each))]
    return found, left_out


def _describe(method: Method, images: Sequence[Path | Image.Image], left_out: Counter[str]) -> Reading:
    files = ImageFiles([each for each in images if isinstance(each, Path)], method.preprocess, Path(), left_out)
    reading = describe_images(files, "given", method.model.processor, reader=method.model)
    return dataclasses.replace(reading, count=len(images))


@torch.inference_mode()
def predict_images(
    method: Method,
    images: Sequence[Path | Image.Image],
    classes: Sequence[str],
    template: str,
    batch: int = 64,
    broken: Broken | None = None,
) -> list[Prediction]:
    """`predict` with an adapter's module."""
    check_classes(classes)
    texts = method.encode_texts(method.class_trunk(classes, template))
    found, opened = [], _open_all(images, method, broken)
    while part := list(itertools.islice(opened, batch)):
        pixels = torch.stack([pixels for _, pixels in part])
        shown = method.predict(pixels, texts)
        check_rows(shown, [name for name, _ in part].__getitem__)
        for (name, _), row in zip(part, shown.tolist(), strict=True):
            shares = dict(zip(classes, row, strict=True))
            order = tuple(sorted(shares, key=shares.__getitem__, reverse=True))
            found.append(Prediction(name, order, tuple(shares[each] for each in order)))
    return found


def _open_all(
    images: Sequence[Path | Image.Image], method: Method, broken: Broken | None
) -> Iterator[tuple[str, Float[Tensor, "3 height width"]]]:
    """The name and the pixels of every image; InputError where none can be read, or one without `broken`."""
    whole = 0
    broken_files: list[tuple[Path, BaseException]] = []
    for number, image in enumerate(counted(images, "looking at images", len(images)), 1):
        if isinstance(image, Image.Image):
            whole += 1
            yield f"picture {number}", method.preprocess(image)
            continue
        try:
            pixels = method.preprocess(open_image(image))
        except UNREADABLE as error:
            if not broken:
                raise _unreadable(image, error) from error
            broken_files.append((image, error))
            broken(image, said(error))
            continue
        whole += 1
        yield str(image), pixels
    if broken_files and not whole:
        raise _unreadable(*broken_files[0])


def _unreadable(path: Path, error: BaseException) -> InputError:
    why = said(error)
    return InputError(f"image: cannot read {path} ({why}); give an image file or a folder of them")
