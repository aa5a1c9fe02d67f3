"""Value moments of a pass: of every family of models, by several processes, stopped and resumed."""

import numpy as np
import pytest
import torch
from PIL import Image

from headroles import InputError, RoleMap
from headroles.heads.moments import observe
from headroles.heads.value_moments import ValueMoments
from headroles.images.labelled import Concept, LabelledImages
from headroles.models.hooked_clip import HookedCLIP
from headroles.models.layers import resolve_layers
from headroles.passes.image_pass import PassOptions
from headroles.passes.state import PassState
from headroles.passes.value_pass import fold_values
from headroles.roles.explained import Sums, effects
from headroles.shapes.world import ABSENT

CONCEPTS = (Concept("color", ("red", "green", "blue"), ()), Concept("size", ("small", "large"), ()))


class Pixels:
    """Random images in memory."""

    def __init__(self, count):
        self.pixels = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        return index, self.pixels[index]

    def fingerprint(self):
        return "random"


@pytest.fixture
def labelled():
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(ABSENT, 3, 40), rng.integers(0, 2, 40)], 1)
    return LabelledImages("made", Pixels(40), CONCEPTS, codes)


def eta_squared(outputs, codes):
    shares = np.zeros((len(outputs), codes.shape[1]))
    for concept in range(codes.shape[1]):
        rows, values = outputs[:, codes[:, concept] >= 0], codes[codes[:, concept] >= 0, concept]
        groups = [rows[:, values == value] for value in np.unique(values)]
        between = sum(group.shape[1] * ((group.mean(1) - rows.mean(1)) ** 2).sum(-1) for group in groups)
        within = sum(((group - group.mean(1, keepdims=True)) ** 2).sum((1, 2)) for group in groups)
        noise = within / (len(values) - len(groups)) * (len(groups) - 1)
        shares[:, concept] = np.maximum(0, between - noise) / (between + within)
    return shares


@pytest.mark.parametrize("family", ["clip", "siglip", "vit", "dinov2"])
def test_shares_are_those_of_stored_outputs_in_every_family(family, make_clip, make_siglip, make_vision, labelled):
    built = {"clip": make_clip, "siglip": make_siglip}.get(family, lambda: make_vision(family))()
    model = HookedCLIP(built.double(), "tiny")
    layers = resolve_layers("all", model.visual.layers, model.visual.pooling)
    moments, seen = fold_values(model, labelled, layers, 4, PassOptions(unit=7))
    assert seen.read == 40
    with torch.inference_mode():
        u, bases = observe(model, labelled.images.pixels, layers), model.visual.bases()[list(layers)]
        stored = torch.einsum("ilhk,lhkd->lhid", u.double(), bases.double()).flatten(0, 1).numpy()
    expected = eta_squared(stored, labelled.codes)
    np.testing.assert_allclose(effects(Sums.of(moments)).shares(), expected, rtol=0, atol=1e-10)
    assert (expected > 0).any()


def test_a_stopped_pass_goes_on_to_the_same_sums(model, labelled, tmp_path):
    whole, _ = fold_values(model, labelled, (1, 2), 4, PassOptions(unit=7))
    (tmp_path / "out").mkdir()
    state = PassState(tmp_path / "out")

    def stop(done, total):
        if done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fold_values(model, labelled, (1, 2), 4, PassOptions(unit=7, state=state, save_every=0), progress=stop)
    again = PassOptions(unit=7, state=state, resume=True)
    resumed, seen = fold_values(model, labelled, (1, 2), 4, again)
    assert seen.read == 40
    assert all(torch.equal(resumed.sums()[name], tensor) for name, tensor in whole.sums().items())
    other = LabelledImages("made", labelled.images, CONCEPTS, labelled.codes[::-1].copy())
    with pytest.raises(InputError, match="labels"):
        fold_values(model, other, (1, 2), 4, again)


def test_processes_equal_one(run, start, clip_folder, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(25):
        for concept, values in (("color", ("red", "green")), ("light", ("dim", "bright"))):
            path = tmp_path / "labelled" / concept / values[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (36, 32, 3), dtype=np.uint8)).save(path)
    (tmp_path / "labelled" / "color" / "red" / "broken.png").write_bytes(b"no")
    own = ("score", "--by", "images", "--model", clip_folder, "--images", tmp_path / "labelled", "--batch", "4")
    own = (*own, "--bootstraps", "5", "--device", "cpu")
    code, _, errors = run(*own, "--output", tmp_path / "one")
    assert code == 0 and "left out 1 broken image files: color/red/broken.png" in errors, errors
    assert [code for code, _, _ in start(2, *own, "--output", tmp_path / "two")[1]()] == [0, 0]
    assert RoleMap.load(tmp_path / "one" / "role_map.json") == RoleMap.load(tmp_path / "two" / "role_map.json")
    a, b = (ValueMoments.load(tmp_path / name / "value_moments.safetensors").sums() for name in ("one", "two"))
    for name, tensor in a.items():
        torch.testing.assert_close(b[name], tensor, rtol=1e-12, atol=1e-12)
    assert run(*own, "--shard", "1/2", "--output", tmp_path / "shard")[0] == 0
    assert [path.suffix for path in (tmp_path / "shard").iterdir()] == [".safetensors"]
