"""Names of heads and patterns of them."""

import pytest

from headroles import InputError
from headroles.heads.names import head_list, parse_heads


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
