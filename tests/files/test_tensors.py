"""A hash over a file of tensors tells every change of it, of values, names, types, shapes and metadata alike."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from headroles.errors import InputError
from headroles.files.tensors import is_hashed, read_hashed, read_tensors, write_hashed, write_tensors

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(0), "c": torch.tensor([True, False])}


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "a.safetensors"
    write_hashed(path, TENSORS, {"note": "x"})
    found, metadata = read_hashed(path, "state", "begin again")
    assert metadata == {"note": "x"} and found.keys() == TENSORS.keys() and is_hashed(path)
    assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())


@pytest.mark.parametrize(
    ("tensors", "note"),
    [
        ({"a": TENSORS["a"] + 1}, {}),
        ({"a": TENSORS["a"].reshape(3, 2)}, {}),
        ({"a": TENSORS["a"].view(torch.int32)}, {}),
        ({"d": torch.ones(1)}, {}),
        ({}, {"note": "y"}),
        ({}, {"more": "z"}),
    ],
)
def test_a_change_behind_its_back_is_refused(tmp_path, tensors, note):
    path = tmp_path / "a.safetensors"
    write_hashed(path, TENSORS, {"note": "x"})
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file({**TENSORS, **tensors}, path, {**metadata, **note})
    with pytest.raises(InputError, match=r"state: .* is damaged: .*; begin again"):
        read_hashed(path, "state", "begin again")


def test_every_flipped_bit_of_a_file_is_told_or_changes_nothing(tmp_path):
    path = tmp_path / "a.safetensors"
    write_hashed(path, TENSORS, {"note": "x"})
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            found, metadata = read_hashed(path, "state", "begin again")
        except InputError:
            continue
        assert metadata == {"note": "x"} and all(torch.equal(found[name], TENSORS[name]) for name in TENSORS), place


def test_a_file_without_a_hash_and_one_that_is_cut_are_not_hashed(tmp_path):
    path = tmp_path / "a.safetensors"
    assert not is_hashed(path)
    write_tensors(path, TENSORS, {})
    assert not is_hashed(path)
    write_hashed(path, TENSORS, {})
    path.write_bytes(path.read_bytes()[:-1])
    assert not is_hashed(path)


@pytest.mark.parametrize("odd", ["nan", "inf"])
def test_sums_that_are_not_finite_are_refused(tmp_path, odd):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": torch.tensor([1.0, float(odd)])}, {"format": "f"})
    with pytest.raises(InputError, match="tensor a holds numbers that are not finite"):
        read_tensors(path, ("a",), "f", "sums")
