"""CLIP's tokenizer: from OpenAI's list of merges, from files beside the weights, or none and a remedy."""

import gzip
import json

import pytest
import torch

from headroles import InputError, load
from headroles.models.checkpoints import tokenizer as tokenizers
from headroles.models.checkpoints.tokenizer import MERGES, VOCABULARY, build_from_merges


def write_merges(path) -> None:
    """A list of as many merges as CLIP's: c+a, ca+t</w>, then pairs of rare characters that no test's text has."""
    rare = [chr(code) for code in range(0xC0, 0x100) if code not in (0xD7, 0xF7)]
    pairs = [f"{one} {other}" for one in rare for other in rare]
    longer = [f"{pair.replace(' ', '')} {one}" for one in rare for pair in pairs]
    merges = ["c a", "ca t</w>", *pairs, *longer][: VOCABULARY - 514]
    path.write_bytes(gzip.compress("\n".join(["header", *merges, "left over"]).encode()))


def test_merges_make_clips_vocabulary(tmp_path):
    write_merges(tmp_path / MERGES[0])
    found = build_from_merges(tmp_path / MERGES[0])
    assert (len(found), found.bos_token_id, found.eos_token_id) == (VOCABULARY, 49406, 49407)
    # Bytes first, in the order of GPT-2's characters; the same at a word's end; then the merges.
    letters = {letter: ord(letter) - ord("!") for letter in "catse"}
    assert found("Cat")["input_ids"] == [49406, 513, 49407]
    assert found("case")["input_ids"] == [49406, 512, letters["s"], letters["e"] + 256, 49407]
    assert found("  cat\n CAT ")["input_ids"] == [49406, 513, 513, 49407]
    assert found("cats")["input_ids"] == [49406, 512, letters["t"], letters["s"] + 256, 49407]


def test_no_list_of_merges_is_refused(tmp_path):
    for content in (b"not gzip", gzip.compress(b"header\none two three")):
        (tmp_path / MERGES[0]).write_bytes(content)
        with pytest.raises(InputError, match="is no list of CLIP's merges"):
            build_from_merges(tmp_path / MERGES[0])


def test_a_model_without_tokenizer_loads_and_says_what_to_put_where(run, formats, tensors, tmp_path):
    path = formats.write_archive(tmp_path / "tiny.pt", tensors)
    model = load(str(path), "cpu")
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 24)
    with pytest.raises(InputError, match=r"has no tokenizer; put tokenizer.json \(or vocab.json and merges.txt"):
        model.tokenize(["a cat"])
    code, _, errors = run("score", "--model", path, "--count", "8", "--output", tmp_path / "o")
    assert code == 2 and "has no tokenizer; put tokenizer.json" in errors
    formats.add_tokenizer(tmp_path)
    assert load(str(path), "cpu").tokenize(["a red circle"])["input_ids"][0, -1] == 510


def test_a_tokenizer_of_another_model_is_refused(formats, tensors, tmp_path):
    path = formats.write_archive(tmp_path / "tiny.pt", tensors)
    write_merges(tmp_path / MERGES[0])
    with pytest.raises(InputError, match="has 49408 tokens, the text tower 511"):
        load(str(path), "cpu")
    (tmp_path / MERGES[0]).unlink()
    (tmp_path / "tokenizer.json").write_text(json.dumps({"version": "1.0"}))
    with pytest.raises(InputError, match=r"the tokenizer files in .* cannot be read"):
        load(str(path), "cpu")


def test_clips_own_tokenizer_is_taken_from_the_cache(formats, tmp_path, monkeypatch):
    write_merges(tmp_path / MERGES[0])
    build_from_merges(tmp_path / MERGES[0]).save_pretrained(tmp_path / "cached")
    (tmp_path / MERGES[0]).unlink()
    large = formats.make()
    large["token_embedding.weight"] = torch.zeros(VOCABULARY, 64).half()
    path = formats.write_archive(tmp_path / "tiny.pt", formats.make())
    torch.save(large, path)
    asked = []
    monkeypatch.setattr(
        tokenizers, "fetch_clip_tokenizer", lambda download: asked.append(download) or (tmp_path / "cached", "openai/x")
    )
    assert load(f"{path}:gelu", "cpu").tokenize(["cat"])["input_ids"].tolist() == [[49406, 513, 49407]]
    # A file of the user's own is no reason to download anything.
    assert asked == [False]


def test_a_transformers_folder_without_tokenizer_files_has_none(make_clip, tmp_path):
    make_clip().save_pretrained(tmp_path)
    assert load(str(tmp_path), "cpu").tokenizer is None
