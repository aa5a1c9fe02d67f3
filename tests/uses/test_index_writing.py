"""An index is replaced whole or not at all, by one command at a time, and a full disk is one line."""

import errno
import os
import shutil

import pytest

from headroles import load
from headroles.errors import InputError
from headroles.files.lock import locked
from headroles.images.images import ImageFiles, find_images
from headroles.uses import index_build
from headroles.uses.image_index import ImageIndex
from headroles.uses.index_build import build_index


@pytest.fixture(scope="module")
def build(clip_folder, color_folder):
    """A function that builds an index of the task's test images in a folder."""
    model = load(str(clip_folder), "cpu")

    def call(folder):
        images = ImageFiles(find_images(color_folder / "test"), model.processor, color_folder / "test")
        return build_index(model, images, (1, 2), folder)

    return call


def contents(folder) -> dict:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_one_is_refused(build, tmp_path):
    with locked(tmp_path, "index"), pytest.raises(InputError, match="is writing the index in"):
        build(tmp_path / "index")
    assert len(build(tmp_path / "index")) == 12 and [path.name for path in tmp_path.iterdir()] == ["index"]


@pytest.mark.parametrize("place", ["posix_fallocate", "rename"])
def test_a_failure_leaves_the_old_one_whole(build, tmp_path, monkeypatch, place):
    build(tmp_path / "index")
    before = contents(tmp_path)

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, place, fail) if place == "posix_fallocate" else patch.setattr(index_build, "_swap", fail)
        with pytest.raises(OSError, match=r"No space left on device: '.*index'"):
            build(tmp_path / "index")
    assert contents(tmp_path) == before
    assert ImageIndex.load(tmp_path / "index") is not None


def test_a_failure_leaves_no_empty_folder(build, tmp_path, monkeypatch):
    monkeypatch.setattr(index_build, "_swap", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build(tmp_path / "new" / "deep" / "index")
    assert not list(tmp_path.iterdir())


def test_what_a_kill_left_is_cleared(build, tmp_path):
    build(tmp_path / "index")
    whole = contents(tmp_path)
    for end in (".partial", ".before"):
        shutil.copytree(tmp_path / "index", tmp_path / f"index{end}")
    build(tmp_path / "index")
    assert contents(tmp_path) == whole


def test_a_key_that_is_there_twice_is_damage(build, tmp_path):
    build(tmp_path / "index")
    facts = tmp_path / "index" / "index.json"
    facts.write_text(facts.read_text().replace('"layers"', '"layers": [], "layers"', 1))
    with pytest.raises(InputError, match="is damaged"):
        ImageIndex.load(tmp_path / "index")
