"""A bank of texts is read as it was written, whatever its texts hold, or refused by name."""

import pytest

from headroles import InputError, ProbeBank
from headroles.roles.probes import load_texts

ODD = (
    "two\nlines", "two\r\nlines", "a\rb", "a\u2028b", "a\x85b", "a\x0cb", "a\x1cb", 'a "b", c', "caf\xe9",
    "x" * 200_000,
)  # fmt: skip


def test_a_saved_bank_is_loaded_as_it_was(tmp_path):
    bank = ProbeBank("bank.csv", ODD, tuple(f"concept, {number % 3}\u2028" + "x" for number in range(len(ODD))))
    bank.save(tmp_path / "bank.csv")
    assert ProbeBank.load(tmp_path / "bank.csv") == bank
    assert load_texts(tmp_path / "bank.csv") == ("bank.csv", ODD)


@pytest.mark.parametrize("text", [" red", "red\u2028", "", "\n"])
def test_what_would_not_be_read_alike_is_not_saved(tmp_path, text):
    with pytest.raises(InputError, match="is empty or has spaces around it"):
        ProbeBank("bank", (text, "blue"), ("a", "b")).save(tmp_path / "bank.csv")
    assert not (tmp_path / "bank.csv").exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("text,concept\n", "has no text; expected a line a text"),
        ("", "has no column 'text'"),
        ("text;concept\na;b\n", "has no column 'text'"),
        ("text,concept\na,b\n,c\n", "line 3 of bank.csv lacks a text"),
        ('text,concept\n"a\nb",x\nc,\n', "line 4 of bank.csv lacks a concept"),
        ("text,concept\nred, round,color\nblue,color\n", "line 2 of bank.csv has 3 cells for 2 columns; put cells"),
        ("text,concept,text\na,b,c\n", "has 2 columns 'text'"),
        ('text,concept\n"a,b\n', "cannot read bank.csv"),
        (b"text,concept\n\xe9,b\n", "expected UTF-8 text"),
        (b"\xff\xfet\0e\0", "expected UTF-8 text"),
    ],
)
def test_wrong_banks_are_one_line(tmp_path, content, expected):
    content = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "bank.csv").write_bytes(content)
    with pytest.raises(InputError, match=expected) as error:
        ProbeBank.load(tmp_path / "bank.csv")
    assert "\n" not in str(error.value)


def test_empty_cells_behind_the_last_column_are_no_mistake(tmp_path):
    (tmp_path / "bank.csv").write_text("\ufefftext,concept\r\nred,color,,\r\n\r\nround,shape\r\n", encoding="utf-8")
    assert ProbeBank.load(tmp_path / "bank.csv").texts == ("red", "round")
