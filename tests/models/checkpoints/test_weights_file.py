"""Files that are damaged, incomplete or malicious are refused in one line, and nothing in them is run."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from headroles import InputError, load


class Evil:
    """Makes the file `path` when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def rewrite(path: Path, changed: dict[str, bytes]) -> None:
    """A zip with some entries replaced."""
    with zipfile.ZipFile(path) as old:
        entries = {info.filename: old.read(info) for info in old.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        for name, content in {**entries, **changed}.items():
            new.writestr(name, content)


def evil_pickle(path: Path) -> bytes:
    return pickle.dumps({"weight": Evil(path)}, protocol=2)


def write_evil(container: str, folder: Path, formats, tensors, mark: Path) -> str:
    """A malicious file in one of the containers that are read; what `load` takes."""
    if container == "archive":
        path = formats.write_archive(folder / "tiny.pt", tensors)
        rewrite(path, {"tiny/data.pkl": evil_pickle(mark)})
    elif container == "archive, after its tensors":
        path = formats.write_archive(folder / "tiny.pt", tensors)
        with zipfile.ZipFile(path) as file:
            whole = file.read("tiny/data.pkl")
        # The module stays on the stack while a call is made on top of it, and then thrown away.
        rewrite(path, {"tiny/data.pkl": whole[:-1] + b"cposix\nsystem\n(X" + _text(f"touch {mark}") + b"tR0."})
    elif container == "raw pickle":
        path = folder / "tiny.pt"
        path.write_bytes(evil_pickle(mark))
    elif container == "state dict":
        path = folder / "tiny.pt"
        torch.save({**tensors, "evil": Evil(mark)}, path)
    elif container == "open_clip bin":
        path = formats.write_open_clip(folder, {**tensors, "evil": Evil(mark)}, "bin")
    else:
        path = folder
        load_folder = formats.write("archive", folder / "source", tensors)
        load(str(load_folder), "cpu").clip.config.save_pretrained(folder)
        torch.save({"logit_scale": Evil(mark)}, folder / "pytorch_model.bin")
    return str(path)


def _text(text: str) -> bytes:
    return len(text).to_bytes(4, "little") + text.encode()


CONTAINERS = (
    "archive", "archive, after its tensors", "raw pickle", "state dict", "open_clip bin", "transformers bin",
)  # fmt: skip


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_malicious_pickle_is_refused_and_nothing_is_run(run, formats, tensors, tmp_path, container):
    mark = tmp_path / "ran"
    (tmp_path / "model").mkdir()
    path = write_evil(container, tmp_path / "model", formats, tensors, mark)
    code, _, errors = run("doctor", path, "--activation", "quick_gelu")
    assert code == 2 and errors.count("\n") == 1 and not mark.exists(), errors
    assert "wants to call posix.system" in errors and "nothing is run" in errors


def test_a_pickle_that_would_fill_the_memory_is_damage(run, formats, tensors, tmp_path):
    path = formats.write_archive(tmp_path / "tiny.pt", tensors)
    rewrite(path, {"tiny/data.pkl": b"\x80\x02}r\xff\xff\xff\xff."})
    code, _, errors = run("doctor", path)
    assert code == 2 and "numbers more objects than it has bytes" in errors and errors.count("\n") == 1
    rewrite(path, {"tiny/data.pkl": pickle.dumps({"a": 1}, protocol=4)})
    code, _, errors = run("doctor", path)
    assert code == 2 and "which TorchScript never writes" in errors and errors.count("\n") == 1


def test_the_malicious_pickles_of_these_tests_do_run_where_nothing_stops_them(tmp_path):
    pickle.load(io.BytesIO(evil_pickle(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


def change(tensors, name, value=None):
    changed = {key: tensor for key, tensor in tensors.items() if key != name}
    return changed if value is None else {**changed, name: value}


DAMAGES = {
    "missing": (lambda t: change(t, "visual.ln_pre.weight"), "has no tensor visual.ln_pre.weight"),
    "missing block": (
        lambda t: change(t, "transformer.resblocks.1.mlp.c_fc.bias"),
        "has no tensor transformer.resblocks.1.mlp.c_fc.bias",
    ),
    "extra": (lambda t: change(t, "visual.ls.gamma", torch.ones(3)), "has the tensor visual.ls.gamma"),
    "shape": (
        lambda t: change(t, "visual.proj", torch.ones(128, 23)),
        "tensor text_projection has shape (64, 24), expected (64, 23)",
    ),
    "integers": (lambda t: change(t, "ln_final.bias", torch.ones(64).int()), "ln_final.bias holds torch.int32"),
    "text alone": (lambda t: {k: v for k, v in t.items() if not k.startswith("visual")}, "no tensor visual.positional"),
    "vision alone": (
        lambda t: {k: v for k, v in t.items() if k.startswith("visual")},
        "no tensor token_embedding.weight",
    ),
    "resnet": (lambda t: {**t, "visual.layer1.0.conv1.weight": torch.ones(2)}, "a ResNet as vision tower"),
    "not square": (lambda t: change(t, "visual.positional_embedding", torch.ones(13, 128)), "12 patch positions"),
    "no tensor": (lambda t: {**t, "epoch": 3}, "'epoch' is no tensor but int"),
    "dimensions": (lambda t: change(t, "visual.proj", torch.ones(24)), "visual.proj has 1 dimensions, expected 2"),
    "wide": (
        lambda t: change(t, "visual.positional_embedding", torch.ones(17, 1280)),
        "does not say how many heads visual.transformer.resblocks has, 1280 wide",
    ),
    "empty": (lambda t: {}, "holds no state dict"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_state_dict_that_is_no_whole_clip_is_refused_by_tensor(run, tensors, tmp_path, damage):
    make, expected = DAMAGES[damage]
    torch.save(make(tensors), tmp_path / "tiny.pt")
    code, _, errors = run("doctor", tmp_path / "tiny.pt", "--activation", "quick_gelu")
    assert code == 2 and errors.count("\n") == 1 and expected in errors, errors


def test_a_config_that_does_not_fit_the_tensors_is_refused_by_tensor(run, formats, tensors, tmp_path):
    config = formats.config()
    config["model_cfg"]["vision_cfg"]["layers"] = 1
    folder = formats.write_open_clip(tmp_path / "m", tensors, config=config)
    code, _, errors = run("doctor", folder)
    assert code == 2 and "has the tensor visual.transformer.resblocks.1." in errors and errors.count("\n") == 1


def test_cut_files_are_refused(run, formats, tensors, tmp_path):
    paths = [formats.write_archive(tmp_path / "a.pt", tensors), tmp_path / "s.pt", tmp_path / "w.safetensors"]
    torch.save(tensors, paths[1])
    save_file(tensors, paths[2])
    for path in paths:
        path.write_bytes(path.read_bytes()[:-1000])
        code, _, errors = run("doctor", path, "--activation", "quick_gelu")
        assert code == 2 and str(path) in errors and "cut short" in errors and errors.count("\n") == 1, errors


def test_a_flipped_byte_and_a_lying_storage_are_damage(run, formats, tensors, tmp_path):
    path = formats.write_archive(tmp_path / "tiny.pt", tensors)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        largest = max((info for info in file.infolist() if "/data/" in info.filename), key=lambda info: info.file_size)
        content = file.read(largest)
    place = whole.index(content) + 100
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    code, _, errors = run("doctor", path)
    assert code == 2 and "is damaged" in errors and errors.count("\n") == 1
    path.write_bytes(whole)
    rewrite(path, {largest.filename: content[:-2]})
    code, _, errors = run("doctor", path)
    assert code == 2 and f"{largest.filename} should have {len(content)} bytes" in errors


def test_a_bare_state_dict_needs_its_activation_said(run, tensors, tmp_path):
    torch.save(tensors, tmp_path / "tiny.pt")
    code, _, errors = run("doctor", tmp_path / "tiny.pt")
    assert code == 2 and errors.count("\n") == 1
    assert "does not say its activation; give --activation quick_gelu or gelu" in errors
    with pytest.raises(InputError, match="expected quick_gelu or gelu, got 'relu'"):
        load(str(tmp_path / "tiny.pt"), activation="relu")


def test_a_pointer_in_place_of_the_weights_is_said(run, tmp_path):
    (tmp_path / "tiny.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    code, _, errors = run("doctor", tmp_path / "tiny.pt")
    assert code == 2 and "Git LFS pointer" in errors and errors.count("\n") == 1
