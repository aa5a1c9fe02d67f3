"""The pipeline from images to a role map file."""

import json
from dataclasses import replace
from importlib import resources

import jsonschema
import numpy as np
import pytest

from headroles import FolderImages, InputError, ProbeBank, RoleMap, ScoreConfig, ShapesImages
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.layers import resolve_layers
from headroles.roles.config import ImageScoreConfig
from headroles.roles.score_texts import score_texts

QUICK = ScoreConfig(layers="all", null_draws=50, bootstraps=5, texts_per_head=6)


@pytest.fixture
def images():
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    from headroles.models.load import Preprocess

    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return ShapesImages(Preprocess(processor), 60)


@pytest.fixture
def role_map(model, images):
    return score_texts(model, images, ProbeBank.load("shapes"), QUICK, source="shapes")[0]


def test_same_seed_same_bytes_whatever_the_batch(make_clip, tokenizer, images, role_map, tmp_path):
    model = HookedCLIP(make_clip(), "tiny", tokenizer)
    again = score_texts(model, images, ProbeBank.load("shapes"), QUICK, source="shapes")
    role_map.save(tmp_path / "a.json")
    again[0].save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    other = score_texts(
        HookedCLIP(make_clip().double(), "tiny", tokenizer), images, ProbeBank.load("shapes"), QUICK, batch=7
    )[0]
    assert [head.texts[0].text for head in other] == [head.texts[0].text for head in role_map]


def test_file_validates_against_the_shipped_schema(role_map, tmp_path):
    role_map.save(tmp_path / "role_map.json")
    schema = json.loads((resources.files("headroles.roles") / "role_map.schema.json").read_text())
    raw = json.loads((tmp_path / "role_map.json").read_text())
    jsonschema.validate(raw, schema)
    raw["head_roles"][0]["mood"] = "fine"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(raw, schema)


def test_load_gives_back_what_save_wrote(role_map, tmp_path):
    role_map.save(tmp_path / "role_map.json")
    assert RoleMap.load(tmp_path / "role_map.json") == role_map


def test_every_head_is_there_and_adds_up(role_map):
    assert len(role_map) == 12 and role_map["L2.H3"].layer == 2
    # Entropies are in units of what chance reaches: under their null models heads reach 1 on average.
    assert np.mean([head.null_entropy for head in role_map]) == pytest.approx(1, abs=1e-5)
    unit = role_map.head_roles[0].entropy_bits / role_map.head_roles[0].entropy
    for head in role_map:
        assert sum(head.distribution.values()) == pytest.approx(1, abs=1e-4)
        assert head.concept_share == max(head.distribution.values())
        assert head.entropy * unit == pytest.approx(head.entropy_bits, abs=1e-4)
        assert head.interval[0] <= head.interval[1]
        assert sum(text.share for text in head.texts) <= 1 + 1e-5
    selected = role_map.heads(role=role_map.head_roles[0].role, layer=0)
    assert role_map.head_roles[0] in selected
    assert [head.entropy for head in selected] == sorted(head.entropy for head in selected)


def test_frame_and_html_show_every_head(role_map):
    frame = role_map.to_frame()
    assert len(frame) == 12 and frame["p_color"].between(0, 1).all()
    assert role_map._repr_html_().count("<tr>") == 13


def test_unknown_selections_name_the_choices(role_map):
    with pytest.raises(InputError, match="concept must be one of background"):
        role_map.heads(concept="smell")
    with pytest.raises(InputError, match="role must be one of attribute"):
        role_map.heads(role="boss")


def test_changed_or_foreign_files_are_refused(role_map, tmp_path):
    raw = role_map.to_dict()
    with pytest.raises(InputError, match="schema_version 9"):
        RoleMap.from_dict({**raw, "schema_version": 9})
    with pytest.raises(InputError, match="does not fit the schema"):
        RoleMap.from_dict({**raw, "extra": 1})
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        RoleMap.load(tmp_path / "x.json")


def test_layers_are_understood():
    assert resolve_layers("deep", 12) == (8, 9, 10, 11)
    assert resolve_layers("deep", 8) == (5, 6, 7)
    assert resolve_layers("all", 3) == (0, 1, 2)
    assert resolve_layers("1,3-4", 12) == (1, 3, 4)
    for wrong in ("12", "3-", "-1", "x", "", "5-4"):
        with pytest.raises(InputError, match="layers"):
            resolve_layers(wrong, 12)


def test_wrong_settings_are_refused():
    for settings in ({"selection": "x"}, {"texts_per_head": 0}, {"low": 0.9, "high": 0.1}):
        with pytest.raises(InputError, match="must"):
            ScoreConfig(**settings)


def test_a_permuted_head_order_permutes_the_map(make_clip, tokenizer, images, role_map):
    clip = make_clip()
    order = [2, 0, 3, 1]
    attention = clip.vision_model.encoder.layers[2].self_attn
    rows = np.concatenate([np.arange(8) + 8 * head for head in order])
    for part in (attention.q_proj, attention.k_proj, attention.v_proj):
        part.weight.data = part.weight.data[rows]
        part.bias.data = part.bias.data[rows]
    attention.out_proj.weight.data = attention.out_proj.weight.data[:, rows]
    permuted = score_texts(HookedCLIP(clip, "tiny", tokenizer), images, ProbeBank.load("shapes"), QUICK)[0]
    for new, old in enumerate(order):
        assert permuted[f"L2.H{new}"].texts[0].text == role_map[f"L2.H{old}"].texts[0].text
        assert permuted[f"L2.H{new}"].variance == pytest.approx(role_map[f"L2.H{old}"].variance, rel=1e-3)


def test_empty_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="no image file"):
        FolderImages(tmp_path, None)


def test_a_resample_is_judged_by_its_own_null_model(model, images):
    """Under the rule that rests on the null model alone: where a resample's null lies lower, so must its entropy."""
    from headroles.roles.score_texts import _own_nulls

    null = np.random.default_rng(0).normal(2, 0.3, (100, 4))
    moved = np.concatenate([null[:19] - 0.2, null[:19] + 0.1])
    first, second = _own_nulls(null, moved)
    np.testing.assert_allclose(first, null - 0.2)
    np.testing.assert_allclose(second, null + 0.1)
    bank, config = ProbeBank.load("shapes"), replace(QUICK, roles_by="null")
    by_null = score_texts(model, images, bank, config)[0]
    assert {head.role for head in by_null} <= {"attribute", "mixed", "generalization"}
    assert all(0 <= head.stability <= 1 for head in by_null)
    same = score_texts(model, images, bank, QUICK)[0]
    assert [head.p_value for head in by_null] == [head.p_value for head in same]


def test_bounds_follow_the_rule_and_are_written_as_they_act(role_map):
    assert (role_map.settings["low"], role_map.settings["high"]) == (0.7, 0.85)
    assert ScoreConfig(roles_by="quantile").bounds == (1 / 3, 2 / 3)
    assert ScoreConfig(roles_by="quantile", low=0.1).bounds == (0.1, 2 / 3)
    assert ImageScoreConfig().bounds == (0.4, 0.6)
    with pytest.raises(InputError, match="low and high must satisfy"):
        ScoreConfig(high=0.5)
