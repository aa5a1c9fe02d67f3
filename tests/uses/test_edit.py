"""Edited checkpoints: the ablated model as files that transformers loads, or the same bits, and nothing overwritten."""

import dataclasses
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPModel, Dinov2Model, SiglipModel

from headroles import (
    Edited,
    HeadReference,
    HookedCLIP,
    InputError,
    RoleMap,
    ablating,
    diff_models,
    edit,
    load,
    scaling_heads,
)  # fmt: skip
from headroles.roles.direction import HeadDirection, Side
from headroles.roles.picked_text import PickedText
from headroles.roles.role_heads import concept_parts
from headroles.uses import edit_run

HEADS = "L0.H1,L1.H2.D0-2,L2.H3.D5"


class Noise:
    """Random images that are open already."""

    def __len__(self):
        return 5

    def __getitem__(self, number):
        return number, torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(number))

    def name(self, number):
        return str(number)


@pytest.fixture(scope="module")
def tiny(clip_folder):
    return load(str(clip_folder), "cpu")


@pytest.fixture
def pixels():
    return torch.stack([Noise()[number][1] for number in range(5, 8)])


def test_a_factor_of_one_writes_the_same_bits(clip_folder, tmp_path):
    found = edit(clip_folder, tmp_path / "same", heads=HEADS, factor=1)
    assert found.edited_hash == found.model.weights_hash and found.rounding == 0
    old, new = (load_file(folder / "model.safetensors") for folder in (clip_folder, tmp_path / "same"))
    assert old.keys() == new.keys() and all(torch.equal(old[name], new[name]) for name in old)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        assert (tmp_path / "same" / name).read_bytes() == (clip_folder / name).read_bytes()


@pytest.mark.parametrize("factor", [0, -1.5])
@torch.no_grad()
def test_transformers_own_model_of_the_copy_is_the_scaled_model(tiny, clip_folder, tmp_path, pixels, factor):
    found = edit(clip_folder, tmp_path / "new" / "edited", heads=HEADS, factor=factor)
    clip = CLIPModel.from_pretrained(tmp_path / "new" / "edited").eval()
    embedding = clip.get_image_features(pixels).pooler_output
    with scaling_heads(tiny, {name: factor for name in HEADS.split(",")}):
        torch.testing.assert_close(embedding, tiny(pixels), rtol=1e-5, atol=1e-5)
    if factor == 0:
        with ablating(tiny, HEADS, "zero"):
            torch.testing.assert_close(embedding, tiny(pixels), rtol=1e-5, atol=1e-5)
    assert Edited.load(tmp_path / "new" / "edited") == found
    assert list(found.to_frame()["name"]) == HEADS.split(",") and "L1.H2.D0-2" in found.to_text()
    assert "| L1.H2.D0-2 |" in (tmp_path / "new" / "edited" / "README.md").read_text()
    changed = diff_models(tiny, str(tmp_path / "new" / "edited"))
    by_name = {head.name: head.change for head in changed.changed}
    expected = {part.name.split(".D")[0]: abs(factor - 1) * part.share**0.5 for part in found.parts}
    assert by_name == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
def test_a_kept_mean_is_mean_ablation_in_the_last_layer(tiny, clip_folder, tmp_path, pixels):
    heads = "L2.H0,L2.H3.D1-4"
    found = edit(clip_folder, tmp_path / "mean", heads=heads, keep_mean=Noise())
    with ablating(tiny, heads, "mean", reference=HeadReference.collect(tiny, Noise(), pool=0)):
        torch.testing.assert_close(load(str(tmp_path / "mean"), "cpu")(pixels), tiny(pixels), rtol=1e-5, atol=1e-5)
    assert found.kept_mean == "images" and "kept" in (tmp_path / "mean" / "README.md").read_text()


@pytest.mark.parametrize("family", ["siglip", "dinov2"])
@torch.no_grad()
def test_other_families_are_written_too_pooling_heads_and_layer_scale_included(
    make_siglip, make_vision, tokenizer, tmp_path, pixels, family
):
    clip, kind = (make_siglip(), SiglipModel) if family == "siglip" else (make_vision("dinov2"), Dinov2Model)
    clip.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    heads = "L1.H0.D0-3" + (",L3.H2" if family == "siglip" else ",L2.H2")
    edit(tmp_path / "base", tmp_path / "edited", heads=heads)
    written = HookedCLIP(kind.from_pretrained(tmp_path / "edited"), "written")
    base = HookedCLIP(clip, "base")
    with ablating(base, heads, "zero"):
        torch.testing.assert_close(written(pixels), base(pixels), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_heads_of_the_text_tower_are_scaled_where_they_are_meant(tiny, clip_folder, tmp_path):
    edit(clip_folder, tmp_path / "text", heads="L1.H0.D0-1", tower="text")
    ids = tiny.tokenize(["a red circle"])
    found = load(str(tmp_path / "text"), "cpu")(**ids)
    with ablating(tiny, "L1.H0.D0-1", "zero", tower="text"):
        torch.testing.assert_close(found, tiny(**ids), rtol=1e-5, atol=1e-5)


@pytest.fixture
def role_map(tiny, random_role_map) -> RoleMap:
    """Of the tiny model, one head with directions of two concepts."""
    made = random_role_map(heads=4)
    return dataclasses.replace(made, model=dataclasses.replace(made.model, weights_hash=tiny.weights_hash()))


def give_directions(role_map) -> RoleMap:
    def direction(number, concept):
        return HeadDirection(number, 1.0, 0.25, Side(0.5, (PickedText("x", concept, 0.5),)), Side(0.0, ()))

    heads = [
        dataclasses.replace(
            head, directions=tuple(direction(number, head.concept if number else "time") for number in (0, 1, 4))
        )
        for head in role_map
    ]
    return dataclasses.replace(role_map, head_roles=tuple(heads))


def test_a_concept_stands_for_its_directions_where_the_map_knows_them_and_for_its_heads_else(
    role_map, clip_folder, tmp_path
):
    head = next(head for head in role_map.heads(role="attribute") if head.concept != "time")
    by_heads = edit(clip_folder, tmp_path / "heads", damp=head.concept, role_map=role_map)
    assert head.name in [part.name for part in by_heads.parts]
    assert {part.concept for part in by_heads.parts} == {head.concept}
    finer = concept_parts(give_directions(role_map), head.concept)
    assert [part.name for part in finer] == [f"{part.name}.D1+4" for part in by_heads.parts]
    assert len(concept_parts(give_directions(role_map), "time", any_role=True)) == len(role_map)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"heads": "L9.H0"}, "no such layer"),
        ({"heads": "L0.H0.D8"}, "directions 0-7"),
        ({}, "either heads by name, or a concept"),
        ({"damp": "color"}, "give the role map"),
        ({"heads": "L0.H0", "factor": float("inf")}, "finite number"),
        ({"heads": "L0.H0", "tower": "both"}, "tower must be one of"),
        ({"heads": "L0.H0", "tower": "text", "keep_mean": Noise()}, "nothing of the text tower"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(clip_folder, tmp_path, given, word):
    with pytest.raises(InputError, match=word):
        edit(clip_folder, tmp_path / "new" / "edited", **given)
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten_or_half_written(clip_folder, tmp_path, monkeypatch, role_map):
    shutil.copytree(clip_folder, tmp_path / "taken")
    with pytest.raises(InputError, match="edit overwrites nothing"):
        edit(clip_folder, tmp_path / "taken", heads="L0.H0")
    other = dataclasses.replace(role_map, model=dataclasses.replace(role_map.model, weights_hash=64 * "a"))
    with pytest.raises(InputError, match="role map: it is of"):
        edit(clip_folder, tmp_path / "new", damp="color", role_map=other)
    with pytest.raises(InputError, match=r"damp must be one of .*color.*, got 'colour'; did you mean color"):
        edit(clip_folder, tmp_path / "new", damp="colour", role_map=role_map)
    of_texts = dataclasses.replace(role_map, settings={**role_map.settings, "tower": "text"})
    with pytest.raises(InputError, match="the role map is of the text tower, got 'visual'"):
        edit(clip_folder, tmp_path / "new", damp="color", role_map=of_texts)
    monkeypatch.setattr(edit_run, "check_scaled", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        edit(clip_folder, tmp_path / "new", heads="L0.H0")
    assert not (tmp_path / "new").exists()


def test_the_command_writes_once_and_says_what_next(run, clip_folder, tmp_path):
    arguments = ("edit", clip_folder, "--heads", "L1.H2.D0,L2.*", "--factor", "0.5", "--output", tmp_path / "edited")
    code, out, errors = run(*arguments, "--dry-run")
    assert code == 0 and "L1.H2.D0,L2.H0" in errors and not (tmp_path / "edited").exists()
    code, out, _ = run(*arguments)
    assert code == 0 and f"next: headroles diff {clip_folder} {tmp_path / 'edited'}" in out
    code, _, errors = run(*arguments)
    assert code == 2 and errors.count("\n") == 1 and "holds something already" in errors
    code, out, _ = run("diff", clip_folder, tmp_path / "edited", "--top", 1)
    assert code == 0 and "5 of 12 heads" in out and "and 4 more; --top 5" in out
    code, _, errors = run("diff", clip_folder, tmp_path / "nowhere.json")
    assert code == 2 and "is a model and" in errors and errors.count("\n") == 1
