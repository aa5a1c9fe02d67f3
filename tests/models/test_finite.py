"""A model whose numbers overflow ends every command with one line that names the image, or the text, and what to do."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPModel

import headroles
from headroles import InputError, ProbeBank, ScoreConfig, attend, validate
from headroles.files.json_files import dump_json
from headroles.heads.reference import HeadReference
from headroles.images.labelled import Concept, LabelledImages
from headroles.models.finite import FiniteRows, check_rows
from headroles.models.hooked_clip import HookedCLIP
from headroles.roles.score_images import score_images
from headroles.roles.score_texts import score_texts
from headroles.uses.index_build import index_in_memory
from headroles.uses.precision_at_k import precision_at_k

ODD = "image 2"


class OneOverflows:
    """Images of which number 2 is finite, and so large that the model's sums are not."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        noise = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(index))
        return index, noise * (3e38 / noise.abs().max() if index == 2 else 1)

    def name(self, index):
        return f"image {index}"

    def fingerprint(self):
        return "overflow"


CONCEPTS = (
    Concept("time", ("day", "night"), (("day",), ("night",))),
    Concept("size", ("big", "small"), (("big",), ("small",))),
)


def labelled() -> LabelledImages:
    return LabelledImages("made", OneOverflows(), CONCEPTS, np.array([[0, 1], [1, 0], [0, 0], [1, 1]]))


def works(model: HookedCLIP, role_map):
    """What each command does with images, as a call."""
    bank = ProbeBank.load("shapes")
    quick = ScoreConfig(null_draws=19, bootstraps=2)
    return {
        "score": lambda batch: score_texts(model, OneOverflows(), bank, quick, batch=batch),
        "score by images": lambda batch: score_images(model, labelled(), batch=batch),
        "validate": lambda batch: validate(role_map, model, labelled(), draws=20, bootstraps=20, batch=batch),
        "validate total": lambda batch: validate(
            role_map, model, labelled(), effect="total", draws=20, bootstraps=20, batch=batch
        ),
        "retrieve": lambda batch: precision_at_k(role_map, labelled(), k=1, model=model, batch=batch),
        "index": lambda batch: index_in_memory(model, OneOverflows(), (1, 2), batch),
        "attend": lambda batch: attend(role_map, OneOverflows(), every=True, model=model, batch=batch),
        "reference": lambda batch: HeadReference.collect(model, OneOverflows(), batch=batch),
    }


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_every_work_names_the_image_that_overflows(model, random_role_map, batch):
    role_map = random_role_map(texts=("red",), layers=(1, 2), heads=model.visual.heads)
    info = dataclasses.replace(role_map.model, weights_hash=model.weights_hash(), heads=model.visual.heads)
    for name, work in works(model, dataclasses.replace(role_map, model=info)).items():
        with pytest.raises(InputError, match=f"model: what it makes of {ODD} holds NaN or infinite numbers") as refused:
            work(batch)
        assert "\n" not in str(refused.value), name


def test_a_text_that_overflows_is_named(model):
    with torch.no_grad():
        rows = model.clip.text_model.embeddings.token_embedding.weight
        rows[model.tokenize(["zebra"])["input_ids"][0, 1:-1]] = 3e38
    with pytest.raises(InputError, match="what it makes of the text 'zebra' holds NaN"):
        model.embed_texts(["red", "zebra"])


def test_where_half_precision_overflows_the_remedy_is_the_whole_one():
    rows = torch.tensor([[1.0, 2.0], [torch.inf, 0.0]])
    with pytest.raises(InputError, match=r"image 7 .* overflow in fp16: give --precision no"):
        check_rows(rows, "image {}".format, [5, 7], "fp16")
    check_rows(rows[:1], "image {}".format)


def test_what_is_looked_at_later_is_looked_at():
    watch = FiniteRows("image {}".format)
    watch.add(torch.ones(2, 3), [0, 1])
    watch.add(torch.full((1, 3), torch.nan), [2])
    with pytest.raises(InputError, match=ODD):
        watch.finish()
    watch.finish()


def test_json_is_written_without_nan_and_the_number_is_named():
    for value in (float("nan"), float("inf")):
        with pytest.raises(InputError, match=re.escape("result: heads[1].entropy is ")):
            dump_json({"heads": [{"entropy": 1.0}, {"entropy": value}]})
    assert json.loads(dump_json({"a": [1.5, None, (2, "NaN")]}, indent=2)) == {"a": [1.5, None, [2, "NaN"]]}


def test_one_place_writes_json():
    """Else NaN, which is no JSON, is written where nobody looks."""
    root = Path(headroles.__file__).parents[1]
    places = [path for folder in ("headroles", "adapt", "cli") for path in (root / folder).rglob("*.py")]
    writers = [path.name for path in places if re.search(r"json\.dumps?\(", path.read_text(encoding="utf-8"))]
    assert len(places) > 100 and writers == ["json_files.py"]


def test_score_ends_in_one_line_and_leaves_nothing(run, model, clip_folder, tmp_path):
    """Weights that are finite, and overflow."""
    folder = shutil.copytree(clip_folder, tmp_path / "clip")
    clip = CLIPModel.from_pretrained(folder)
    with torch.no_grad():
        clip.vision_model.embeddings.patch_embedding.weight.mul_(1e38)
    clip.save_pretrained(folder)
    images = tmp_path / "images"
    images.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(images / f"{number}.png")
    code, _, errors = run("score", "--model", folder, "--images", images, "--output", tmp_path / "roles")
    *_, line = errors.splitlines()
    assert code == 2 and "what it makes of 0.png holds NaN or infinite numbers" in line and "Traceback" not in errors
    assert not (tmp_path / "roles" / "role_map.json").exists()
