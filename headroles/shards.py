"""Shards: the parts of one scoring run that were done apart, in files, and how they become the whole again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from headroles.errors import InputError
from headroles.moments import HeadMoments
from headroles.pass_state import Seen

FORMAT = "headroles.shard.1"


@dataclass(frozen=True)
class ShardInfo:
    """What a shard holds beside its moments; all but `shard` and `seen` are the same in all shards of a run."""

    shard: int
    """From 1."""
    shards: int
    """How many there are."""
    model: str
    """As given to `headroles.load`."""
    source: str
    """The images' name."""
    images: str
    """Their fingerprint."""
    batch: int
    """Images of a unit, which fixes whose an image is."""
    probes: str
    """The bank, as given to `ProbeBank.load`."""
    bank: str
    """Its hash."""
    settings: Mapping[str, Any]
    """The fields of ScoreConfig."""
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


def save_shard(info: ShardInfo, moments: HeadMoments, folder: Path) -> Path:
    """Write a file of the shard, which is a file of moments too, and say where."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{shard_name(info.shard, info.shards)}.safetensors"
    moments.save(path, {"shard_format": FORMAT, "shard": json.dumps(dataclasses.asdict(info))})
    return path


def load_shard(path: Path) -> tuple[ShardInfo, HeadMoments]:
    """Read what `save_shard` wrote."""
    try:
        with safe_open(path, "pt") as file:
            note = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(f"shard: cannot read {path} ({' '.join(str(error).split())}); score it again") from error
    if note.get("shard_format") != FORMAT:
        raise InputError(f"shard: {path} is no shard; expected a file that `headroles score --shard i/n` wrote")
    raw = json.loads(note["shard"])
    seen = {**raw["seen"], "broken": tuple((number, name) for number, name in raw["seen"]["broken"])}
    return ShardInfo(**{**raw, "seen": Seen(**seen)}), HeadMoments.load(path)


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


def merge_shards(paths: Sequence[Path]) -> tuple[ShardInfo, HeadMoments]:
    """All shards of one run together: the first one's info with what all have seen, and the moments of the whole run.

    One shard at a time is in memory beside the sum. Raises InputError where shards overlap, are missing, or differ in
    weights, images or settings.
    """
    infos = {path: load_shard(path)[0] for path in paths}
    order = sorted(infos, key=lambda path: infos[path].shard)
    _check_alike(infos)
    _check_whole(infos)
    moments = load_shard(order[0])[1]
    for path in order[1:]:
        moments = moments.merge(load_shard(path)[1])
    seen = Seen.merge([infos[path].seen for path in order])
    return dataclasses.replace(infos[order[0]], seen=seen), moments


def _check_alike(infos: Mapping[Path, ShardInfo]) -> None:
    first, *others = infos
    old = _shared(infos[first])
    for path in others:
        new = _shared(infos[path])
        for name in old.keys() | new.keys():
            if old.get(name) != new.get(name):
                raise InputError(
                    f"shard: {path} differs from {first} in {name}: {new.get(name)} and {old.get(name)}; score all "
                    "shards alike"
                )


def _shared(info: ShardInfo) -> dict[str, Any]:
    """What must be the same in all shards; the model's and the bank's names may be other paths on other machines."""
    shared = {"shards": info.shards, "images": info.images, "batch": info.batch, "bank": info.bank}
    return {**shared, **info.settings, "number of images": info.seen.total}


def _check_whole(infos: Mapping[Path, ShardInfo]) -> None:
    taken: dict[int, Path] = {}
    for path, info in infos.items():
        if info.shard in taken:
            raise InputError(f"shard: {path} and {taken[info.shard]} are both shard {info.shard}; give each once")
        taken[info.shard] = path
    shards = next(iter(infos.values())).shards
    missing = [number for number in range(1, shards + 1) if number not in taken]
    if missing:
        some = ", ".join(map(str, missing[:5])) + (" ..." if len(missing) > 5 else "")
        raise InputError(f"shard: {len(missing)} of {shards} shards are missing, {some}; score or add them")
