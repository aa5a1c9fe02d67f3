"""A document is saved whole and read whole; a wrong file is refused with one clear line."""

import json
from dataclasses import dataclass, replace

import pandas as pd
import pytest

from headroles.errors import InputError
from headroles.files.documents import Document


@dataclass(frozen=True)
class Note(Document):
    called, made_by, file_name = "note", "headroles jot", "note.json"

    words: tuple[str, ...]
    count: float
    format: str = "headroles.note"
    schema_version: int = 2

    def to_frame(self):
        return pd.DataFrame({"word": self.words})


@dataclass(frozen=True)
class Unmarked(Document):
    called, made_by = "unmarked note", "headroles jot"

    count: int
    schema_version: int = 1


NOTE = Note(("ünïcode", "b"), 0.1)


def test_a_document_comes_back_from_its_file_and_from_its_folder(tmp_path):
    path = tmp_path / "new" / "note.json"
    NOTE.save(path)
    assert Note.load(path) == Note.load(str(path)) == Note.load(path.parent) == NOTE
    assert Note.of(path) == Note.of(str(path.parent)) == NOTE and Note.of(NOTE) is NOTE
    assert [each.name for each in path.parent.iterdir()] == ["note.json"]


def test_the_text_is_sorted_and_the_same_for_the_same_result(tmp_path):
    assert NOTE.to_json() == Note.from_dict(NOTE.to_dict()).to_json()
    raw = json.loads(NOTE.to_json())
    assert list(raw) == sorted(raw) and raw == NOTE.to_dict() and "ünïcode" in NOTE.to_json()


def test_the_table_is_saved_as_csv(tmp_path):
    NOTE.save(tmp_path / "note.csv")
    assert (tmp_path / "note.csv").read_text(encoding="utf-8") == "word\nünïcode\nb\n"
    with pytest.raises(InputError, match="note file must end in"):
        NOTE.save(tmp_path / "note.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is no note; expected the JSON that `headroles jot` writes"),
        ('{"schema_version": 2, "count": 1, "words": []}', "is no note"),
        (
            '{"format": "headroles.note", "schema_version": 9}',
            "has schema_version 9, this headroles reads 2; jot again",
        ),
        ('{"format": "headroles.note", "schema_version": 2}', "does not fit the schema: no key 'count'"),
    ],
)
def test_wrong_files_are_refused_in_one_line(text, message, tmp_path):
    path = tmp_path / "note.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        Note.load(path)
    assert message in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)


def test_what_is_not_there_and_what_is_no_document_are_said(tmp_path):
    with pytest.raises(InputError, match=r"note: no file .*none\.json; make one with `headroles jot`"):
        Note.load(tmp_path / "none.json")
    with pytest.raises(InputError, match="unmarked note: no file"):
        Unmarked.load(tmp_path)
    with pytest.raises(InputError, match="note: expected a Note or its file's path, got a int"):
        Note.of(3)


def test_a_file_is_told_by_its_mark(tmp_path):
    NOTE.save(tmp_path / "a.json")
    Unmarked(3).save(tmp_path / "b.json")
    replace(NOTE, schema_version=9).save(tmp_path / "c.json")
    assert [Note.is_at(tmp_path / f"{name}.json") for name in "abcd"] == [True, False, True, False]
    assert [Unmarked.is_at(tmp_path / f"{name}.json") for name in "abcd"] == [False, True, False, False]
    with pytest.raises(InputError, match="is no unmarked note"):
        Unmarked.load(tmp_path / "a.json")
