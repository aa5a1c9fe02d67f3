"""What makes a role map rough is said."""

import dataclasses

import pytest

from headroles.images.notes import ImageNote
from headroles.roles.doubts import tell_doubts


def test_heads_that_no_label_explains_are_not_called_general_in_silence(random_role_map):
    role_map = random_role_map()
    even = dict.fromkeys(role_map.concepts, 1 / len(role_map.concepts))
    blind = dataclasses.replace(role_map.head_roles[0], distribution=even, concept_share=1 / len(even), texts=())
    images = dataclasses.replace(role_map.images, count=500)
    found = dataclasses.replace(
        role_map, images=images, probe_kind="image", head_roles=(blind, *role_map.head_roles[1:])
    )
    with pytest.warns(ImageNote, match=f"1 of {len(role_map)} heads follow none of the labelled .* lack of evidence"):
        tell_doubts(found)
