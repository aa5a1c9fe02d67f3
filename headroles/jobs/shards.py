"""Shards: the parts of one scoring run that were done apart, in files, and how they become the whole again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from headroles.errors import InputError, said
from headroles.files.json_files import dump_json, parse_json
from headroles.files.plain import Unfit, from_plain
from headroles.files.tensors import read_hashed
from headroles.heads.moments import HeadMoments
from headroles.heads.value_moments import ValueMoments
from headroles.passes.state import Seen

FORMAT = "headroles.shard.4"
SUMS: dict[str, Any] = {"texts": HeadMoments, "images": ValueMoments}
"""What a shard is a file of, by what heads are described with."""


@dataclass(frozen=True)
class ShardInfo:
    """What a shard holds beside its sums; all but `shard` and `seen` are the same in all shards of a run."""

    shard: int
    """From 1."""
    shards: int
    """How many there are."""
    by: str
    """What heads are described by: texts or images."""
    concepts: str
    """Where concepts come from: bank or discover."""
    model: str
    """As given to `headroles.load`."""
    weights: str
    """Hash of its weights."""
    source: str
    """The images' name."""
    images: str
    """Their fingerprint."""
    reading: Mapping[str, Any]
    """How they were read, as in the role map."""
    batch: int
    """Images of a unit, which fixes whose an image is."""
    probes: str
    """The bank, as given to `ProbeBank.load`."""
    identity: Mapping[str, str]
    """Hashes of what else must be the same: the bank, or the labels."""
    settings: Mapping[str, Any]
    """The fields of ScoreConfig or ImageScoreConfig."""
    discovery: Mapping[str, Any]
    """The fields of DiscoveryConfig, where concepts are discovered."""
    seen: Seen
    """What went in."""


def parse_shard(text: str) -> tuple[int, int]:
    """(i, n) of "i/n", the i-th of n, from 1."""
    first, slash, last = text.partition("/")
    if not (slash and first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise InputError(f"shard must be i/n with i from 1 to n, such as 1/4, got {text!r}")
    return int(first), int(last)


def shard_name(shard: int, shards: int) -> str:
    """Such as shard-2-of-4, from 1."""
    return f"shard-{shard}-of-{shards}"


def save_shard(info: ShardInfo, sums: HeadMoments | ValueMoments, folder: Path) -> Path:
    """Write a file of the shard, which is a file of its sums too, and say where."""
    path = folder / f"{shard_name(info.shard, info.shards)}.safetensors"
    sums.save(path, {"shard_format": FORMAT, "shard": dump_json(dataclasses.asdict(info))})
    return path


def read_shard(path: Path) -> ShardInfo:
    """What `save_shard` wrote, without the sums: `SUMS` says what reads these."""
    try:
        with safe_open(path, "pt") as file:
            note = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"shard: cannot read {path} ({said(error)}); score it again") from error
    if note.get("shard_format") != FORMAT:
        raise InputError(f"shard: {path} is no shard; expected a file that `headroles score --shard i/n` wrote")
    read_hashed(path, "shard", "score it again")
    try:
        info: ShardInfo = from_plain(ShardInfo, parse_json(note.get("shard", ""), str(path), "shard", "score it again"))
    except Unfit as error:
        raise InputError(f"shard: {path} does not fit the schema ({error}); score it again") from error
    return info


def find_shards(paths: Iterable[Path]) -> list[Path]:
    """The given files, and the shards in the given folders."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("shard-*-of-*.safetensors")) if path.is_dir() else [path]
        if not inside or not inside[0].is_file():
            what = "no shard in folder" if path.is_dir() else "no file"
            raise InputError(f"shard: {what} {path}; make one with `headroles score --shard i/n`")
        found += inside
    return found


def merge_shards(paths: Sequence[Path]) -> tuple[ShardInfo, HeadMoments | ValueMoments]:
    """All shards of one run together: the first one's info with what all have seen, and the sums of the whole run.

    One shard at a time is in memory beside the sum. Raises InputError where shards overlap, are missing, or differ in
    weights, images or settings.
    """
    infos = sorted(((read_shard(path), path) for path in paths), key=lambda each: each[0].shard)
    for info, path in infos[1:]:
        _check_alike(infos[0], (info, path))
    _check_whole(infos)
    kind = SUMS[infos[0][0].by]
    sums = kind.load(infos[0][1])
    for _, path in infos[1:]:
        sums = sums.merge(kind.load(path))
    return dataclasses.replace(infos[0][0], seen=Seen.merge([info.seen for info, _ in infos])), sums


def _check_alike(one: tuple[ShardInfo, Path], other: tuple[ShardInfo, Path]) -> None:
    old, new = (_shared(info) for info, _ in (one, other))
    for name in [*old, *(new.keys() - old.keys())]:
        if old.get(name) != new.get(name):
            raise InputError(
                f"shard: {other[1]} and {one[1]} differ in {name}: {new.get(name)} and {old.get(name)}; score all "
                "shards alike"
            )


def _shared(info: ShardInfo) -> dict[str, Any]:
    """What must be the same in all shards; names of model, bank and encoder may be other paths on other machines."""
    return {
        "what heads are described by": info.by,
        "where concepts come from": info.concepts,
        "the model's weights": info.weights,
        "the number of shards": info.shards,
        "the images": info.images,
        "the number of images": info.seen.total,
        "batch": info.batch,
        **info.identity,
        **info.settings,
        **{f"{name} of the discovery": value for name, value in info.discovery.items() if name != "encoder"},
    }


def _check_whole(infos: Sequence[tuple[ShardInfo, Path]]) -> None:
    taken: dict[int, Path] = {}
    for info, path in infos:
        if info.shard in taken:
            raise InputError(f"shard: {taken[info.shard]} and {path} are both shard {info.shard}; give each once")
        taken[info.shard] = path
    shards = infos[0][0].shards
    missing = [number for number in range(1, shards + 1) if number not in taken]
    if missing:
        some = ", ".join(map(str, missing[:5])) + (" ..." if len(missing) > 5 else "")
        raise InputError(f"shard: {len(missing)} of {shards} shards are missing, {some}; score or add them")
