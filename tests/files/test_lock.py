"""One command at a time writes one result; those of the dead are no hindrance."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from headroles.errors import InputError
from headroles.files.lock import locked

HOLD = """
import sys, time
from pathlib import Path
from headroles.files.lock import locked
with locked(Path(sys.argv[1]), "role map"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of a folder's role map."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_one_is_refused_at_once_and_told_who_has_it(other, tmp_path):
    who = rf"process {other.pid} on .* is writing the role map in .*out"
    with pytest.raises(InputError, match=who), locked(tmp_path / "out", "role map"):
        pass
    assert other.poll() is None  # It still holds: nobody waited.
    assert (tmp_path / "out" / ".role-map.lock").is_file()


def test_other_results_may_be_made_there_meanwhile(other, tmp_path):
    with locked(tmp_path / "out", "validation"):
        assert other.poll() is None


def test_the_lock_of_a_killed_process_is_taken_over(other, tmp_path):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert json.loads((tmp_path / "out" / ".role-map.lock").read_text())["pid"] == other.pid
    with locked(tmp_path / "out", "role map"):
        assert json.loads((tmp_path / "out" / ".role-map.lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "out" / ".role-map.lock").exists()


def test_what_was_forked_meanwhile_does_not_keep_it(tmp_path):
    with locked(tmp_path, "role map"):
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,))
        child.start()
    try:
        (tmp_path / ".role-map.lock").write_text("{}")
        with locked(tmp_path, "role map"):
            pass
    finally:
        child.kill()
        child.join()


def test_an_error_leaves_no_empty_folder(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "a" / "b", "role map"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_work_that_was_done_stays(tmp_path):
    with locked(tmp_path / "a", "role map"):
        (tmp_path / "a" / "file").write_text("kept")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]
