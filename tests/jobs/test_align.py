"""Words by a learned map: ridge regression in closed form, its fidelity on other images, a role map that says so."""

import numpy as np
import pytest
import torch
from PIL import Image

from headroles import AlignedMap, InputError, RoleMap, image_contributions, load
from headroles.jobs.align import Pair
from headroles.models.hooked_clip import HookedCLIP
from headroles.passes.align_pass import RIDGES, solve
from headroles.passes.image_pass import PassOptions

PLENTY = 60


@pytest.fixture(scope="module")
def tower(make_vision, tmp_path_factory):
    """A folder with a DINOv2 that sees shapes as large as the CLIP beside it does."""
    folder = tmp_path_factory.mktemp("dino")
    make_vision("dinov2", width=24, heads=4, layers=2).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of pictures without labels."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(PLENTY):
        level = rng.integers(0, 200, 3)
        Image.fromarray((level + rng.integers(0, 50, (32, 32, 3))).astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def sums_of(x, y, kept):
    """What a pass leaves of embeddings x and y, of which the rows `kept` are not learned from."""
    both = torch.cat([x, y], 1)
    learned, width = both[~kept], x.shape[1]
    rows = torch.zeros(len(both), both.shape[1], dtype=torch.float64)
    rows[: int(kept.sum())] = both[kept]
    count = torch.tensor([float(len(learned))], dtype=torch.float64)
    return {"count": count, "sum": learned.sum(0), "square": learned[:, :width].T @ learned, "kept": rows}


def test_the_map_is_ridge_regression_and_its_fidelity_that_of_images_it_was_not_learned_on():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 6, generator=generator, dtype=torch.float64) + 2
    y = x @ torch.randn(6, 4, generator=generator, dtype=torch.float64)
    y += torch.randn(300, 4, generator=generator, dtype=torch.float64)
    kept = torch.arange(300) % 5 == 4
    found = solve(sums_of(x, y, kept))
    a, b = x[~kept] - x[~kept].mean(0), y[~kept] - y[~kept].mean(0)
    penalty = found.ridge * a.square().mean() * len(a) * torch.eye(6, dtype=torch.float64)
    weight = torch.linalg.solve(a.T @ a + penalty, a.T @ b).T
    torch.testing.assert_close(found.weight, weight)
    torch.testing.assert_close(found.bias, y[~kept].mean(0) - weight @ x[~kept].mean(0))
    judged_x, judged = x[kept][1::2], y[kept][1::2]
    guess = judged_x @ found.weight.T + found.bias
    r2 = 1 - (judged - guess).square().sum() / (judged - y[~kept].mean(0)).square().sum()
    assert found.r2 == pytest.approx(r2.item()) and found.ridge in RIDGES
    assert (found.count, found.chosen_on, found.judged_on) == (240, 30, 30)
    nothing = solve(sums_of(x, torch.randn(300, 4, generator=generator, dtype=torch.float64), kept))
    assert nothing.r2 < 0.1


class Pixels:
    """Random pictures, as two models of the same size want them."""

    def __init__(self, count):
        self.pixels = torch.randn(count, 3 * 32 * 32, generator=torch.Generator().manual_seed(2))

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, number):
        return number, self.pixels[number].repeat(2)

    def name(self, number):
        return str(number)

    def fingerprint(self):
        return "0" * 64


@torch.inference_mode()
def test_a_tower_aligned_to_its_own_clip_finds_its_projection_again(make_clip, tokenizer):
    """Up to the length of the embedding, which differs from image to image and is no linear matter."""
    clip = HookedCLIP(make_clip(), "clip", tokenizer)
    bare = HookedCLIP(make_clip().vision_model, "bare")
    pair = Pair(bare, clip, Pixels(300), "noise")
    sums, seen = pair.fold(PassOptions(unit=150), False, None)
    again, _ = pair.fold(PassOptions(unit=100), False, None)
    for name, tensor in sums.items():
        torch.testing.assert_close(again[name], tensor, msg=name)
    found = pair.solve(sums, seen)
    fit = found.facts.words.fit
    assert fit.r2 > 0.9 and fit.cosine > 0.99 > fit.mean_cosine and (fit.count, fit.judged_on) == (240, 30)
    joined, pixels = found.join(bare, clip), torch.randn(3, 3, 32, 32)
    whole = joined(pixels)
    assert (image_contributions(joined, pixels).total() - whole).norm() <= 1e-5 * whole.norm()
    with pytest.raises(InputError, match="learned with other weights than those of other"):
        found.join(HookedCLIP(make_clip(seed=3).vision_model, "other"), clip)


def test_score_learns_the_map_reads_by_texts_and_says_so(tower, clip_folder, photos, tmp_path, run):
    out, texts = tmp_path / "out", tmp_path / "texts.csv"
    texts.write_text("text,concept\na red thing,color\na blue thing,color\na circle,shape\na square,shape\n")
    few = ["--null-draws", 19, "--bootstraps", 2, "--texts-per-head", 3, "--layers", 1]
    options = ["--images", photos, "--probes", texts, "--output", out, *few]
    code, text, err = run("score", "--model", tower, "--align-to", clip_folder, "--device", "cpu", *options)
    assert code == 0, err
    role_map, kept = RoleMap.load(out), AlignedMap.load(out / "alignment")
    assert role_map.words == kept.facts.words and kept.facts.vision == str(tower)
    assert role_map.words.model == str(clip_folder) and role_map.words.fit.count == 4 * PLENTY // 5
    assert f"words: texts of {clip_folder}, by a linear map learned from {4 * PLENTY // 5} images" in text
    again = load(role_map.model.name, "cpu")
    assert again.weights_hash() == role_map.model.weights_hash and again.words == role_map.words
    code, _, err = run("score", "--model", tower, "--align-to", clip_folder, "--device", "cpu", *options)
    assert code == 2 and "already holds" in err
    for path in out.glob("*.*"):
        path.unlink()
    other = AlignedMap(kept.facts, kept.weight + 1, kept.bias)
    other.save(out / "alignment")
    arguments = ["--model", tower, "--align-to", clip_folder, "--device", "cpu", *options]
    assert run("score", *arguments, "--resume")[0] == 0 and RoleMap.load(out).words == role_map.words
    assert AlignedMap.load(out / "alignment").weight.equal(other.weight)  # Not learned again.
    tensors = out / "alignment" / "alignment.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(InputError, match="is damaged"):
        load(str(out / "alignment"), "cpu")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--count", 40], "a map is learned from 50 images at least, got 40"),
        (["--texts-from", "shapes"], "exclude each other"),
        (["--by", "images"], "it belongs to --by texts"),
        (["--shard", "1/2"], "every shard would learn its own map"),
        (["--model", "CLIP"], "has texts of its own"),
    ],
)
def test_what_cannot_be_aligned_is_refused(tower, clip_folder, photos, tmp_path, run, options, reason):
    arguments = ["--model", tower, "--align-to", clip_folder, "--images", photos, "--output", tmp_path / "out"]
    code, _, err = run("score", *arguments, *(clip_folder if each == "CLIP" else each for each in options))
    assert code == 2 and reason in err and not (tmp_path / "out").exists()
