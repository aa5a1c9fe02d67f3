"""predict(): files, folders, pictures and arrays; classes of the task or any words; what overflows ends the work."""

import numpy as np
import pytest
from PIL import Image

from headroles.adapt import Predictions, predict
from headroles.adapt.config import TrainConfig
from headroles.adapt.data.tasks import open_task
from headroles.adapt.methods.dear import Dear
from headroles.adapt.results.measuring import compare
from headroles.adapt.training.train import fit
from headroles.errors import InputError


def test_a_picture_is_what_its_file_is(adapted, color_folder, tmp_path):
    path = color_folder / "test" / "red" / "0.png"
    (from_file,) = predict(adapted[0], str(path))
    with Image.open(path) as picture:
        given = [picture.copy(), np.asarray(picture)]
    for number, each in enumerate(predict(adapted[0], given), 1):
        assert each.image == f"picture {number}"
        assert each.shares == pytest.approx(from_file.shares)
    assert predict(adapted[0], given[1])[0].shares == pytest.approx(from_file.shares)
    assert from_file.image == str(path) and set(from_file.classes) == {"blue", "green", "grey", "red"}


def test_a_folder_of_the_adapter_gives_the_same(adapted, color_folder, tmp_path):
    adapted[0].save(tmp_path)
    found = predict(tmp_path, color_folder / "test", ["cat", "dog"], template="a {}", device="cpu")
    assert found == predict(adapted[0], [color_folder / "test"], ("cat", "dog"), template="a {}")
    assert len(found) == 12 and found[0].best(1) == f"{found[0].classes[0]} {100 * found[0].probabilities[0]:.1f}%"


def test_a_result_is_a_table_and_a_file(adapted, color_folder, tmp_path):
    found = predict(adapted[0], color_folder / "test" / "blue")
    found.save(tmp_path / "seen.json")
    assert Predictions.load(tmp_path / "seen.json") == found
    frame = found.to_frame()
    assert list(frame) == ["image", "class", "probability", "p_blue", "p_green", "p_grey", "p_red"]
    assert frame.filter(like="p_").sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    assert repr(found).startswith("Predictions(3 images; ") and "<td>" in found._repr_html_()
    (tmp_path / "other.json").write_text('{"schema_version": 1}')
    with pytest.raises(InputError, match="is no predictions"):
        Predictions.load(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"classes": "cat,dog"}, "classes: expected several names, got the text 'cat,dog'"),
        ({"classes": ["cat"]}, "two or more different names"),
        ({"template": "a photo"}, "template: expected one"),
        ({"images": "nowhere.png"}, "cannot read nowhere.png"),
        ({"images": np.zeros((3, 3, 7), np.uint8)}, "a picture must be"),
    ],
)
def test_mistakes_name_what_is_wrong(adapted, arguments, expected):
    with pytest.raises(InputError, match=expected):
        predict(adapted[0], **{"images": Image.new("RGB", (8, 8)), **arguments})


class Overflows:
    """A preprocessing of images of which those of a colour are finite, and too large to compute with."""

    def __init__(self, preprocess, channel=0):
        self.preprocess, self.channel = preprocess, channel

    def __call__(self, image):
        pixels = self.preprocess(image)
        means = np.asarray(image).mean((0, 1))
        return pixels * (3e38 / pixels.abs().max() if means.argmax() == self.channel and means.max() > 150 else 1)


def test_an_image_that_overflows_ends_the_work_and_is_named(adapted, color_folder, monkeypatch, tmp_path):
    method, task = adapted[0].method, open_task(str(color_folder))
    monkeypatch.setattr(method.model, "processor", Overflows(method.model.processor))
    path = color_folder / "test" / "red" / "0.png"
    named = "what it makes of .*red/[0-9].png holds NaN"
    with pytest.raises(InputError, match=named):
        predict(adapted[0], [color_folder / "test" / "blue", path])
    with pytest.raises(InputError, match=named):
        compare(method, task, task.test)
    fresh = Dear(method.model, method.role_map, method.config, 1)
    with pytest.raises(InputError, match=named):
        fit(fresh, task, TrainConfig(epochs=2, batch=8), tmp_path)
