"""The 15 data sets of the few-shot benchmark, in the on-disk layout that CoOp set and all later papers use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from headroles.adapt.data.names import find_folder
from headroles.adapt.data.split_file import Labelled, Splits, labelled_task, parse_splits
from headroles.adapt.data.task import Task
from headroles.errors import InputError, said
from headroles.images.images import list_images
from headroles.images.prompts import TEMPLATE


@dataclass(frozen=True)
class DataSet:
    """Where a data set keeps what, below the folder that holds all data sets."""

    folder: str
    """Its folder."""
    images: str
    """What image paths are relative to, below the folder."""
    read: Callable[[Path, DataSet], Splits]
    """Lists the images of every split."""
    listing: str = "classnames.txt"
    """The file that names classes or splits."""
    template: str = TEMPLATE
    """Its prompt."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Class names of its folders -> the benchmark's, for split files that keep the former."""


def open_data_set(name: str, root: Path, template: str | None = None) -> Task:
    """One of the 15, from the folder that holds them all; no image is opened, only ImageNet's folders are listed."""
    data_set = find_data_set(name)
    if data_set is None:
        raise InputError(f"task: no data set {name}; there are {', '.join(DATA_SETS)}")
    folder = root / data_set.folder
    if not (folder / data_set.images).is_dir():
        raise InputError(f"task: {name} needs its images in {folder / data_set.images}; there is no such folder")
    return _make_task(data_set, folder, data_set.read(folder, data_set), template)


def find_data_set(name: str) -> DataSet | None:
    """The data set that has this folder's name, or this name in papers, however it is written."""
    folder = find_folder(name)
    return DATA_SETS[folder] if folder else None


def default_data_sets(name: str, shifts: bool) -> tuple[str, ...]:
    """What papers test one of the eleven data sets on: the ten others; with `shifts` ImageNet on its four.

    None for other names, and no shifts of other data sets.
    """
    data_set = find_data_set(name)
    shifted = tuple(each for each in DATA_SETS if each.startswith("imagenet") and each != "imagenet")
    if data_set is None or data_set.folder in shifted:
        return ()
    if shifts:
        return shifted if data_set.folder == "imagenet" else ()
    return tuple(each for each in DATA_SETS if each not in (data_set.folder, *shifted))


def _make_task(data_set: DataSet, folder: Path, splits: Splits, template: str | None) -> Task:
    """Under the benchmark's class names."""
    renamed = {
        split: [replace(e, class_name=data_set.renamed.get(e.class_name, e.class_name)) for e in part]
        for split, part in splits.items()
    }
    root = folder / data_set.images
    return labelled_task(data_set.folder, renamed, root, template or data_set.template, folder / data_set.listing)


def _read_split(folder: Path, data_set: DataSet) -> Splits:
    """split_zhou_*.json."""
    return parse_splits(folder / data_set.listing)


def _read_aircraft(folder: Path, data_set: DataSet) -> Splits:
    """images_variant_{train,val,test}.txt: image number, space, variant; variants.txt orders the labels."""
    variants = _read(folder / data_set.listing).splitlines()
    labels = {variant.strip(): label for label, variant in enumerate(variants) if variant.strip()}
    splits: Splits = {}
    for split in ("train", "val", "test"):
        path = folder / f"images_variant_{split}.txt"
        splits[split] = []
        for line in filter(str.strip, _read(path).splitlines()):
            number, _, variant = line.strip().partition(" ")
            if variant not in labels:
                raise InputError(f"task: {path} names variant {variant!r}, which {data_set.listing} lacks")
            splits[split].append(Labelled(f"{number}.jpg", labels[variant], variant))
    return splits


def _read_imagenet(folder: Path, data_set: DataSet) -> Splits:
    """Files of images/train in sorted order, and images/val as test; there is no validation split, as in CoOp."""
    train, test = (_read_synsets(folder, data_set, split) for split in ("train", "val"))
    if {entry.class_name for entry in train} != {entry.class_name for entry in test}:
        raise InputError(f"task: {folder / data_set.images} has other classes in train than in val; get both whole")
    return {"train": train, "test": test}


def _read_shift(folder: Path, data_set: DataSet) -> Splits:
    return {"test": _read_synsets(folder, data_set)}


def _read_synsets(folder: Path, data_set: DataSet, split: str = "") -> list[Labelled]:
    """A folder a synset, such as n01440764; labels in sorted order of those there are, names from classnames.txt."""
    names = _read_class_names(folder / data_set.listing)
    root = folder / data_set.images
    entries: list[Labelled] = []
    for label, synset in enumerate(_list_folders(root / split)):
        if synset not in names:
            raise InputError(f"task: {folder / data_set.listing} does not name {root / split / synset}; get it again")
        entries += _list_entries(root, root / split / synset, label, names[synset])
    return entries


def _read_numbered(folder: Path, data_set: DataSet) -> Splits:
    """ImageNetV2: a folder a class, named by the class' line in classnames.txt, from 0."""
    names = list(_read_class_names(folder / data_set.listing).values())
    root = folder / data_set.images
    entries: list[Labelled] = []
    for place in sorted(_list_folders(root), key=lambda name: (len(name), name)):
        if not place.isdecimal() or int(place) >= len(names):
            raise InputError(f"task: {root / place} is no class folder; expected 0 to {len(names) - 1}")
        entries += _list_entries(root, root / place, int(place), names[int(place)])
    return {"test": entries}


def _read_class_names(path: Path) -> dict[str, str]:
    """Synset -> class name, in the file's order: each line is the synset, a space and the name."""
    lines = (line.strip().partition(" ") for line in _read(path).splitlines() if line.strip())
    return {synset: name for synset, _, name in lines}


def _list_folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise InputError(f"task: there is no folder {folder}")
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _list_entries(root: Path, folder: Path, label: int, class_name: str) -> Iterable[Labelled]:
    start = len(str(root)) + 1
    return [Labelled(path[start:].replace(os.sep, "/"), label, class_name) for path in list_images(folder)]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"task: cannot read {path} ({said(error)}); put the benchmark's file there") from error


_EUROSAT = {
    "AnnualCrop": "Annual Crop Land", "HerbaceousVegetation": "Herbaceous Vegetation Land",
    "Highway": "Highway or Road", "Industrial": "Industrial Buildings", "Pasture": "Pasture Land",
    "PermanentCrop": "Permanent Crop Land", "Residential": "Residential Buildings", "SeaLake": "Sea or Lake",
}  # fmt: skip
_CALTECH = {"airplanes": "airplane", "Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike"}
_LISTED = [
    DataSet("imagenet", "images", _read_imagenet),
    DataSet("caltech-101", "101_ObjectCategories", _read_split, "split_zhou_Caltech101.json", renamed=_CALTECH),
    DataSet(
        "oxford_pets", "images", _read_split, "split_zhou_OxfordPets.json", "a photo of a {}, a type of pet."
    ),
    DataSet("stanford_cars", "", _read_split, "split_zhou_StanfordCars.json"),
    DataSet(
        "oxford_flowers", "jpg", _read_split, "split_zhou_OxfordFlowers.json", "a photo of a {}, a type of flower."
    ),
    DataSet("food-101", "images", _read_split, "split_zhou_Food101.json", "a photo of {}, a type of food."),
    DataSet(
        "fgvc_aircraft", "images", _read_aircraft, "variants.txt", "a photo of a {}, a type of aircraft."
    ),
    DataSet("sun397", "SUN397", _read_split, "split_zhou_SUN397.json"),
    DataSet(
        "dtd", "images", _read_split, "split_zhou_DescribableTextures.json", "{} texture."
    ),
    DataSet(
        "eurosat", "2750", _read_split, "split_zhou_EuroSAT.json", "a centered satellite photo of {}.",
        renamed=_EUROSAT,
    ),
    DataSet(
        "ucf101", "UCF-101-midframes", _read_split, "split_zhou_UCF101.json", "a photo of a person doing {}."
    ),
    DataSet("imagenetv2", "imagenetv2-matched-frequency-format-val", _read_numbered),
    DataSet("imagenet-sketch", "images", _read_shift),
    DataSet("imagenet-adversarial", "imagenet-a", _read_shift),
    DataSet("imagenet-rendition", "imagenet-r", _read_shift),
]  # fmt: skip

DATA_SETS: dict[str, DataSet] = {data_set.folder: data_set for data_set in _LISTED}
"""Folder -> data set."""
