"""Role maps by labelled images: roles of heads that are built to follow a concept, or none; files, tables, figures."""

import json
from dataclasses import replace
from importlib import resources

import jsonschema
import numpy as np
import pytest
import torch

from headroles import InputError, RoleMap
from headroles.figures.concepts import concepts_figure
from headroles.figures.entropy import entropy_figure
from headroles.figures.texts import texts_figure
from headroles.heads.value_moments import ValueMoments
from headroles.images.labelled import open_labelled
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.config import ImageScoreConfig
from headroles.roles.role_map import ImagesInfo, ModelInfo
from headroles.roles.score_images import distribution, explain_values, score_images

QUICK = ImageScoreConfig(layers="all", bootstraps=5)
INFO = ModelInfo("built", "0" * 64, 1, 3)
CONCEPTS = (("color", ("red", "green", "blue")), ("size", ("small", "large")), ("place", ("left", "right")))


@pytest.fixture(scope="module")
def built():
    """Heads of layer 0: one follows color exactly, one is blind, one follows color and size and place alike."""
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, len(values), 1000) for _, values in CONCEPTS], 1)
    color, size, place = (np.eye(3)[codes[:, concept]] for concept in range(3))
    even = color / np.sqrt(4 / 3) + np.roll(size, 1, 1) + place
    outputs = np.stack([color, rng.normal(size=(1000, 3)), even + 0.1 * rng.normal(size=(1000, 3))], 1)
    moments = ValueMoments(
        (0,), "0" * 64, CONCEPTS,
        *(torch.zeros(shape, dtype=torch.float64) for shape in (
            (8,), (8, 1, 3, 3), (8, 7, 7), (8, 7, 1, 3, 3), (8, 4, 1, 3), (1, 3, 3, 3), (1000, 1, 3, 3), (1000, 3),
        )),
    )  # fmt: skip
    moments.update(
        torch.from_numpy(outputs)[:, None], torch.from_numpy(codes), torch.arange(1000) % 8, torch.arange(1000)
    )
    return moments


@pytest.fixture(scope="module")
def preprocess():
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    from headroles.models.load import Preprocess

    return Preprocess(CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}))


@pytest.fixture(scope="module")
def role_map(make_clip, tokenizer, preprocess):
    model = HookedCLIP(make_clip(), "tiny", tokenizer)
    return score_images(model, open_labelled("shapes", preprocess, 150), QUICK)[0]


@pytest.mark.parametrize("shares", ["marginal", "unique"])
def test_a_head_that_follows_one_concept_has_no_entropy_and_a_blind_one_all(built, shares):
    found = explain_values(built, ImageScoreConfig(shares=shares), INFO, ImagesInfo("made", 1000, ()))
    follows, blind, even = found
    assert (follows.entropy, follows.role, follows.concept, follows.interval) == (0, "attribute", "color", (0, 0))
    assert follows.p_value == pytest.approx(3e-6) and follows.stability == 1
    assert (blind.entropy, blind.role, blind.texts) == (1, "generalization", ()) and blind.p_value > 0.05
    assert even.role == "generalization" and even.entropy > 0.9 and even.interval[0] <= even.entropy
    assert {text.text for text in follows.texts} == {"color: red", "color: green", "color: blue"}
    assert sum(text.share for text in follows.texts) == pytest.approx(1, abs=0.01)


def test_only_certain_concepts_count_and_none_is_uniform():
    chance = np.array([[1e-6, 0, 0]])
    assert distribution(chance, np.array([[True, True, True]])).tolist() == [[1, 0, 0]]
    np.testing.assert_allclose(distribution(chance, np.array([[False, True, True]])), 1 / 3)


def test_a_model_without_a_text_tower_is_scored_alike(make_clip, tokenizer, preprocess, role_map):
    model = HookedCLIP(make_clip(), "tiny", tokenizer)
    del model.text
    model.tokenizer = None
    assert score_images(model, open_labelled("shapes", preprocess, 150), QUICK)[0].head_roles == role_map.head_roles


def test_intervals_hold_the_estimate(built):
    config = ImageScoreConfig(bootstraps=200)
    for head in explain_values(built, config, INFO, ImagesInfo("made", 1000, ())):
        assert head.interval[0] - 1e-6 <= head.entropy <= head.interval[1] + 1e-6


def test_same_seed_same_bytes_whatever_the_batch(model, preprocess, role_map, tmp_path):
    again = score_images(model, open_labelled("shapes", preprocess, 150), QUICK)[0]
    assert again.to_json() == role_map.to_json()
    other = score_images(model, open_labelled("shapes", preprocess, 150), QUICK, batch=7)[0]
    np.testing.assert_allclose([h.entropy for h in other], [h.entropy for h in role_map], atol=1e-3)


def test_file_validates_against_the_shipped_schema_and_comes_back(role_map, tmp_path):
    role_map.save(tmp_path / "role_map.json")
    schema = json.loads((resources.files("headroles.roles") / "role_map.schema.json").read_text())
    raw = json.loads((tmp_path / "role_map.json").read_text())
    jsonschema.validate(raw, schema)
    assert raw["probe_kind"] == "image" and RoleMap.load(tmp_path / "role_map.json") == role_map
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**raw, "probe_kind": "smell"}, schema)
    with pytest.raises(InputError, match="probe_kind must be one of text, image"):
        RoleMap.from_dict({**raw, "probe_kind": "smell"})


def test_files_without_a_kind_are_of_texts(role_map):
    raw = role_map.to_dict()
    del raw["probe_kind"]
    jsonschema.validate(raw, json.loads((resources.files("headroles.roles") / "role_map.schema.json").read_text()))
    assert RoleMap.from_dict(raw).probe_kind == "text"


def test_tables_and_figures_speak_of_labels_and_values(role_map, built):
    made = explain_values(built, ImageScoreConfig(), INFO, ImagesInfo("made", 1000, ()))
    assert made.to_frame()["texts"][0].startswith("color: ")
    assert "labels of made" in made._repr_html_() and "color: red (" in made._repr_html_()
    assert "labels of made" in repr(made)
    for draw in (entropy_figure, concepts_figure, texts_figure):
        assert "labels of made" in draw(made).get_suptitle()
    words = [text.get_text() for text in texts_figure(made).texts]
    assert "Values that the heads set apart" in words
    assert concepts_figure(role_map) and texts_figure(role_map)


def test_the_counts_are_those_of_labelled_images(role_map):
    labelled = open_labelled("shapes", None, 150)
    assert role_map.bank.counts == {
        name: int((labelled.codes[:, column] >= 0).sum()) for column, name in enumerate(labelled.names)
    }


def test_labels_that_compare_nothing_are_refused(model, preprocess):
    labelled = open_labelled("shapes", preprocess, 6)
    with pytest.raises(InputError, match=r"value .* of concept color has 1 readable image"):
        score_images(model, labelled, QUICK)
    one = replace(labelled, concepts=labelled.concepts[:1], codes=labelled.codes[:, :1])
    with pytest.raises(InputError, match="one concept color; entropy needs at least two"):
        score_images(model, one, QUICK)


def test_wrong_settings_are_refused():
    for settings in (
        {"shares": "x"},
        {"roles_by": "null"},
        {"low": 0.9, "high": 0.1},
        {"level": 0},
        {"blocks": 1},
        {"sharing": -1},
    ):
        with pytest.raises(InputError, match="must"):
            ImageScoreConfig(**settings)
