"""What JSON holds becomes dataclasses by the types of their fields; what does not fit is refused where it stands."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from headroles.files.plain import Unfit, from_plain


@dataclass(frozen=True)
class Leaf:
    size: float
    name: str | None = None


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    span: tuple[int, float]
    by_name: Mapping[str, Leaf | None]
    by_number: dict[int, bool]
    side: Literal["left", "right"]
    notes: Mapping[str, Any]
    best: int | str | Leaf = 0
    loose: tuple = ()


TREE = Tree((Leaf(1.5), Leaf(2, "b")), (3, 0.1), {"a": Leaf(0.0), "c": None}, {7: True}, "left", {"x": [1]}, Leaf(1.0))


def plain(value) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(value)))


def test_what_was_written_is_read_again():
    assert from_plain(Tree, plain(TREE)) == TREE
    words = dataclasses.replace(TREE, best="word", loose=(1, "two", None))
    assert from_plain(Tree, plain(words)) == words


def test_fields_with_defaults_may_be_missing():
    assert from_plain(Leaf, {"size": 1}) == Leaf(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": 1}, "unknown key 'more'"),
        ({"leaves": [{"name": "a"}]}, r"leaves\[0\]: no key 'size'"),
        ({"leaves": [{"size": 1.0, "nam": "a"}]}, r"leaves\[0\]: unknown key 'nam'"),
        ({"leaves": [{"size": "1"}]}, r"leaves\[0\].size: expected a number, got '1'"),
        ({"leaves": [{"size": True}]}, r"leaves\[0\].size: expected a number, got 'True'"),
        ({"leaves": [{"size": 1, "name": 2}]}, r"leaves\[0\].name: expected text, got '2'"),
        ({"leaves": {"size": 1}}, "leaves: expected a list"),
        ({"span": [1]}, "span: expected a list of 2, got '1 entries'"),
        ({"span": [1.5, 2]}, r"span\[0\]: expected a whole number"),
        ({"by_name": {"a": 1}}, "by_name.a: expected an object, got '1'"),
        ({"by_name": []}, "by_name: expected an object"),
        ({"by_number": {"x": True}}, "by_number: expected whole numbers as keys, got 'x'"),
        ({"side": "up"}, "side: expected one of 'left', 'right', got 'up'"),
        ({"best": None}, "best: expected an object, got 'None'"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(change, message):
    with pytest.raises(Unfit, match=f"^{message}"):
        from_plain(Tree, {**plain(TREE), **change})
