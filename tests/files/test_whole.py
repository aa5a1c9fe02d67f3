"""Files appear whole, several together; a write that fails changes nothing and names its file."""

import errno
from pathlib import Path

import pytest

from headroles.files.whole import replacing, replacing_together, write_text


def read(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_take_their_places_together(tmp_path):
    with replacing_together(tmp_path / "out", "b.json") as staging:
        write_text(staging / "b.json", "new")
        write_text(staging / "c.csv", "new")
        assert not (tmp_path / "out" / "b.json").exists()
    assert read(tmp_path / "out") == {"b.json": "new", "c.csv": "new"}


def test_a_failure_leaves_the_old_ones_as_they_were(tmp_path):
    for name in ("b.json", "c.csv"):
        write_text(tmp_path / name, "old")
    with pytest.raises(OSError, match="No space left on device"), replacing_together(tmp_path, "b.json") as staging:
        write_text(staging / "c.csv", "new")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert read(tmp_path) == {"b.json": "old", "c.csv": "old"}


def test_a_failure_leaves_no_empty_folder(tmp_path):
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "new" / "deep" / "file"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_an_error_without_a_name_names_the_file(tmp_path):
    with pytest.raises(OSError, match=r"File too large: '.*result\.json'"), replacing(tmp_path / "result.json"):
        raise OSError(errno.EFBIG, "File too large")


@pytest.mark.parametrize("fails", range(6))
def test_a_rename_that_fails_brings_the_old_ones_back(fails, tmp_path, monkeypatch):
    """Two files replace two, a third one is new: five renames, the old ones aside, then the new ones into place."""
    for name in ("b.json", "c.csv"):
        write_text(tmp_path / name, "old")
    rename, done = Path.replace, []

    def full(path, target):
        done.append(path)
        if len(done) - 1 == fails:
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(path, target)

    try:
        with replacing_together(tmp_path, "b.json") as staging:
            for name in ("a.csv", "b.json", "c.csv"):
                (staging / name).write_text("new")
            monkeypatch.setattr(Path, "replace", full)
        assert fails == 5 and read(tmp_path) == dict.fromkeys(("a.csv", "b.json", "c.csv"), "new")
    except OSError:
        assert fails < 5 and read(tmp_path) == {"b.json": "old", "c.csv": "old"}
