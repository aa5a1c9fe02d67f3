"""A role map's file that contradicts itself is refused, and says where; every map that scoring makes is read."""

import json

import pytest

from headroles import InputError, RoleMap


def change(*keys):
    """A change of one place, the last of `keys` being the new value."""
    *way, name, value = keys

    def make(raw):
        for key in way:
            raw = raw[key]
        raw[name] = value

    return make


def rename_concept(raw):
    shares = raw["head_roles"][0]["distribution"]
    shares["colour"] = shares.pop(min(shares))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (rename_concept, "head_roles[0].distribution: its concepts are not those of bank.counts; 'animal' is in"),
        (change("head_roles", 1, "layer", 99), "is no head of layers"),
        (change("head_roles", 1, "head", -1), "is no head of layers"),
        (change("head_roles", 1, "head", 0), "is there twice"),
        (change("head_roles", 0, "role", "boss"), "head_roles[0].role: expected one of attribute"),
        (change("head_roles", 0, "concept", "taste"), "head_roles[0].concept: 'taste' is none of bank.counts"),
        (change("head_roles", 0, "entropy", -0.5), "head_roles[0].entropy: expected a number of at least 0, got -0.5"),
        (change("head_roles", 0, "effective_rank", -1), "head_roles[0].effective_rank"),
        (change("head_roles", 0, "role", "silent"), "head_roles[0].role: a silent head has neither concept nor texts"),
        (change("head_roles", 0, "entropy", 1e400), "Infinity is no number of JSON"),
        (change("head_roles", 0, "p_value", -0.1), "head_roles[0].p_value"),
        (change("head_roles", 0, "interval", [-1, 7]), "head_roles[0].interval"),
        (change("head_roles", 0, "concept_share", 0.001), "head_roles[0].concept_share"),
        (change("head_roles", 0, "variance", -1), "head_roles[0].variance"),
        (change("layers", [1, 1]), "layers: [1, 1] are not different layers"),
        (change("model", "heads", 0), "model.heads: expected at least 1"),
        (change("model", "layers", 2**70), "model.layers: expected a whole number"),
        (change("words", {"model": "clip", "weights_hash": "0" * 64}), "words: expected either the difference"),
        (change("bank", "counts", {}), "bank.counts: expected at least one concept"),
    ],
)
def test_a_contradiction_is_refused_with_its_place(role_map_file, make, expected):
    raw = json.loads(role_map_file.read_text())
    make(raw)
    role_map_file.write_text(json.dumps(raw))
    with pytest.raises(InputError) as caught:
        RoleMap.load(role_map_file)
    message = str(caught.value)
    assert expected in message and str(role_map_file) in message and "\n" not in message


@pytest.fixture
def role_map_file(random_role_map, tmp_path):
    role_map = random_role_map()
    role_map.save(tmp_path / "role_map.json")
    assert RoleMap.load(tmp_path) == role_map
    return tmp_path / "role_map.json"
