"""Plain settings of every public function are checked for their type before any work."""

import inspect

import pytest

import headroles
import headroles.adapt
from headroles import (
    DebiasConfig,
    DiscoveryConfig,
    ImageScoreConfig,
    InputError,
    LearnConfig,
    ScoreConfig,
    ValidateConfig,
)

PLAIN = ("int", "int | None", "float", "float | None", "bool", "str", "str | None")
FUNCTIONS = {
    f"{face.__name__}.{name}": getattr(face, name)
    for face in (headroles, headroles.adapt)
    for name in face.__all__
    if inspect.isfunction(getattr(face, name))
}
CONFIGS = (DebiasConfig, DiscoveryConfig, ImageScoreConfig, LearnConfig, ScoreConfig, ValidateConfig)


def plain_parameters(function) -> list[str]:
    return [each.name for each in inspect.signature(function).parameters.values() if str(each.annotation) in PLAIN]


@pytest.mark.parametrize("name", [name for name, each in FUNCTIONS.items() if plain_parameters(each)])
def test_a_setting_of_another_type_is_refused_by_name(name):
    for setting in plain_parameters(FUNCTIONS[name]):
        with pytest.raises(InputError, match=rf"^{setting} must be .*, got "):
            FUNCTIONS[name](**{setting: [object()]})


@pytest.mark.parametrize("kind", CONFIGS)
def test_so_are_the_fields_of_settings(kind):
    for name, field in kind.__dataclass_fields__.items():
        if field.type in PLAIN:
            with pytest.raises(InputError, match=rf"^{name} must be .*, got '\[\]'"):
                kind(**{name: []})


def test_mistakes_of_a_fresh_user_are_named():
    from headroles.adapt import adapt

    with pytest.raises(InputError, match="shots must be a whole number, or None for all images, got '4'"):
        adapt(shots="4")
    with pytest.raises(InputError, match="seeds must be different numbers"):
        adapt(seeds="12")
    with pytest.raises(InputError, match=r"image is no argument of attend; did you mean images\?"):
        headroles.attend("map.json", image=3)
    with pytest.raises(InputError, match="batch must be at least 1, got 0"):
        headroles.retrieve("map.json", "a.png", "photos", batch=0)
    with pytest.raises(InputError, match="bootstraps must be a whole number, got '4'"):
        headroles.score(bootstraps="4")
