"""Figures of an adapter show its settings and its training, number by number."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba

from headroles.adapt.adapter.info import AdapterInfo
from headroles.adapt.config import DearConfig, TrainConfig
from headroles.adapt.methods.dear import Dear
from headroles.adapt.results.mask_plot import mask_figure
from headroles.adapt.results.plot import Run, curves_figure, fusion_figure, read_runs
from headroles.errors import InputError
from headroles.figures.marks import concept_looks
from headroles.roles.role_map import RoleMap

CORE = ("color", "shape")


@pytest.fixture
def seed(model, make_role_map, tmp_path):
    """One seed's run of two epochs, on heads of every kind."""
    make_role_map(model, [["mixed", "general", "color", "animal"], ["shape"]]).save(tmp_path / "role_map.json")
    info = AdapterInfo(
        base_model_name_or_path="tiny", base_model_hash="0", task="toy", protocol="few-shot", classes=("a", "b"),
        trained_classes=("a", "b"), template="{}", shots=1, training_images="0", targets=(), retention=(), seed=1,
        layer=1, attributes=CORE, method="dear", settings=DearConfig(core=CORE, mask="role"), train=TrainConfig(),
        role_map_sha256="0",
    )  # fmt: skip
    records = (
        {
            "epoch": number, "loss": 3.0 / number, "losses": {"ce": 2.0 / number, "text": 1.0 / number},
            "accuracy": number / 4, "alpha": {"cls": 0.8, "color": 0.15 - number / 50, "shape": 0.05 + number / 50},
        }
        for number in (1, 2)
    )  # fmt: skip
    return Run(tmp_path, info, tuple(records))


def cells(axes) -> list[list[float]]:
    """Weights of heads by tokens: those that are written, and of the others whether a cell has a concept's colour."""
    written = {tuple(text.get_position()): float(text.get_text()) for text in axes.texts}
    found = np.zeros((4, len(CORE)))
    for patch in axes.patches:
        column, row = (int(place) for place in patch.get_xy())
        coloured = tuple(patch.get_facecolor()) != to_rgba("#EEEEEE")
        found[row, column] = written.get((column + 0.5, row + 0.5), float(coloured))
    return found.tolist()


def test_mask_shows_which_head_opens_which_token(seed):
    first, second = mask_figure([seed]).axes
    assert cells(first) == [[1, 1], [0, 0], [1, 0], [0, 0]]
    assert cells(second) == [[0, 1]] * 4
    labels = [label.get_text() for label in first.get_yticklabels()]
    assert labels == ["H0 open", "H1 isolated", "H2 color", "H3 isolated"]
    opened = dataclasses.replace(seed.info, settings=DearConfig(core=CORE, mask="open"))
    for axes in mask_figure([dataclasses.replace(seed, info=opened)]).axes:
        assert cells(axes) == [[1, 1]] * 4


def test_the_legend_of_a_mask_speaks_of_degrees_where_there_are_any(seed):
    def through(run):
        return mask_figure([run]).legends[0].get_texts()[0].get_text()

    soft = dataclasses.replace(seed.info, settings=DearConfig(core=CORE, mask="soft"))
    assert through(seed) == "a concept's colour: its token exchanges with CLS and patches"
    assert through(dataclasses.replace(seed, info=soft)) == through(seed) + ", the more the higher its weight"


def test_curves_show_every_epoch_of_every_seed(seed):
    other = dataclasses.replace(seed, info=dataclasses.replace(seed.info, seed=7))
    losses, accuracy, cls, alpha = curves_figure([seed, other]).axes
    lines = {line.get_label(): line.get_ydata() for line in losses.lines}
    assert {name: list(values) for name, values in lines.items()} == {
        "all": [3.0, 1.5], "ce": [2.0, 1.0], "text": [1.0, 0.5]
    }  # fmt: skip
    assert len(losses.lines) == 6 and len(losses.get_legend().get_texts()) == 3
    assert list(accuracy.lines[0].get_ydata()) == [25, 50]
    assert [text.get_text() for text in alpha.get_legend().get_texts()] == [*CORE]
    assert list(cls.lines[0].get_ydata()) == [0.8, 0.8] and list(alpha.lines[1].get_ydata()) == [0.07, 0.09]
    assert {line.get_linestyle() for line in alpha.lines} == {"-", "--"}
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == ["seed 1", "seed 7"]


def test_the_legend_names_runs_by_all_that_they_differ_in(seed):
    def named(*changes):
        runs = [dataclasses.replace(seed, info=dataclasses.replace(seed.info, **each)) for each in changes]
        return [text.get_text() for text in curves_figure(runs).axes[1].get_legend().get_texts()]

    domains = {"held_out": "art"}, {"held_out": "photo"}
    assert named(*domains) == ["without art", "without photo"]
    assert named({"shots": 1, "seed": 1}, {"shots": None, "seed": 2}) == ["1 shot, seed 1", "all images, seed 2"]


def test_attributes_have_the_colours_of_the_role_map(seed):
    role_map = seed.role_map
    looks = concept_looks(role_map.concepts)
    *_, alpha = curves_figure([seed]).axes
    assert [line.get_color() for line in alpha.lines] == [looks[name].color for name in CORE]
    bars = fusion_figure([seed]).axes[0].patches[1:]
    assert [bar.get_facecolor() for bar in bars] == [to_rgba(looks[name].color) for name in CORE]


def test_masks_of_many_layers_and_heads_are_no_wider_than_a_screen(seed, random_role_map):
    deep = random_role_map(layers=tuple(range(12)), heads=16)
    info = dataclasses.replace(seed.info, layer=0)
    figure = mask_figure([dataclasses.replace(seed, info=info, masked_by=deep)])
    assert len(figure.axes) == 12 and figure.get_size_inches()[0] <= 12
    assert len(figure.legends[0].get_texts()) == 2


def test_fusion_shows_the_mean_and_the_seeds(seed):
    other = ({**seed.history[-1], "alpha": {"cls": 0.6, "color": 0.3, "shape": 0.1}},)
    (axes,) = fusion_figure([seed, dataclasses.replace(seed, history=other)]).axes
    assert np.allclose([bar.get_height() for bar in axes.patches], [0.7, (0.11 + 0.3) / 2, (0.09 + 0.1) / 2])
    assert len(axes.lines[0].get_ydata()) == 6


def test_a_folder_without_an_adapter_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no adapter folder"):
        read_runs(tmp_path)


def test_learned_masks_are_drawn_and_told_as_they_ended(seed, model, make_role_map):
    role_map = RoleMap.load(seed.folder)
    config = DearConfig(core=CORE, mask="learned", layer=1)
    dear = Dear(model, role_map, config)
    with torch.no_grad():
        dear.role_masks.logits.copy_(torch.linspace(-3, 3, 16).reshape(2, 4, 2))
    found = dear.findings()
    assert re.fullmatch(
        r"learned masks: rank correlation of their weights with the role map's [+-]0\.\d\d, p 0\.\d+ by permuting 8 "
        r"heads; they began as the role map's and were held near the role map by 1",
        found.lines[0],
    )
    info = dataclasses.replace(seed.info, settings=config)
    first, second = mask_figure([dataclasses.replace(seed, info=info, findings=found)]).axes
    expected = torch.linspace(-3, 3, 16).sigmoid().reshape(2, 4, 2)
    assert np.allclose([cells(first), cells(second)], expected, atol=0.005)
    assert Dear(model, role_map, DearConfig(core=CORE)).findings() is None
    with pytest.raises(InputError, match=r"has no findings\.json, which says what was learned; copy the whole folder"):
        mask_figure([dataclasses.replace(seed, info=info)])
