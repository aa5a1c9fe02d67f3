"""A JSON file is read whole, or refused in one line that names it and says what is wrong."""

import pytest

from headroles.errors import InputError
from headroles.files.json_files import read_json, read_object


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": [1, "\xc3\xbc"]}')
    assert read_object(path, "note") == {"a": [1, "ü"]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": NaN}', "NaN is no number of JSON"),
        (b'{"a": -Infinity}', "-Infinity is no number of JSON"),
        (b"1" * 5000, "is not JSON"),
        ('{"a": 1}'.encode("utf-16"), "is no UTF-8 text, at byte 0"),
        (b'{"a": "\xe4"}', "is no UTF-8 text, at byte 7"),
        (b"[]", "holds a list; expected a JSON object"),
    ],
)
def test_what_is_no_json_is_refused_by_name(tmp_path, content, expected):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_object(path, "note", "write it again")
    message = str(caught.value)
    assert message.startswith(f"note: {path} ") and message.endswith("; write it again") and "\n" not in message
    assert expected in message


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(InputError, match="cannot be read"):
            read_json(path, "note")
