"""The widget: messages are answered by number, and heads and image are values of Python as much as of the page."""

import sys

import pytest

from headroles import InputError, choose_heads
from headroles.explore.engine import Engine

pytest.importorskip("anywidget", reason="needs headroles[notebook]")
from headroles.explore.widget import Explorer


@pytest.fixture
def explorer(tiny, tiny_map, labelled):
    return Explorer(Engine(tiny_map, tiny, labelled))


def test_a_message_is_answered_with_its_number_and_a_wrong_one_with_its_line(explorer, monkeypatch):
    sent = []
    monkeypatch.setattr(explorer, "send", sent.append)
    asked = {"ask": "images", "count": 1}
    for content in ({"id": "a", "message": asked}, {"id": "b", "message": {"ask": "image", "image": "99"}}, "rubbish"):
        explorer._handle_custom_msg(content, [])
    assert sent[0] == {"id": "a", "answer": explorer.engine.answer(asked)}
    assert sent[1]["id"] == "b" and "image: expected an id from '0' to '11'" in sent[1]["error"]
    assert sent[2]["id"] is None and "ask: expected one of" in sent[2]["error"]


def test_heads_are_what_the_page_says_and_what_python_says(explorer, tiny_map):
    explorer.set_state({"heads": [[2, 3], [1, 0]], "image": "4"})
    assert explorer.heads == ((1, 0), (2, 3))
    assert choose_heads(tiny_map, explorer.heads) == (tiny_map["L1.H0"], tiny_map["L2.H3"])
    assert explorer.image_name == explorer.engine.gallery.names[4]
    assert "L1.H0, L2.H3 taken" in repr(explorer)
    for given, known in (
        ("L2.*", ((2, 0), (2, 1), (2, 2), (2, 3))),
        (tiny_map.heads(role="attribute"), None),
        ([(1, 3)], ((1, 3),)),  # A silent one, by its place.
        ([], ()),
    ):
        explorer.heads = given
        wanted = tuple(sorted((head.layer, head.head) for head in given)) if known is None else known
        assert explorer.heads == wanted
        assert explorer.get_state("heads") == {"heads": [list(place) for place in wanted]}


@pytest.mark.parametrize("given", ["L0.H0", [(7, 0)], "colour", [(1, 0, 0)], 3])
def test_what_is_no_head_is_refused_and_nothing_changes(explorer, given):
    explorer.heads = "L1.H0"
    with pytest.raises(InputError, match="heads: "):
        explorer.heads = given
    assert explorer.heads == ((1, 0),)
    with pytest.raises(InputError, match="image: "):
        explorer.image = "12"
    assert explorer.image == "0"


def test_a_role_map_opens_as_a_widget_where_anywidget_is_there(tiny, tiny_map, labelled, monkeypatch):
    explorer = tiny_map.explore(tiny, labelled, classes=["one", "two"])
    assert explorer.engine.classes == [{"concept": None, "classes": ["one", "two"]}]
    monkeypatch.delitem(sys.modules, "headroles.explore.widget")
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(InputError, match=r'anywidget, which is not installed; pip install "headroles\[notebook\]"'):
        tiny_map.explore(tiny, labelled)
