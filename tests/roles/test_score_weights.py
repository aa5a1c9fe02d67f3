"""Role maps by weights: what cannot matter does not, heads built to write one concept have it, no image is read."""

import copy
import json
from dataclasses import replace
from importlib import resources

import jsonschema
import numpy as np
import pytest
import torch

from headroles import InputError, ProbeBank, RoleMap, score
from headroles.adapt.methods.masks import check_role_map
from headroles.bundled.specialists import SPECIALISTS
from headroles.figures.concepts import concepts_figure
from headroles.figures.entropy import entropy_figure
from headroles.figures.texts import texts_figure
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.load import load
from headroles.roles.config import WeightScoreConfig
from headroles.roles.diff import diff
from headroles.roles.role_heads import check_model
from headroles.roles.score_weights import explain_weights

CONFIG = WeightScoreConfig(layers="1-2", null_draws=99)
BANK = ProbeBank("some", ProbeBank.load("shapes").texts[::9], ProbeBank.load("shapes").labels[::9])


@pytest.fixture(scope="module")
def built(make_clip, tokenizer):
    return HookedCLIP(make_clip().double(), "tiny", tokenizer)


@pytest.fixture(scope="module")
def found(built):
    return explain_weights(built, BANK, CONFIG)


@pytest.fixture(scope="module")
def shapes():
    return load("shapes", "cpu")


@pytest.fixture(scope="module")
def bundled(shapes):
    return explain_weights(shapes, ProbeBank.load("shapes"), WeightScoreConfig(null_draws=199))


def change(model, edit):
    """The role map of a copy with edit(values' weight, values' bias, output's weight) done in place on layer 2."""
    clip = copy.deepcopy(model.clip)
    for module in clip.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    attention = clip.vision_model.encoder.layers[2].self_attn
    with torch.no_grad():
        edit(attention.v_proj.weight, attention.v_proj.bias, attention.out_proj.weight)
    return explain_weights(HookedCLIP(clip, "tiny", model.tokenizer), BANK, CONFIG)


def numbers(head):
    return np.array([head.entropy, head.p_value, head.variance, *head.distribution.values()])


def test_another_basis_inside_a_head_changes_nothing(built, found):
    turn = torch.randn(8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def rotate(value, bias, output):
        value[8:16] = turn.T @ value[8:16]
        bias[8:16] = turn.T @ bias[8:16]
        output[:, 8:16] = output[:, 8:16] @ torch.linalg.inv(turn).T

    for one, other in zip(change(built, rotate), found, strict=True):
        np.testing.assert_allclose(numbers(one), numbers(other), rtol=1e-5, atol=1e-6)
        assert (one.role, one.texts) == (other.role, other.texts)


def test_permuted_heads_permute_the_map(built, found):
    order = [2, 0, 3, 1]
    rows = (torch.tensor(order)[:, None] * 8 + torch.arange(8)).flatten()

    def permute(value, bias, output):
        value.copy_(value[rows].clone())
        bias.copy_(bias[rows].clone())
        output.copy_(output[:, rows].clone())

    permuted = change(built, permute)
    for head, source in enumerate(order):
        assert replace(permuted[2, head], head=source) == found[2, source]


def test_a_head_that_writes_nothing_is_silent(built):
    def cut(value, bias, output):
        output[:, :8] = 0

    head = change(built, cut)["L2.H0"]
    assert head.role == "silent" and head.directions == () and head.variance == 0


def test_directions_say_how_strongly_and_what_they_write(found):
    for head in found:
        sigma, share = (np.array([getattr(each, name) for each in head.directions]) for name in ("sigma", "share"))
        assert (np.diff(sigma) <= 0).all() and share.sum() == pytest.approx(1, abs=1e-4)
        explained = 0.0
        for each in head.directions:
            for side in (each.plus, each.minus):
                assert sum(text.share for text in side.texts) == pytest.approx(side.fidelity, abs=1e-5)
                explained += each.share * side.fidelity / 2
        texts = {text.text: text.share for text in head.texts}
        assert sum(texts.values()) <= explained + 1e-4
        assert head.concept == max(head.distribution, key=head.distribution.get)


def test_the_bundled_models_specialists_are_read_without_an_image(bundled):
    heads = [bundled[place] for place in SPECIALISTS]
    assert [head.concept for head in heads] == list(SPECIALISTS.values())
    assert {head.role for head in heads} == {"attribute"} and all(head.stands_out for head in heads)
    assert bundled.images.count == 0 and bundled.evidence == "weights alone, shapes bank"


def test_heads_that_write_at_random_stand_out_by_chance_alone(shapes):
    """Output weights of all deep heads drawn at random: p-values are as small as their level says."""
    found = []
    for seed in range(2):
        clip = load("shapes", "cpu").clip
        with torch.no_grad():
            for layer in clip.vision_model.encoder.layers[5:]:
                weight = layer.self_attn.out_proj.weight
                weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed)))
        random = HookedCLIP(clip, "random", shapes.tokenizer)
        role_map = explain_weights(random, BANK, WeightScoreConfig(null_draws=199))
        found += [head.p_value for head in role_map]
    assert np.mean(np.array(found) <= 0.1) < 0.25 and 0.35 < np.median(found) < 0.65


@pytest.mark.parametrize("tower", ["pooled", "text"])
def test_pooling_heads_and_text_towers_have_roles_too(tower, built, make_siglip, tokenizer):
    model = HookedCLIP(make_siglip().double(), "siglip", tokenizer) if tower == "pooled" else built
    settings = {"tower": "text"} if tower == "text" else {}
    role_map = explain_weights(model, BANK, WeightScoreConfig(layers="all", null_draws=19, **settings))
    assert len(role_map) == 4 * (3 + (tower == "pooled")) and role_map.tower == settings.get("tower", "visual")
    assert all(head.directions and head.texts for head in role_map)
    if tower == "text":
        with pytest.raises(InputError, match="it is of the text tower"):
            check_model(role_map, model)
        with pytest.raises(InputError, match="it is of the text tower"):
            check_role_map(role_map, model)
        with pytest.raises(InputError, match="A is of the vision tower, B of the text tower"):
            diff(explain_weights(model, BANK, CONFIG), role_map)


def test_the_file_says_that_no_image_was_drawn(found, tmp_path):
    raw = found.to_dict()
    schema = json.loads((resources.files("headroles.roles") / "role_map.schema.json").read_text())
    jsonschema.validate(raw, schema)
    assert RoleMap.from_dict(raw) == found
    assert raw["head_roles"][0]["interval"] is raw["head_roles"][0]["stability"] is None
    assert found.to_frame()["interval_low"].isna().all()
    raw["probe_kind"] = "text"
    with pytest.raises(InputError, match=r"images\.count: expected at least 2"):
        RoleMap.from_dict(raw)


def test_figures_and_tables_take_it(found):
    for figure in (entropy_figure(found), concepts_figure(found), texts_figure(found)):
        assert "weights alone" in figure.get_suptitle() or figure.texts
    assert "weights alone, some bank" in found._repr_html_() and "weights alone" in repr(found)


def test_score_reads_no_image_unless_some_are_given(shapes, monkeypatch):
    by_images = score(shapes, "shapes", BANK, by="weights", count=20, null_draws=19)
    assert by_images.images.count == 20 and by_images.probe_kind == "weights"
    with monkeypatch.context() as patched:
        patched.setattr(HookedCLIP, "embed_images", None)
        expected = explain_weights(shapes, BANK, WeightScoreConfig(null_draws=19))
        assert score(shapes, probes=BANK, by="weights", null_draws=19) == expected
    with pytest.raises(InputError, match="images: heads of the text tower see none"):
        score(shapes, "shapes", by="weights", tower="text", count=20)
    with pytest.raises(InputError, match="concepts: discover clusters texts"):
        score(shapes, by="weights", concepts="discover")
    with pytest.raises(InputError, match="coherence must be a number of at least 0, got -1"):
        score(shapes, by="weights", coherence=-1.0)
    with pytest.raises(InputError, match="bootstraps"):
        score(shapes, by="weights", bootstraps=3)
