"""Settings say what is wrong with them, survive JSON, and load without torch."""

import json
import subprocess
import sys
from types import ModuleType

import pytest

from headroles.adapt.config import DearConfig, TrainConfig
from headroles.errors import InputError

WRONG = [
    (DearConfig, {"mask": "rolle"}, "mask must be one of role, open, layer, random, inverted, soft, learned"),
    (DearConfig, {"mask_floor": 1.0}, "mask_floor must be at least 0 and below 1, got 1.0"),
    (DearConfig, {"mask_start": "role"}, "mask_start must be one of soft, uniform, got 'role'"),
    (DearConfig, {"mask_rate": 0.0}, "mask_rate must be above 0"),
    (DearConfig, {"lambda_mask": -1.0}, "lambda_mask must be at least 0"),
    (DearConfig, {"fusion": "mean"}, "fusion must be one of learned, fixed, cls"),
    (DearConfig, {"layer": -1}, "layer must be at least 0"),
    (DearConfig, {"layer": 2.0}, "layer must be a whole number or none"),
    (DearConfig, {"beta": 1.1}, "beta must be between 0 and 1"),
    (DearConfig, {"beta": float("nan")}, "beta must be a finite number"),
    (DearConfig, {"beta": "0.5"}, "beta must be a finite number"),
    (DearConfig, {"alpha_cls": 1.0}, "alpha_cls must lie between 0 and 1"),
    (DearConfig, {"token_std": 0.0}, "token_std must be above 0"),
    (DearConfig, {"text_tokens": True}, "text_tokens must be a whole number"),
    (DearConfig, {"text_tokens": -1}, "text_tokens must be at least 0"),
    (DearConfig, {"vision_tokens": 1}, "vision_tokens must be true or false"),
    (DearConfig, {"vision_tokens": False, "text_tokens": 0}, "nothing is left to train"),
    (DearConfig, {"lambda_image": -0.1}, "lambda_image must be at least 0"),
    (DearConfig, {"lambda_text": -0.1}, "lambda_text must be at least 0"),
    (DearConfig, {"lambda_fusion": float("inf")}, "lambda_fusion must be a finite number"),
    (DearConfig, {"core": "color"}, "core must be a list of words"),
    (DearConfig, {"core": ()}, "core must be distinct concepts"),
    (DearConfig, {"core": ("color", "color")}, "core must be distinct concepts"),
    (DearConfig, {"core": ("open",)}, "core must be distinct concepts"),
    (TrainConfig, {"precision": "half"}, "precision must be one of no, bf16, fp16"),
    (TrainConfig, {"epochs": 0}, "epochs must be at least 1"),
    (TrainConfig, {"epochs": 1}, r"warmup_epochs must be below epochs \(1\), got 1"),
    (TrainConfig, {"batch": 0}, "batch must be at least 1"),
    (TrainConfig, {"lr": 0.0}, "lr must be above 0"),
    (TrainConfig, {"weight_decay": -1.0}, "weight_decay must be at least 0"),
    (TrainConfig, {"warmup_lr": -1.0}, "warmup_lr must be at least 0"),
    (TrainConfig, {"cache_views": -1}, "cache_views must be at least 0"),
    (TrainConfig, {"cache_views": 2, "share_trunk": False}, "cache_views must be 0 where share_trunk is off"),
    (TrainConfig, {"seed": "1"}, "seed must be a whole number"),
]


@pytest.mark.parametrize(("kind", "settings", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_values_are_refused_in_one_line(kind, settings, message):
    for build in (lambda: kind(**settings), lambda: kind.from_dict(settings)):
        with pytest.raises(InputError, match=message) as caught:
            build()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [DearConfig, TrainConfig])
def test_unknown_settings_and_other_things_are_refused(kind):
    with pytest.raises(InputError, match=f"{kind.__name__} has no setting 'bta'; settings: "):
        kind.from_dict({"bta": 1})
    with pytest.raises(InputError, match=f"{kind.__name__} needs a mapping of settings, got list"):
        kind.from_dict([])


@pytest.mark.parametrize(
    "config",
    [DearConfig(), DearConfig(layer=3, core=("shape", "color"), mask="random"), TrainConfig(), TrainConfig(lr=1)],
)
def test_settings_survive_json(config):
    assert type(config).from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_settings_cannot_be_changed():
    with pytest.raises(AttributeError):
        DearConfig().beta = 0.5


def test_settings_load_without_torch():
    script = "import sys, headroles.adapt; headroles.adapt.DearConfig(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_public_names_are_there():
    import headroles.adapt

    for name in headroles.adapt.__all__:
        value = getattr(headroles.adapt, name)
        assert getattr(value, "__name__", name) == name and not isinstance(value, ModuleType)
    with pytest.raises(AttributeError, match="no attribute 'Deer'"):
        _ = headroles.adapt.Deer
