"""Bars: on a terminal alone, one at a time, and a word at once where importing takes seconds."""

import io
import sys
from types import SimpleNamespace

import pytest

from headroles.cli.options.bars import Bars, say, telling_progress
from headroles.images.counting import counted, showing


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Stands for stderr from the first loop on: pytest sets its own before a test begins."""
    screen = Terminal()
    monkeypatch.setattr("headroles.cli.options.bars.sys", SimpleNamespace(stderr=screen, meta_path=sys.meta_path))
    return screen


def test_a_loop_is_drawn_on_a_terminal_and_gone_at_the_end(terminal):
    with showing(Bars()):
        assert list(counted("abc", "reading words", 6, "word", lambda letter: 2)) == ["a", "b", "c"]
    drawn = terminal.getvalue()
    assert "reading words" in drawn and "/6" in drawn
    assert drawn.rpartition("\r")[0].rpartition("\r")[2].strip() == ""  # The last thing drawn are spaces.


def test_nothing_is_drawn_elsewhere(capsys):
    with showing(Bars()):
        assert sum(counted([1, 2], "reading words")) == 3
    assert capsys.readouterr() == ("", "")


def test_a_loop_within_a_loop_is_not_drawn(terminal):
    with showing(Bars()):
        for _ in counted(range(2), "outer", 2):
            assert list(counted(range(2), "inner", 2)) == [0, 1]
        assert list(counted(range(2), "after", 2)) == [0, 1]
    assert "outer" in terminal.getvalue() and "after" in terminal.getvalue() and "inner" not in terminal.getvalue()


def test_other_processes_of_a_group_draw_nothing(terminal, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with showing(Bars()):
        assert list(counted(range(2), "outer", 2)) == [0, 1]
    assert terminal.getvalue() == ""


def test_a_line_is_said_above_a_bar(terminal):
    with showing(Bars()):
        for _ in counted(range(2), "outer", 2):
            say("a line")
    assert terminal.getvalue().count("a line\n") == 2


@pytest.mark.parametrize("at", [Terminal, io.StringIO])
def test_loading_is_said_once_when_a_large_library_is_looked_for(monkeypatch, at):
    monkeypatch.setattr(sys, "stderr", at())
    with telling_progress():
        for finder in sys.meta_path[:1]:
            assert finder.find_spec("json", None) is None and sys.stderr.getvalue() == ""
            assert finder.find_spec("pandas", None) is finder.find_spec("torch", None) is None
    assert sys.stderr.getvalue() == ("loading ...\n" if at is Terminal else "")
