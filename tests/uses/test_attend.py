"""Where heads look: the tokens' parts sum to the head's, exactly, and nothing else of the model is touched."""

import json
import shutil
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from headroles import FolderImages, InputError, MapScores, ProbeBank, RoleMap, ScoreConfig, image_contributions, load
from headroles.heads.ablation import Ablation, ablating_loaded
from headroles.heads.names import Part
from headroles.heads.parts import find_projectors
from headroles.images.counting import showing
from headroles.images.pictures import decode_picture, restore
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.direction import HeadDirection, Side
from headroles.roles.picked_text import PickedText
from headroles.roles.role_heads import Chosen
from headroles.roles.score_texts import score_texts
from headroles.uses.attend import attend, view_images
from headroles.uses.attended import Attended
from headroles.uses.head_views import view_heads

HEADS = [(0, 1), (2, 3), (2, 0)]


def draw(model, count=3):
    side = model.image_size
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1)).to(model.dtype)


def unit(model, count):
    rows = torch.randn(count, model.visual.embed, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return torch.nn.functional.normalize(rows, dim=-1).to(model.dtype)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=str)
@pytest.mark.parametrize("bundled", [False, True])
def test_tokens_sum_to_the_heads_contribution(make_clip, tokenizer, dtype, bound, bundled):
    model = load("shapes", "cpu", dtype) if bundled else HookedCLIP(make_clip().to(dtype), "tiny", tokenizer)
    pixels, directions = draw(model), unit(model, 3)
    found = view_heads(model, pixels, HEADS, directions)
    parts = image_contributions(model, pixels)
    length = parts.total().norm(dim=-1, keepdim=True)
    layer, head = zip(*HEADS, strict=True)
    expected = torch.einsum("ihd,hd->ih", parts.heads[:, list(layer), list(head)], directions) / length
    error = (found.contribution.sum(-1) - expected).norm() / expected.norm()
    assert error <= bound
    torch.testing.assert_close(found.attention.sum(-1), torch.ones(3, 3, dtype=dtype))
    torch.testing.assert_close(found.cosine, model.embed_images(pixels) @ directions.T)


@pytest.mark.parametrize("family", ["vit", "dinov2", "dinov2_with_registers"])
def test_tokens_sum_to_the_heads_contribution_in_other_families_and_registers_are_no_patches(make_vision, family):
    model = HookedCLIP(make_vision(family).double(), family)
    pixels, directions = draw(model), unit(model, 3)
    found = view_heads(model, pixels, HEADS, directions)
    parts = image_contributions(model, pixels)
    layer, head = zip(*HEADS, strict=True)
    expected = torch.einsum("ihd,hd->ih", parts.heads[:, list(layer), list(head)], directions)
    expected = expected / parts.total().norm(dim=-1, keepdim=True)
    torch.testing.assert_close(found.contribution.sum(-1), expected, rtol=1e-10, atol=1e-14)
    assert found.grid("contribution").shape == (3, 3, 4, 4)
    total = found.grid("attention").sum((-1, -2)) + found.rest("attention")
    torch.testing.assert_close(total, torch.ones(3, 3, dtype=torch.float64))


def test_directions_split_what_a_head_adds(model):
    pixels, towards = draw(model), unit(model, 1)
    whole = view_heads(model, pixels, [(2, 1)], towards)
    parts = [
        view_heads(model, pixels, [(2, 1)], towards, find_projectors(model.visual, [Part(2, 1, own)]))
        for own in ((0,), (1, 2), (3, 4, 5, 6, 7))
    ]
    assert not torch.allclose(parts[0].contribution, whole.contribution)
    total = sum(part.contribution for part in parts)
    torch.testing.assert_close(total, whole.contribution, rtol=1e-4, atol=1e-6)
    assert all(torch.equal(part.cosine, whole.cosine) for part in parts)


def test_a_model_that_pools_is_refused(make_siglip, tokenizer):
    model = HookedCLIP(make_siglip(), "tiny siglip", tokenizer)
    with pytest.raises(InputError, match="the embedding of tiny siglip is pooled over tokens"):
        view_heads(model, draw(model), HEADS, unit(model, 3))


def test_only_the_asked_layers_are_hooked_and_no_hook_stays(model):
    points = {name: point for name, point in model.hook_dict.items() if "attn" in name}
    hooked = set()

    def look(*call):
        hooked.update(name for name, point in points.items() if point.has_hooks())

    handle = model.clip.vision_model.encoder.layers[0].register_forward_hook(look)
    view_heads(model, draw(model), [(2, 1)], unit(model, 1))
    handle.remove()
    assert hooked == {"visual.blocks.2.attn.hook_pattern", "visual.blocks.2.attn.hook_v"}
    assert not any(point.has_hooks() for point in model.hook_dict.values())


def test_an_edit_of_a_value_acts_where_the_head_attends(model):
    pixels = draw(model)
    plain = view_heads(model, pixels, [(2, 1)], unit(model, 1))

    def silence(value, hook):
        value = value.clone()
        value[:, 5, 1] = 0
        return value

    with model.hooks(fwd_hooks=[("visual.blocks.2.attn.hook_v", silence)]):
        edited = view_heads(model, pixels, [(2, 1)], unit(model, 1))
    assert (edited.contribution[:, 0, 5] == 0).all() and (plain.contribution[:, 0, 5] != 0).all()
    torch.testing.assert_close(edited.attention, plain.attention)
    assert not torch.allclose(edited.cosine, plain.cosine)


def test_one_direction_a_head_is_asked_for(model):
    with pytest.raises(InputError, match="one text a head"):
        view_heads(model, draw(model), [(0, 0)], unit(model, 2))
    with pytest.raises(InputError, match="at least one head"):
        view_heads(model, draw(model), [], unit(model, 0))


@pytest.fixture(scope="module")
def role_map(clip_folder, color_folder, tmp_path_factory):
    """A role map file of the tiny model; every head of it is Attribute."""
    tiny = load(str(clip_folder), "cpu")
    config = ScoreConfig(layers="1-2", bootstraps=2, null_draws=19, roles_by="quantile", low=1, high=1)
    path = tmp_path_factory.mktemp("map") / "role_map.json"
    score_texts(tiny, FolderImages(color_folder, tiny.processor), ProbeBank.load("shapes"), config)[0].save(path)
    return path


def test_maps_are_held_against_masks_cropped_as_their_images(run, role_map, color_folder, tmp_path):
    files = sorted((color_folder / "test" / "blue").iterdir())[:2]
    for place, file in enumerate(files):
        with Image.open(file) as picture:
            wide, high = picture.size
        item = Image.new("L", (wide, high))
        item.paste(255, (0, 0, wide // 2, high) if place else (0, 0, wide, 9))
        item.save(tmp_path / file.with_suffix(".png").name)
    found = attend(role_map, files, heads="L1.H2,L2.H0", text="a red thing", masks=tmp_path)
    assert [each.head for each in found.scores] == ["L1.H2", "L2.H0", "sum"] and found.scores[0].images == 2
    first = torch.tensor(np.array([view.heads[0].grid("contribution") for view in found.images]))
    side = found_size(found)
    masks = torch.zeros(2, side, side, dtype=torch.bool)
    masks[1, :, : side // 2] = True
    masks[0, : round(9 * side / high)] = True
    (right,) = MapScores.of(first, masks).pixel_accuracy(np.ones((1, 2)))
    assert found.scores[0].pixel_accuracy == pytest.approx(right, abs=1.5 / side)
    assert Attended.from_dict(found.to_dict()) == found
    own = attend(role_map, files, heads="L1.H2,L2.H0", masks=tmp_path).scores
    assert len(own) == 2  # Along texts of their own, a sum of heads says nothing.
    args = ("attend", role_map, "--image", files[0], "--heads", "L1.H2", "--json", "--masks")
    assert json.loads(run(*args, tmp_path)[1])[-1]["images"] == 1
    for masks_folder, message in ((tmp_path / "no", "there is no folder"), (color_folder, "has no")):
        code, out, error = run(*args, masks_folder)
        assert code == 2 and not out and message in error.splitlines()[-1]


def found_size(found):
    """Side of what the model saw."""
    return decode_picture(found.images[0].picture).shape[0]


def test_the_command_prints_the_numbers_of_every_image_and_head(run, role_map, color_folder):
    image, folder = color_folder / "val" / "red" / "0.png", color_folder / "test" / "blue"
    code, out, _ = run("attend", role_map, "--image", folder, "--image", image, "--heads", "L1.H2,L2.H0", "--json")
    rows = json.loads(out)
    assert code == 0 and len(rows) == 8
    assert [row["image"] for row in rows[::2]] == [*(f"test/blue/{each}.png" for each in range(3)), "val/red/0.png"]
    scored = RoleMap.load(role_map)
    assert {row["text"] for row in rows if row["head"] == "L1.H2"} == {scored["L1.H2"].texts[0].text}
    for row in rows:
        grid = np.array(row["contribution_of_patches"])
        assert grid.shape == (4, 4) and np.array(row["attention_to_patches"]).sum() < 1
        assert abs(grid.sum() + row["contribution_of_cls"] - row["contribution"]) < 1e-6
    code, out, _ = run("attend", role_map, "--image", image, "--heads", "L1.H2.D0-7", "--text", "a red item", "--json")
    assert code == 0 and json.loads(out)[0]["head"] == "L1.H2.D0-7"
    by_directions = json.loads(out)[0]["contribution"]
    code, out, _ = run("attend", role_map, "--image", image, "--heads", "L1.H2", "--text", "a red item", "--json")
    assert by_directions == pytest.approx(json.loads(out)[0]["contribution"], abs=1e-6)
    assert code == 0 and json.loads(out)[0]["text"] == "a red item"
    assert not (role_map.parent / "attend.png").exists()


def test_a_figure_of_many_images_shows_the_first_and_says_so(run, role_map, color_folder, tmp_path):
    arguments = ("attend", role_map, "--image", color_folder / "test" / "blue", "--heads", "L1.H2")
    code, out, _ = run(*arguments, "--draw", 1, "--output", tmp_path / "one.png")
    assert code == 0 and out.count("L1.H2") == 3
    assert f"wrote {tmp_path / 'one.png'} (the first 1 of 3 images; more with --draw)" in out
    code, out, _ = run(*arguments, "--output", tmp_path / "all.png")
    assert code == 0 and out.endswith("all.png\n")
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "all.png") as every:
        assert one.height < every.height


def test_images_are_counted(role_map, color_folder):
    told = []

    @contextmanager
    def shower(label, total, unit):
        told.append(total)
        yield told.append

    with showing(shower):
        attend(role_map, color_folder / "test", heads="L1.H2", batch=5)
    assert told == [12, 5, 5, 2]


def test_a_direction_is_looked_for_along_its_own_text(role_map, clip_folder, color_folder):
    scored, image = RoleMap.load(role_map), color_folder / "val" / "red" / "0.png"
    sides = Side(0.1, (PickedText("a green thing", "color", 0.1),)), Side(0.4, (PickedText("night", "time", 0.4),))
    head = replace(scored["L1.H2"], directions=(HeadDirection(1, 2.0, 0.5, *sides),))
    scored = replace(scored, head_roles=tuple(head if each.name == head.name else each for each in scored))
    (view,) = attend(scored, image, heads="L1.H2.D1-3").images[0].heads
    assert (view.head, view.text) == ("L1.H2.D1-3", "night")
    with pytest.raises(InputError, match=r"L1\.H2\.D3 has no text of its own"):
        attend(scored, image, heads="L1.H2.D3")
    with ablating_loaded(Ablation("L1.H2.D0-3", "zero")), pytest.raises(InputError, match="looks nowhere"):
        attend(scored, image, heads="L1.H2.D1")


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--attention",), ("--own-scales",)])
def test_the_sheet_is_drawn_and_never_replaces_a_file(run, role_map, color_folder, tmp_path, options):
    sheet, image = tmp_path / "new" / "sheet.png", color_folder / "val" / "red" / "0.png"
    arguments = ("attend", role_map, "--image", image, "--all", "--output", sheet, *options)
    code, out, _ = run(*arguments)
    assert code == 0 and f"wrote {sheet}" in out
    with Image.open(sheet) as drawn:
        assert drawn.width > 1000 and np.asarray(drawn.convert("L")).std() > 5
    before = sheet.read_bytes()
    code, _, error = run(*arguments)
    assert code == 2 and "exists already" in error and sheet.read_bytes() == before
    assert run(*arguments, "--overwrite")[0] == 0 and sheet.read_bytes() == before  # The same map, the same bytes.


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        (("--heads", "L9.H0"), "no such layer"),
        (("--heads", "L0.H0"), "not in this role map"),
        (("--heads", "six"), "is no head"),
        (("--concept", "sound"), "concept must be one of"),
        ((), "either heads by name or a concept"),
        (("--all", "--heads", "L1.H0"), "leave out --heads"),
        (("--heads", "L1.H0", "--text", "a", "--text", "b"), "one text a figure, got 2"),
        (("--heads", "L1.H0", "--image", "broken.png"), "broken.png cannot be read"),
        (("--heads", "L1.H0", "--image", "nowhere.png"), "there is no nowhere.png"),
        (("--heads", "L1.H0", "--model", "shapes"), "it is of"),
        (("--heads", "L1.H0", "--output", "sheet.gif"), "must end in"),
    ],
)
def test_mistakes_are_one_line(run, role_map, color_folder, tmp_path, monkeypatch, extra, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    image = color_folder / "val" / "red" / "0.png"
    code, _, error = run("attend", role_map, "--image", image, "--output", tmp_path / "new" / "sheet.png", *extra)
    mistakes = [line for line in error.splitlines() if not line.startswith("images: ")]  # What is said before work.
    assert code == 2 and len(mistakes) == 1 and word in mistakes[0]
    assert not (tmp_path / "new").exists()


def test_a_broken_image_is_refused_by_name_and_left_out_of_a_folder(run, role_map, color_folder, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(color_folder / "val" / "red", folder)
    whole = len(list(folder.iterdir()))
    (folder / "broken.png").write_bytes(b"no picture")
    arguments = ("attend", role_map, "--heads", "L2.H1", "--json", "--batch", "1", "--image")
    code, out, error = run(*arguments, folder)
    rows = json.loads(out)
    assert code == 0 and f"left out 1 of {whole + 1} images: broken.png (" in error.splitlines()[-1]
    assert len(rows) == whole + 1 and rows[-1]["image"] == "broken.png" and rows[-1]["error"]
    code, out, error = run(*arguments, folder, "--image", folder / "broken.png")
    assert (code, out) == (2, "") and "broken.png cannot be read" in error
    for path in folder.iterdir():
        path.write_bytes(b"no picture")
    code, out, error = run(*arguments, folder)
    assert (code, out) == (2, "") and "cannot be read" in error


def test_pixels_are_shown_as_they_were_before_preprocessing(clip_folder):
    processor = load(str(clip_folder), "cpu").processor
    picture = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    shown = restore(processor(Image.fromarray(picture)), processor)
    np.testing.assert_allclose(shown, picture / 255, atol=1e-5)


def test_other_heads_can_be_cut_but_not_the_ones_that_are_asked_for(run, role_map, color_folder):
    image = color_folder / "val" / "red" / "0.png"
    arguments = ("attend", role_map, "--image", image, "--heads", "L2.H1", "--text", "a red item", "--json")
    whole = run(*arguments)
    cut = run(*arguments, "--ablate", "L1.*", "--ablate-mode", "zero")
    assert whole[0] == cut[0] == 0 and whole[1] != cut[1]
    code, out, errors = run(*arguments, "--ablate", "L2.*", "--ablate-mode", "zero")
    assert (code, out) == (2, "") and "looks nowhere" in errors


def test_files_pictures_and_arrays_give_the_same_numbers(role_map, color_folder):
    path = color_folder / "val" / "red" / "0.png"
    by_file, by_picture, by_array = (
        attend(role_map.parent, given, heads="L2.H1")
        for given in (path, Image.open(path), np.asarray(Image.open(path)))
    )
    assert by_file.images[0].heads == by_picture.images[0].heads == by_array.images[0].heads
    assert by_file.images[0].picture == by_picture.images[0].picture
    assert by_file.images[0].image == "0.png" and by_picture.images[0].image == "picture 1"


def test_a_result_is_saved_read_drawn_and_framed(role_map, color_folder, clip_folder, tmp_path):
    tiny, scored = load(str(clip_folder), "cpu"), RoleMap.load(role_map)
    images = FolderImages(color_folder / "test", tiny.processor, 2)
    found = attend(scored, images, every=True, model=tiny)
    assert len(found.images) == 2 and len(found.images[0].heads) == 8
    found.save(tmp_path / "attended.json")
    assert Attended.load(tmp_path / "attended.json") == found
    frame = found.to_frame()
    assert len(frame) == 16 and frame.contribution[3] == found.images[0].heads[3].contribution
    assert found.plot("attention").get_size_inches()[1] == found.plot(own_scales=True).get_size_inches()[1]
    assert "L1.H0" in repr(found) and "<td>L1.H0</td>" in found._repr_html_()
    view = found.images[1].heads[0]
    assert view.grid("attention").sum() + view.rest("attention") == pytest.approx(1, abs=1e-6)


def test_registers_have_numbers_of_their_own(make_vision, tokenizer, role_map, clip_folder, color_folder):
    tiny = load(str(clip_folder), "cpu")
    model = HookedCLIP(make_vision("dinov2_with_registers"), "registers", None, tiny.processor)
    head, directions = RoleMap.load(role_map)["L1.H0"], unit(model, 1)
    images = FolderImages(color_folder / "val", tiny.processor)
    (view, *_), _ = view_images(model, images, [Chosen(head, Part(head.layer, head.head))], ["a text"], directions)
    seen = view.heads[0]
    assert seen.contribution_of_registers != 0 and seen.attention_to_registers > 0
    total = seen.grid("contribution").sum() + seen.rest("contribution")
    assert total == pytest.approx(seen.contribution, rel=1e-4, abs=1e-6)
