"""The reader of TorchScript archives sees what torch.jit.load sees, and no more."""

import re
import zipfile

import pytest
import torch

from headroles.models.checkpoints.torchscript import read_archive
from headroles.models.checkpoints.weights_file import read_weights


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_tensors_are_those_of_torch_jit(formats, tensors, tmp_path, activation):
    path = formats.write_archive(tmp_path / "tiny.pt", tensors, activation)
    with zipfile.ZipFile(path) as file:
        archive = read_archive(file)
    expected = torch.jit.load(path).state_dict()
    assert archive.tensors.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in archive.tensors.items())
    assert archive.activations == {activation} and archive.eps == {1e-5}


def test_the_stored_type_is_reported(written):
    stored = read_weights(written["archive"])
    assert (stored.container, stored.dtype, stored.activation, stored.eps) == (
        "TorchScript archive", "float16", "quick_gelu", 1e-5,
    )  # fmt: skip


def test_scripted_archives_are_read_too(tmp_path):
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.GELU())
            self.sizes: list[int] = [1, 2]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x) * len(self.sizes)

    torch.jit.save(torch.jit.script(Net()), tmp_path / "net.pt")
    stored = read_weights(tmp_path / "net.pt")
    assert stored.tensors.keys() == {"inner.0.weight", "inner.0.bias"} and stored.activation == "gelu"


@pytest.mark.parametrize(
    ("call", "eps"),
    [
        ("torch.layer_norm(input, [128], weight, bias)", 1e-5),
        ("torch.layer_norm(_3, [768], weight, bias, 1.0000000000000001e-05, True)", 1e-5),
        ("torch.layer_norm(torch.to(x, 6, False), [768], weight, bias, 9.9999999999999995e-07)", 1e-6),
    ],
)
def test_eps_is_read_off_the_code(formats, tensors, tmp_path, call, eps):
    path = formats.write_archive(tmp_path / "tiny.pt", tensors)
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in entries.items():
            if name.endswith(".py"):
                content = re.sub(rb"torch\.layer_norm\([^\n]*\)", call.encode(), content)
            file.writestr(name, content)
    assert read_weights(path).eps == eps
