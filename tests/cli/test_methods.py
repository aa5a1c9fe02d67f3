"""`headroles adapt --method`: which there are, and that settings reach them or are refused in one line."""

import shlex

import pytest

from headroles.adapt.methods.registry import METHODS
from headroles.cli.made_again import adapt_line
from headroles.reports.adaptation import Adaptation


def test_methods_are_listed_with_their_settings(run):
    code, out, _ = run("adapt", "--list-methods")
    assert code == 0 and [line.split()[0] for line in out.splitlines() if line[0] != " "] == list(METHODS)
    assert "context=4 init='a photo of a' optimizer=sgd" in out and "by the data: as many epochs as make 500" in out
    assert "linear-probe     linear probe" in out
    assert "names the trained classes alone" in out and "needs a role map" in out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--method", "lora"], "method must be one of dear, zero-shot, coop"),
        (["--method", "coop", "--set", "contxt=3"], "contxt is no setting of the method or its training; did you mean"),
        (["--method", "coop", "--set", "context=three"], "context must be a whole number, got 'three'"),
        (["--method", "coop", "--set", "context"], "--set must be NAME=VALUE, each name once, got 'context'"),
        (["--method", "coop", "--set", "lr=1", "--lr", "2"], "--set lr: also given as --lr; give it once"),
        (["--method", "coop", "--beta", "0.5"], "beta is no setting of the method or its training"),
        (["--method", "coop", "--role-map", "x.json"], "role map: method coop has no use for one; leave it out"),
        (["--method", "zero-shot", "--epochs", "2"], "epochs: method zero-shot takes no training steps; leave it out"),
        (["--method", "linear-probe", "--protocol", "cross-dataset"], "knows the classes that it is trained on alone"),
        (["--set", "train_norm=maybe"], "train_norm must be true or false, got 'maybe'"),
        (["--set", "core=red,color", "--set", "beta=2"], "beta must be between 0 and 1, got 2.0"),
    ],
)
def test_a_wrong_method_or_setting_is_one_line(run, tmp_path, monkeypatch, options, expected):
    (tmp_path / "x.json").touch()
    monkeypatch.chdir(tmp_path)
    code, out, error = run("adapt", *options, "--output", tmp_path / "out")
    assert code == 2 and not out and expected in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_report_says_the_command_that_makes_an_adapter_again():
    own = {"peft_type": "LINEAR-PROBE", "linear-probe": {"begin": "texts"}, "train": {"epochs": 3, "optimizer": "sgd"}}
    plain = {"base_model_name_or_path": "shapes", "role_map_sha256": None, "task": "shapes:color", "template": "a {}"}
    plain |= {"targets": [], "retention": [], "protocol": "few-shot", "shots": 4}
    line = adapt_line(Adaptation("probe", "role_map.json", (1, 2), {**own, **plain}, "", (), (), ()))
    given = dict(zip(words := shlex.split(line), words[1:], strict=False))
    assert (given["--method"], given["--epochs"], given["--batch"]) == ("linear-probe", "3", "4")
    assert [word for word in words if "=" in word] == ["begin=texts", "optimizer=sgd", "augment=true"]
    assert "--role-map" not in words and "--seed" not in words
