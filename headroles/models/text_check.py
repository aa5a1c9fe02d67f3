"""Are texts read where they end? Asked of a loaded model with its own tokenizer, before any text counts."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, cast

from torch import Tensor

from headroles.errors import InputError, said
from headroles.models.families.clip import LARGEST_ID
from headroles.models.hooked_clip import HookedCLIP

_SHORT = ("a", "red", "two dogs on the grass", "a photo of the night sky")
_ODD = "\u00fc\u4e16\u2603 {}~ 0123456789 ABCXYZ"
"""Characters that a vocabulary may lack; a tokenizer has to have a token for what it does not know."""
_AGAIN = "the tokenizer or its settings are another model's; put the model's own files there"


def check_texts(model: HookedCLIP, source: str) -> None:
    """Nothing for a model that reads no texts; InputError where its tokenizer, found in `source`, does not fit it.

    Every id has an embedding; a short text, a long one that is cut, and one in a batch are read at the token that the
    tokenizer ends texts with; and texts that differ are not one text.
    """
    if model.text is None or model.tokenizer is None:
        return
    texts = [*_SHORT, " ".join(_SHORT * model.context)]
    together, alone = _tokenize(model, texts, source), [_tokenize(model, [text], source) for text in texts]
    for ids in (together, *alone, _tokenize(model, [_ODD], source)):
        _check_ids(model, ids, source)
        _check_ends(model, ids, source)
    read = _read(model, together)
    if read != [row for ids in alone for row in _read(model, ids)]:
        raise InputError(
            f"model: the tokenizer in {source} gives a text other tokens in a batch than alone; check its padding"
        )
    if len(set(read)) == 1:
        raise InputError(f"model: the tokenizer in {source} makes one text of all texts; {_AGAIN}")


def _tokenize(model: HookedCLIP, texts: list[str], source: str) -> Tensor:
    try:
        # Its long text is cut on purpose, of which `model.tokenize` would speak.
        return model.family.tokenize(cast(Any, model.tokenizer), texts)["input_ids"]
    # Files made by hand fail in many ways, also with plain exceptions of the tokenizers library.
    except Exception as error:
        reason = said(error, 200)
        raise InputError(f"model: the tokenizer in {source} cannot split texts ({reason}); {_AGAIN}") from error


def _check_ids(model: HookedCLIP, ids: Tensor, source: str) -> None:
    rows = model.clip.config.text_config.vocab_size
    if (size := max(len(cast(Sized, model.tokenizer)), int(ids.max()) + 1)) > rows:
        raise InputError(
            f"model: the tokenizer in {source} has {size} tokens, the text tower {rows}; {_AGAIN}, or save the model "
            "after resize_token_embeddings"
        )
    if not 0 < ids.shape[1] <= model.context:
        raise InputError(
            f"model: the tokenizer in {source} gives {ids.shape[1]} tokens, the text tower takes 1 to {model.context}; "
            f"{_AGAIN}"
        )


def _check_ends(model: HookedCLIP, ids: Tensor, source: str) -> None:
    """In families whose texts are read at their end, that is the first token of its kind, and no other."""
    if not model.family.reads_at_end:
        return
    end = getattr(model.tokenizer, "eos_token_id", None)
    for row, tokens in zip(model.text_rows(ids).tolist(), ids.tolist(), strict=True):
        if tokens[row] != end or end in tokens[:row]:
            raise InputError(
                f"model: the text tower reads texts at the token {tokens[row]}, the tokenizer in {source} ends them "
                f"with {end}; write its number as text_config.eos_token_id in config.json, or put the model's own "
                "files there"
            )
    above = len(cast(Sized, model.tokenizer)) - 1
    if model.family.reads_largest and above > cast(int, end):
        raise InputError(
            f"model: the text tower reads texts at their largest token (eos_token_id {LARGEST_ID}), and the tokenizer "
            f"in {source} has tokens up to {above}, above {end}, its end of text; write {end} as "
            "text_config.eos_token_id in config.json"
        )


def _read(model: HookedCLIP, ids: Tensor) -> list[tuple[Any, ...]]:
    """The tokens that a text's embedding can depend on: those up to the row that it is read at."""
    rows = model.text_rows(ids).tolist()
    return [tuple(tokens[: row + 1]) for row, tokens in zip(rows, ids.tolist(), strict=True)]
