"""Value moments are sums: shards merge to the whole, files keep every bit, and stored outputs give the same figures."""

import numpy as np
import pytest
import torch

from headroles import InputError
from headroles.heads.moments import observe
from headroles.heads.output_sample import draw_rows, sample_size
from headroles.heads.value_moments import ValueMoments, span_coordinates
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.explained import Sums, effects

LAYERS = (1, 2)
CONCEPTS = (("color", ("red", "green", "blue")), ("size", ("small", "large")))
SUMS = ("count", "first", "pairs", "value_first", "square", "second", "sample", "sample_codes")


def draw(images=60, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(-1, 3, images), rng.integers(-1, 2, images)], 1)
    return torch.randn(images, 3, 32, 32, generator=torch.Generator().manual_seed(seed)), torch.from_numpy(codes)


def moments_of(model, pixels, codes, start=0, blocks=4):
    moments = ValueMoments.empty(model, LAYERS, CONCEPTS, blocks, 100)
    with torch.inference_mode():
        v = span_coordinates(model, LAYERS)(observe(model, pixels, LAYERS))
    moments.update(v, codes, (torch.arange(len(pixels)) + start) % blocks, torch.arange(len(pixels)) + start)
    return moments


@pytest.fixture
def double(make_clip, tokenizer):
    return HookedCLIP(make_clip().double(), "tiny", tokenizer)


def test_shards_merge_to_the_whole(double):
    pixels, codes = draw()
    whole = moments_of(double, pixels, codes)
    shards = [moments_of(double, pixels[a:b], codes[a:b], a) for a, b in ((0, 7), (7, 40), (40, 60))]
    merged = shards[0].merge(shards[1]).merge(shards[2])
    for name in SUMS:
        torch.testing.assert_close(getattr(merged, name), getattr(whole, name), rtol=1e-12, atol=1e-12)
    assert merged.images == 60
    a, b = (effects(Sums.of(each)).shares() for each in (merged, whole))
    np.testing.assert_allclose(a, b, atol=1e-12)


def test_save_and_load_keep_every_bit_and_the_same_sums_give_the_same_bytes(model, tmp_path):
    moments = moments_of(model, *draw(20))
    written = set()
    for number in range(5):
        moments.save(tmp_path / f"{number}.safetensors")
        written.add((tmp_path / f"{number}.safetensors").read_bytes())
    assert len(written) == 1
    loaded = ValueMoments.load(tmp_path / "0.safetensors")
    assert (loaded.layers, loaded.weights_hash, loaded.concepts) == (LAYERS, moments.weights_hash, CONCEPTS)
    assert all(torch.equal(getattr(loaded, name), getattr(moments, name)) for name in SUMS)


def test_block_multiplicities_weigh_images(model):
    pixels, codes = draw(8)
    sums = Sums.of(moments_of(model, pixels, codes), np.array([2.0, 1, 1, 1]))
    again = Sums.of(moments_of(model, torch.cat([pixels, pixels[[0, 4]]]), torch.cat([codes, codes[[0, 4]]])))
    for name in ("first", "pairs", "value_first", "square"):
        np.testing.assert_allclose(getattr(sums, name), getattr(again, name), rtol=1e-5, atol=1e-7)


def test_moments_that_do_not_belong_together_and_damaged_files_are_refused(model, make_clip, tokenizer, tmp_path):
    pixels, codes = draw(6)
    moments = moments_of(model, pixels, codes)
    with pytest.raises(InputError, match="differ in weights_hash"):
        moments.merge(moments_of(HookedCLIP(make_clip(seed=1), "other", tokenizer), pixels, codes))
    with pytest.raises(InputError, match="differ in blocks"):
        moments.merge(moments_of(model, pixels, codes, blocks=3))
    with pytest.raises(InputError, match="differ in concepts"):
        moments.merge(ValueMoments.empty(model, LAYERS, CONCEPTS[:1], 4))
    with pytest.raises(InputError, match="GiB of sums"):
        ValueMoments.empty(model, LAYERS, (("name", tuple(map(str, range(20_000)))), CONCEPTS[0]))
    path = tmp_path / "m.safetensors"
    moments.save(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        ValueMoments.load(path)


def test_the_sample_is_bounded_the_same_everywhere_and_holds_outputs_as_they_are(model):
    assert (sample_size(50, 10), sample_size(10**6, 10), sample_size(10**6, 10**9)) == (50, 2000, 200)
    rows = draw_rows(30, 7)
    assert torch.equal(rows, draw_rows(30, 7)) and sorted(rows[rows >= 0].tolist()) == list(range(7))
    pixels, codes = draw(30)
    with torch.inference_mode():
        v = span_coordinates(model, LAYERS)(observe(model, pixels, LAYERS))
    moments = ValueMoments.empty(model, LAYERS, CONCEPTS, 4, 7)
    moments.update(v, codes, torch.arange(30) % 4, rows)
    kept = (rows >= 0).nonzero()[:, 0]
    torch.testing.assert_close(moments.sample[rows[kept]], v[kept].float())
    assert torch.equal(moments.sample_codes[rows[kept]] - 2, codes[kept].int())
