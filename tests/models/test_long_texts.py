"""Texts longer than a model reads: found token for token, and said once."""

from itertools import pairwise

import pytest

from headroles.models.hooked_clip import HookedCLIP


@pytest.fixture(params=["clip", "siglip"])
def model(request, make_clip, make_siglip, tokenizer):
    clip = make_clip() if request.param == "clip" else make_siglip()
    return HookedCLIP(clip, "tiny", tokenizer)


def test_a_text_is_cut_where_a_word_more_changes_no_token(model):
    texts = ["red " * count for count in range(1, 2 * model.context)]
    first = [model.family.tokenize(model.tokenizer, [text])["input_ids"][0, : model.context] for text in texts]
    same = [one.shape == other.shape and bool((one == other).all()) for one, other in pairwise(first)]
    cut = model.find_cut(texts)
    assert cut == texts[-len(cut) :] and 0 < len(cut) < len(texts)
    # Of two texts after one another both fill the context where the shorter one does.
    assert same.index(True) in (len(texts) - len(cut) - 1, len(texts) - len(cut))


def test_what_is_left_out_is_said_once(model, caplog):
    long = "a photo of " + "red " * 2 * model.context
    with caplog.at_level("WARNING", "headroles"):
        model.embed_texts(["a red circle"])
        assert not caplog.records
        model.embed_texts([long, "a red circle", "blue " * 2 * model.context])
        model.embed_texts([long])
    (record,) = caplog.records
    told = record.getMessage()
    assert told.startswith("texts: 'a photo of red") and f" and 1 more: longer than the {model.context} tokens" in told
