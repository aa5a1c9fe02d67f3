"""Presets set what a paper defines, all of it, and refuse what contradicts it."""

import dataclasses

import pytest

from headroles import InputError, RoleMap, ScoreConfig, score
from headroles.roles.presets import PRESETS, apply_preset

QUICK = {"count": 30, "bootstraps": 2, "blocks": 2}


class Words:
    """A sentence encoder that knows a text's last word alone."""

    def encode(self, sentences, **options):
        import numpy as np

        return np.array([np.random.default_rng(list(text.split()[-1].encode())).normal(size=16) for text in sentences])


def test_presets_are_settings_of_a_role_map_by_texts():
    names = {field.name for field in dataclasses.fields(ScoreConfig)} | {"concepts"}
    for name, settings in PRESETS.items():
        assert settings.keys() <= names
        assert apply_preset(name, {}) == apply_preset(name, settings) == dict(settings)
    assert PRESETS["textspan"].items() <= PRESETS["dear"].items()


@pytest.mark.parametrize(
    ("preset", "given", "expected"),
    [
        (
            "textspan",
            {"selection": "variance"},
            "selection: textspan sets it to std, got variance; leave one of the two",
        ),
        ("dear", {"weights": "variance"}, "weights: dear sets it to count, got variance"),
        ("dear", {"concepts": "bank"}, "concepts: dear sets it to discover, got bank"),
        ("DeAR", {}, "preset must be one of textspan, dear, got 'DeAR'"),
        ("textspan", {"by": "images"}, "preset: the papers describe heads by texts; leave it out with by images"),
        ("textspan", {"config": ScoreConfig()}, "preset: give either preset or config, not both"),
    ],
)
def test_what_contradicts_a_preset_is_refused(preset, given, expected):
    with pytest.raises(InputError, match=expected):
        score(preset=preset, **given)


def test_a_preset_is_in_the_role_map_and_what_it_leaves_open_is_an_option(clip_folder):
    role_map = score(str(clip_folder), preset="textspan", texts_per_head=6, **QUICK)
    assert PRESETS["textspan"].items() <= role_map.settings.items()
    assert role_map.settings["texts_per_head"] == 6 and role_map.settings["weights"] == ScoreConfig().weights
    dear = score(str(clip_folder), probes="shapes", preset="dear", encoder=Words(), **QUICK)
    assert dict(PRESETS["dear"], concepts=None).items() <= {**dear.settings, "concepts": None}.items()
    assert "discovery" in dear.settings and dear.bank.name == "shapes, discovered"


def test_the_command_is_the_call(run, clip_folder, tmp_path):
    where = ("score", "--model", clip_folder, "--as", "textspan", "--count", "30", "--bootstraps", "2")
    assert run(*where, "--output", tmp_path / "o")[0] == 0
    found = RoleMap.load(tmp_path / "o" / "role_map.json")
    assert found == score(str(clip_folder), preset="textspan", count=30, bootstraps=2)
    code, _, errors = run(*where, "--rank", "20", "--output", tmp_path / "p")
    assert code == 2 and "rank: textspan sets it to 80, got 20; leave one of the two out" in errors
    code, _, errors = run("score", "--as", "dear", "--by", "images", "--output", tmp_path / "p")
    assert code == 2 and "--as has no effect here; it belongs to --by texts" in errors
    assert not (tmp_path / "p").exists()
