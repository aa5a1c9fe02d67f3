"""Bars of calls from Python: on a terminal alone, unless somebody else shows how far it is, or nobody wants it."""

import io

import pytest

from headroles.images import bars
from headroles.images.bars import OFF
from headroles.images.counting import counted
from headroles.passes.bars import bar_unless


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(monkeypatch, stream, progress=None) -> str:
    monkeypatch.setattr("sys.stderr", stream)
    with bar_unless(progress, "scoring tiny") as shown:
        for done in (1, 2) if shown else ():
            shown(done, 2)
    return stream.getvalue()


def test_a_terminal_shows_a_bar_and_a_pipe_none(monkeypatch):
    assert "scoring tiny:   0%" in drawn(monkeypatch, Terminal())
    assert drawn(monkeypatch, io.StringIO()) == ""


@pytest.mark.filterwarnings("ignore")
def test_a_notebook_shows_a_bar_though_it_is_no_terminal(monkeypatch):
    monkeypatch.setattr(bars, "_in_notebook", lambda: True)
    assert "scoring tiny" in drawn(monkeypatch, io.StringIO())


def test_false_and_a_variable_turn_it_off_and_a_function_takes_its_place(monkeypatch):
    seen = []
    assert drawn(monkeypatch, Terminal(), False) == "" == drawn(monkeypatch, Terminal(), lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)]
    monkeypatch.setenv(OFF, "1")
    assert drawn(monkeypatch, Terminal()) == ""


def test_counted_loops_show_a_bar_too(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    assert list(counted([1, 2], "looking", 2)) == [1, 2] and "looking:   0%" in stream.getvalue()
