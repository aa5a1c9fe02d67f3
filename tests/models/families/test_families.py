"""What holds for every family: transformers' own embedding, parts that sum to it, hooks that read and edit, heads."""

import numpy as np
import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
from transformers.models.siglip2.image_processing_pil_siglip2 import convert_image_to_patches

from headroles import InputError, find_source, image_contributions, text_contributions
from headroles.diagnosis.doctor import _check_exactness, _configs, _describe
from headroles.heads.ablate import ablating
from headroles.heads.moments import observe_with_embedding
from headroles.heads.reference import HeadReference
from headroles.models.families import find_family
from headroles.models.hooked_clip import HookedCLIP, recording

TEXTS = ["a red circle", "something striped in the top left", "night"]
BOUND = {torch.float32: 1e-5, torch.float64: 1e-12}
MODELS = {
    "siglip": {},
    "siglip-gelu": {"layers": 2, "heads": 2, "width": 48, "act": "gelu", "side": 30, "patch": 10},
    "siglip-vision": {},
    "clip-vision": {},
    "clip-bare": {},
    "vit": {},
    "vit-no-bias": {"qkv_bias": False, "hidden_act": "relu", "layers": 2, "heads": 2},
    "dinov2": {},
    "dinov2-swiglu": {"use_swiglu_ffn": True, "drop_path_rate": 0.5, "layer_norm_eps": 1e-3},
    "dinov2_with_registers": {"num_register_tokens": 3},
    "dinov3": {"num_register_tokens": 3, "proj_bias": False, "use_gated_mlp": True},
    "metaclip2": {"meta": True},
    "naflex": {"naflex": True, "layers": 2},
    "siglip-headless": {"vision_use_head": False},
    "idefics2": {"layers": 2},
    "idefics3": {"layers": 2},
}


@pytest.fixture
def build(make_siglip, make_clip, make_vision, tokenizer):
    """Builds one of MODELS, hooked."""

    def call(name: str, dtype: torch.dtype = torch.float32, **changes) -> HookedCLIP:
        family = name.partition("-")[0]
        settings = {**MODELS[name], **changes}
        if "vision_use_head" not in settings and family in ("siglip", "naflex"):
            model = make_siglip(**settings)
        elif family == "metaclip2":
            model = make_clip(**settings)
        elif family == "clip":
            whole = make_clip(**settings)
            if name == "clip-bare":
                return HookedCLIP(whole.vision_model.to(dtype), name, tokenizer)
            model = CLIPVisionModelWithProjection(CLIPVisionConfig(**whole.config.vision_config.to_dict()))
            model.load_state_dict(whole.state_dict(), strict=False)
        else:
            model = make_vision(family, **settings)
        if name == "siglip-vision":
            model = model.vision_model
        return HookedCLIP(model.to(dtype), name, tokenizer)

    return call


def draw(model: HookedCLIP, images: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (images, 3, model.image_size, model.image_size)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(model.dtype)


def plain_embedding(model: HookedCLIP, pixels: torch.Tensor) -> torch.Tensor:
    """From transformers' public forward."""
    if model.clip.config.model_type == "siglip2":
        patches = np.stack([convert_image_to_patches(each.numpy(), 8) for each in pixels])
        inputs = {"pixel_values": torch.from_numpy(patches), "spatial_shapes": torch.tensor([[4, 4]] * len(pixels))}
        return model.clip.get_image_features(**inputs, pixel_attention_mask=torch.ones(len(pixels), 16)).pooler_output
    if hasattr(model.clip, "get_image_features"):
        return model.clip.get_image_features(pixel_values=pixels).pooler_output
    output = model.clip(pixel_values=pixels)
    if "image_embeds" in output:
        return output.image_embeds
    if not model.visual.at_row:
        return output.pooler_output if model.visual.pooling else output.last_hidden_state.mean(1)
    return output.pooler_output if model.family.title == "CLIP" else output.last_hidden_state[:, 0]


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("dtype", BOUND, ids=str)
@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_the_embedding_is_transformers_own_and_its_parts_sum_to_it(build, name, dtype):
    model = build(name, dtype)
    pixels = draw(model)
    plain = plain_embedding(model, pixels)
    torch.testing.assert_close(model(pixels), plain, rtol=0, atol=0 if name != "naflex" else 1e-5)
    parts = image_contributions(model, pixels)
    assert relative_error(parts.total(), plain) <= BOUND[dtype]
    assert parts.heads.shape == (3, model.visual.layers, model.visual.heads, model.visual.embed)
    if model.text is not None:
        plain = model.clip.get_text_features(**model.tokenize(TEXTS)).pooler_output
        assert torch.equal(model(**model.tokenize(TEXTS)), plain)
        assert relative_error(text_contributions(model, TEXTS).total(), plain) <= BOUND[dtype]


@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_a_part_is_what_its_head_adds(build, name):
    """Cutting a last-layer head, with MLPs and deviations held still, takes away its part alone."""
    model = build(name, torch.float64)
    tower, pixels = model.visual, draw(model)
    last, seen = tower.layers - 1, {}
    names = [f"visual.blocks.{last}.hook_mlp_out", "visual.ln_final.hook_scale", f"visual.blocks.{last}.attn.hook_z"]
    names += [f"visual.blocks.{tower.layers}.attn.hook_pattern"] if tower.pooling else []
    model.run_with_hooks(
        pixels, fwd_hooks=[(name, lambda x, hook: seen.update({hook.name: x.clone()})) for name in names]
    )
    part = tower._parts[last]
    z = torch.zeros_like(seen[names[2]])
    z[:, :, 1] = seen[names[2]][:, :, 1]
    written = z.flatten(-2) @ part.weight().T
    scaled = (written - written.mean(-1, keepdim=True)) / seen[names[1]].reshape(*seen[names[1]].shape[:1], -1, 1)
    if tower.pooling:
        read = seen[names[3]][:, :, 0] @ (scaled * tower._norm.weight)
        values = tower._attention.in_proj_weight.chunk(3)[2].unflatten(0, (tower.heads, -1))
        expected = torch.einsum("ihd,hkd->ihk", read, values).flatten(1) @ tower._attention.out_proj.weight.T
    else:
        expected = (scaled[:, 0] if tower.at_row else scaled.mean(1)) * tower._norm.weight
        expected = expected if tower._projection is None else expected @ tower._projection.weight.T
    torch.testing.assert_close(image_contributions(model, pixels).heads[:, last, 1], expected)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_hooks_read_what_the_model_computes_and_edits_act(build, name):
    model = build(name)
    pixels, tower = draw(model), model.visual
    plain, cache = model.run_with_cache(pixels)
    torch.testing.assert_close(plain, model(pixels), rtol=1e-5, atol=1e-5)
    tokens = cache["visual.blocks.0.hook_resid_pre"].shape[1]
    assert cache["visual.blocks.1.attn.hook_z"].shape == (3, tokens, tower.heads, tower.head_width)
    torch.testing.assert_close(cache["visual.blocks.1.attn.hook_pattern"].sum(-1), torch.ones(3, tower.heads, tokens))
    residual = cache["visual.blocks.1.hook_resid_pre"]
    added = cache["visual.blocks.1.hook_attn_out"] + cache["visual.blocks.1.hook_mlp_out"]
    torch.testing.assert_close(cache["visual.blocks.1.hook_resid_post"], residual + added, rtol=1e-4, atol=1e-4)
    edited = model.run_with_hooks(pixels, fwd_hooks=[("visual.blocks.1.attn.hook_z", lambda z, hook: 0 * z)])
    tower._parts[1].output.weight.zero_()
    torch.testing.assert_close(edited, model(pixels))
    assert not torch.allclose(edited, plain)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_the_layer_loop_is_the_forward_also_for_some_rows(build, name):
    model = build(name)
    pixels, tower = draw(model), model.visual
    start = model.start_images(pixels)
    last = tower.run(start, range(tower.layers))
    assert torch.equal(tower.read(last[:, 0] if tower.at_row else last), model(pixels))
    torch.testing.assert_close(tower.copy_readout()(last), tower.read(last))
    rows = torch.tensor([0, 2])
    torch.testing.assert_close(tower.run_rows(start, 1, rows), tower.run(start, [1])[:, rows], rtol=1e-4, atol=1e-5)
    extra = start.shape[1] - model.patches
    others = dict.fromkeys(("siglip", "naflex", "idefics2", "idefics3"), 0)
    assert extra == {**others, "dinov2_with_registers": 4, "dinov3": 4}.get(name.split("-")[0], 1)
    if model.text is not None:
        ids = model.tokenize(TEXTS)["input_ids"]
        last = model.text.run(model.start_texts(ids), range(model.text.layers), model.causal_mask(ids.shape[1]))
        ends = last[torch.arange(len(ids)), model.text_rows(ids)]
        torch.testing.assert_close(model.text.read(ends), model(input_ids=ids), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["siglip-headless", "idefics3", "dinov3"])
@torch.inference_mode()
def test_moments_are_of_the_parts_of_unit_embeddings(build, name):
    model = build(name, torch.float64)
    pixels, layers = draw(model), (0, 1)
    u, unit = observe_with_embedding(model, pixels, layers)
    parts = torch.einsum("ilhk,lhkd->ilhd", u, model.visual.bases()[list(layers)])
    length = model(pixels).norm(dim=-1)
    torch.testing.assert_close(parts, image_contributions(model, pixels).heads[:, layers] / length[:, None, None, None])
    torch.testing.assert_close(unit, model(pixels) / length[:, None])


@pytest.mark.parametrize("name", list(MODELS)[3:])
def test_the_doctor_finds_every_family_exact(build, name):
    model = build(name)
    found = list(_check_exactness(model, find_source("shapes", count=1)))
    assert {check.tower for check in found} == ({"image"} if model.text is None else {"image", "text"})
    assert {check.dtype for check in found} == {"float32", "float64"}
    assert all(check.passed for check in found), found
    _describe(model.visual, _configs(model)[0])


def permute_heads(model: HookedCLIP, layer: int, order: list[int]) -> None:
    """Put head order[n] of an encoder layer in place n, in the weights."""
    part, width = model.visual._parts[layer], model.visual.head_width
    rows = np.concatenate([np.arange(width) + width * head for head in order])
    for projection in (part.attention.q_proj, part.attention.k_proj, part.attention.v_proj):
        projection.weight.data = projection.weight.data[rows]
        if projection.bias is not None:
            projection.bias.data = projection.bias.data[rows]
    part.output.weight.data = part.output.weight.data[:, rows]


@pytest.mark.parametrize("name", ["siglip", "siglip-headless", "vit", "dinov2", "dinov2_with_registers", "dinov3"])
@torch.inference_mode()
def test_a_permuted_head_order_permutes_the_parts(build, name):
    model, other, order = build(name, torch.float64), build(name, torch.float64), [2, 0, 3, 1]
    permute_heads(other, 1, order)
    pixels = draw(model)
    one, two = image_contributions(model, pixels).heads, image_contributions(other, pixels).heads
    torch.testing.assert_close(two[:, 1], one[:, 1, order])
    torch.testing.assert_close(two[:, [0, 2]], one[:, [0, 2]])


def test_no_weight_is_copied(build):
    for name in MODELS:
        model = build(name)
        ours = {parameter.data_ptr() for parameter in model.parameters()}
        assert ours == {parameter.data_ptr() for parameter in model.clip.parameters()}


def test_vision_alone_refuses_texts_in_one_line_that_names_the_way_out(build):
    for name in ("vit", "dinov2", "siglip-vision", "clip-vision"):
        model = build(name)
        for ask in (model.embed_texts, model.tokenize, lambda texts, model=model: text_contributions(model, texts)):
            with pytest.raises(InputError, match=r"has no text tower.*--by images"):
                ask(TEXTS)


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [
        ("qwen2_5_vl", "RMSNorm"),
        ("perception_lm", "Perception Encoder"),
        ("siglip_text_model", "text tower alone"),
        ("clip_text_model", "text tower alone"),
        ("bert", "expected one of clip"),
    ],
)
def test_other_types_are_refused_by_name_with_the_reason(model_type, reason):
    with pytest.raises(InputError, match=f"mine is of type '{model_type}'.*{reason}"):
        find_family(model_type, "mine")


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_the_direct_effect_of_cutting_heads_is_their_parts(build, name):
    model = build(name, torch.float64)
    pixels, parts = draw(model), image_contributions(model, draw(model))
    heads, expected = [(0, 1), (1, 0)], parts.heads[:, 0, 1] + parts.heads[:, 1, 0]
    if model.visual.pooling:
        pooling = model.visual.layers
        heads, expected = [*heads, (pooling, 1)], expected + parts.pooling_heads[:, 1]
    with ablating(model, heads, "zero", "direct"):
        cut = model(pixels)
    torch.testing.assert_close(cut, model(pixels) - expected)


@pytest.mark.parametrize("name", ["siglip", "siglip-headless", "vit", "dinov2_with_registers"])
@torch.no_grad()
def test_mean_ablation_holds_a_head_at_its_mean(build, name):
    model = build(name)
    pixels, layers = draw(model), [1, model.visual.layers] if model.visual.pooling else [1]
    images = [(index, image) for index, image in enumerate(pixels)]
    for layer in layers:
        reference = HeadReference.collect(model, images, [layer], pool=2, batch=2)
        hook, seen = f"visual.blocks.{layer}.attn.hook_z", []
        _, cache = model.run_with_cache(pixels)
        with ablating(model, [(layer, 1)], "mean", reference=reference), recording(model, {hook: seen.append}):
            model(pixels)
        torch.testing.assert_close(seen[0][:, :, 1], cache[hook].mean(0, keepdim=True).expand_as(cache[hook])[:, :, 1])
        torch.testing.assert_close(seen[0][:, :, 0], cache[hook][:, :, 0])
    if model.visual.pooling:
        with pytest.raises(InputError, match="collected alone"):
            HeadReference.collect(model, images, layers)
