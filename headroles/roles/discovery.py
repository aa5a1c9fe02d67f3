"""Concepts that nobody labelled: clusters of the texts that heads pick (DeAR, 2603.01111, section 3).

DeAR embeds the picked texts of all heads with a sentence encoder (SBERT), clusters them with HDBSCAN, finds 12 concepts
so and takes five of them as core: color, shape, texture, object, location. Sizes, the treatment of noise and the
matching to core concepts are unpublished; ours are documented below. Nothing here is random: the same texts and encoder
give the same concepts, in whatever order the texts come.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from headroles.checks import check_choices, check_fields, check_least
from headroles.errors import InputError, said
from headroles.roles.probes import ProbeBank

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
NOISE = ("nearest", "own")
OTHER = "other"
"""Concept of noise texts that stay by themselves."""
CORE_SEEDS: dict[str, tuple[str, ...]] = {
    "color": ("color", "colors", "red", "blue", "green and yellow"),
    "shape": ("shape", "geometric shape", "circle", "triangle", "square outline"),
    "texture": ("texture", "surface pattern", "striped", "dotted", "rough surface"),
    "object": ("object", "a thing", "car", "house", "tree"),
    "position": ("position", "position in the image", "on the left", "at the top", "in the center"),
    "place": ("place", "a place in the world", "in a city", "a country", "inside a building"),
}
"""DeAR's core concepts, and words that say what they mean. Its `location` is two: where in the image, where in the
world."""
_LEAST = 10
"""Texts below which clusters mean nothing."""
_NAMED = 3
"""Central texts that are shown of a cluster."""


class Encoder(Protocol):
    """What discovery asks of a sentence encoder; sentence-transformers' models have it."""

    def encode(self, sentences: list[str], **options: object) -> Float[ndarray, "text embed"]:
        """One row a text."""


@dataclass(frozen=True)
class DiscoveryConfig:
    """Settings of the clustering; written into the role map."""

    encoder: str = ENCODER
    """Folder or hub id of a sentence encoder."""
    noise: str = "nearest"
    """A text that HDBSCAN calls noise joins the "nearest" cluster, or has the concept "other" of its "own" kind."""
    min_cluster_size: int | None = None
    """Texts that make a cluster; None: a 30th of the clustered texts, within 5 and 20."""
    min_samples: int = 3
    """HDBSCAN's min_samples: more calls more texts noise."""
    core_similarity: float = 0.3
    """A cluster takes a core concept's name from this cosine to its seed words on."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_choices(self, noise=NOISE)
        if self.min_cluster_size is not None:
            check_least(self, min_cluster_size=2)
        check_least(self, min_samples=1)

    def cluster_size(self, texts: int) -> int:
        """`min_cluster_size`, or what it is by default for so many texts."""
        return self.min_cluster_size or min(max(5, texts // 30), 20)


@dataclass(frozen=True)
class Cluster:
    """A discovered concept."""

    name: str
    """A core concept's name, or the cluster's most central text."""
    core: bool
    """Whether it is a core concept."""
    similarity: float
    """Cosine to the seed words of the core concept that is nearest."""
    texts: int
    """Clustered texts in it, noise that joined it included."""
    central: tuple[str, ...]
    """Its most central texts."""


@dataclass(frozen=True)
class Discovery:
    """A bank whose labels were found, and how."""

    bank: ProbeBank
    """All texts; those that were not clustered have the concept of the nearest clustered text."""
    clusters: tuple[Cluster, ...]
    """Largest first."""
    clustered: int
    """Texts that were clustered."""
    noise: tuple[str, ...]
    """Those of them that HDBSCAN calls noise."""


def load_encoder(source: str = ENCODER, device: str = "cpu") -> Encoder:
    """A sentence-transformers model from a folder or a hub id; InputError where it, or the extra, is missing."""
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging
    except ImportError as error:
        raise InputError("concepts: discovery needs a sentence encoder; pip install 'headroles[discover]'") from error
    path = Path(source)
    if path.is_dir() and not (path / "modules.json").is_file() and not (path / "config.json").is_file():
        raise InputError(f"encoder: folder {source} holds no sentence encoder (no modules.json, no config.json)")
    if not path.is_dir() and (path.exists() or source.startswith((".", "/", "~")) or source.count("/") > 1):
        raise InputError(f"encoder: no folder {source}; give a folder of a sentence encoder, or its hub id")
    bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        return SentenceTransformer(os.fspath(source), device=device)
    except Exception as error:  # whatever the hub, transformers or a broken folder raise: all mean the same here
        reason = said(error, 200)
        raise InputError(f"encoder: cannot load {source} ({reason}); give a folder of a sentence encoder") from error
    finally:
        if bar:
            logging.enable_progress_bar()


def discover(
    name: str,
    texts: Sequence[str],
    encoder: Encoder,
    config: DiscoveryConfig | None = None,
    picked: Sequence[int] | None = None,
) -> Discovery:
    """Concepts of `texts`, from clusters of the `picked` ones (indices; default: all). `name` is the bank's.

    Embeddings are centred and scaled to unit length before HDBSCAN (scikit-learn), which then works on cosines. Raises
    InputError where there are too few texts, or they fall into fewer than two clusters.
    """
    config = config or DiscoveryConfig()
    chosen = sorted(set(range(len(texts)) if picked is None else picked), key=lambda index: texts[index])
    if len(chosen) < _LEAST:
        raise InputError(f"concepts: heads picked {len(chosen)} texts; discovery needs at least {_LEAST}")
    raw = _embed(encoder, texts)
    rows = _unit(raw - raw[chosen].mean(0))
    labels = _cluster(rows[chosen], config)
    noise, count = labels < 0, labels.max() + 1
    centers = _unit(np.stack([rows[chosen][labels == cluster].mean(0) for cluster in range(count)]))
    if config.noise == "nearest":
        labels[noise] = (rows[chosen][noise] @ centers.T).argmax(1)
    clusters = _name(texts, chosen, rows, raw, labels, centers, encoder, config)
    names = np.array([*(cluster.name for cluster in clusters), OTHER], dtype=object)
    concept = names[_spread(rows, chosen, labels)]
    bank = ProbeBank(f"{name}, discovered", tuple(texts), tuple(concept.tolist()))
    listed = tuple(sorted(clusters, key=lambda cluster: (-cluster.texts, cluster.name)))
    return Discovery(bank, listed, len(chosen), tuple(texts[chosen[row]] for row in np.flatnonzero(noise)))


def _embed(encoder: Encoder, texts: Sequence[str]) -> Float[ndarray, "text embed"]:
    rows = np.asarray(encoder.encode(list(texts), show_progress_bar=False), dtype=np.float64)
    if rows.ndim != 2 or len(rows) != len(texts) or not np.isfinite(rows).all():
        raise InputError(f"encoder: expected {len(texts)} rows of finite numbers, got an array of shape {rows.shape}")
    return _unit(rows)


def _cluster(rows: Float[ndarray, "text embed"], config: DiscoveryConfig) -> Int[ndarray, "text"]:
    try:
        from sklearn.cluster import HDBSCAN
    except ImportError as error:
        raise InputError("concepts: discovery needs scikit-learn; pip install 'headroles[discover]'") from error
    size = config.cluster_size(len(rows))
    if max(size, config.min_samples) > len(rows):
        raise InputError(f"min_cluster_size and min_samples must be at most the {len(rows)} texts that heads picked")
    labels = HDBSCAN(min_cluster_size=size, min_samples=config.min_samples, copy=True).fit_predict(rows)
    if labels.max() < 1:
        raise InputError(
            f"concepts: {len(rows)} picked texts fall into {labels.max() + 1} clusters of at least {size}; entropy "
            "needs two: give more texts or a smaller --min-cluster-size"
        )
    return labels


def _name(
    texts: Sequence[str],
    chosen: Sequence[int],
    rows: Float[ndarray, "text embed"],
    raw: Float[ndarray, "text embed"],
    labels: Int[ndarray, "text"],
    centers: Float[ndarray, "cluster embed"],
    encoder: Encoder,
    config: DiscoveryConfig,
) -> list[Cluster]:
    """Every cluster with its name: at most one takes each core concept's, the pairing with the largest cosines."""
    seeds = np.stack([_embed(encoder, words).mean(0) for words in CORE_SEEDS.values()])
    mean = raw[list(chosen)].mean(0)
    cosine = centers @ _unit(seeds - mean).T
    pairs = zip(*linear_sum_assignment(-np.where(cosine >= config.core_similarity, cosine, -1)), strict=True)
    near = ((int(row), int(column)) for row, column in pairs if cosine[row, column] >= config.core_similarity)
    core = {row: list(CORE_SEEDS)[column] for row, column in near}
    found = []
    for number, center in enumerate(centers):
        members = np.flatnonzero(labels == number)
        order = members[np.argsort(-(rows[chosen][members] @ center), kind="stable")]
        central = tuple(texts[chosen[row]] for row in order[:_NAMED])
        name = core.get(number) or _own_name(central[0])
        found.append(Cluster(name, number in core, round(float(cosine[number].max()), 4), len(members), central))
    return found


def _own_name(text: str) -> str:
    """A text as a concept's name, apart from the names that have a meaning here."""
    return f"{text} (texts)" if text in (*CORE_SEEDS, OTHER) else text


def _spread(
    rows: Float[ndarray, "text embed"], chosen: Sequence[int], labels: Int[ndarray, "text"]
) -> Int[ndarray, "text"]:
    """Every text's cluster; that of the nearest clustered text where it was not clustered itself."""
    spread = labels[(rows @ rows[list(chosen)].T).argmax(1)]
    spread[list(chosen)] = labels
    return spread


def _unit(rows: Float[ndarray, "row embed"]) -> Float[ndarray, "row embed"]:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True).clip(1e-12)
