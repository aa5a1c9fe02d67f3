"""Counted loops: the same items, all units told, and an end that is told after an error too."""

from contextlib import contextmanager

import pytest

from headroles.images.counting import counted, showing


@pytest.fixture
def told():
    """Everything that is told meanwhile: (label, total, unit), then how many each time, then "end"."""
    heard = []

    @contextmanager
    def shower(*loop):
        heard.append(loop)
        try:
            yield heard.append
        finally:
            heard.append("end")

    with showing(shower):
        yield heard


def test_nothing_is_needed_to_count():
    assert list(counted(iter("ab"), "letters")) == ["a", "b"]


def test_all_units_are_told(told):
    assert list(counted(["ab", "c"], "letters", 3, "letter", len)) == ["ab", "c"]
    assert told == [("letters", 3, "letter"), 2, 1, "end"]


def test_an_item_is_told_when_it_is_over(told):
    items = counted("ab", "letters")
    assert next(items) == "a" and told == [("letters", None, "image")]
    assert next(items) == "b" and told[1:] == [1]
    items.close()
    assert told[1:] == [1, "end"]


def test_an_error_ends_it_too(told):
    def broken():
        yield 1
        raise ValueError

    with pytest.raises(ValueError):
        list(counted(broken(), "letters"))
    assert told[-1] == "end"
