"""SigLIP: the pooling head's heads, the moments of parts that pass through it, role maps and texts."""

import json
from importlib import resources

import jsonschema
import pytest
import torch

from headroles import HeadMoments, InputError, ProbeBank, ScoreConfig, ShapesImages, image_contributions
from headroles.heads import pooling
from headroles.heads.moments import blocks_within, observe
from headroles.models.families.siglip import clean_text
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.layers import resolve_layers
from headroles.models.load import Preprocess
from headroles.roles.picks import pick_texts
from headroles.roles.score_texts import score_texts

QUICK = ScoreConfig(layers="all", null_draws=50, bootstraps=5, texts_per_head=6)
LAYERS = (1, 2, 3)


@pytest.fixture
def siglip(make_siglip, tokenizer):
    return HookedCLIP(make_siglip().double(), "tiny", tokenizer)


@pytest.fixture
def images():
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    return ShapesImages(Preprocess(SiglipImageProcessorPil(size={"height": 32, "width": 32})), 60)


def draw(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def moments_of(model: HookedCLIP, pixels: torch.Tensor, layers=LAYERS) -> HeadMoments:
    moments = HeadMoments.empty(model, layers, blocks=5)
    moments.update(observe(model, pixels, layers), torch.arange(len(pixels)) % 5)
    return moments


def unit_parts(model: HookedCLIP, pixels: torch.Tensor) -> torch.Tensor:
    """Parts of unit embeddings (image, layer, head, embed), pooling heads last."""
    parts = image_contributions(model, pixels)
    joined = torch.cat([parts.heads, parts.pooling_heads[:, None]], 1)
    return joined / parts.total().norm(dim=-1)[:, None, None, None]


@torch.inference_mode()
def test_pooling_heads_are_another_cut_through_the_same_sum(siglip):
    parts = image_contributions(siglip, draw(4))
    bias = siglip.clip.vision_model.head.attention.out_proj.bias
    torch.testing.assert_close(parts.pooling_heads.sum(1) + bias, parts.total() - parts.pooling_mlp)


@torch.inference_mode()
def test_the_pooling_layer_can_be_read_and_edited_as_one_more_layer(siglip):
    pixels = draw(3)
    plain, cache = siglip.run_with_cache(pixels)
    block = "visual.blocks.3"
    assert cache[f"{block}.attn.hook_z"].shape == (3, 1, 4, 8)
    torch.testing.assert_close(cache[f"{block}.attn.hook_pattern"].sum(-1), torch.ones(3, 4, 1, dtype=torch.float64))
    torch.testing.assert_close(cache[f"{block}.hook_resid_post"], plain)
    summed = cache[f"{block}.hook_attn_out"] + cache[f"{block}.hook_mlp_out"]
    torch.testing.assert_close(summed[:, 0], plain)
    torch.testing.assert_close(plain, siglip(pixels))

    def silence(z, hook):
        z[:, :, 1] = 0
        return z

    def even(pattern, hook):
        return torch.full_like(pattern, 1 / pattern.shape[-1])

    silenced = siglip.run_with_hooks(pixels, fwd_hooks=[(f"{block}.attn.hook_z", silence)])
    evened = siglip.run_with_hooks(pixels, fwd_hooks=[(f"{block}.attn.hook_pattern", even)])
    attention = siglip.clip.vision_model.head.attention
    attention.out_proj.weight.data[:, 8:16] = 0
    torch.testing.assert_close(silenced, siglip(pixels))
    fresh = siglip.run_with_hooks(pixels, fwd_hooks=[(f"{block}.attn.hook_pattern", even)])
    attention.in_proj_weight.data[: 2 * 32] = 0
    attention.in_proj_bias.data[: 2 * 32] = 0
    torch.testing.assert_close(fresh, siglip(pixels))
    assert not torch.allclose(evened, plain)


@torch.inference_mode()
def test_parts_do_not_depend_on_how_images_are_split(siglip, monkeypatch):
    pixels = draw(7)
    whole, u = image_contributions(siglip, pixels), observe(siglip, pixels, LAYERS)
    monkeypatch.setattr(pooling, "_HELD", 2 * 7 * 16 * 32)
    parts = image_contributions(siglip, pixels)
    for name in ("heads", "biases", "mlps", "start", "pooling_mlp", "pooling_heads"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name))
    torch.testing.assert_close(observe(siglip, pixels, LAYERS), u)


@torch.inference_mode()
def test_covariance_is_that_of_the_unit_contributions(siglip):
    pixels = draw(40)
    parts = unit_parts(siglip, pixels)[:, list(LAYERS)]
    basis = siglip.visual.bases()[list(LAYERS)]
    moments = moments_of(siglip, pixels)
    covariance = basis.transpose(-1, -2) @ moments.covariance()[0] @ basis
    centred = parts - parts.mean(0)
    torch.testing.assert_close(covariance, torch.einsum("ilhd,ilhe->lhde", centred, centred) / 40)
    rows = torch.randn(9, 32, dtype=torch.float64)
    draws = torch.tensor([[1.0, 1, 1, 1, 1], [0, 3, 1, 0, 1]], dtype=torch.float64)
    expected = torch.einsum("td,rlhde,te->rlht", rows, moments.covariance(draws), rows)
    torch.testing.assert_close(moments.variances(rows, draws), expected)


@pytest.mark.slow
@pytest.mark.parametrize("selection", ["std", "variance"])
@torch.inference_mode()
def test_picks_equal_the_naive_ones_on_stored_contributions(siglip, selection):
    pixels, bank = draw(200), ProbeBank.load("shapes")
    settings = ScoreConfig(texts_per_head=7, selection=selection, bootstraps=2)
    picks = pick_texts(siglip, moments_of(siglip, pixels), bank, settings)
    texts = siglip.embed_texts(bank.texts)
    own = siglip.visual.pooling_bases()
    for row, (layer, head) in enumerate((layer, head) for layer in LAYERS for head in range(4)):
        outputs = unit_parts(siglip, pixels)[:, layer, head]
        q = torch.linalg.qr(own[head].T)[0] if layer == 3 else torch.eye(32, dtype=torch.float64)
        # Picks are made in single precision: of a head 8 wide, the last directions' texts nearly tie.
        steps = 5 if layer == 3 else 7
        expected, shares = naive_text_span(outputs, texts @ q @ q.T, steps, selection)
        assert picks.whole.index[0, row, :steps].tolist() == expected
        torch.testing.assert_close(picks.whole.share[0, row, :steps], torch.tensor(shares), rtol=1e-3, atol=1e-4)


def naive_text_span(outputs, texts, steps, selection):
    """TextSpan on stored head outputs (image, embed) and texts projected on their span (text, embed)."""
    outputs = outputs - outputs.mean(0)
    total, picks, shares = outputs.pow(2).sum(), [], []
    for _ in range(steps):
        spread = (outputs @ texts.T).pow(2).sum(0)
        if selection == "variance":
            spread = spread / texts.pow(2).sum(1)
        spread[picks] = -torch.inf
        picks.append(int(spread.argmax()))
        direction = texts[picks[-1]] / texts[picks[-1]].norm()
        shares.append(((outputs @ direction).pow(2).sum() / total).item())
        outputs = outputs - (outputs @ direction)[:, None] * direction
        texts = texts - (texts @ direction)[:, None] * direction
    return picks, shares


@pytest.mark.slow
def test_a_role_map_has_encoder_heads_and_the_pooling_heads_as_one_more_layer(siglip, images):
    bank = ProbeBank.load("shapes")
    role_map, _ = score_texts(siglip, images, bank, QUICK, source="shapes")
    assert role_map.layers == (0, 1, 2, 3) and len(role_map) == 16 and role_map.model.layers == 3
    schema = json.loads((resources.files("headroles.roles") / "role_map.schema.json").read_text())
    jsonschema.validate(role_map.to_dict(), schema)
    parts = unit_parts(siglip, torch.stack([images[index][1] for index in range(60)]).double())
    variances = (parts - parts.mean(0)).pow(2).sum(-1).mean(0)
    for head in role_map:
        assert head.variance == pytest.approx(variances[head.layer, head.head].item(), rel=1e-4)
        assert sum(text.share for text in head.texts) <= 1 + 1e-4 and head.texts
    again, _ = score_texts(siglip, images, bank, QUICK, source="shapes", batch=7)
    assert [head.texts[0].text for head in again] == [head.texts[0].text for head in role_map]


@pytest.mark.slow
def test_permuted_heads_permute_the_role_map(siglip, make_siglip, tokenizer, images):
    """Of an encoder layer and of the pooling head."""
    bank, order = ProbeBank.load("shapes"), [2, 0, 3, 1]
    role_map, _ = score_texts(siglip, images, bank, QUICK)
    clip = make_siglip().double()
    rows = torch.cat([torch.arange(8) + 8 * head for head in order])
    attention = clip.vision_model.encoder.layers[1].self_attn
    for part in (attention.q_proj, attention.k_proj, attention.v_proj):
        part.weight.data, part.bias.data = part.weight.data[rows], part.bias.data[rows]
    attention.out_proj.weight.data = attention.out_proj.weight.data[:, rows]
    pool = clip.vision_model.head.attention
    three = torch.cat([rows, rows + 32, rows + 64])
    pool.in_proj_weight.data, pool.in_proj_bias.data = pool.in_proj_weight.data[three], pool.in_proj_bias.data[three]
    pool.out_proj.weight.data = pool.out_proj.weight.data[:, rows]
    permuted, _ = score_texts(HookedCLIP(clip, "tiny", tokenizer), images, bank, QUICK)
    for layer in range(4):
        for new, old in enumerate(order if layer in (1, 3) else range(4)):
            mine, theirs = permuted[f"L{layer}.H{new}"], role_map[f"L{layer}.H{old}"]
            assert [text.text for text in mine.texts] == [text.text for text in theirs.texts]
            assert mine.variance == pytest.approx(theirs.variance, rel=1e-4)


def test_layers_count_the_pooling_head():
    assert resolve_layers("deep", 12, True) == (8, 9, 10, 11, 12)
    assert resolve_layers("all", 3, True) == (0, 1, 2, 3)
    assert resolve_layers("2-3", 3, True) == (2, 3)
    with pytest.raises(InputError, match="layers 0-3"):
        resolve_layers("4", 3, True)


def test_wide_moments_get_fewer_blocks_and_too_wide_ones_are_refused(siglip):
    assert blocks_within(4, 4, 32, 32) == 32
    assert blocks_within(5, 12, 768, 32) == 7
    assert blocks_within(10, 16, 1152, 32) == 4
    with pytest.raises(InputError, match="at most 12 layers at a time"):
        blocks_within(28, 16, 1152, 32)


def test_moments_survive_their_file(siglip, tmp_path):
    moments = moments_of(siglip, draw(9))
    moments.save(tmp_path / "m.safetensors")
    loaded = HeadMoments.load(tmp_path / "m.safetensors")
    assert loaded.layers == LAYERS
    torch.testing.assert_close(loaded.second, moments.second, rtol=1e-12, atol=1e-18)


@torch.inference_mode()
def test_texts_are_lower_case_padded_to_the_context_and_unmasked(siglip):
    tokens = siglip.tokenize(["A Red Circle"])
    assert set(tokens) == {"input_ids"} and tokens["input_ids"].shape == (1, 16)
    assert tokens["input_ids"][0, -1] == siglip.tokenizer.pad_token_id
    both = siglip.embed_texts(["a red circle", "something striped in the top left"])
    torch.testing.assert_close(both[:1], siglip.embed_texts(["A RED CIRCLE"]))
    tokens["input_ids"][0, -1] = 5
    assert not torch.allclose(siglip(**tokens), siglip(**siglip.tokenize(["a red circle"])))


def test_texts_are_cleaned_as_open_clips_config_of_siglip_2_says(make_siglip, tokenizer):
    model = HookedCLIP(make_siglip(layers=1), "siglip", tokenizer)
    messy, clean = "A  photo_of: the Cat's &amp; dog's (night)!\n", "a photo of the cats dogs night"
    assert clean_text(messy) == clean
    assert clean_text("the \u201ccafe\u0301\u201d\u2019s") == "the caf\u00e9s"
    ids = model.tokenize([messy, clean])["input_ids"]
    assert torch.equal(ids[0], ids[1])
    padded = tokenizer(clean, padding="max_length", max_length=16, truncation=True, return_tensors="pt").input_ids
    assert torch.equal(ids[1], padded[0])
