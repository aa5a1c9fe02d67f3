"""Head moments are sums: shards merge exactly, files keep them, and they give the covariance of contributions."""

import pytest
import torch

from headroles import HeadMoments, InputError, image_contributions
from headroles.heads.moments import observe
from headroles.models.hooked_clip import HookedCLIP, recording
from headroles.models.precision import half_precision

LAYERS = (1, 2)


def moments_of(model, pixels, start=0):
    moments = HeadMoments.empty(model, LAYERS, blocks=4)
    moments.update(observe(model, pixels, LAYERS), (torch.arange(len(pixels)) + start) % 4)
    return moments


def assert_same(a: HeadMoments, b: HeadMoments) -> None:
    for name in ("count", "first", "second"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), rtol=1e-12, atol=1e-12)


def test_shards_merge_to_the_whole(make_clip, tokenizer):
    model = HookedCLIP(make_clip().double(), "tiny", tokenizer)
    pixels = torch.randn(30, 3, 32, 32)
    whole = moments_of(model, pixels)
    merged = moments_of(model, pixels[:7]).merge(moments_of(model, pixels[7:18], 7))
    assert_same(whole, merged.merge(moments_of(model, pixels[18:], 18)))
    assert whole.images == 30


@pytest.mark.parametrize("numbers", [range(30), [0, 4, 8, 12], [3], [], [1, 2, 1 << 40, 7]])
def test_update_equals_the_sums_image_by_image(model, numbers):
    numbers = torch.tensor(list(numbers), dtype=torch.long)
    u = torch.randn(len(numbers), 2, 4, 8)
    moments = HeadMoments.empty(model, LAYERS, blocks=4)
    for _ in range(2):
        moments.update(u, numbers % 4)
    expected = HeadMoments.empty(model, LAYERS, blocks=4)
    for row, number in zip(u.double(), numbers.tolist(), strict=True):
        expected.count[number % 4] += 2
        expected.first[number % 4] += 2 * row
        expected.second[number % 4] += 2 * row[..., :, None] * row[..., None, :]
    assert_same(moments, expected)


def test_half_precision_keeps_the_scale_exact(make_clip, tokenizer):
    """In bfloat16 z is rounded to 8 bits, and no more: u differs by no more than a few of its steps."""
    model = HookedCLIP(make_clip(), "tiny", tokenizer)
    pixels = torch.randn(12, 3, 32, 32)
    full, half = observe(model, pixels, LAYERS), observe(model, pixels, LAYERS, "bf16")
    assert half.dtype == torch.float32 and not torch.equal(full, half)
    names = ("visual.ln_final.hook_scale", *(f"visual.blocks.{layer}.hook_resid_post" for layer in LAYERS))
    with half_precision(model.device, "bf16"), recording(model, {name: lambda value: value for name in names}) as kept:
        model(pixels)
    assert {kept[name].dtype for name in names} == {torch.float32}
    assert (full - half).norm() / full.norm() < 2**-5
    assert all(weight.dtype == torch.float32 for weight in model.clip.parameters())


@pytest.mark.slow
def test_compiled_mlps_show_the_same_through_the_same_hooks(make_clip, tokenizer):
    model = HookedCLIP(make_clip(), "tiny", tokenizer)
    pixels = torch.randn(3, 3, 32, 32)
    names = [f"visual.blocks.{layer}.{point}" for layer in LAYERS for point in ("attn.hook_z", "hook_mlp_out")]

    def silence(activation, hook):
        return torch.zeros_like(activation)

    def look():
        _, cache = model.run_with_cache(pixels, names_filter=names)
        edited = model.run_with_hooks(pixels, fwd_hooks=[(names[1], silence)])
        return [*(cache[name] for name in names), edited]

    plain = look()
    model.visual.compile_mlps(backend="aot_eager")
    for before, after in zip(plain, look(), strict=True):
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_save_and_load_keep_every_bit(model, tmp_path):
    moments = moments_of(model, torch.randn(9, 3, 32, 32))
    moments.save(tmp_path / "m.safetensors")
    loaded = HeadMoments.load(tmp_path / "m.safetensors")
    assert loaded.layers == LAYERS and loaded.weights_hash == moments.weights_hash
    assert torch.equal(loaded.first, moments.first)
    torch.testing.assert_close(loaded.second, moments.second, rtol=1e-15, atol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]
    for _ in range(10):  # metadata used to come in random order
        moments.save(tmp_path / "again.safetensors", {"a": "1", "b": "2"})
        loaded.save(tmp_path / "loaded.safetensors", {"b": "2", "a": "1"})
        assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "loaded.safetensors").read_bytes()


@torch.inference_mode()
def test_covariance_is_that_of_the_unit_contributions(make_clip, tokenizer):
    model = HookedCLIP(make_clip().double(), "tiny", tokenizer)
    pixels = torch.randn(20, 3, 32, 32)
    parts = image_contributions(model, pixels)
    heads = parts.heads[:, list(LAYERS)] / parts.total().norm(dim=-1)[:, None, None, None]
    basis = model.visual.bases()[list(LAYERS)]
    covariance = basis.transpose(-1, -2) @ moments_of(model, pixels).covariance()[0] @ basis
    centred = heads - heads.mean(0)
    torch.testing.assert_close(covariance, torch.einsum("ilhd,ilhe->lhde", centred, centred) / 20)


def test_block_multiplicities_weigh_images(model):
    pixels = torch.randn(8, 3, 32, 32)
    twice_first = moments_of(model, pixels).covariance(torch.tensor([[2.0, 1, 1, 1]], dtype=torch.float64))
    repeated = torch.cat([pixels, pixels[[0, 4]]])
    torch.testing.assert_close(twice_first, moments_of(model, repeated).covariance(), rtol=1e-5, atol=1e-9)


def test_moments_of_other_models_and_damaged_files_are_refused(make_clip, model, tokenizer, tmp_path):
    other = HookedCLIP(make_clip(seed=1), "other", tokenizer)
    pixels = torch.randn(4, 3, 32, 32)
    with pytest.raises(InputError, match="differ in weights_hash"):
        moments_of(model, pixels).merge(moments_of(other, pixels))
    path = tmp_path / "m.safetensors"
    moments_of(model, pixels).save(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        HeadMoments.load(path)
