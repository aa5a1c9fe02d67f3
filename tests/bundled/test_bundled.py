"""The shapes world: deterministic, unconfounded, truthfully captioned; and the bundled model knows it."""

import dataclasses
import itertools
import json
import re
from importlib import resources

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency

from headroles import ProbeBank, ScoreConfig, ShapesImages, load
from headroles.adapt import DearConfig
from headroles.bundled.clip import Architecture, to_pixels
from headroles.bundled.config import RECIPES
from headroles.bundled.evaluate import zero_shot
from headroles.bundled.specialists import SPECIALISTS, explained_share
from headroles.bundled.train import SceneStream, TrainConfig, Trainer, compatibility, contrastive_loss, train
from headroles.jobs.score_job import ScoreJob
from headroles.models.known_models import BUNDLED
from headroles.roles.discovery import CORE_SEEDS
from headroles.roles.score_texts import score_texts
from headroles.shapes import CONCEPTS, NAMES, caption, render, sample_scene, value_texts
from headroles.shapes.world import ABSENT, is_held_out


def labels_of(split, count=6000):
    return np.array([sample_scene(7, index, split).labels for index in range(count)])


def test_equal_streams_give_equal_pixels():
    for index in (0, 5):
        assert (render(sample_scene(3, index)) == render(sample_scene(3, index))).all()
    assert (render(sample_scene(3, 0)) != render(sample_scene(4, 0))).any()
    assert render(sample_scene(3, 0)).shape == (64, 64, 3)


def test_no_two_concepts_are_confounded():
    labels = labels_of("all")
    pairs = [pair for pair in itertools.combinations(range(len(NAMES)), 2)]
    p_values = []
    for a, b in pairs:
        both = labels[(labels[:, a] != ABSENT) & (labels[:, b] != ABSENT)]
        if {NAMES[a], NAMES[b]} not in ({"shape", "object"}, {"position", "count"}):
            table = np.zeros((len(CONCEPTS[NAMES[a]]), len(CONCEPTS[NAMES[b]])))
            np.add.at(table, (both[:, a], both[:, b]), 1)
            p_values.append(chi2_contingency(table).pvalue)
    assert min(p_values) * len(p_values) > 0.01


def test_training_never_shows_a_held_out_pair_and_keeps_the_marginals():
    def pairs(labels):
        item = np.where(labels[:, 1] != ABSENT, labels[:, 1], 8 + labels[:, 3])
        return labels[:, 0], item

    color, item = pairs(labels_of("train"))
    assert not any(is_held_out(int(c), int(i)) for c, i in zip(color, item, strict=True))
    for part, values in ((color, 8), (item, 16)):
        counts = np.bincount(part, minlength=values)
        assert counts.min() > 0.8 * counts.mean()
    color, item = pairs(labels_of("held-out", 500))
    assert all(is_held_out(int(c), int(i)) for c, i in zip(color, item, strict=True))


def test_captions_fit_their_scene_and_say_what_they_name():
    for index in range(200):
        scene = sample_scene(0, index)
        text, named = caption(scene.labels, np.random.default_rng(index))
        assert any(label != ABSENT for label in named)
        assert compatibility(torch.tensor([named]), torch.tensor([scene.labels])).item()
        for concept, label in zip(NAMES, named, strict=True):
            if label != ABSENT and concept == "color":
                assert CONCEPTS[concept][label] in text


def test_multi_positive_loss_is_least_when_exactly_what_fits_is_alike():
    fits = torch.tensor([[1.0, 1, 0], [0, 0, 1], [1, 1, 0]])
    image = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    text = torch.tensor([[1.0, 0], [0, 1], [1, 0]])
    good = contrastive_loss(image, text, fits, torch.tensor(50.0))
    assert good.item() == pytest.approx((2 * np.log(2) / 3 + 2 * np.log(2) / 3) / 2, abs=1e-4)
    assert contrastive_loss(image.flip(1), text, fits, torch.tensor(50.0)) > good + 1


def test_the_bank_is_the_world_s_own_texts():
    bank = ProbeBank.load("shapes")
    own = {(text, c) for c, values in CONCEPTS.items() for v in values for text in value_texts(c, v)}
    assert set(zip(bank.texts, bank.labels, strict=True)) == own


def test_the_general_bank_is_wide():
    bank = ProbeBank.load("general")
    assert len(bank.texts) >= 1500 and len(bank.concepts) >= 12
    assert min(bank.counts.values()) >= 100


def test_position_and_place_are_two_concepts():
    """Where in the image, and where in the world, of which the shapes world knows nothing; DeAR calls both location."""
    shapes, general = (set(ProbeBank.load(name).concepts) for name in ("shapes", "general"))
    assert {"position", "place"} <= general and "position" in shapes and "place" not in shapes
    assert "location" not in shapes | general
    assert set(CORE_SEEDS) == set(DearConfig().core) == {"color", "shape", "texture", "object", "position", "place"}
    labels = dict(zip(ProbeBank.load("general").texts, ProbeBank.load("general").labels, strict=True))
    assert labels["on the far left"] == "position" and labels["Sydney Harbour"] == "place"


@pytest.mark.slow
def test_resumed_training_equals_uninterrupted_training(tmp_path):
    architecture = Architecture(width=16, layers=2, heads=2, patch=16, text_width=16, text_heads=2, embed=16)
    config = TrainConfig(architecture=architecture, steps=6, batch=4, late=0.0, specialists=0.0)
    quiet = lambda line: None  # noqa: E731
    whole = train(config, tmp_path / "whole", every=2, scenes=40, log=quiet)
    part = Trainer(config)
    part.resume(tmp_path / "whole" / "checkpoint.pt")
    assert part.step == 6
    (tmp_path / "cut").mkdir()
    cut = Trainer(config)
    for batch in torch.utils.data.DataLoader(SceneStream(0, 16), batch_size=4):
        cut.train_step(*batch)
    cut.save(tmp_path / "cut" / "checkpoint.pt")
    resumed = train(config, tmp_path / "cut", every=2, scenes=40, log=quiet)
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert (tmp_path / "cut" / "model" / "model.safetensors").exists()
    card = (tmp_path / "cut" / "model" / "README.md").read_text()
    assert "24 scenes, each seen once" in card and all(f"| {concept} |" in card for concept in CONCEPTS)


def test_the_preprocessor_does_to_scenes_what_training_did():
    from PIL import Image

    model = load("shapes", "cpu")
    pixels = render(sample_scene(0, 0))
    ours = to_pixels(torch.from_numpy(pixels)[None])[0]
    torch.testing.assert_close(model.processor(Image.fromarray(pixels)), ours, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_the_role_map_finds_specialists_that_training_made():
    model = load("shapes", "cpu")
    config = ScoreConfig(bootstraps=2, null_draws=400)
    role_map, _ = score_texts(model, ShapesImages(model.processor, 600), ProbeBank.load("shapes"), config)
    attribute = {(head.layer, head.head): head.concept for head in role_map.heads(role="attribute")}
    found = set(attribute.items()) & set(SPECIALISTS.items())
    assert {"color", "position", "texture", "shape"} <= {concept for _, concept in found}
    assert all(SPECIALISTS[place] == concept for place, concept in attribute.items() if place in SPECIALISTS)


@pytest.mark.slow
@pytest.mark.parametrize(("split", "least"), [("all", 0.96), ("held-out", 0.95)])
def test_the_bundled_model_knows_the_world(split, least):
    model = load("shapes", "cpu")
    with torch.inference_mode():
        accuracies = zero_shot(lambda images: model(to_pixels(images)), model.embed_texts, 500, split)
    assert {concept for concept, accuracy in accuracies.items() if accuracy.mean < least} == set()


def test_explained_share_is_one_for_a_function_of_the_value_and_leaves_absent_values_out():
    values = torch.tensor([0, 0, 1, 1, 2, 2, ABSENT])
    rows = torch.eye(7)[[0, 0, 3, 3, 5, 5, 6]]
    assert explained_share(rows, values).item() == pytest.approx(1)
    noise = torch.tensor([[1.0], [-1.0], [1.0], [-1.0], [1.0], [-1.0], [9.0]])
    assert explained_share(noise, values).item() == pytest.approx(0)

def test_a_model_without_planted_roles_is_bundled_too():
    """Its card says how good it is; it is no worse on 200 scenes than the card's own interval of so many allows."""
    folder = resources.files("headroles.bundled") / "natural"
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert json.loads(card.split("```json\n")[1].split("```")[0]) == dataclasses.asdict(RECIPES["shapes-natural"])
    rows = {name: re.search(rf"\| {name} \|.*?% \| ([\d.]+)%", card) for name in NAMES}
    model = load("shapes-natural", "cpu")
    accuracies = zero_shot(lambda images: model(to_pixels(images)), model.embed_texts, 200)
    assert all(accuracies[name].interval[1] >= float(row[1]) / 100 for name, row in rows.items() if row)
    assert min(accuracy.mean for accuracy in accuracies.values()) >= 0.9


def test_no_deep_mlp_of_it_writes_anything():
    vision = load("shapes-natural", "cpu").clip.vision_model
    first = RECIPES["shapes-natural"].architecture.mlps
    assert [bool(layer.mlp.fc2.weight.any()) for layer in vision.encoder.layers] == [i < first for i in range(8)]


def test_its_loss_speaks_of_no_head_and_leaves_nil_mlps_nil():
    small = Architecture(width=16, layers=2, heads=2, patch=16, text_width=16, text_heads=2, embed=16, mlps=1)
    trainer = Trainer(dataclasses.replace(RECIPES["shapes-natural"], architecture=small, steps=4, batch=4))
    for batch in torch.utils.data.DataLoader(SceneStream(0, 8), batch_size=4):
        losses = trainer.train_step(*batch)
    assert set(losses) <= {"anchor", "text", "contrast", "concept"}
    last = trainer.model.vision_model.encoder.layers[1].mlp.fc2
    assert not last.weight.any() and not last.bias.any()


def test_every_bundled_model_is_read_with_the_bank_of_its_world_and_has_a_folder():
    for name, folder in BUNDLED.items():
        assert ScoreJob(model=name).bank == "shapes" and RECIPES[name]
        assert (resources.files("headroles.bundled") / folder / "model.safetensors").is_file()
    assert ScoreJob(model="ViT-B/16").bank == "general"
