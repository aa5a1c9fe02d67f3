"""Heads of a role map, said in several ways."""

import pytest

from headroles import InputError
from headroles.roles.role_heads import choose_heads


def test_heads_can_be_names_places_or_heads(random_role_map):
    role_map = random_role_map()
    expected = [role_map["L1.H2"], role_map["L2.H0"]]
    for heads in ("L1.H2,L2.H0", ["L2.H0", "L1.H2"], [(1, 2), (2, 0)], expected, ("L1.H2", role_map[2, 0])):
        assert list(choose_heads(role_map, heads)) == expected
    for one in ("L2.H0", (2, 0), role_map[2, 0], ["L2.H0"]):
        assert choose_heads(role_map, one) == (role_map["L2.H0"],)
    assert choose_heads(role_map, "L1.*") == role_map.head_roles[:3]
    with pytest.raises(InputError, match="not in this role map"):
        choose_heads(role_map, [(0, 0)])
