"""Retrieval by heads: exact sums, an index that reads no image twice and knows when it is stale, and precision."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from headroles import HookedCLIP, InputError, ProbeBank, RoleMap, ScoreConfig, image_contributions
from headroles.heads.directions import Directions
from headroles.heads.names import Part
from headroles.images.images import FolderImages, ImageFiles
from headroles.images.labelled import open_labelled
from headroles.models.load import load
from headroles.roles.score_texts import score_texts
from headroles.shapes import NAMES
from headroles.uses import head_space as space_module
from headroles.uses import index_build as build_module
from headroles.uses.head_space import HeadSpace, top_rows
from headroles.uses.hits import count_hits, find_hits
from headroles.uses.image_index import ImageIndex, stamp_files
from headroles.uses.index_build import build_index, index_in_memory
from headroles.uses.part_bases import project_parts
from headroles.uses.precision import PrecisionAtK
from headroles.uses.precision_at_k import chance, precision_at_k
from headroles.uses.query import find_query
from headroles.uses.retrieve import retrieve
from headroles.uses.retrieved import Retrieved
from headroles.uses.search import search_index

LAYERS = (0, 1, 2)


@pytest.fixture(scope="module")
def tiny(clip_folder):
    return load(str(clip_folder), "cpu")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Twelve pictures, two of them in a sub-folder, and a broken file."""
    rng, place = np.random.default_rng(0), tmp_path / "images"
    for number in range(12):
        path = place / ("deep" if number > 9 else "") / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 32, 3)).astype(np.uint8)).save(path)
    (place / "broken.png").write_bytes(b"no picture")
    return place


@pytest.fixture(scope="module")
def role_map(tiny, tmp_path_factory, color_folder) -> Path:
    """A role map file of the tiny model."""
    images = FolderImages(color_folder, tiny.processor)
    config = ScoreConfig(layers="1-2", bootstraps=2, null_draws=19, roles_by="quantile", low=0.5, high=0.7)
    path = tmp_path_factory.mktemp("map") / "role_map.json"
    score_texts(tiny, images, ProbeBank.load("shapes"), config)[0].save(path)
    return path


def pixels_of(index: ImageIndex, tiny, folder):
    files = ImageFiles([folder / name for name in index.names], tiny.processor, folder)
    return torch.stack([files[row][1] for row in range(len(files))])


def test_all_heads_and_the_other_terms_rank_as_the_whole_embedding_does(tiny, folder):
    index, _ = index_in_memory(tiny, FolderImages(folder, tiny.processor), LAYERS)
    parts = image_contributions(tiny, pixels_of(index, tiny, folder))
    rest = parts.biases.sum(1) + parts.mlps.sum(1) + parts.start + parts.constant
    rest = (rest / parts.total().norm(dim=-1, keepdim=True)).numpy()
    rest = rest - rest.mean(0)
    space = HeadSpace(index, np.ones((3, 4), np.float32))
    summed = space.rows() + rest
    centred = index.embeddings - index.embeddings.mean(0)
    assert np.linalg.norm(summed - centred) / np.linalg.norm(centred) < 1e-5
    own = np.arange(len(index))
    by_sum, _ = top_rows(lambda start, stop: summed[start:stop], len(index), summed, 5, own)
    whole, _ = top_rows(lambda start, stop: centred[start:stop], len(index), centred, 5, own)
    assert (by_sum == whole).all()


@pytest.mark.parametrize("family", ["siglip", "dinov2"])
@torch.inference_mode()
def test_the_index_holds_the_heads_parts_in_other_families(make_siglip, make_vision, tokenizer, tiny, folder, family):
    clip = make_siglip() if family == "siglip" else make_vision(family)
    model = HookedCLIP(clip, family, tokenizer if family == "siglip" else None, tiny.processor)
    index, _ = index_in_memory(model, FolderImages(folder, model.processor), LAYERS)
    parts = image_contributions(model, pixels_of(index, model, folder))
    unit = parts.heads[:, 1, 2] / parts.total().norm(dim=-1, keepdim=True)
    weights = np.zeros((3, 4), np.float32)
    weights[1, 2] = 1
    expected = (unit - unit.mean(0)).numpy()
    np.testing.assert_allclose(HeadSpace(index, weights).rows(), expected, atol=2e-5 * np.abs(expected).max() + 1e-6)


def test_neighbours_are_those_of_the_centred_contributions(tiny, folder, monkeypatch):
    index = build_index(
        tiny, FolderImages(folder, tiny.processor), LAYERS, folder.parent / "index", precision="float32"
    )
    weights = np.zeros((3, 4), np.float32)
    weights[1, 2], weights[2, 0] = 1, 0.5
    heads = image_contributions(tiny, pixels_of(index, tiny, folder))
    unit = heads.heads / heads.total().norm(dim=-1)[:, None, None, None]
    rows = unit[:, 1, 2] + 0.5 * unit[:, 2, 0]
    rows = torch.nn.functional.normalize(rows - rows.mean(0), dim=-1)
    expected = rows @ rows[3]
    expected[3] = -2
    monkeypatch.setattr(space_module, "_CHUNK", 5)  # A search in chunks finds the same.
    found = search_index(index, find_query(index, folder / "03.png", folder, None), weights, 11)
    assert [each.name for each in found.by_heads] == [
        index.names[row] for row in expected.argsort(descending=True)[:11]
    ]
    scores = torch.tensor([each.score for each in found.by_heads])
    torch.testing.assert_close(scores, expected.sort(descending=True)[0][:11], rtol=0, atol=2e-5)
    assert "03.png" not in {each.name for each in found.by_heads + found.by_embedding}


def test_the_second_query_reads_no_image_and_loads_no_model(run, role_map, folder, tmp_path, monkeypatch):
    arguments = ("retrieve", role_map, "--query", folder / "deep" / "10.png", "--images", folder, "--heads", "L1.H2")
    arguments += ("--index", tmp_path / "index", "--json")
    code, first, note = run(*arguments)
    assert code == 0 and "there is none yet" in note and "broken.png" in note
    for module in ("headroles.images.images", "headroles.uses.query"):
        monkeypatch.setattr(f"{module}.open_image", None)
    monkeypatch.setattr("headroles.models.load.load", None)
    code, second, note = run(*arguments)
    assert (code, note) == (0, "") and second == first
    assert len(json.loads(second)["by_heads"]) == 8


def test_a_query_from_outside_is_read_and_an_index_reads_only_what_changed(
    run, role_map, folder, tmp_path, monkeypatch
):
    outside = tmp_path / "outside.png"
    (folder / "05.png").rename(outside)
    arguments = ("retrieve", role_map, "--images", folder, "--concept", "color", "--all-heads")
    arguments += ("--index", tmp_path / "index", "--query")
    assert run(*arguments, folder / "00.png")[0] == 0
    read = []
    plain = build_module.batches
    monkeypatch.setattr(build_module, "batches", lambda part, *rest: read.append(len(part)) or plain(part, *rest))
    outside.rename(folder / "05.png")
    os.utime(folder / "07.png", ns=(1, 1))
    code, _, note = run(*arguments, folder / "00.png")
    assert code == 0 and "2 of 13 files differ, such as 05.png" in note and read == [2]
    tiny = load(RoleMap.load(role_map).model.name, "cpu")
    fresh = build_index(tiny, FolderImages(folder, tiny.processor), (1, 2), tmp_path / "fresh")
    kept = ImageIndex.load(tmp_path / "index")
    assert kept.names == fresh.names and kept.broken == fresh.broken
    np.testing.assert_allclose(kept.heads, fresh.heads, rtol=1e-2, atol=1e-4)
    copy = tmp_path / "copy.png"
    copy.write_bytes((folder / "07.png").read_bytes())
    code, out, _ = run(*arguments, copy, "--json")
    nearest = json.loads(out)["by_heads"][0]
    assert code == 0 and nearest["name"] == "07.png" and nearest["score"] > 0.999


def test_staleness_names_its_reason(tiny, folder):
    images = FolderImages(folder, tiny.processor)
    index = build_index(tiny, images, (1, 2), folder.parent / "index")
    stamps = stamp_files(images)
    own = tiny.weights_hash()
    assert index.staleness(own, (1, 2), stamps) is None
    assert "another model" in index.staleness("0" * 64, (1, 2), stamps)
    assert "layers 1, 2" in index.staleness(own, (2,), stamps)
    assert "1 of 12 files differ" in index.staleness(own, (1, 2), {n: s for n, s in stamps.items() if n != "03.png"})
    (folder / "03.png").write_bytes(b"other")
    assert "such as 03.png" in index.staleness(own, (1, 2), stamp_files(images))


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        (("--heads", "L9.H0"), "no such layer"),
        (("--heads", "L0.H0"), "not in this role map"),
        (("--heads", "L1.H0", "--concept", "color"), "either heads by name or a concept"),
        ((), "either heads by name or a concept"),
        (("--concept", "sound"), "concept must be one of"),
        (("--heads", "L1.H0", "--query", "broken.png"), "cannot be read"),
        (("--heads", "L1.H0", "--query", "nowhere.png"), "no file"),
        (("--heads", "L1.H0", "--images", "nowhere"), "is no folder"),
        (("--heads", "L1.H0", "--output", "taken.png"), "exists already"),
        (("--heads", "L1.H0", "--output", "sheet.gif"), "must end in"),
        (("--heads", "L1.H0", "--model", "shapes"), "it is of"),
        (("--heads", "L1.H0", "--precision", "int8"), "precision must be"),
        (("--heads", "L1.H0", "--index", "images"), "holds something else"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(run, role_map, folder, tmp_path, monkeypatch, extra, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "taken.png").write_bytes(b"mine")
    given = ("--images", folder, "--query", folder / "00.png", "--index", tmp_path / "index")
    code, _, error = run("retrieve", role_map, *given, *extra)
    assert code == 2 and word in error and error.splitlines()[-1].startswith("Error: ")
    assert not list(tmp_path.glob("*.partial")) and (tmp_path / "taken.png").read_bytes() == b"mine"


def test_a_concept_without_heads_says_which_heads_come_near(run, role_map, folder):
    attribute = {head.concept for head in RoleMap.load(role_map).heads(role="attribute")}
    concept = next(name for name in RoleMap.load(role_map).concepts if name not in attribute)
    code, _, error = run("retrieve", role_map, "--images", folder, "--query", folder / "00.png", "--concept", concept)
    assert code == 2 and f"no Attribute head of {concept}; most of it is in L" in error


def test_a_stale_index_can_be_refused_and_damage_is_named(run, role_map, folder, tmp_path):
    arguments = ("retrieve", role_map, "--images", folder, "--query", folder / "00.png", "--heads", "L1.*")
    arguments += ("--index", tmp_path / "index")
    assert run(*arguments)[0] == 0
    (folder / "04.png").unlink()
    code, _, error = run(*arguments, "--no-rebuild")
    assert code == 2 and "1 of 12 files differ, such as 04.png" in error
    _, answer, _ = run(*arguments)
    for name in ("heads.npy", "embeddings.npy", "bases.npy", "index.json"):
        part = tmp_path / "index" / name
        whole = part.read_bytes()
        for torn in (b"torn", whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]):
            part.write_bytes(torn)
            code, _, error = run(*arguments, "--no-rebuild")
            assert code == 2 and name in error and "leave out --no-rebuild" in error
            code, out, error = run(*arguments)
            assert (code, out, part.read_bytes()) == (0, answer, whole) and name in error


def test_the_contact_sheet_is_drawn(run, role_map, folder, tmp_path):
    sheet = tmp_path / "new" / "sheet.png"
    arguments = ("retrieve", role_map, "--images", folder, "--query", folder / "00.png", "--heads", "L1.H1")
    code, out, _ = run(*arguments, "--index", tmp_path / "index", "--output", sheet, "--top", 3)
    assert code == 0 and f"wrote {sheet}" in out
    with Image.open(sheet) as image:
        assert image.width > 800 and np.asarray(image.convert("L")).std() > 10


def labelled_index() -> tuple[ImageIndex, np.ndarray]:
    """One head writes the value, with noise in the embedding; a fifth of the images has no value."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, 80)
    heads = np.zeros((80, 1, 2, 4), np.float32)
    heads[np.arange(80), 0, 0, codes] = 1
    heads[:, 0, 1] = rng.normal(size=(80, 4))
    codes = np.where(np.arange(80) % 5 == 0, -1, codes)
    bases = np.tile(np.eye(4, dtype=np.float32), (1, 2, 1, 1))
    embeddings = heads[:, 0].sum(1)
    names = tuple(map(str, range(80)))
    return ImageIndex("x", (0,), names, ((0, 0),) * 80, {}, heads, embeddings, bases), codes


def test_precision_counts_neighbours_of_the_same_value():
    index, codes = labelled_index()
    by_head = find_hits(index, codes, 3, np.array([[1.0, 0.0]])).rate
    assert len(by_head) == 64  # Images without a value ask nothing,
    whole = find_hits(index, codes, 3).rate
    assert by_head.mean() > whole.mean() > chance(codes)
    space = HeadSpace(index, np.array([[1.0, 0.0]])).rows()
    row = int(np.flatnonzero(codes >= 0)[0])
    near, _ = top_rows(lambda start, stop: space[start:stop], 80, space[[row]], 3, np.array([row]))
    assert by_head[0] == (codes[near[0]] == codes[row]).mean()  # but are misses where they are found.
    expected = np.mean([codes[i] == codes[j] for i in np.flatnonzero(codes >= 0) for j in range(80) if i != j])
    assert chance(codes) == pytest.approx(expected)


def test_intervals_know_that_an_image_is_many_others_neighbour():
    """Over fresh images the precision varies more than its queries let one think, and as the interval says."""
    rng, found = np.random.default_rng(1), []
    for _ in range(200):
        codes = rng.integers(3, size=150)
        rows = rng.normal(size=(150, 4)) + np.eye(3, 4)[codes] * 1.5
        distance = ((rows[:, None] - rows) ** 2).sum(-1)
        np.fill_diagonal(distance, np.inf)
        found.append(count_hits(codes, np.arange(150), distance.argsort(1)[:, :5]))
    truth = np.mean([each.rate.mean() for each in found])
    ends = [each.precision().interval for each in found]
    assert 0.9 <= np.mean([low <= truth <= high for low, high in ends]) <= 0.99
    naive = [1.96 * each.rate.std() / 150**0.5 for each in found]
    assert np.mean([abs(each.rate.mean() - truth) <= half for each, half in zip(found, naive, strict=True)]) < 0.9
    none = (found[0] - found[0]).precision()
    assert (none.mean, none.interval) == (0, (0, 0))


def test_options_of_the_other_way_are_refused(run, role_map, folder, tmp_path):
    search = ("--query", folder / "none.png", "--images", folder)
    for arguments, idle, mode in (
        (("--evaluate", "shapes", "--output", tmp_path / "sheet.png"), "--output", "with --evaluate"),
        (("--evaluate", "shapes", "--top", 4), "--top", "with --evaluate"),
        ((*search, "--k", 4), "--k", "without --evaluate"),
    ):
        code, out, error = run("retrieve", role_map, *arguments)
        assert (code, out, error) == (2, "", f"Error: {idle} says nothing {mode}; leave it out\n")


def test_evaluate_prints_a_row_a_shared_concept_and_refuses_unlabelled_images(run, role_map, folder, color_folder):
    code, _, error = run("retrieve", role_map, "--evaluate", folder)
    assert code == 2 and "unlabelled" in error
    code, _, error = run("retrieve", role_map, "--evaluate", color_folder / "train")
    assert code == 2 and "they are labelled with train" in error
    code, out, _ = run("retrieve", role_map, "--evaluate", "shapes", "--count", 40, "--json")
    rows = json.loads(out)
    assert code == 0 and [row["concept"] for row in rows] == list(NAMES)
    code, _, error = run("retrieve", role_map, "--evaluate", "shapes", "--count", 10, "--k", 10)
    assert code == 2 and "k must be below" in error


@pytest.mark.parametrize("heads", [np.zeros((1, 2), np.float32)])
def test_all_zero_weights_are_refused(heads):
    with pytest.raises(InputError, match="all weights are zero"):
        HeadSpace(labelled_index()[0], heads)


def test_an_unreadable_query_leaves_no_index(run, role_map, color_folder, tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    arguments = ("--images", color_folder, "--index", tmp_path / "index", "--heads", "L2.*")
    code, out, errors = run("retrieve", role_map, "--query", tmp_path / "bad.png", *arguments)
    assert (code, out) == (2, "") and "cannot be read" in errors and errors.count("\n") == 1
    assert not (tmp_path / "index").exists()


def test_the_call_gives_what_the_command_prints(run, role_map, folder, tmp_path):
    place = tmp_path / "index"
    arguments = ("retrieve", role_map.parent, "--images", folder, "--query", folder / "02.png", "--heads", "L1.*")
    code, out, _ = run(*arguments, "--index", place, "--json")
    found = retrieve(role_map.parent, folder / "02.png", folder, heads="L1.*", index=place)
    printed = json.loads(out)
    assert code == 0 and found.indexed == 12 and found.by == printed["by"] == "L1.H0,L1.H1,L1.H2,L1.H3"
    assert [each.name for each in found.by_heads] == [each["name"] for each in printed["by_heads"]]


def test_an_open_role_map_writes_no_index_and_a_picture_finds_its_file(role_map, folder, tiny, tmp_path):
    picture = Image.open(folder / "deep" / "10.png")
    before = sorted(tmp_path.rglob("*"))
    scored = RoleMap.load(role_map)
    found = retrieve(scored, picture, folder, heads=scored.head_roles[:2], model=tiny, top=3)
    assert found.by_heads[0].name == "deep/10.png" and found.by_heads[0].score > 0.999
    assert found.query_picture and not found.pictures and sorted(tmp_path.rglob("*")) == before


def test_images_without_a_folder_and_an_index_are_searched_by_number_or_name(role_map, folder, tiny, tmp_path):
    images, scored = FolderImages(folder, tiny.processor), RoleMap.load(role_map)
    found = retrieve(scored, 3, images, heads="L2.*", model=tiny, top=4)
    assert found.query == "03.png" and set(found.pictures) >= {"03.png", found.by_heads[0].name}
    index, _ = index_in_memory(tiny, images, scored.layers)
    again = retrieve(scored, "03.png", index, heads="L2.*", top=4)  # No model is loaded.
    assert again.by_heads == found.by_heads and again.by_embedding == found.by_embedding
    found.save(tmp_path / "found.json")
    assert Retrieved.load(tmp_path / "found.json") == found
    assert len(found.plot().axes) == 9 and len(found.to_frame()) == 8
    assert "by L2.H0" in repr(found) and found.by_heads[0].name in found._repr_html_()
    with pytest.raises(InputError, match="there is no row 40"):
        retrieve(scored, 40, index, heads="L2.*")
    with pytest.raises(InputError, match="it has layers 1"):
        retrieve(scored, 3, index_in_memory(tiny, images, (1,))[0], heads="L2.*")


def test_directions_search_by_what_they_write(role_map, folder, tiny, make_siglip, tokenizer):
    scored = RoleMap.load(role_map)
    index, _ = index_in_memory(tiny, FolderImages(folder, tiny.processor), scored.layers)
    whole = retrieve(scored, 3, index, heads="L2.H0", model=tiny)
    split = retrieve(scored, 3, index, heads="L2.H0.D0-7", model=tiny)
    assert [each.name for each in split.by_heads] == [each.name for each in whole.by_heads]
    assert [each.score for each in split.by_heads] == pytest.approx([each.score for each in whole.by_heads], abs=1e-4)
    weights, part = np.zeros((2, 4), np.float32), Part(2, 0, (1,))
    weights[1, 0] = 1
    rows = HeadSpace(index, weights, project_parts(tiny, scored.layers, [part])).rows()
    found, u = Directions.of(tiny.visual, [2]), torch.from_numpy(np.array(index.heads[:, 1])).double()
    along = found.coefficients(u[:, None])[:, 0, 0, 1] * found.sigma[0, 0, 1]
    expected = (along - along.mean())[:, None] * found.writes[0, 0, 1]
    np.testing.assert_allclose(rows, expected, atol=1e-3 * expected.abs().max())
    assert retrieve(scored, 3, index, heads="L2.H0.D1+3", model=tiny).by == "L2.H0.D1+3"
    with pytest.raises(InputError, match=r"along L2\.H0\.D1 alone all cosines are 1 or -1"):
        retrieve(scored, 3, index, heads=part, model=tiny)
    siglip = HookedCLIP(make_siglip(), "tiny siglip", tokenizer)
    assert project_parts(siglip, (2, 3), [Part(3, 1, (0,))])[1, 1].shape == (32, 32)
    with pytest.raises(InputError, match=r"attention pools what L2\.H1\.D0 writes"):
        project_parts(siglip, (2, 3), [Part(2, 1, (0,))])


def test_precision_is_saved_and_framed(role_map, tiny, tmp_path):
    found = precision_at_k(role_map, open_labelled("shapes", tiny.processor, 30), k=5, model=tiny)
    assert (found.k, found.count, found.source) == (5, 30, "shapes") and len(found.rows) == len(NAMES)
    frame = found.to_frame().set_index("concept")
    assert frame.loc["color", "whole"] == found.rows[0].whole.mean and "precision@5" in found.to_text()
    found.save(tmp_path / "precision.json")
    assert PrecisionAtK.load(tmp_path / "precision.json").to_json() == found.to_json()
