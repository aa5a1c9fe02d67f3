"""What a scoring is asked for, and what it leaves."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from headroles.errors import InputError
from headroles.heads.ablation import current_ablation
from headroles.heads.moments import HeadMoments
from headroles.heads.value_moments import ValueMoments
from headroles.images.images import Images
from headroles.images.labelled import LabelledImages
from headroles.jobs.shards import parse_shard, shard_name
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.known_models import BUNDLED
from headroles.passes.image_pass import Part, PassOptions
from headroles.passes.mean_pass import MeanEmbedding
from headroles.passes.memory_fit import AUTO
from headroles.passes.processes import place
from headroles.passes.state import PassState
from headroles.roles.discovery import Discovery, Encoder
from headroles.roles.probes import ProbeBank
from headroles.roles.role_map import RoleMap

HeadSums = HeadMoments | ValueMoments | MeanEmbedding
"""What a pass leaves of the images."""


@dataclass(frozen=True)
class ScoreJob:
    """All that `headroles score` is asked for."""

    model: str | HookedCLIP = "shapes"
    """As `headroles.load` takes it, or loaded."""
    align_to: str | HookedCLIP | None = None
    """A CLIP whose texts the model is given by a learned map (`headroles.jobs.align`); None: it has its own."""
    images: str | os.PathLike | Images | LabelledImages | None = "shapes"
    """As `headroles.images.sources.find_source` takes it (by images: `open_labelled`), or opened; None, by weights
    or with tower "text": none."""
    source: str | None = None
    """What to call the images in the result; None: what they are called."""
    reading: Mapping[str, Any] | None = None
    """How shards have read the images, where they are not opened again."""
    count: int | None = None
    """As in `find_source`; so are the next three."""
    column: str | None = None
    split: str | None = None
    key: str | None = None
    groups: str | Sequence[Any] | None = None
    """Images that belong together: a column, "folder", or one label an image (`headroles.images.groups`)."""
    texts: str | os.PathLike | Sequence[str] | None = None
    """With tower "text", by texts: what goes in, in the place of images, as `headroles.roles.text_list` reads it, or
    the texts; None: those of the bank."""
    by: str = "texts"
    """Describe heads by "texts", by the labels of "images", or by their "weights"."""
    probes: str | os.PathLike | ProbeBank | None = None
    """Bank or CSV file; None: that of the shapes world for a bundled model, else the general one."""
    concepts: str = "bank"
    """Those of the "bank", or "discover" them in the texts that heads pick."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of ScoreConfig (by images: ImageScoreConfig, by weights: WeightScoreConfig) that are not its defaults."""
    discovery: Mapping[str, Any] = field(default_factory=dict)
    """Fields of DiscoveryConfig that are not its defaults."""
    encoder: Encoder | None = None
    """A sentence encoder that is loaded; None: the one that `discovery` names."""
    batch: int | None = None
    """Images a forward; None: what the device takes."""
    workers: int | None = None
    """Decoding processes; None: what the machine has to spare."""
    strict: bool = False
    """Refuse a broken image."""
    shard: str | None = None
    """Such as "1/4": do this part alone, to be merged."""
    save_every: float = 60.0
    """Seconds between two saves of an unfinished pass."""
    compile: bool = False
    """Compile the model's MLPs."""

    def __post_init__(self) -> None:
        for name, least in (("count", 2), ("batch", 1), ("workers", 0)):
            given = getattr(self, name)
            if given is not None and (not isinstance(given, int) or given < least):
                raise InputError(f"{name} must be a whole number from {least} on, got {given!r}")
        if self.align_to is not None and self.settings.get("tower") == "text":
            raise InputError("align_to: it gives words to a vision tower; leave it out with tower text")

    @property
    def model_name(self) -> str:
        """What the model is called."""
        return self.model.model_name if isinstance(self.model, HookedCLIP) else self.model

    @property
    def bank(self) -> str | os.PathLike | ProbeBank:
        """The bank, its name or its file."""
        return self.probes or ("shapes" if self.model_name in BUNDLED else "general")

    def choose_part(self) -> tuple[Part, str]:
        """This process's part of the images, and the name of the shard or of the whole."""
        process, processes = place()
        if self.shard is None:
            return Part(process=process, processes=processes), "pass"
        if current_ablation():
            raise InputError("shard: a shard is of the whole model; leave --ablate out, or score in one run")
        shard, shards = parse_shard(self.shard)
        return Part(shard - 1, shards, process, processes), shard_name(shard, shards)

    def unit(self, device: torch.device) -> int:
        """Images a forward on this device."""
        return self.batch or AUTO.get(device.type, AUTO["cpu"])

    def pass_options(
        self, device: torch.device, part: Part, state: PassState | None = None, resume: bool = False
    ) -> PassOptions:
        """How the pass over the images is done on this device."""
        return PassOptions(
            unit=self.unit(device),
            part=part,
            workers=default_workers(device) if self.workers is None else self.workers,
            strict=self.strict,
            state=state,
            resume=resume,
            save_every=self.save_every,
        )


@dataclass(frozen=True)
class Described:
    """What the sums of a pass say of the heads."""

    role_map: RoleMap
    """Their roles."""
    discovery: Discovery | None = None
    """The concepts that were found, if any were looked for."""


@dataclass(frozen=True)
class Scored:
    """What a job has left."""

    files: tuple[Path, ...]
    """What it wrote."""
    role_map: RoleMap | None
    """None where only a shard was scored."""
    read: int
    """Images that went in."""
    broken: tuple[str, ...]
    """Names of those that could not be read."""
    moments: HeadSums
    """The sums that the role map rests on."""
    discovery: Discovery | None = None
    """The concepts that were found, if any were looked for."""


def default_workers(device: torch.device) -> int:
    """Decoding processes where nothing else is asked for: up to 8 beside a GPU, none on a CPU, which is busy itself."""
    if device.type == "cpu":
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(0, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1))
