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


def test_silent_heads_are_never_chosen(random_role_map):
    role_map = random_role_map(silent=("L1.H0", "L2.H0", "L2.H1", "L2.H2"))
    with pytest.raises(InputError, match=r"heads: L1\.H0 is silent in this role map, it says nothing; choose others"):
        choose_heads(role_map, "L1.H0,L1.H1")
    assert choose_heads(role_map, "L1.*") == role_map.head_roles[1:3]
    with pytest.raises(InputError, match=r"L2\.H0 is silent"):
        choose_heads(role_map, "L2.*")
    everyone = random_role_map(silent=[head.name for head in role_map])
    with pytest.raises(InputError, match="all heads of this role map are silent"):
        choose_heads(everyone, concept="color", any_role=True)
