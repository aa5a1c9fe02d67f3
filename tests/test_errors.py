"""What libraries say becomes a part of one line of ours."""

import pytest

from headroles.errors import said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Unexpected null field\n  in metadata", "Wrong null field in metadata"),
        ("got an unexpected keyword argument 'x'", "got a wrong keyword argument 'x'"),
        ("the stream had an unexpected end of file", "the stream had a wrong end of file"),
        ("('x' was unexpected), and more", "('x' was wrong), and more"),
        ("This may result in unexpected behavior.", "This may result in wrong behavior."),
        ("no file photos/unexpected.png", "no file photos/unexpected.png"),
        ("", "KeyError"),
    ],
)
def test_the_word_that_says_nothing_is_replaced_and_names_stay(text, expected):
    class Raised(Exception):
        def __str__(self):
            return text

    Raised.__name__ = "KeyError"
    assert said(Raised()) == expected


def test_long_ones_are_cut():
    assert said(ValueError("x" * 1000), 50) == "x" * 50
