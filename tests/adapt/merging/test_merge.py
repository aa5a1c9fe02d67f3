"""Merging adapters: sums that are what they say, an adapter with itself, and what cannot be merged."""

import dataclasses
import hashlib
import json
import math

import pytest
import torch

from headroles.adapt import MergeConfig, adapt, evaluate, load_adapter, merge_adapters, open_task
from headroles.adapt.merging.recall import similarities
from headroles.adapt.merging.samples import trained_part
from headroles.errors import InputError


@pytest.fixture(scope="module")
def pair(job, adapted):
    """Two adapters of one seed that were trained on different images, and a third of another seed."""
    other = adapt(**{**job, "model": adapted[0].method.model, "shots": 2, "lr": 2e-2})[0]
    return adapted[0], other, adapted[1]


def tensors(adapter):
    return adapter.method.state_dict()


@pytest.mark.parametrize("by", ["mean", "arithmetic", "recall"])
def test_an_adapter_merged_with_itself_is_itself(pair, by):
    for count in (2, 3):
        merged = merge_adapters([pair[0]] * count, by=by)
        for name, tensor in tensors(pair[0]).items():
            if by == "arithmetic":
                torch.testing.assert_close(tensors(merged)[name], tensor, rtol=0, atol=1e-6)
            else:
                assert torch.equal(tensors(merged)[name], tensor), name


def test_means_and_task_arithmetic_are_the_sums_that_they_say(pair):
    from headroles.adapt import METHODS

    one, two, _ = pair
    start = METHODS["dear"](one.method.model, one.role_map, one.info.settings, 1).state_dict()
    plain, uneven = merge_adapters([one, two]), merge_adapters([one, two], weights=(1, 3))
    summed = merge_adapters([one, two], by="arithmetic", strength=0.8)
    for name, first in tensors(one).items():
        second = tensors(two)[name]
        torch.testing.assert_close(tensors(plain)[name], (first + second) / 2)
        torch.testing.assert_close(tensors(uneven)[name], (first + 3 * second) / 4)
        torch.testing.assert_close(tensors(summed)[name], start[name] + 0.8 * (first + second - 2 * start[name]))
    assert uneven.info.merged.weights == {"all": (0.25, 0.75)}


def test_similarities_are_the_kernel_of_distances_to_the_newest():
    states = torch.tensor([[[0.0, 0.0], [0.0, 2.0]], [[3.0, 4.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]).double()
    near = [(1 + math.exp(-4 / 8)) / 2, (math.exp(-25 / 8) + math.exp(-1 / 8)) / 2, 1]
    torch.testing.assert_close(similarities(states, 2.0), torch.tensor(near).double())
    # Squared distances of all pairs: 25, 1, 0, 4, 25, 1; torch takes the lower of the middle two.
    torch.testing.assert_close(similarities(states), similarities(states, 1.0))
    assert similarities(states[[2, 2]]).tolist() == [1, 1]


def test_recall_weighs_each_layer_and_each_attribute_token(pair):
    one, two, _ = pair
    merged = merge_adapters([one, two], by="recall", clusters=3)
    weights = {name: torch.tensor(each) for name, each in merged.info.merged.weights.items()}
    layers, deep = one.method.model.visual.layers, range(one.info.layer, one.method.model.visual.layers)
    assert {name for name in weights if name.startswith("visual")} == {f"visual.{layer}" for layer in deep}
    for each in weights.values():
        assert each.sum() == pytest.approx(1) and each[1] > each[0]
    tokens = [tensors(each)["attribute_tokens.values"] for each in (one, two)]
    for row, name in enumerate(one.info.attributes):
        expected = weights[name][0] * tokens[0][row] + weights[name][1] * tokens[1][row]
        torch.testing.assert_close(tensors(merged)["attribute_tokens.values"][row], expected)
    name, last = "readout.projection.weight", weights[f"visual.{layers - 1}"]
    expected = last[0] * tensors(one)[name] + last[1] * tensors(two)[name]
    torch.testing.assert_close(tensors(merged)[name], expected)
    narrow = merge_adapters([one, two], by="recall", clusters=3, temperature=1e-3).info.merged.weights
    assert all(each[1] > 0.99 for each in narrow.values())


def test_a_merged_adapter_says_what_it_is_of_and_serves_as_any(pair, tmp_path):
    one, two, _ = pair
    for number, each in enumerate((one, two)):
        each.save(tmp_path / str(number))
    places = [tmp_path / "0", tmp_path / "1"]
    merge_adapters(places, by="recall", model=one.method.model).save(tmp_path / "merged")
    written = json.loads((tmp_path / "merged" / "adapter_config.json").read_text())["merged"]
    hashes = [hashlib.sha256((each / "adapter_model.safetensors").read_bytes()).hexdigest() for each in places]
    assert [part["sha256"] for part in written["parts"]] == hashes and written["settings"]["by"] == "recall"
    card = (tmp_path / "merged" / "README.md").read_text()
    assert all(each in card for each in hashes)
    again = load_adapter(tmp_path / "merged", model=one.method.model)
    assert [part.seed for part in again.info.merged.parts] == [1, 1] and again.info.shots == 2
    assert len(evaluate(again)) == 3 and "merged" not in json.loads(one.info.to_json())
    again.plot("mask")
    with pytest.raises(InputError, match="a merged adapter takes no training steps"):
        again.plot("curves")


def test_adapters_of_other_seeds_have_no_start_in_common(pair):
    with pytest.raises(InputError, match="began alike, and those of seeds 1, 2 began with other tensors"):
        merge_adapters([pair[0], pair[2]], by="arithmetic")
    (note,) = merge_adapters([pair[0], pair[2]]).info.merged.notes
    assert "seeds 1, 2 and began with other tensors" in note
    assert merge_adapters(pair[:2]).info.merged.notes == ()


def test_what_differs_is_named(pair, job):
    one, other = pair[0], {**job, "model": pair[0].method.model, "epochs": 1}
    beta = dataclasses.replace(one, info=dataclasses.replace(one.info, settings=one.info.settings.__class__(beta=0.7)))
    with pytest.raises(InputError, match=r"adapter 1 and adapter 2 differ in beta: 0\.5 and 0\.7; merge"):
        merge_adapters([one, beta])
    coop = adapt(**{**other, "role_map": None}, method="coop")[0]
    with pytest.raises(InputError, match="adapter 1 and adapter 2 differ in method: 'dear' and 'coop'"):
        merge_adapters([one, coop])
    frozen = adapt(other["model"], job["task"], shots=1, method="zero-shot")
    with pytest.raises(InputError, match="zero-shot takes no training steps, so there is nothing to merge"):
        merge_adapters([frozen[0], frozen[0]])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"by": "zip"}, "by must be one of mean, arithmetic, recall, got 'zip'"),
        ({"strength": 1.0}, "strength: by mean has no use for it; leave it out, or merge by arithmetic"),
        ({"by": "recall", "temperature": 0.0}, "temperature must be above 0"),
        ({"by": "recall", "clusters": 0}, "clusters must be at least 1"),
        ({"weights": (0, 0)}, "weights must be numbers of at least 0"),
        ({"weights": (1, -1)}, "weights must be numbers of at least 0"),
    ],
)
def test_wrong_settings_are_refused(settings, expected):
    with pytest.raises(InputError, match=expected):
        MergeConfig(**settings)


def test_wrong_images_and_numbers_are_refused(pair, tmp_path):
    for wrong, expected in (
        ({"task": "shapes:tiny"}, "task: by mean looks at no image"),
        ({"weights": (1, 1, 1)}, "expected one for each of 2 adapters, got 3"),
        ({"by": "recall", "images": tmp_path / "no"}, "is no folder"),
        ({"by": "recall", "images": tmp_path}, "no image file below"),
        ({"by": "recall", "images": tmp_path, "task": "shapes:tiny"}, "give either images or task"),
        ({"way": "mean"}, "way is no setting of MergeConfig"),
    ):
        with pytest.raises(InputError, match=expected):
            merge_adapters(pair[:2], **wrong)
    with pytest.raises(InputError, match="expected two or more to merge, got one"):
        merge_adapters([pair[0]])


def test_recall_looks_at_the_images_that_the_newest_was_trained_on(pair, color_folder):
    found = trained_part(pair[1].info, open_task(str(color_folder)))
    assert len(found) == 4 and {example.label for example in found} == {0, 1}
