"""Models of the Hugging Face hub as local folders: from the cache, else downloaded; a dead network is said at once."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

from headroles.errors import InputError, said
from headroles.files.json_files import read_object
from headroles.models.checkpoints.larger import INDEX, is_larger, needed_files
from headroles.models.checkpoints.open_clip import CONFIG as OPEN_CLIP_CONFIG
from headroles.models.checkpoints.open_clip import WEIGHTS as OPEN_CLIP_WEIGHTS
from headroles.models.checkpoints.settings import CONFIG
from headroles.models.known_models import near_names

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""transformers' names of weights, the first that is there is read."""
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("spiece.model",), ("tokenizer.model",))
"""Sets of files that make a tokenizer."""
CLIP_TOKENIZERS = (
    "openai/clip-vit-base-patch32",
    "openai/clip-vit-base-patch16",
    "openai/clip-vit-large-patch14",
    "openai/clip-vit-large-patch14-336",
)
"""Hub ids that have CLIP's own tokenizer; all have the same."""
_CLIP_TOKENIZER = ("tokenizer_config.json", "vocab.json", "merges.txt", "tokenizer.json")
_SMALL = (".json", ".txt", ".model")
_TIMEOUT = 10
"""Seconds to wait for the hub's first answer."""


def fetch_model(hub_id: str, name: str) -> Path:
    """The folder of a model with its config, weights, tokenizer and preprocessing.

    A whole copy in the cache is taken as it is, without asking the hub. Raises InputError where there is no such model
    or where the hub cannot be reached and the cache has no whole copy.
    """
    cached = find_cached(hub_id)
    if cached and _is_whole(cached):
        return cached
    try:
        return _download(hub_id)
    except Exception as error:
        if cached and has_weights(cached):
            return cached
        near = near_names(name)
        meant = f"; or did you mean {' or '.join(near)}?" if near else ""
        why = explain(hub_id, error) + meant
        raise InputError(f"model: cannot load {name}: {why}", page="unknown-model") from error


def fetch_clip_tokenizer(download: bool) -> tuple[Path, str] | None:
    """Folder and hub id of CLIP's own tokenizer, from the cache or, with `download`, from the hub; None without."""
    for hub_id in CLIP_TOKENIZERS:
        folder = find_cached(hub_id)
        if folder and has_tokenizer(folder):
            return folder, hub_id
    if not download:
        return None
    try:
        return _download_files(CLIP_TOKENIZERS[0], _CLIP_TOKENIZER), CLIP_TOKENIZERS[0]
    # Whatever the network did: the model works without, and `tokenize` says what to do.
    except Exception:
        return None


def find_cached(hub_id: str) -> Path | None:
    """The folder of what the cache has of a model, if anything."""
    for name in (CONFIG, OPEN_CLIP_CONFIG, *TOKENIZERS[0]):
        try:
            found = try_to_load_from_cache(hub_id, name)
        except HFValidationError:
            return None
        if isinstance(found, str):
            return Path(found).parent
    return None


def is_transformers(folder: Path) -> bool:
    """Whether config.json is one of transformers; timm's is not."""
    try:
        return "model_type" in read_object(folder / CONFIG, "model", finite=False)
    except InputError:
        return False


def has_weights(folder: Path) -> bool:
    """Whether weights are there for the folder's config."""
    names = WEIGHTS if is_transformers(folder) else OPEN_CLIP_WEIGHTS if (folder / OPEN_CLIP_CONFIG).is_file() else ()
    return any((folder / name).is_file() for name in names)


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder has the files of a tokenizer."""
    return any(all((folder / name).is_file() for name in names) for names in TOKENIZERS)


def _is_whole(folder: Path) -> bool:
    """Whether nothing is missing that the hub may have: some programs cache the weights alone."""
    config = next((folder / name for name in (CONFIG, OPEN_CLIP_CONFIG) if (folder / name).is_file()), None)
    reads_texts = config is not None and "text_c" in config.read_text(encoding="utf-8", errors="replace")
    described = (folder / "preprocessor_config.json").is_file() or (folder / OPEN_CLIP_CONFIG).is_file()
    return has_weights(folder) and described and (has_tokenizer(folder) or not reads_texts)


def _download(hub_id: str) -> Path:
    """Only what `load` reads: the small files and one set of weights."""
    files = [each.rfilename for each in HfApi().model_info(hub_id, timeout=_TIMEOUT).siblings or ()]
    small = [name for name in files if "/" not in name and name.endswith(_SMALL) and name not in WEIGHTS]
    folder = _download_files(hub_id, small)
    weights = _choose_weights(folder, files)
    index = next((name for name in weights if name.endswith(INDEX)), None)
    if index and is_larger(folder):
        weights = [index, *sorted(needed_files(_download_files(hub_id, [index]) / index))]
    return _download_files(hub_id, weights)


def _download_files(hub_id: str, names: Collection[str]) -> Path:
    """The folder of the files, all of them."""
    if not names:
        raise InputError(f"{hub_id} has no files of a model")
    return [Path(hf_hub_download(hub_id, name)).parent for name in names][-1]


def _choose_weights(folder: Path, files: Collection[str]) -> list[str]:
    names = WEIGHTS if is_transformers(folder) else OPEN_CLIP_WEIGHTS
    chosen = next((name for name in names if name in files), None)
    if chosen is None:
        raise InputError(f"it has none of the weights {', '.join(names)}")
    stem, _, suffix = chosen.removesuffix(".index.json").rpartition(".")
    return [name for name in files if name == chosen or (name.startswith(f"{stem}-0") and name.endswith(suffix))]


def explain(hub_id: str, error: Exception) -> str:
    """Why nothing came from the hub, and what to do."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, GatedRepoError):
        return f"{hub_id} needs its owner's consent; ask on its page, then log in: hf auth login"
    if isinstance(error, RepositoryNotFoundError):
        return f"the hub has no model {hub_id}, or it is private (hf auth login)"
    if isinstance(error, HfHubHTTPError | HFValidationError):
        return f"the hub gave no files of {hub_id} ({type(error).__name__}: {said(error, 150)})"
    return (
        f"the hub cannot be reached ({type(error).__name__}) and the cache has no whole copy of {hub_id}; go online or "
        "give a folder"
    )
