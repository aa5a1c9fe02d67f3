"""The engine: its answers are Python's own numbers, computed when asked for and once; what is wrong is said."""

import io
import json
from base64 import b64encode
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from headroles import (
    FolderImages,
    HeadReference,
    InputError,
    ablating,
    attend,
    image_contributions,
    scaling_heads,
)
from headroles.causal.margins import ValueTexts
from headroles.explore.classes import suggest_classes
from headroles.explore.engine import Engine
from headroles.explore.opening import open_engine
from headroles.models.hooked_clip import HookedCLIP

HEADS = [[1, 0], [2, 3]]
CLASSES = ["blue", "green", "grey", "red"]


def ask(engine, what, **fields):
    answer = engine.answer({"ask": what, **fields})
    json.dumps(answer, allow_nan=False)
    return answer


def pixels(labelled, *rows):
    return torch.stack([labelled.images[row][1] for row in rows])


def file_of(picture) -> str:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return b64encode(content.getvalue()).decode()


def test_a_head_is_answered_with_its_role_and_with_where_it_looks(engine, tiny_map, tiny, color_folder):
    found = ask(engine, "head", layer=2, head=1, image="3")
    head = tiny_map["L2.H1"]
    assert (found["name"], found["role"], found["distribution"]) == ("L2.H1", head.role, dict(head.distribution))
    images = FolderImages(color_folder / "test", tiny.processor)
    wanted = attend(tiny_map, images, heads="L2.H1", model=tiny).images
    own = wanted[3].heads[0]
    assert found["text"] == own.text and found["image"]["name"] == wanted[3].image
    assert found["image"]["amount"] == pytest.approx(own.contribution, abs=1e-6)
    np.testing.assert_allclose(found["image"]["contribution"], own.contribution_of_patches, atol=1e-6)
    np.testing.assert_allclose(found["image"]["attention"], own.attention_to_patches, atol=1e-6)
    order = sorted(range(len(wanted)), key=lambda row: -wanted[row].heads[0].contribution)
    assert [each["image"] for each in found["top"]] == [str(row) for row in order[:4]]
    assert [each["image"] for each in found["least"]] == [str(row) for row in order[::-1][:4]]
    for each in found["top"]:
        whole = np.sum(each["contribution"]) + each["rest"]["contribution"]
        assert whole == pytest.approx(each["amount"], abs=1e-6)


def test_a_text_ranks_heads_by_what_they_add_beyond_their_mean(engine, tiny, labelled):
    found = ask(engine, "text", text="a grey thing", image="5")
    text = tiny.embed_texts(["a grey thing"])[0]
    parts = image_contributions(tiny, pixels(labelled, *range(len(labelled))))
    unit = parts.heads / parts.total().norm(dim=-1)[:, None, None, None]
    along = (unit @ text).numpy()
    for head in found["heads"]:
        own = along[:, head["layer"], head["head"]]
        assert (head["amount"], head["mean"]) == pytest.approx((own[5], own.mean()), abs=1e-6)
    more = [head["more"] for head in found["heads"]]
    assert more == sorted(more, reverse=True) and len(more) == 8
    assert found["maps"][0]["head"] == found["heads"][0]["name"]
    total = sum(np.array(each["contribution"]) for each in found["maps"])
    np.testing.assert_allclose(found["sum"], total, atol=1e-6)


@pytest.mark.parametrize(("mode", "effect"), [("zero", "total"), ("zero", "direct"), ("mean", "total")])
def test_a_cut_tells_classes_as_the_ablation_does(engine, tiny, labelled, mode, effect):
    asked = {"image": "7", "classes": CLASSES, "concept": "test", "heads": HEADS, "mode": mode, "effect": effect}
    found = ask(engine, "cut", **asked)
    values = ValueTexts.embed(tiny, labelled.concepts)

    def told():
        return (values.scale * tiny.embed_images(pixels(labelled, 7)) @ values.embeddings[0].T).softmax(-1)[0].tolist()

    reference = None if mode == "zero" else HeadReference.collect(tiny, labelled.images, [1, 2], pool=0)
    assert found["before"]["probability"] == pytest.approx(told(), abs=1e-5)
    with ablating(tiny, [(1, 0), (2, 3)], mode, effect, reference):
        assert found["after"]["probability"] == pytest.approx(told(), abs=1e-5)
    assert found["after"] != found["before"]
    assert ask(engine, "cut", **asked | {"scale": 1})["after"] == found["before"]
    if mode == "zero":
        with scaling_heads(tiny, {"L1.H0": 0.5, "L2.H3": 0.5}, effect):
            wanted = told()
        assert ask(engine, "cut", **asked | {"scale": 0.5})["after"]["probability"] == pytest.approx(wanted, abs=1e-5)


def test_a_class_is_read_as_it_stands_or_with_its_own_prompts_or_a_template(engine, tiny):
    def told(**fields):
        return ask(engine, "cut", image="0", classes=CLASSES, heads=[], **fields)["before"]["cosine"]

    image = torch.from_numpy(engine.gallery.embeddings[0])
    for fields, texts in (
        ({}, CLASSES),
        ({"concept": "test"}, [f"a photo of {name}." for name in CLASSES]),
        ({"template": "all {}"}, [f"all {name}" for name in CLASSES]),
    ):
        assert told(**fields) == pytest.approx((tiny.embed_texts(texts) @ image).tolist(), abs=1e-6)
    assert ask(engine, "map")["classes"] == [{"concept": "test", "classes": CLASSES}]


def test_nothing_is_computed_before_it_is_asked_for_nor_twice(engine, monkeypatch):
    runs, forward = [], HookedCLIP.forward
    monkeypatch.setattr(
        HookedCLIP, "forward", lambda self, *given, **named: runs.append(1) or forward(self, *given, **named)
    )

    def count(what, **fields):
        before = len(runs)
        ask(engine, what, **fields)
        return len(runs) - before

    assert [count("map"), count("images"), count("image", image="2")] == [0, 0, 0]
    head = {"layer": 1, "head": 2, "image": "2"}
    assert [count("head", **head), count("head", **head), count("head", **head | {"image": "3"})] == [2, 0, 1]
    text = {"text": "a red thing", "image": "2"}  # The text is that of the head above, so it is embedded already.
    assert [count("text", **text), count("text", **text)] == [1, 0]
    cut = {"classes": CLASSES, "image": "2"}
    assert [count("cut", heads=[], **cut), count("cut", heads=[], **cut), count("cut", heads=HEADS, **cut)] == [1, 0, 1]


def test_an_added_image_is_one_of_them(engine, color_folder):
    path = color_folder / "test" / "green" / "1.png"
    added = ask(engine, "add image", data="data:image/png;base64," + file_of(Image.open(path)), name="mine.png")
    row = int(added["image"])
    same = engine.gallery.names.index("green/1.png")
    assert (added["image"], added["name"], added["total"], added["own"]) == ("12", "mine.png", 13, True)
    np.testing.assert_allclose(engine.gallery.embeddings[row], engine.gallery.embeddings[same], atol=1e-6)
    assert ask(engine, "images")["images"][0]["image"] == "12", "a visitor's own come first"
    for what, fields in (("text", {"text": "a sign"}), ("cut", {"classes": CLASSES, "heads": HEADS})):
        mine, known = (ask(engine, what, image=str(each), **fields) for each in (row, same))
        del mine["image"], known["image"]
        assert json.loads(json.dumps(mine), parse_float=lambda text: round(float(text), 4)) == json.loads(
            json.dumps(known), parse_float=lambda text: round(float(text), 4)
        )


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("head", "expected an object"),
        ({}, "ask: expected one of map"),
        ({"ask": "heads"}, "did you mean 'head'"),
        ({"ask": "map", "layer": 1}, "'layer' is no field of 'map'"),
        (
            {"ask": "head", "layer": 0, "head": 0, "image": "0"},
            "L0.H0 is not in this role map, which scored layers 1, 2",
        ),
        ({"ask": "head", "layer": True, "head": 0, "image": "0"}, "layer, head: expected a whole number"),
        ({"ask": "head", "layer": 1, "head": 0, "image": "12"}, "image: expected an id from '0' to '11'"),
        ({"ask": "head", "layer": 1, "head": 0, "image": "../a"}, "image: expected an id"),
        ({"ask": "image", "image": 0}, "image: expected an id"),
        ({"ask": "text", "text": " ", "image": "0"}, "text: expected a text"),
        ({"ask": "text", "text": "long " * 300, "image": "0"}, "at most 1,000 letters"),
        ({"ask": "text", "text": "red " * 100, "image": "0"}, "tokens that are read; shorten it"),
        ({"ask": "cut", "image": "0", "heads": HEADS, "classes": ["red", "red " * 100]}, "tokens that are read"),
        ({"ask": "cut", "image": "0", "heads": [[1]], "classes": CLASSES}, "heads: expected pairs"),
        ({"ask": "cut", "image": "0", "heads": HEADS, "scale": float("nan"), "classes": CLASSES}, "scale: expected"),
        ({"ask": "cut", "image": "0", "heads": HEADS, "classes": []}, "classes: expected 1 to 200 texts"),
        ({"ask": "cut", "image": "0", "heads": HEADS, "classes": ["a", "a"]}, "'a' is there twice"),
        ({"ask": "cut", "image": "0", "classes": CLASSES, "template": "a photo"}, "template: expected one {}"),
        ({"ask": "cut", "image": "0", "classes": CLASSES, "mode": "men"}, "did you mean 'mean'"),
        ({"ask": "images", "start": -1}, "start: expected a whole number from 0"),
        ({"ask": "add image", "data": "no base64 at all"}, "data: expected base64"),
        ({"ask": "add image", "data": b64encode(b"<!doctype html><script>").decode()}, "image: it cannot be read"),
    ],
)
def test_a_wrong_message_is_refused_in_one_line(engine, message, said):
    with pytest.raises(InputError) as error:
        engine.answer(message)
    assert said in str(error.value) and "\n" not in str(error.value) and "unexpected" not in str(error.value)


def test_a_tower_without_texts_is_looked_at_without_them(make_vision, role_map_of, tiny, labelled):
    model = HookedCLIP(make_vision("vit"), "vit", None, tiny.processor)
    engine = Engine(role_map_of(model), model, labelled)
    found = ask(engine, "head", layer=2, head=1, image="0")
    assert found["text"] is None and "contribution" not in found["image"]
    assert np.sum(found["image"]["attention"]) + found["image"]["rest"]["attention"] == pytest.approx(1, abs=1e-5)
    assert ask(engine, "map")["classes"] == []
    for what, fields in (("text", {"text": "a sign"}), ("cut", {"classes": CLASSES})):
        with pytest.raises(InputError, match="text"):
            ask(engine, what, image="0", **fields)


def test_a_pooled_tower_ranks_and_cuts_without_maps(make_siglip, role_map_of, tokenizer, tiny, labelled):
    model = HookedCLIP(make_siglip(), "siglip", tokenizer, tiny.processor)
    engine = Engine(role_map_of(model), model, labelled)
    found = ask(engine, "text", text="a sign", image="4")
    whole = image_contributions(model, pixels(labelled, 4))
    text = model.embed_texts(["a sign"])[0]
    for head in found["heads"]:
        part = whole.heads[0, head["layer"], head["head"]] @ text / whole.total().norm()
        assert head["amount"] == pytest.approx(part.item(), abs=1e-6)
    assert found["maps"] == [] and found["sum"] is None
    assert "contribution" not in ask(engine, "head", layer=1, head=0, image="4")["image"]
    cut = ask(engine, "cut", image="4", heads=HEADS, classes=CLASSES)
    assert cut["before"] != cut["after"] and not ask(engine, "map")["shows_where"]


def test_images_of_any_kind_are_opened(tiny, tiny_map, color_folder):
    picture = Image.new("RGB", (40, 32), "red")
    for given, names in (
        ([picture, np.zeros((32, 32, 3), np.uint8)], ["picture 1", "picture 2"]),
        (str(color_folder / "test" / "red" / "0.png"), ["0.png"]),
        (color_folder / "test" / "red", ["0.png", "1.png", "2.png"]),
    ):
        assert open_engine(tiny_map, tiny, given).gallery.names == names
    assert open_engine(tiny_map, tiny, [picture], classes=["one", "two"]).classes[0]["classes"] == ["one", "two"]
    with pytest.raises(InputError, match="give a folder of images"):
        open_engine(tiny_map, tiny)


def test_images_without_labels_are_told_among_the_texts_that_heads_speak_of(tiny_map):
    def speak_of_color(head):
        return replace(head, texts=tuple(replace(text, concept="color") for text in head.texts))

    assert suggest_classes(tiny_map, ()) == [], "one text is no choice"
    (found,) = suggest_classes(replace(tiny_map, head_roles=tuple(map(speak_of_color, tiny_map))), ())
    assert found["concept"] == "color"
    assert {*found["classes"]} == {text.text for head in tiny_map for text in head.texts}
