"""CLIP's tokenizer for checkpoints that hold none: from files beside them, or from the cache of the hub."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, CLIPTokenizer

from headroles.errors import InputError, said
from headroles.models.checkpoints.checkpoint import Checkpoint
from headroles.models.checkpoints.hub import (
    CLIP_TOKENIZERS,
    fetch_clip_tokenizer,
    find_cached,
    has_tokenizer,
    is_transformers,
)
from headroles.models.checkpoints.quiet import quiet

MERGES = ("bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt")
"""OpenAI's own file, as its package and OpenCLIP's ship it."""
VOCABULARY = 49408
"""Tokens of CLIP's BPE: 256 bytes, the same at a word's end, 48,894 merges, start and end of text."""
_START, _END = "<|startoftext|>", "<|endoftext|>"


def find_tokenizer(checkpoint: Checkpoint, vocabulary: int, named: str | None) -> tuple[Callable | None, str | None]:
    """A tokenizer and where it was found, or two Nones.

    `vocabulary`: token ids of the text tower. `named`: hub id of a tokenizer that the config asks for.
    Raises InputError where the files beside the checkpoint are another model's.
    """
    tokenizer, place = read_tokenizer(checkpoint.folder)
    if tokenizer is None and named not in (None, checkpoint.hub_id, *CLIP_TOKENIZERS):
        if folder := find_cached(named):
            tokenizer, place = AutoTokenizer.from_pretrained(folder, local_files_only=True), named
    elif (
        tokenizer is None
        and vocabulary == VOCABULARY
        and (found := fetch_clip_tokenizer(download=checkpoint.hub_id is not None))
    ):
        tokenizer, place = CLIPTokenizer.from_pretrained(found[0], local_files_only=True), found[1]
    if tokenizer is not None:
        _check(tokenizer, place, vocabulary)
    return tokenizer, place


def build_from_merges(path: Path) -> CLIPTokenizer:
    """CLIP's tokenizer from OpenAI's list of merges."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines = content.decode("utf-8").split("\n")[1:]
        merges = [tuple(line.split()) for line in lines[: VOCABULARY - 2 * 256 - 2]]
        merges = [(left, right) for left, right in merges]
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"model: {path} is no list of CLIP's merges ({said(error)}); copy it again") from error
    characters = _byte_characters()
    words = [*characters, *(character + "</w>" for character in characters), *(left + right for left, right in merges)]
    vocab = {word: number for number, word in enumerate([*words, _START, _END])}
    return CLIPTokenizer(vocab=vocab, merges=merges)  # type: ignore[arg-type]  # It takes pairs, and says strings.


def read_tokenizer(folder: Path) -> tuple[Callable | None, str | None]:
    """The tokenizer that is in a folder, and its place; two Nones: without files transformers would make one up.

    InputError where its files cannot be read.
    """
    if has_tokenizer(folder):
        kind = (
            AutoTokenizer if (folder / "tokenizer_config.json").is_file() or is_transformers(folder) else CLIPTokenizer
        )
        return _open_folder(kind, folder), str(folder)
    for name in MERGES:
        if (folder / name).is_file():
            return build_from_merges(folder / name), str(folder / name)
    return None, None


def _open_folder(kind: Any, folder: Path) -> Callable:
    try:
        with quiet():
            return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    # Files made by hand fail in many ways, also with plain exceptions of the tokenizers library.
    except Exception as error:
        reason = said(error, 300)
        raise InputError(
            f"model: the tokenizer files in {folder} cannot be read ({reason}); copy them again"
        ) from error


def _check(tokenizer: Any, place: str | None, vocabulary: int) -> None:
    """Texts are read at their largest id, so the end of text has to be the last token that a text can have."""
    size, end = len(tokenizer), tokenizer.eos_token_id
    if size > vocabulary:
        raise InputError(
            f"model: the tokenizer in {place} has {size} tokens, the text tower {vocabulary}; it is another's"
        )
    if end != size - 1:
        raise InputError(
            f"model: the tokenizer in {place} ends texts with id {end}, not its last, {size - 1}; it is another's"
        )


def _byte_characters() -> list[str]:
    """A printable character for each byte, in the vocabulary's order (as in GPT-2)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]
