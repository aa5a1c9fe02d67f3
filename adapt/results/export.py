"""export_adapter(): an adapter for serving: a torch.export program and its plain tensors, which need no headroles."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

import headroles
from headroles.adapt.adapter.adapter import Adapter, load_adapter
from headroles.adapt.adapter.info import AdapterInfo
from headroles.adapt.methods.method import Method
from headroles.adapt.results.adapted import Adapted, pick_adapter
from headroles.adapt.results.predict import check_classes
from headroles.checks import typed
from headroles.errors import InputError
from headroles.files.json_files import dump_json
from headroles.files.places import check_free, check_writable
from headroles.files.tensors import write_tensors
from headroles.files.whole import replacing_together, write_bytes, write_text
from headroles.images.prompts import check_template

PROGRAM, STATE, ABOUT, PREPROCESSING = "classifier.pt2", "state.safetensors", "export.json", "preprocessor_config.json"
FILES = (PROGRAM, STATE, PREPROCESSING, ABOUT)
"""What an export writes."""
FORMAT = "headroles.export"
_CLOSE = 1e-4
"""How far probabilities of the program may be from the adapter's."""


class Classifier(nn.Module):
    """From an adapter's preprocessed images to the probabilities of fixed classes."""

    texts: Any
    """The classes, encoded; a buffer where they are one tensor."""

    def __init__(self, method: Method, texts: Any) -> None:
        super().__init__()
        self.method, self.scale = method, method.scale  # Read before it is traced: then it is a constant.
        if isinstance(texts, Tensor):
            self.register_buffer("texts", texts)
        else:
            self.texts = texts

    def forward(self, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image class"]:
        """Probabilities; they sum to 1."""
        features = self.method.encode_images(self.method.image_trunk(pixels))
        return self.method.logits(features, self.texts).softmax(-1)


@typed
def export_adapter(
    adapter: str | os.PathLike[str] | Adapter | Adapted,
    output: str | os.PathLike[str],
    classes: Iterable[str] | None = None,
    *,
    template: str | None = None,
    model: str | None = None,
    overwrite: bool = False,
) -> tuple[Path, ...]:
    """Write an adapter, its folder or what `load_adapter` gives, for serving, and say which files.

    classifier.pt2 is a torch.export program from pixels (image, 3, height, width), any number of images, to
    probabilities (image, class); state.safetensors holds the tensors behind it; preprocessor_config.json is
    transformers' description of the preprocessing, and export.json says classes, template and sizes. torch, safetensors
    and transformers read them, without headroles. `classes`, `template`, `model`: as in `predict`. Raises InputError
    where heads were cut in the training, or the program does not say what the adapter says.
    """
    folder = Path(output)
    found = pick_adapter(adapter)
    info = found.info if isinstance(found, Adapter) else AdapterInfo.load(found)
    if info.ablation:
        raise InputError(
            "export: heads were cut while the adapter was trained; such a model can only be run with headroles"
        )
    names, template = info.classes if classes is None else tuple(classes), template or info.template
    check_classes(names)
    check_template(template)
    if not overwrite:
        check_free(*(folder / name for name in FILES))
    check_writable(folder)
    method = (found if isinstance(found, Adapter) else load_adapter(found, "cpu", model)).method
    program, classifier = _trace(method, names, template)
    with replacing_together(folder, ABOUT) as staging:
        write_bytes(staging / PROGRAM, _pack(program))
        write_tensors(staging / STATE, _plain_state(classifier), {"format": "pt"})
        write_text(staging / PREPROCESSING, _describe_preprocessing(method))
        about = _describe(info, method, names, template)
        write_text(staging / ABOUT, dump_json(about, indent=2, sort_keys=True) + "\n")
    return tuple(folder / name for name in FILES)


@torch.no_grad()
def _trace(method: Method, classes: Sequence[str], template: str) -> tuple[torch.export.ExportedProgram, Classifier]:
    """The program, held against the adapter on other images and another number of them."""
    texts = method.encode_texts(method.class_trunk(classes, template))
    classifier = Classifier(method, texts.clone() if isinstance(texts, Tensor) else texts).eval()
    generator = torch.Generator().manual_seed(0)
    side = method.model.image_size
    some, others = (torch.randn(count, 3, side, side, generator=generator).to(method.device) for count in (2, 3))
    expected = classifier(others)  # Before the tracing: what a method makes once is no part of the program.
    shapes = {"pixels": {0: torch.export.Dim("image", min=1)}}
    program = torch.export.export(classifier, (some,), dynamic_shapes=shapes, strict=False)
    apart = (program.module()(others) - expected).abs().max().item()
    if not apart < _CLOSE:
        raise InputError(f"export: the program's probabilities are up to {apart:.2g} from the adapter's; not written")
    return program, classifier


def _pack(program: torch.export.ExportedProgram) -> bytes:
    """The file's bytes. They are written by Python: where a disk is full, torch's own writer ends the process."""
    content = io.BytesIO()
    with warnings.catch_warnings():  # Parts of one tensor are saved as such, and load as they were.
        warnings.filterwarnings("ignore", "No complete tensor found in the group")
        torch.export.save(program, content)
    return content.getvalue()


def _plain_state(classifier: Classifier) -> dict[str, Tensor]:
    """Every tensor behind the probabilities, by a readable name; tensors that are one in the model are apart here."""
    method = classifier.method
    clip = {
        f"clip.{name}": value
        for name, value in method.model.clip.state_dict().items()
        if not name.startswith(("text_model.", "text_projection.", "logit_scale", "words."))
    }
    texts = classifier.texts
    inner = {} if texts is None or isinstance(texts, Tensor) else vars(texts)
    encoded = {"texts": texts, **{f"texts.{name}": value for name, value in inner.items()}}
    whole = {**clip, **method.served_tensors(), **encoded, "scale": torch.tensor(classifier.scale)}
    return {name: value.detach().clone() for name, value in whole.items() if isinstance(value, Tensor)}


def _describe_preprocessing(method: Method) -> str:
    processor: Any = getattr(method.preprocess, "processor", None)
    if not hasattr(processor, "to_json_string"):
        raise InputError(
            "export: the model's preprocessing is no image processor of transformers; load the model from files"
        )
    return str(processor.to_json_string())


def _describe(info: AdapterInfo, method: Method, classes: Sequence[str], template: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "schema_version": 1,
        "classes": list(classes),
        "template": template,
        "input": {
            "name": "pixels",
            "shape": ["image", 3, method.model.image_size, method.model.image_size],
            "dtype": "float32",
        },
        "output": {"name": "probabilities", "shape": ["image", len(classes)], "dtype": "float32"},
        "base_model": info.base_model_name_or_path,
        "base_model_hash": info.base_model_hash,
        "task": info.task,
        "torch_version": torch.__version__,
        "headroles_version": headroles.__version__,
    }
