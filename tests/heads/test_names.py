"""Names of heads, of directions of heads, and patterns of them."""

import pytest

from headroles import InputError
from headroles.heads.names import Part, head_list, parse_heads, parse_parts


def test_lists_and_stars_are_heads_in_order_and_once():
    assert parse_heads("L1.H2, L0.H1,L1.H2", 2, 4) == ((0, 1), (1, 2))
    assert parse_heads("L1.*", 2, 3) == ((1, 0), (1, 1), (1, 2))
    assert parse_heads("L*.H1", 3, 2) == ((0, 1), (1, 1), (2, 1))
    assert len(parse_heads("L*.*", 3, 4)) == 12
    heads = parse_heads("L0.*,L2.H3", 3, 4)
    assert parse_heads(head_list(heads), 3, 4) == heads


@pytest.mark.parametrize("text", ["", "L1", "H3", "L1.H", "l1.h2", "L1.H2;L1.H3", "L3.H0", "L0.H4", "L-1.H0"])
def test_what_is_no_head_of_this_tower_is_refused(text):
    with pytest.raises(InputError, match="heads:"):
        parse_heads(text, 3, 4)


def test_directions_are_joined_a_head_and_written_as_they_are_read():
    parts = parse_parts("L1.H2.D5, L1.H2.D0-2,L0.*.D3,L2.H0.D1,L2.H0", 3, 3, 8)
    low = tuple(Part(0, head, (3,)) for head in range(3))
    assert parts == (*low, Part(1, 2, (0, 1, 2, 5)), Part(2, 0))
    assert head_list(parts[3:]) == "L1.H2.D0-2+5,L2.H0"
    assert parse_parts(head_list(parts), 3, 3, 8) == parts


def test_a_part_lies_within_what_holds_all_of_it():
    others = (Part(1, 2, (0, 3)), Part(0, 0))
    assert Part(1, 2, (3,)).within(others) and Part(0, 0, (7,)).within(others) and Part(0, 0).within(others)
    assert not Part(1, 2).within(others) and not Part(1, 2, (0, 1)).within(others) and not Part(2, 2).within(others)


@pytest.mark.parametrize(
    ("text", "word"),
    [("L0.H0.D", "is no head"), ("L0.H0.D3-1", "write D1-3"), ("L0.H0.D8", "directions 0-7"), ("L0.H0.D99999", "is no"),
     ("L0.H0.D-1", "is no head"), ("L0.H3.D0", "no such head"), ("L0.H0.D1+", "is no head")],
)  # fmt: skip
def test_what_is_no_direction_is_refused_by_name(text, word):
    with pytest.raises(InputError, match=word):
        parse_parts(f"L1.H1,{text}", 3, 3, 8)


def test_where_heads_are_expected_a_direction_is_refused():
    with pytest.raises(InputError, match=r"L1\.H2\.D0 names directions; expected whole heads here: L1\.H2"):
        parse_heads("L1.H2.D0", 3, 4)
