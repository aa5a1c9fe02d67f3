"""Images that flow in another size than the config's, or are no squares: patches, grids and figures follow them."""

import dataclasses
import json

import pytest
import torch
from PIL import Image

from headroles import InputError, Report, load
from headroles.heads.contributions import image_contributions
from headroles.uses.attend import attend
from headroles.uses.attended import Attended
from headroles.uses.head_views import view_heads


def write(folder, model, height: int, width: int):
    """A model's folder whose preprocessing makes pictures of this size."""
    model.save_pretrained(folder)
    crop = {"crop_size": {"height": height, "width": width}, "size": {"shortest_edge": max(height, width)}}
    settings = {"image_processor_type": "BitImageProcessor", "image_mean": [0.5] * 3, "image_std": [0.5] * 3, **crop}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return str(folder)


CASES = {
    "dinov2": ({"side": 56}, (32, 32), (4, 4)),
    "dinov2_with_registers": ({"side": 56}, (32, 48), (4, 6)),
    "vit": ({"side": [32, 48], "patch": [8, 16]}, (32, 48), (4, 3)),
}


@pytest.mark.parametrize("family", CASES)
@torch.inference_mode()
def test_patches_grids_and_maps_follow_what_flows(family, tmp_path, make_vision):
    sizes, shape, grid = CASES[family]
    model = load(write(tmp_path / "m", make_vision(family, **sizes), *shape), "cpu")
    assert (model.image_shape, model.grid, model.patches) == (shape, grid, grid[0] * grid[1])
    pixels = model.processor(Image.new("RGB", (70, 60), "red"))[None]
    assert pixels.shape == (1, 3, *shape)
    torch.testing.assert_close(image_contributions(model, pixels).total(), model(pixels), rtol=1e-4, atol=1e-4)
    views = view_heads(model, pixels, [(1, 0)], None)
    assert views.grid("attention").shape == (1, 1, *grid)
    total = views.grid("attention").sum() + views.rest("attention").sum()
    assert total.item() == pytest.approx(1, abs=1e-5)


def test_other_families_refuse_pictures_that_their_positions_do_not_fit(tmp_path, make_vision, make_clip):
    for name, model in {"vit": make_vision("vit"), "clip": make_clip()}.items():
        with pytest.raises(InputError, match=r"pictures of 48 x 48 pixels, the vision tower takes 32 x 32"):
            load(write(tmp_path / name, model, 48, 48), "cpu")
    oblong = make_vision("dinov2", side=[32, 48])
    with pytest.raises(InputError, match="position embeddings of 4 x 6 patches"):
        load(write(tmp_path / "oblong", oblong, 32, 48), "cpu")


def test_attention_is_drawn_without_a_text_tower(tmp_path, make_vision, random_role_map, run):
    folder = write(tmp_path / "m", make_vision("dinov2", side=56), 32, 48)
    scored = random_role_map(heads=4, name=folder)
    info = dataclasses.replace(scored.model, weights_hash=load(folder, "cpu").weights_hash())
    dataclasses.replace(scored, model=info).save(tmp_path / "role_map.json")
    Image.new("RGB", (70, 60), "red").save(tmp_path / "red.png")
    found = attend(tmp_path / "role_map.json", tmp_path / "red.png", heads="L1.H2", attention=True, device="cpu")
    (view,) = found.images[0].heads
    assert view.grid("attention").shape == (4, 6) and view.contribution is None and view.text is None
    found.save(tmp_path / "a.json")
    assert Attended.load(tmp_path / "a.json") == found and len(found.to_frame()) == 1 and found._repr_html_()
    with pytest.raises(InputError, match="looked at without a text; take attention"):
        view.grid("contribution")
    given = ("attend", tmp_path / "role_map.json", "--image", tmp_path / "red.png", "--heads", "L1.H2")
    code, text, errors = run(*given, "--attention", "--output", tmp_path / "a.png")
    assert code == 0 and "attention to CLS" in text and (tmp_path / "a.png").stat().st_size > 1000, errors
    page, photos = tmp_path / "report.html", tmp_path / "photos"
    photos.mkdir()
    for number, color in enumerate(("red", "green", "blue")):
        Image.new("RGB", (70, 60), color).save(photos / f"{number}.png")
    code, _, errors = run("report", tmp_path / "role_map.json", "--images", photos, "--output", page, "--device", "cpu")
    assert code == 0 and "(.png 3)" in errors and "texts of" not in errors, errors
    shown = Report.load(page).illustrations
    assert shown.count == 3 and shown.searches and not shown.examples
    code, _, errors = run(*given, "--output", tmp_path / "b.png")
    mistakes = [line for line in errors.splitlines() if not line.startswith("images: ")]  # What is said before work.
    assert code == 2 and "has no text tower" in errors and len(mistakes) == 1
