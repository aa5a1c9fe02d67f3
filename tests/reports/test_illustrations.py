"""Pictures of a report show what they are said to show: the largest contributions, the nearest images."""

import dataclasses
import io
import json
from base64 import b64decode

import numpy as np
import pytest
import torch
from PIL import Image

from headroles import InputError, ProbeBank, RoleMap, ScoreConfig
from headroles.models.load import load
from headroles.reports.illustrations import illustrate, open_images
from headroles.roles.role_heads import choose_heads
from headroles.roles.score_texts import score_texts
from headroles.uses.head_space import head_weights
from headroles.uses.head_views import directions_of, view_heads
from headroles.uses.hits import find_hits
from headroles.uses.index_build import index_in_memory
from headroles.uses.query import Query
from headroles.uses.search import search_index


@pytest.fixture(scope="module")
def tiny(clip_folder):
    return load(str(clip_folder), "cpu")


@pytest.fixture(scope="module")
def images(tiny, color_folder):
    """Twenty images of four values of one concept."""
    opened = open_images(str(color_folder / "train"), tiny, 500, 0)
    assert opened.names == ("train",)
    return dataclasses.replace(opened, concepts=(dataclasses.replace(opened.concepts[0], name="color"),))


@pytest.fixture(scope="module")
def role_map(tiny, images) -> RoleMap:
    config = ScoreConfig(layers="1-2", bootstraps=2, null_draws=19, roles_by="quantile", low=0.5, high=0.7)
    role_map, _ = score_texts(tiny, images.images, ProbeBank.load("shapes"), config)
    heads = [
        dataclasses.replace(head, concept="color", concept_share=head.distribution["color"], role="attribute")
        for head in role_map.head_roles[:2]
    ]
    return dataclasses.replace(role_map, head_roles=(*heads, *role_map.head_roles[2:]))


@pytest.fixture(scope="module")
def found(tiny, role_map, images):
    return illustrate(tiny, role_map, images)


def test_examples_are_the_images_on_which_a_head_adds_most_and_least(tiny, role_map, images, found):
    heads = role_map.head_roles
    pixels = torch.stack([images.images[number][1] for number in range(len(images))])
    views = view_heads(tiny, pixels, [(head.layer, head.head) for head in heads], directions_of(tiny, heads)[1])
    assert set(found.examples) == {head.name for head in heads} and found.side**2 == tiny.patches
    for place, head in enumerate(heads):
        own, totals = found.examples[head.name], views.contribution[:, place].sum(-1)
        order = torch.argsort(-totals).tolist()
        assert [int(example.picture) for example in own.top] == order[:3]
        assert [int(example.picture) for example in own.bottom] == order[:-4:-1]
        assert [example.picture for example in own.drawn] == [example.picture for example in drawn_of(found)]
        for example in (*own.top, *own.bottom, *own.drawn):
            number = int(example.picture)
            assert example.contribution == pytest.approx(totals[number].item(), rel=1e-3, abs=1e-6)
            assert np.allclose(example.patches, views.contribution[number, place, 1:], rtol=1e-2, atol=1e-6)


def drawn_of(found):
    return next(iter(found.examples.values())).drawn


def test_the_histogram_counts_every_image_between_the_least_and_the_most(found, images):
    for own in found.examples.values():
        assert sum(own.histogram.counts) == len(images)
        assert own.histogram.low == pytest.approx(own.bottom[0].contribution, rel=1e-4)
        assert own.histogram.high == pytest.approx(own.top[0].contribution, rel=1e-4)
        assert own.histogram.counts[0] > 0 < own.histogram.counts[-1]


def test_later_texts_have_their_own_nearest_images(tiny, role_map, images, found):
    heads = [head for head in role_map if len(head.texts) > 1]
    assert heads
    pixels = torch.stack([images.images[number][1] for number in range(len(images))])
    for place in (1, 2):
        own = [head for head in heads if len(head.texts) > place]
        along = tiny.embed_texts([head.texts[place].text for head in own])
        views = view_heads(tiny, pixels, [(head.layer, head.head) for head in own], along)
        for number, head in enumerate(own):
            nearest = found.examples[head.name].later[place - 1]
            assert nearest.text == head.texts[place].text and not any(each.patches for each in nearest.images)
            totals = views.contribution[:, number].sum(-1)
            assert [int(each.picture) for each in nearest.images] == torch.argsort(-totals)[:3].tolist()


def test_what_a_page_has_no_room_for_goes_last_things_first(tiny, role_map, images, found, monkeypatch):
    """Heat maps of the images that heads add most on stay, then the clearest heads' pictures."""
    heads = role_map.heads()
    monkeypatch.setattr("headroles.reports.examples._PATCHES", 3 * len(heads) * tiny.patches)
    maps = illustrate(tiny, role_map, images).examples
    for own in maps.values():
        assert all(each.patches for each in own.top) and not any(each.patches for each in own.bottom)
    shown = {search.query for search in found.searches}
    shown |= {each.picture for search in found.searches for each in (*search.by_heads, *search.by_embedding)}
    shown |= {example.picture for example in found.examples[heads[0].name].top}
    monkeypatch.setattr("headroles.reports.album._PICTURES", len(shown))
    few = illustrate(tiny, role_map, images)
    assert heads[0].name in few.examples and len(few.pictures) <= len(shown)


def test_searches_are_those_of_retrieve(tiny, role_map, images, found):
    index, _ = index_in_memory(tiny, images.images, role_map.layers)
    weights = head_weights(role_map, choose_heads(role_map, concept="color"))
    own = [search for search in found.searches if search.concept == "color"]
    assert len(own) == 4 and len({search.query for search in own}) == 4
    for search in own:
        row = int(search.query)
        query = Query(index.names[row], index.heads[row], index.embeddings[row], row)
        wanted = search_index(index, query, weights, 6)
        for shown, neighbours in ((search.by_heads, wanted.by_heads), (search.by_embedding, wanted.by_embedding)):
            assert [found.names[each.picture] for each in shown] == [each.name for each in neighbours]
            assert [each.score for each in shown] == [each.score for each in neighbours]
            assert search.query not in {each.picture for each in shown}
            assert all(each.value == found.names[each.picture].split("/")[0] for each in shown)
    (shared,) = [row for row in found.precision if row.concept == "color"]
    assert shared.by_heads == pytest.approx(find_hits(index, images.codes[:, 0], 10, weights).rate.mean())
    assert shared.by_embedding == pytest.approx(find_hits(index, images.codes[:, 0], 10).rate.mean())


def test_pictures_are_small_and_each_is_shown_somewhere(images, found):
    shown = {each.picture for own in found.examples.values() for each in (*own.top, *own.bottom, *own.drawn)}
    shown |= {each.picture for own in found.examples.values() for text in own.later for each in text.images}
    shown |= {each.picture for search in found.searches for each in (*search.by_heads, *search.by_embedding)}
    assert set(found.pictures) == set(found.names) == shown | {search.query for search in found.searches}
    for key, content in found.pictures.items():
        picture = Image.open(io.BytesIO(b64decode(content)))
        assert picture.format == "JPEG" and max(picture.size) <= 80
        seen, whole = np.asarray(picture).mean((0, 1)), images.images.paths[int(key)]
        assert np.abs(seen - np.asarray(Image.open(whole)).mean((0, 1))).max() < 8, "the colours of the file"


def test_same_seed_same_illustrations(tiny, role_map, images, found):
    assert illustrate(tiny, role_map, images) == found
    assert illustrate(tiny, role_map, images, seed=1).searches != found.searches


def test_images_without_labels_are_shown_without_values(tiny, role_map, color_folder):
    flat = open_images(str(color_folder / "train" / "red"), tiny, 4, 0)
    found = illustrate(tiny, role_map, flat)
    assert found.count == 4 and not found.precision and found.source == "red"
    assert {each.value for search in found.searches for each in search.by_heads} == {None}


def test_the_command_shows_images_and_refuses_wrong_ones(run, role_map, clip_folder, color_folder, tmp_path):
    role_map.save(tmp_path / "role_map.json")
    (tmp_path / "empty").mkdir()
    own = ("report", tmp_path / "role_map.json", "--device", "cpu", "--count", "8", "--images")
    code, _, errors = run(*own, color_folder / "train")
    assert code == 0 and [line.split()[0] for line in errors.splitlines()] == ["images:", "choosing"], errors
    assert '"illustrations":{"count":8,' in (tmp_path / "report.html").read_text(encoding="utf-8")
    other = json.loads(role_map.to_json())
    other["model"]["weights_hash"] = "f" * 64
    (tmp_path / "other.json").write_text(json.dumps(other))
    mistakes = {
        (*own, tmp_path / "nowhere"): "is no folder",
        (*own, tmp_path / "empty"): "no image file below",
        ("report", tmp_path / "other.json", "--images", color_folder / "train"): "with weights ffff",
    }
    for arguments, message in mistakes.items():
        code, _, errors = run(*arguments, "--output", tmp_path / "new" / "page.html")
        assert code == 2 and message in errors and len(errors.strip().splitlines()) == 1, errors
    assert not (tmp_path / "new").exists()


def test_fewer_than_two_images_are_refused(tiny, role_map, color_folder):
    one = open_images(str(color_folder / "val" / "red"), tiny, 9, 0)
    with pytest.raises(InputError, match="two readable images"):
        illustrate(tiny, role_map, one)


def test_a_model_that_reads_no_texts_gets_searches_without_examples(tiny, role_map, images, found, monkeypatch):
    monkeypatch.setattr(tiny, "tokenizer", None)
    bare = illustrate(tiny, role_map, images)
    assert not bare.examples and bare.searches == found.searches
