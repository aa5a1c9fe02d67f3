"""open_clip_config.json: options that transformers' CLIP cannot express are refused by name."""

import pytest

from headroles import InputError
from headroles.models.checkpoints.open_clip import OpenClipConfig

REFUSED = [
    ("vision_cfg", "pool_type", "avg", "sets vision_cfg.pool_type to 'avg'"),
    ("vision_cfg", "no_ln_pre", True, "sets vision_cfg.no_ln_pre to True"),
    ("vision_cfg", "timm_model_name", "vit_base_patch16_siglip_224", "sets vision_cfg.timm_model_name"),
    ("vision_cfg", "attentional_pool", True, "sets vision_cfg.attentional_pool"),
    ("vision_cfg", "ls_init_value", 1e-4, "sets vision_cfg.ls_init_value"),
    ("vision_cfg", "layers", [3, 4, 6, 3], "a ResNet as vision tower"),
    ("vision_cfg", "image_size", [32, 64], "sets image_size to [32, 64]; expected a square"),
    ("vision_cfg", "head_width", 300, "does not make 0 heads"),
    ("vision_cfg", "norm_kwargs", {"elementwise_affine": False}, "sets vision_cfg.norm_kwargs"),
    ("vision_cfg", "act_kwargs", {"approximate": "tanh"}, "sets vision_cfg.act_kwargs"),
    ("vision_cfg", "rotary", True, "the option vision_cfg.rotary, which headroles does not know"),
    ("text_cfg", "pool_type", "last", "sets text_cfg.pool_type to 'last'"),
    ("text_cfg", "no_causal_mask", True, "sets text_cfg.no_causal_mask"),
    ("text_cfg", "hf_model_name", "xlm-roberta-base", "sets text_cfg.hf_model_name"),
    ("text_cfg", "proj_bias", True, "sets text_cfg.proj_bias"),
    ("text_cfg", "tokenizer_kwargs", {"clean": "canonicalize"}, "sets text_cfg.tokenizer_kwargs"),
    ("text_cfg", "embed_cls", True, "sets text_cfg.embed_cls"),
    ("", "init_logit_bias", -10, "sets init_logit_bias to -10"),
    ("", "multimodal_cfg", {}, "sets multimodal_cfg"),
    ("", "embed_dim", "wide", "the size embed 'wide'; expected a whole number"),
]


@pytest.mark.parametrize(("place", "name", "value", "expected"), REFUSED, ids=[".".join(row[:2]) for row in REFUSED])
def test_options_without_a_counterpart_are_refused_by_name(
    run, formats, tensors, tmp_path, place, name, value, expected
):
    config = formats.config()
    (config["model_cfg"][place] if place else config["model_cfg"])[name] = value
    folder = formats.write_open_clip(tmp_path / "m", tensors, config=config)
    code, _, errors = run("doctor", folder)
    assert code == 2 and errors.count("\n") == 1 and expected in errors, errors


@pytest.mark.parametrize(
    ("name", "value"),
    [("resize_mode", "longest"), ("interpolation", "nearest"), ("mean", [1, 2]), ("size", 64), ("x", 1)],
)
def test_preprocessing_without_a_counterpart_is_refused_by_name(run, formats, tensors, tmp_path, name, value):
    folder = formats.write_open_clip(tmp_path / "m", tensors, config=formats.config(**{name: value}))
    code, _, errors = run("doctor", folder)
    assert code == 2 and errors.count("\n") == 1 and f"preprocess_cfg.{name}" in errors, errors


def test_tanh_is_transformers_own(formats, tmp_path):
    import json

    config = formats.config(quick_gelu=False)
    config["model_cfg"]["vision_cfg"]["act_kwargs"] = {"approximate": "tanh"}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    read = OpenClipConfig.load(tmp_path / "open_clip_config.json").architecture
    assert (read.vision.activation, read.text.activation) == ("gelu_pytorch_tanh", "gelu")


def test_a_file_that_is_no_config_is_refused(tmp_path):
    for content in ("[]", "{", '{"model_cfg": 3}', '{"model_cfg": {"vision_cfg": 1, "text_cfg": 2}}'):
        (tmp_path / "open_clip_config.json").write_text(content)
        with pytest.raises(InputError, match="is no OpenCLIP config"):
            OpenClipConfig.load(tmp_path / "open_clip_config.json")
