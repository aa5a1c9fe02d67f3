"""What is wrong with the small files of a model's folder is said when it is loaded, with the file's name."""

import json
import shutil
from importlib import resources
from pathlib import Path

import pytest

from headroles import InputError, load


@pytest.fixture
def folder(tmp_path):
    """A copy of the bundled model."""
    source = Path(str(resources.files("headroles.bundled") / "model"))
    for path in source.iterdir():
        if path.suffix in (".json", ".safetensors"):
            shutil.copy(path, tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [b"[" * 50_000, b"\xff\xfe{}", b'{"a": NaN}', b"[]"])
def test_a_part_that_is_no_json_object_is_refused_by_name(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"^model: .*/{name} "):
        load(str(folder))


@pytest.mark.parametrize(
    "settings",
    [{"image_mean": ["x"]}, {"image_std": "x"}, {"rescale_factor": "1"}, {"image_std": [0] * 3}, {"crop_size": 2**53}],
)
def test_preprocessing_that_makes_no_finite_pixels_is_refused(folder, settings):
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    with pytest.raises(InputError, match=r"preprocessor_config\.json"):
        load(str(folder))


def test_a_tokenizer_of_another_shape_is_refused_by_name(folder):
    path = folder / "tokenizer.json"
    raw = json.loads(path.read_text())
    raw["model"]["merges"] = 7
    path.write_text(json.dumps(raw))
    with pytest.raises(InputError, match=r"the tokenizer files in .* cannot be read"):
        load(str(folder))
