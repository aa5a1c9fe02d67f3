"""The parts of an embedding sum to the embedding: on both towers, on several shapes, to rounding."""

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from headroles import image_contributions, load, text_contributions
from headroles.models.hooked_clip import HookedCLIP

TEXTS = ["a red circle", "something striped in the top left", "night"]
SHAPES = [
    {"layers": 3, "heads": 4, "width": 32},
    {"layers": 1, "heads": 1, "width": 16, "act": "gelu"},
    {"layers": 5, "heads": 2, "width": 128, "embed": 200, "side": 30, "patch": 10},
]
BOUND = {torch.float32: 1e-5, torch.float64: 1e-12}


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


def check(model: HookedCLIP, bound: float, images: int = 3) -> None:
    side = model.image_size
    pixels = torch.randn(images, 3, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    pixels = pixels.to(model.dtype)
    plain = model.clip.get_image_features(pixel_values=pixels).pooler_output
    assert relative_error(image_contributions(model, pixels).total(), plain) <= bound
    plain = model.clip.get_text_features(**model.tokenize(TEXTS)).pooler_output
    assert relative_error(text_contributions(model, TEXTS).total(), plain) <= bound


@pytest.mark.parametrize("dtype", BOUND, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@torch.inference_mode()
def test_parts_sum_to_the_embedding_on_random_models(make_clip, tokenizer, shape, dtype):
    check(HookedCLIP(make_clip(**shape).to(dtype), "tiny", tokenizer), BOUND[dtype])


@pytest.mark.parametrize("dtype", BOUND, ids=str)
@torch.inference_mode()
def test_parts_sum_to_the_embedding_on_the_bundled_model(dtype):
    check(load("shapes", "cpu", dtype), BOUND[dtype])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", BOUND, ids=str)
@torch.inference_mode()
def test_parts_sum_to_the_embedding_on_a_full_size_vit_b_16(tokenizer, dtype):
    vision = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    clip = CLIPModel(CLIPConfig(vision_config={**vision, "image_size": 224, "patch_size": 16}, text_config=ends))
    check(HookedCLIP(clip.to(dtype), "random ViT-B/16", tokenizer), BOUND[dtype], images=1)


def test_hooks_read_what_the_model_computes_and_edits_act(model):
    pixels = torch.randn(2, 3, 32, 32)
    plain = model(pixels)
    cached, cache = model.run_with_cache(pixels)
    assert torch.equal(plain, cached)
    assert cache["visual.blocks.1.attn.hook_z"].shape == (2, 17, 4, 8)
    pattern = cache["visual.blocks.1.attn.hook_pattern"]
    torch.testing.assert_close(pattern.sum(-1), torch.ones(2, 4, 17))
    tower = model.clip.vision_model.encoder
    edited = model.run_with_hooks(pixels, fwd_hooks=[("visual.blocks.2.attn.hook_z", lambda z, hook: 0 * z)])
    with torch.no_grad():
        tower.layers[2].self_attn.out_proj.weight.zero_()
    torch.testing.assert_close(edited, model(pixels))
    assert not model.hook_dict["visual.blocks.2.attn.hook_z"].has_hooks()


def test_attention_read_as_a_pattern_is_the_fused_one_also_under_the_causal_mask(model):
    tokens = model.tokenize(["a red circle", "something striped in the top left"])
    _, cache = model.run_with_cache(**tokens)
    pattern = cache["text.blocks.1.attn.hook_pattern"]
    assert (pattern.triu(1) == 0).all()
    plain = model(**tokens)
    through = model.run_with_hooks(**tokens, fwd_hooks=[("text.blocks.1.attn.hook_pattern", lambda p, hook: p)])
    torch.testing.assert_close(plain, through, rtol=1e-4, atol=1e-5)


def test_the_layer_loop_is_the_forward(model):
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        last = model.visual.run(model.start_images(pixels), range(model.visual.layers))
        assert torch.equal(model.visual.read(last[:, 0]), model(pixels))
        tokens = model.tokenize(TEXTS)
        ids = tokens["input_ids"]
        last = model.text.run(model.start_texts(ids), range(model.text.layers), model.causal_mask(ids.shape[1]))
        ends = last[torch.arange(len(ids)), model.text_rows(ids)]
        torch.testing.assert_close(model.text.read(ends), model(**tokens), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(model.text.copy_readout()(ends), model.text.read(ends), rtol=0, atol=0)


def test_a_mask_cuts_one_head_and_leaves_the_others(model):
    residual = model.start_images(torch.randn(2, 3, 32, 32))
    mask = torch.zeros(4, 17, 17)
    mask[1, :, 3] = -torch.inf
    seen = []
    hook = ("visual.blocks.0.attn.hook_pattern", lambda pattern, hook: seen.append(pattern))
    with model.hooks(fwd_hooks=[hook]):
        model.visual.run(residual, [0], mask)
        model.visual.run(residual, [0])
    masked, plain = seen
    assert (masked[:, 1, :, 3] == 0).all() and (plain[:, 1, :, 3] > 0).all()
    torch.testing.assert_close(masked[:, [0, 2, 3]], plain[:, [0, 2, 3]])


def test_no_weight_is_copied(make_clip, tokenizer):
    clip = make_clip()
    ours = {parameter.data_ptr() for parameter in HookedCLIP(clip, "tiny", tokenizer).parameters()}
    assert ours == {parameter.data_ptr() for parameter in clip.parameters()}
