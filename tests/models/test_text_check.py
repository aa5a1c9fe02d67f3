"""Texts are read where they end, whatever the tokenizer does, or the model is refused by name."""

import json
import shutil

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from headroles import InputError, load

TEXTS = ["a red circle", "night", "something striped in the top left " * 20]


@pytest.fixture
def folder(clip_folder, tmp_path):
    """A copy of a CLIP's folder, to be changed."""
    return shutil.copytree(clip_folder, tmp_path / "m")


def resave(folder, **settings):
    """The folder's tokenizer, loaded with other settings and saved."""
    tokenizer = AutoTokenizer.from_pretrained(folder, **settings)
    tokenizer.save_pretrained(folder)
    return tokenizer


def set_end(folder, number) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["eos_token_id"] = number
    (folder / "config.json").write_text(json.dumps(config))


@torch.inference_mode()
def test_padding_on_the_left_and_no_padding_token_change_no_embedding(folder):
    plain = load(str(folder), "cpu").embed_texts(TEXTS)
    resave(folder, padding_side="left")
    assert AutoTokenizer.from_pretrained(folder).padding_side == "left"
    assert torch.equal(load(str(folder), "cpu").embed_texts(TEXTS), plain)
    resave(folder, padding_side="left", pad_token="<|endoftext|>")
    torch.testing.assert_close(load(str(folder), "cpu").embed_texts(TEXTS), plain)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "pad_token": None}))
    assert AutoTokenizer.from_pretrained(folder).pad_token_id is None
    torch.testing.assert_close(load(str(folder), "cpu").embed_texts(TEXTS), plain)


def test_another_end_of_text_is_refused_with_both_numbers(folder, run):
    set_end(folder, 300)
    code, _, errors = run("score", "--model", folder, "--count", 4, "--output", folder.parent / "out")
    assert code == 2 and errors.count("\n") == 1
    assert "reads texts at the token 509" in errors and "ends them with 510" in errors and "eos_token_id" in errors
    set_end(folder, 510)
    resave(folder, eos_token=AutoTokenizer.from_pretrained(folder).convert_ids_to_tokens(300))
    with pytest.raises(InputError, match="ends them with"):
        load(str(folder), "cpu")


def test_added_tokens_need_an_embedding_and_an_end_of_text_by_number(folder):
    set_end(folder, 2)
    load(str(folder), "cpu")  # Read at the largest token, which is the end.
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<my-cat>"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(InputError, match=r"has 512 tokens, the text tower 511.*resize_token_embeddings"):
        load(str(folder), "cpu")
    resize(folder, 512)
    with pytest.raises(InputError, match=r"at their largest token.*tokens up to 511, above 510.*write 510 as"):
        load(str(folder), "cpu")
    set_end(folder, 510)
    model = load(str(folder), "cpu")
    ids = model.tokenize(["a <my-cat> in the grass"])["input_ids"]
    assert 511 in ids[0] and ids[0, model.text_rows(ids)[0]] == 510


def resize(folder, tokens: int) -> None:
    from transformers import CLIPModel

    clip = CLIPModel.from_pretrained(folder)
    clip.text_model.resize_token_embeddings(tokens)
    clip.config.text_config.vocab_size = tokens
    clip.save_pretrained(folder)


def write_words(folder, template: str | None, end: str) -> None:
    """A tokenizer that knows three words and is as one wants it to be."""
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3, "red": 4, "dogs": 5}
    words = Tokenizer(models.WordLevel(vocabulary, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    if template:
        marks = [(token, vocabulary[token]) for token in ("<s>", "</s>") if token in template]
        words.post_processor = processors.TemplateProcessing(template, special_tokens=marks)
    for old in folder.glob("token*"):
        old.unlink()
    own = PreTrainedTokenizerFast(tokenizer_object=words, eos_token=end, pad_token=end, unk_token="<unk>")
    own.save_pretrained(folder)


def test_tokenizers_that_mark_no_end_or_make_one_text_of_all_are_refused(folder):
    set_end(folder, 2)
    with pytest.raises(InputError, match=r"ends them with|at their largest token"):
        write_words(folder, "<s> $A </s>", "</s>")
        load(str(folder), "cpu")
    set_end(folder, 1)
    write_words(folder, None, "<s>")
    with pytest.raises(InputError, match="ends them with 1"):
        load(str(folder), "cpu")
    write_words(folder, "<s> $A <s>", "<s>")
    with pytest.raises(InputError, match="makes one text of all texts"):
        load(str(folder), "cpu")


def test_what_transformers_warns_of_comes_through_on_one_line(folder, monkeypatch, caplog):
    import logging

    from headroles.models.checkpoints import transformers_folder

    real = transformers_folder.AutoConfig.from_pretrained

    def warn(*args, **options):
        for _ in range(3):
            logging.getLogger("transformers.tokenization_utils_base").warning("this regex\nis wrong")
        logging.getLogger("transformers.modeling_utils").warning("a table")
        return real(*args, **options)

    monkeypatch.setattr(transformers_folder.AutoConfig, "from_pretrained", warn)
    monkeypatch.setattr(logging.getLogger("transformers"), "handlers", [caplog.handler])
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", False)
    load(str(folder), "cpu")
    assert {record.getMessage() for record in caplog.records} == {"this regex is wrong"}


def test_a_tokenizer_without_a_token_for_the_unknown_is_refused_at_once(folder):
    (folder / "tokenizer_config.json").write_text("{}")
    with pytest.raises(InputError, match=r"cannot split texts .*not found in the vocabulary"):
        load(str(folder), "cpu")
