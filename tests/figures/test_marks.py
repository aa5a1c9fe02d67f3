"""Concepts have short codes and looks of their own."""

from headroles.figures.marks import concept_codes, concept_looks


def test_codes_are_unique_short_and_do_not_mislead(shapes, general):
    assert concept_codes(shapes) == dict(zip(shapes, ("B", "Br", "C", "Cu", "O", "P", "S", "Si", "T"), strict=True))
    for concepts in (general, ("a", "aa", "aaa", "A b"), ("3d", "_", "état", "x")):
        codes = list(concept_codes(concepts).values())
        assert len(set(codes)) == len(concepts) and all(1 <= len(code) <= 2 for code in codes)


def test_every_concept_has_a_look_of_its_own(general):
    looks = concept_looks(general)
    assert list(looks) == list(general)
    assert len({(look.color, look.hatch) for look in looks.values()}) == len(general)
