"""Adapted: the adapters of one job, a seed each, and where they are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, overload

from headroles.adapt.adapter.adapter import FIGURES, Adapter, load_adapter
from headroles.adapt.adapter.folders import Draw, find_adapters, place_draws
from headroles.adapt.adapter.info import CONFIG, METRICS, ROLE_MAP, TABLE, AdapterInfo
from headroles.adapt.metrics import Measure, table_heading, table_rows, to_csv, to_frame, to_json, to_table
from headroles.adapt.results.protocols import LEFT_OUT, average_domains
from headroles.errors import InputError
from headroles.files.latex import Tabled
from headroles.files.whole import write_text
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.load import load
from headroles.shown import Shown, html_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Adapted(Shown, Tabled, Sequence[Adapter]):
    """What a job has made: adapters by seed, and all of their rows."""

    figures: ClassVar[Mapping[str, str]] = FIGURES

    adapters: tuple[Adapter, ...]
    """One a seed; of a job with several numbers of shots, or that leaves out domains, one a seed for each of these."""
    folders: tuple[Path, ...] = ()
    """Where each of them is; none where they are in memory alone."""
    note: str = ""
    """Where the role map came from; "" where there is none."""
    done: tuple[Path, ...] = ()
    """Those of the folders that an earlier job had finished."""

    @overload
    def __getitem__(self, number: int) -> Adapter: ...

    @overload
    def __getitem__(self, number: slice) -> tuple[Adapter, ...]: ...

    def __getitem__(self, number: int | slice) -> Adapter | tuple[Adapter, ...]:
        return self.adapters[number]

    def __len__(self) -> int:
        return len(self.adapters)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """All rows, adapter by adapter; where domains were left out, these first and then their means."""
        rows = tuple(row for adapter in self.adapters for row in adapter.measures)
        left_out = tuple(row for row in rows if row.protocol == LEFT_OUT)
        return (*left_out, *average_domains(left_out), *(row for row in rows if row.protocol != LEFT_OUT))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The different seeds."""
        return tuple(dict.fromkeys(adapter.info.seed for adapter in self.adapters))

    @property
    def trainable(self) -> str:
        """Trained and frozen parameters, as PEFT prints them."""
        return self.adapters[0].trainable

    def to_frame(self) -> pd.DataFrame:
        """One row a seed, protocol, task and part; accuracies in [0, 1]."""
        return to_frame(self.measures)

    def to_table(self) -> str:
        """Means over seeds in percent, with 95% intervals where there are several seeds, as text."""
        return to_table(self.measures)

    def save(self, output: str | os.PathLike[str]) -> None:
        """Write what `adapt` writes: one adapter into `output`, several into folders below it, such as seed-N."""
        folders = place_draws(Path(output), [Draw.of(adapter.info) for adapter in self.adapters])
        for adapter in self.adapters:
            adapter.save(folders[Draw.of(adapter.info)])
        self.save_summary(output)

    def save_summary(self, output: str | os.PathLike[str]) -> None:
        """Write metrics.csv and metrics.json over all adapters, where there are several."""
        if len(self.adapters) > 1:
            write_text(Path(output) / TABLE, to_csv(self.measures))
            write_text(Path(output) / METRICS, to_json(self.measures))

    @classmethod
    def load(
        cls, output: str | os.PathLike[str], device: str = "auto", model: str | HookedCLIP | None = None
    ) -> Adapted:
        """The adapter in a folder, or those of a job below it; `device` and `model` as in `Adapter.load`."""
        folders = find_adapters(Path(output))
        if not folders:
            raise InputError(f"adapter: {output} is no adapter folder (no {CONFIG}); make one: headroles adapt")
        if not isinstance(model, HookedCLIP):
            model = load(model or AdapterInfo.load(folders[0]).base_model_name_or_path, device)
        adapters = tuple(load_adapter(folder, model=model) for folder in folders)
        note = f"role map: {folders[0] / ROLE_MAP}" if adapters[0].role_map else ""
        return cls(adapters, tuple(folders), note)

    def __repr__(self) -> str:
        seeds = ", ".join(map(str, self.seeds))
        info = self.adapters[0].info
        return f"Adapted({info.base_model_name_or_path} to {info.task}, seeds {seeds}; {self.trainable})"

    def _repr_html_(self) -> str:
        return html_table(repr(self), table_heading(self.measures), table_rows(self.measures))


def pick_adapter(given: str | os.PathLike[str] | Adapter | Adapted) -> Path | Adapter:
    """The one adapter that is meant: in memory, or its folder. InputError where several are."""
    if isinstance(given, Adapted):
        if len(given) > 1:
            several = "seeds" if len(given.seeds) == len(given) else "trainings"
            raise InputError(
                f"adapter: expected one, got those of {len(given)} {several}; take one, such as adapted[0]"
            )
        return given[0]
    if isinstance(given, Adapter):
        return given
    if isinstance(given, (str, os.PathLike)):
        return Path(given)
    raise InputError(f"adapter: expected a folder or what load_adapter gives, got a {type(given).__name__}")
