"""Every hook point of both towers: an edit by return value, one in place and a gradient all act as they say."""

import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from headroles.models.hooked_clip import HookedCLIP

TEXTS = ["a red circle", "something striped in the top left"]
FAMILIES = ("clip", "clip-vision", "siglip", "vit", "dinov2", "dinov2_with_registers")
INNER = ("hook_resid_pre", "attn.hook_v", "attn.hook_pattern", "attn.hook_z", "hook_attn_out", "hook_mlp_out",
         "hook_resid_post")  # fmt: skip
ENDS = ("ln_final.hook_scale", "hook_embed")
POINTS = [
    (family, f"{side}.{point}")
    for family in FAMILIES
    for side in (("visual", "text") if family in ("clip", "siglip") else ("visual",))
    for point in (
        *(f"blocks.{layer}.{name}" for layer in (0, 1, *((2,) if (family, side) == ("siglip", "visual") else ()))
          for name in INNER),
        *ENDS,
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def models(make_clip, make_siglip, make_vision, tokenizer) -> dict[str, HookedCLIP]:
    sizes = {"layers": 2, "heads": 2, "width": 16, "patch": 16}
    clip = make_clip(**sizes)
    vision = CLIPVisionModelWithProjection(CLIPVisionConfig(**clip.config.vision_config.to_dict()))
    vision.load_state_dict(clip.state_dict(), strict=False)
    built = {"clip": clip, "clip-vision": vision, "siglip": make_siglip(**sizes)}
    built |= {name: make_vision(name, **sizes) for name in FAMILIES[3:]}
    return {name: HookedCLIP(each.double(), name, tokenizer) for name, each in built.items()}


def inputs(model: HookedCLIP, name: str) -> dict[str, torch.Tensor]:
    if name.startswith("text."):
        return model.tokenize(TEXTS)
    generator = torch.Generator().manual_seed(0)
    return {"pixel_values": torch.randn(2, 3, 32, 32, generator=generator, dtype=torch.float64)}


def run(model: HookedCLIP, name: str, hook) -> torch.Tensor:
    return model.run_with_hooks(**inputs(model, name), fwd_hooks=[(name, hook)])


def in_place(tensor, hook):
    tensor[..., :1] *= 0.5


def through_data(tensor, hook):
    tensor.data[..., :1] *= 0.5


def returned(tensor, hook):
    return torch.cat([tensor[..., :1] * 0.5, tensor[..., 1:]], -1)


def test_the_list_names_every_hook_point(models):
    for family, model in models.items():
        assert set(model.hook_dict) == {name for listed, name in POINTS if listed == family}


@pytest.mark.parametrize(("family", "name"), POINTS)
def test_an_edit_acts_alike_by_return_value_and_in_place(models, family, name):
    model = models[family]
    with torch.no_grad():
        plain, expected = model(**inputs(model, name)), run(model, name, returned)
        assert not torch.allclose(plain, expected)
    for mode in (torch.no_grad(), torch.inference_mode(), torch.enable_grad()):
        with mode:
            for edit in (in_place, through_data):
                torch.testing.assert_close(run(model, name, edit), expected)


@pytest.mark.parametrize(("family", "name"), POINTS)
def test_looking_changes_nothing(models, family, name):
    model = models[family]
    rounding = 1e-12 if name.startswith("visual.blocks.2.") else 0  # nn.MultiheadAttention is computed anew.
    for mode in (torch.no_grad(), torch.inference_mode(), torch.enable_grad()):
        with mode:
            plain, looked = model(**inputs(model, name)), run(model, name, lambda tensor, hook: None)
            torch.testing.assert_close(looked, plain, rtol=rounding, atol=rounding)


@pytest.mark.parametrize(("family", "name"), POINTS)
def test_a_kept_gradient_is_the_slope_also_after_an_edit_in_place(models, family, name):
    model, kept = models[family], []

    def keep(tensor, hook):
        in_place(tensor, hook)
        tensor.retain_grad()
        kept.append(tensor)

    run(model, name, keep).sum().backward()
    (tensor,) = kept
    slope, step = (tensor.grad * tensor).sum(), 1e-6
    with torch.no_grad():
        up, down = (
            run(model, name, lambda each, hook, by=by: returned(each, hook) * by).sum() for by in (1 + step, 1 - step)
        )
    torch.testing.assert_close(slope, (up - down) / (2 * step), rtol=1e-4, atol=1e-6)
    model.zero_grad()
