"""TaLo (arXiv 2602.01167): the attention that harms a task most is bypassed; nothing is trained. Heads too: ours."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headroles.adapt.config import Settings
from headroles.adapt.methods.bypass import Unit, bypassing, read_images
from headroles.adapt.methods.features import residual_before, unit
from headroles.adapt.methods.findings import Findings, Found
from headroles.adapt.methods.method import Look, Method
from headroles.adapt.methods.probing import Probes, Trial, direct_gains, judge, score_images
from headroles.checks import check_choices, check_least
from headroles.errors import InputError
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.role_map import RoleMap
from headroles.shown import show_p

UNITS = ("layers", "heads", "both")
"""What may be bypassed."""
MEASURES = ("accuracy", "margin")
"""What of the probing images is compared with and without a unit."""
FIRST = 1
"""The first layer that may be: layer 0 never is."""


@dataclass(frozen=True)
class TaloConfig(Settings):
    """Settings of TaLo: as published, for whole layers; all else is ours."""

    units: str = "layers"
    """"layers": whole attentions, as published; "heads", or "both": ours."""
    probes: int = 20
    """Probing images of a round, drawn from the training images."""
    rounds: int = 5
    """Draws of probing images at most: another one where no unit harms."""
    measure: str = "accuracy"
    """"accuracy", as published; "margin" (ours): cosine of the right class less that of the best other one."""
    shortlist: int = 0
    """Heads that are tried by a run without them, the first by their direct effects, which one pass gives for all; 0:
    every head is."""
    roles: tuple[str, ...] = ()
    """Roles of the heads that may be bypassed, by the role map; none: all heads."""
    fdr: float = 1.0
    """False-discovery rate (Benjamini-Hochberg over all that was tried) up to which a gain counts; 1, as published:
    any gain does."""
    resamples: int = 1000
    """Bootstrap resamples of the probing images, for p-values and for how sure the choice is."""

    def __post_init__(self) -> None:
        self._check_types()
        check_choices(self, units=UNITS, measure=MEASURES)
        check_least(self, probes=1, rounds=1, shortlist=0, resamples=1)
        if not 0 < self.fdr <= 1:
            raise InputError(f"fdr must be above 0 and at most 1, got {self.fdr}")
        for name in ("shortlist", "roles"):
            if getattr(self, name) and self.units == "layers":
                raise InputError(f"{name} is of heads; take units heads or both as well")


class Talo(Method):
    """Frozen CLIP without the one unit, if any, whose absence names most probing images more rightly."""

    name = "talo"
    title = "TaLo"
    source = "https://arxiv.org/abs/2602.01167"
    settings = TaloConfig
    steps = False
    role_maps = "taken"

    config: TaloConfig
    gains: Float[Tensor, "layer unit"]
    """The interaction vector: mean gain of the probing images by bypassing a head, in the last column the layer."""
    p_values: Float[Tensor, "layer unit"]
    """One-sided, by a paired bootstrap over the probing images; 1 where a unit was not tried."""
    chosen: Float[Tensor, "layer unit"]
    """Share of the resamples in which a unit has the largest gain, above 0."""
    tried: Tensor
    """Which of them were tried."""
    bypassed: Tensor
    """Which of them is bypassed."""
    held_out: Float[Tensor, "2"]
    """Gain in accuracy on the training images that the choice has not seen, and how many these are."""

    def __init__(
        self,
        model: HookedCLIP,
        role_map: RoleMap | None = None,
        config: TaloConfig | None = None,
        seed: int = 1,
        classes: Sequence[str] = (),
    ) -> None:
        super().__init__(model, role_map, config, seed, classes)
        if model.visual.layers <= FIRST:
            raise InputError(f"model: {model.model_name} has a single layer, which talo never bypasses")
        self._units: tuple[Unit, ...] = ()
        shape = model.visual.layers, model.visual.heads + 1
        for name in ("gains", "chosen"):
            self.register_buffer(name, torch.zeros(shape))
        self.register_buffer("p_values", torch.ones(shape))
        for name in ("tried", "bypassed"):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.bool))
        self.register_buffer("held_out", torch.zeros(2))
        self.candidates = self._list_units()
        """The units that may be bypassed."""
        self.place()

    @classmethod
    def check_model(cls, model: HookedCLIP) -> None:
        super().check_model(model)
        if model.visual.pooling:
            raise InputError(
                f"model: {model.model_name} is a {model.family.title}, whose embedding attention pools over tokens; "
                "talo bypasses attention behind a CLS token; take a CLIP"
            )

    @classmethod
    def describe(cls, layer: int | None) -> str:
        where = "no attention, as none harms the task" if layer is None else f"attention in layer {layer}"
        return f"A [TaLo]({cls.source}) adapter: it bypasses {where}."

    def _list_units(self) -> list[Unit]:
        config, tower = self.config, self.model.visual
        layers = range(FIRST, tower.layers)
        whole = [Unit(layer) for layer in layers] if config.units != "heads" else []
        if config.units == "layers":
            return whole
        if config.roles and self.role_map is None:
            raise InputError("roles: they are a role map's; give one as role map, or leave them out")
        heads = [Unit(layer, head) for layer in layers for head in range(tower.heads)]
        if config.roles and self.role_map is not None:
            own = {Unit(head.layer, head.head) for head in self.role_map if head.role in config.roles}
            heads = [each for each in heads if each in own]
        if not heads:
            raise InputError(f"roles: no head from layer {FIRST} on is {' or '.join(config.roles)}")
        return whole + heads

    @torch.no_grad()
    def image_trunk(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        """The residual stream before the first layer that is, or may be, bypassed."""
        return self.model.visual.run(self.model.start_images(pixels), range(self._entry))

    @property
    def trunk_kind(self) -> Hashable:
        return residual_before(self._entry)

    @property
    def _entry(self) -> int:
        return FIRST if self.layer is None else self.layer

    @torch.no_grad()
    def frozen_images(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        tower = self.model.visual
        return unit(read_images(tower, tower.run(trunk.to(self.model.dtype), range(self._entry, tower.layers))))

    def encode_images(self, trunk: Float[Tensor, "image token width"]) -> Float[Tensor, "image embed"]:
        with bypassing(self.model, self._units):
            return self.frozen_images(trunk)

    def start(self, look: Look) -> None:
        """Try every candidate on rounds of probing images until one of them harms; then test it on the other images."""
        drawn = Probes.draw(look, self.config.probes, self.config.rounds, self.seed)
        for probes in drawn:
            trials = self._try(probes)
            self._note(trials)
            helping = [trial for trial in trials if trial.gain > 0 and trial.q_value <= self.config.fdr]
            if helping:
                best = max(helping, key=lambda trial: trial.gain)  # Of equals the first.
                self._keep(self._mark([best.unit]))
                self.held_out.copy_(torch.tensor(self._gain_elsewhere(look, set(probes.numbers))))
                return

    def _try(self, probes: Probes) -> list[Trial]:
        """Every candidate on one round of probing images, in order."""
        tower, measure = self.model.visual, self.config.measure
        residuals = [probes.trunk.to(self.model.dtype)]
        for layer in range(FIRST, tower.layers):
            residuals.append(tower.run(residuals[-1], [layer]))
        intact = score_images(read_images(tower, residuals[-1]), probes, measure)
        scores, units = [], self._shortlist(probes, intact)
        for each in units:
            with bypassing(self.model, [each]):
                last = tower.run(residuals[each.layer - FIRST], range(each.layer, tower.layers))
            scores.append(score_images(read_images(tower, last), probes, measure))
        gains = torch.stack(scores, 1) - intact[:, None]
        return judge(units, gains.double().cpu().numpy(), self.config.resamples, self.seed)

    def _shortlist(self, probes: Probes, intact: Float[Tensor, "image"]) -> list[Unit]:
        """The candidates; of heads, where a shortlist is asked for, the first by their direct effects."""
        heads = [each for each in self.candidates if each.head is not None]
        most = self.config.shortlist
        if not most or len(heads) <= most:
            return self.candidates
        gains = direct_gains(self.model, probes, FIRST, heads, intact, self.config.measure)
        best = {heads[place] for place in np.argsort(-gains, kind="stable")[:most]}
        return [each for each in self.candidates if each.head is None or each in best]

    def _note(self, trials: Sequence[Trial]) -> None:
        self.tried.copy_(self._mark([trial.unit for trial in trials]))
        for tensor, rest in ((self.gains, 0.0), (self.p_values, 1.0), (self.chosen, 0.0)):
            tensor.fill_(rest)
        for trial in trials:
            place = trial.unit.layer, self._column(trial.unit)
            self.gains[place], self.p_values[place], self.chosen[place] = trial.gain, trial.p_value, trial.chosen

    def _column(self, each: Unit) -> int:
        return self.model.visual.heads if each.head is None else each.head

    def _mark(self, units: Sequence[Unit]) -> Tensor:
        marked = torch.zeros(self.tried.shape, dtype=torch.bool)
        for each in units:
            marked[each.layer, self._column(each)] = True
        return marked

    def _keep(self, bypassed: Tensor) -> None:
        """Bypass these from now on."""
        heads = self.model.visual.heads
        places = bypassed.nonzero().tolist()
        self._units = tuple(Unit(layer, None if column == heads else column) for layer, column in places)
        self.layer = min((each.layer for each in self._units), default=None)
        self.bypassed.copy_(bypassed)

    def make_room(self, tensors: Mapping[str, Tensor]) -> None:
        bypassed = tensors.get("bypassed")
        if bypassed is not None and bypassed.shape == self.bypassed.shape:
            self._keep(bypassed)

    def _gain_elsewhere(self, look: Look, seen: set[int]) -> tuple[float, float]:
        """Gain in accuracy on all training images but those seen, and their number."""
        right: list[Int[Tensor, "image"]] = []
        for batch in look(None):
            if seen.issuperset(batch.numbers):
                continue
            kept = torch.tensor([number not in seen for number in batch.numbers], device=self.device)
            texts, labels = batch.texts.frozen.T, batch.labels[kept]
            trunk = batch.trunk[kept]
            after, before = (self.encode_images(trunk) @ texts, self.frozen_images(trunk) @ texts)
            right.append((after.argmax(-1) == labels).long() - (before.argmax(-1) == labels).long())
        if not right:
            return 0.0, 0.0
        gains = torch.cat(right)
        return gains.double().mean().item(), float(len(gains))

    @property
    def units(self) -> tuple[Unit, ...]:
        """What is bypassed: one unit, or none."""
        return self._units

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All that was tried, in the round that counts, by gain; q-values over all of them."""
        places = self.tried.nonzero().tolist()
        heads = self.model.visual.heads
        names = [Unit(layer, None if column == heads else column) for layer, column in places]
        columns = [tensor[self.tried].tolist() for tensor in (self.gains, self.p_values, self.chosen)]
        found = Trial.of(names, *columns)
        return tuple(sorted(found, key=lambda trial: -trial.gain))

    @property
    def held_out_gain(self) -> float:
        """Gain in accuracy on the training images that the choice has not seen; not a number where all were seen."""
        gain, images = self.held_out.tolist()
        return gain if images else math.nan

    def notes(self) -> tuple[str, ...]:
        count = len(self.candidates)
        return (f"units: {count} may be bypassed; by chance each is chosen with {1 / count:.3f}",)

    def findings(self) -> Findings:
        parts = (
            Found(
                trial.unit.layer,
                "attention" if trial.unit.head is None else f"H{trial.unit.head}",
                trial.unit.head,
                {"gain": trial.gain, "p_value": trial.p_value, "q_value": trial.q_value, "chosen": trial.chosen},
            )
            for trial in sorted(self.trials, key=lambda trial: (trial.unit.layer, self._column(trial.unit)))
        )
        return Findings(self.name, tuple(self._tell()), tuple(parts), "gain")

    def _tell(self) -> Iterator[str]:
        trials = {trial.unit: trial for trial in self.trials}
        if not self.units:
            yield f"nothing is bypassed: no gain of the {len(trials)} units that were tried counts"
        for each in self.units:
            trial = trials[each]
            yield f"bypassed: {each.name}, gain {trial.gain:+.3f} on the probing images, p {show_p(trial.p_value)}"
            yield f"{each.name} is the choice in {100 * trial.chosen:.0f}% of the bootstrap's resamples"
        if self.units and not math.isnan(self.held_out_gain):
            yield f"accuracy on the {int(self.held_out[1])} other training images: {100 * self.held_out_gain:+.1f}"

    def served_tensors(self) -> dict[str, Tensor]:
        return {"adapter.bypassed": self.bypassed}
