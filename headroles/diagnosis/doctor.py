"""Is this model read right, what can it be used for, how fast is it: everything looked at once."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PretrainedConfig

from headroles.checks import typed
from headroles.diagnosis.diagnosis import Diagnosis
from headroles.diagnosis.model_facts import Cost, Exactness, Readiness, TowerFacts
from headroles.errors import InputError
from headroles.heads.contributions import Contributions, image_contributions, text_contributions
from headroles.heads.moments import HeadMoments, observe
from headroles.images.counting import counted
from headroles.images.images import Preprocess, collate
from headroles.images.sources.find import Source, find_source
from headroles.images.sources.stream import StreamedImages
from headroles.models.hooked_clip import HookedCLIP, Tower
from headroles.models.layers import resolve_layers
from headroles.models.load import Origin, open_model
from headroles.models.memory import peak_bytes
from headroles.roles.probes import ProbeBank

BOUNDS = {torch.float32: 1e-5, torch.float64: 1e-12}
"""Largest relative error of the sum of an embedding's parts."""
INPUTS = 4
"""Images, and texts, of each kind whose parts are summed."""
_ROUNDS = 3
_SEED = 0


@typed
def doctor(
    model: HookedCLIP | str | os.PathLike[str] = "shapes",
    images: str | os.PathLike[str] | None = None,
    *,
    device: str = "auto",
    activation: str | None = None,
    batch: int = 8,
) -> Diagnosis:
    """Look at a model from all sides: what it is, whether it is split exactly, its speed, what works with it.

    `model`: whatever `load` takes, or a model that is loaded, which ends as it came; `device` and `activation` are for
    loading. `images`: whatever `find_source` takes, of which a few are read; None for rendered scenes. `batch`: images
    of a timed batch. Parts are summed in float32 and, where the device has it, in float64. Raises InputError where
    `load` does, and where no image can be read.
    """
    source = find_source(str(images or "shapes"), count=INPUTS, seed=_SEED)  # A wrong one says so before the loading.
    if isinstance(model, HookedCLIP):
        return _examine(model, _given(model), source, batch)
    return _examine(*open_model(str(model), device, torch.float32, activation), source, batch)


def _given(model: HookedCLIP) -> Origin:
    """What can be said of a model that somebody else has loaded."""
    stored = str(model.dtype).removeprefix("torch.")
    found = ["given with the model" if part is not None else None for part in (model.tokenizer, model.processor)]
    return Origin("given", model.model_name, "in memory", stored, found[0], found[1] or "none")


def _examine(model: HookedCLIP, origin: Origin, source: Source, batch: int) -> Diagnosis:
    vision_config, text_config = _configs(model)
    checks = tuple(counted(_check_exactness(model, source), "summing parts", unit="check"))
    weights = list(model.clip.parameters())
    return Diagnosis(
        model=model.model_name,
        family=model.clip.config.model_type,
        origin=origin,
        weights_hash=model.weights_hash(),
        dtype=str(model.dtype).removeprefix("torch."),
        device=str(model.device),
        parameters=sum(weight.numel() for weight in weights),
        weights_bytes=sum(weight.numel() * weight.element_size() for weight in weights),
        image_size=_one_or_two(model.image_shape),
        patch_size=_one_or_two(model.family.patch_shape),
        context=None if text_config is None else model.context,
        vision=_describe(model.visual, vision_config),
        text=None if model.text is None or text_config is None else _describe(model.text, text_config),
        exactness=checks,
        cost=_measure_cost(model, batch),
        commands=_check_commands(model, all(check.passed for check in checks)),
    )


def _one_or_two(shape: tuple[int, int]) -> int | tuple[int, int]:
    """The side of a square, or height and width."""
    return shape[0] if shape[0] == shape[1] else shape


def _configs(model: HookedCLIP) -> tuple[PretrainedConfig, PretrainedConfig | None]:
    """The vision tower's config and, where there is a text tower, its own."""
    config = model.clip.config
    return getattr(config, "vision_config", config), None if model.text is None else config.text_config


def _describe(tower: Tower, config: PretrainedConfig) -> TowerFacts:
    sizes = {name: getattr(tower, name) for name in ("layers", "heads", "head_width", "width", "embed")}
    return TowerFacts(**sizes, activation=config.hidden_act, eps=config.layer_norm_eps)


def _check_exactness(model: HookedCLIP, source: Source) -> Iterator[Exactness]:
    """In float32, then in float64, which hold every number of a smaller type exactly; the model ends as it came."""
    own = model.dtype
    pictures = {"random pixels": _random_pixels(model, INPUTS)}
    if model.processor is not None:
        read = "rendered scenes" if source.name == "shapes" else f"images of {source.name}"
        pictures[read] = _read_images(source, model.processor)
    # Apple's GPUs have no float64; a smaller type than its own would change the model.
    dtypes = (
        [torch.float32] if model.device.type == "mps" else [each for each in BOUNDS if each.itemsize >= own.itemsize]
    )
    try:
        for dtype in dtypes:
            model.clip.to(dtype)
            for inputs, pixels in pictures.items():
                yield _check("image", inputs, dtype, image_contributions(model, pixels), _embed(model, pixels))
            if model.text is not None:
                yield from _check_texts(model, dtype)
    finally:
        model.clip.to(own)


def _check_texts(model: HookedCLIP, dtype: torch.dtype) -> Iterator[Exactness]:
    texts = list(ProbeBank.load("general").texts[:INPUTS])
    with _random_texts(model):
        yield _check("text", "random tokens", dtype, text_contributions(model, texts), _embed_texts(model, texts))
    if model.tokenizer is not None:
        yield _check("text", "probe texts", dtype, text_contributions(model, texts), _embed_texts(model, texts))


def _check(tower: str, inputs: str, dtype: torch.dtype, parts: Contributions, embedding: Tensor) -> Exactness:
    error = ((parts.total() - embedding).norm(dim=-1) / embedding.norm(dim=-1)).max().item()
    return Exactness(tower, inputs, str(dtype).removeprefix("torch."), error, BOUNDS[dtype])


@torch.inference_mode()
def _embed(model: HookedCLIP, pixels: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
    return model(pixels.to(model.device, model.dtype))


@torch.inference_mode()
def _embed_texts(model: HookedCLIP, texts: list[str]) -> Float[Tensor, "text embed"]:
    return model(**model.tokenize(texts))


@contextmanager
def _random_texts(model: HookedCLIP) -> Iterator[None]:
    """While open, every text is random tokens with an end at a random place: needs no tokenizer."""
    config = model.clip.config.text_config
    vocabulary, context = config.vocab_size, config.max_position_embeddings
    end = config.eos_token_id
    if end is None or model.family.reads_largest or end >= vocabulary:
        end = vocabulary - 1
    generator = torch.Generator().manual_seed(_SEED)
    ids = torch.randint(0, vocabulary - 1, (INPUTS, context), generator=generator)
    ids[ids == end] = 0 if end else 1
    ids = torch.where(torch.arange(context) >= torch.randint(2, context, (INPUTS, 1), generator=generator), end, ids)
    drawn, kept = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, model.tokenizer
    # The same tokens for the parts and for the embedding.
    model.tokenizer = lambda texts, **_: drawn
    try:
        yield
    finally:
        model.tokenizer = kept


def _random_pixels(model: HookedCLIP, count: int) -> Float[Tensor, "image 3 height width"]:
    return torch.randn(count, 3, *model.image_shape, generator=torch.Generator().manual_seed(_SEED))


def _read_images(source: Source, preprocess: Preprocess) -> Float[Tensor, "image 3 height width"]:
    images = source.open(preprocess)
    if isinstance(images, StreamedImages):
        read = [images[item] for item in images.items()]
    else:
        read = [images[number] for number in range(len(images))]
    _, pixels, broken = collate(read)
    if not len(pixels):
        reason = f"{len(broken)} read, the first: {broken[0][1]}" if broken else "it is empty"
        raise InputError(f"images: no image of {source.name} can be read ({reason}); mend or remove them")
    return pixels


def _measure_cost(model: HookedCLIP, batch: int) -> Cost:
    """Both passes by turns, so that a change of the machine's load meets both."""
    pixels = _random_pixels(model, batch).to(model.device, model.dtype)
    layers = resolve_layers("deep", model.visual.layers)
    moments = HeadMoments.empty(model, layers)
    block = torch.zeros(batch, dtype=torch.long)  # Neighbours lie in one block.
    passes: tuple[Callable[[], object], ...] = (
        lambda: _embed(model, pixels),
        lambda: moments.update(observe(model, pixels, layers), block),
    )
    peaks = [peak_bytes(each, model.device) for each in passes]
    seconds: list[list[float]] = [[], []]
    for _ in counted(range(_ROUNDS), "taking times", _ROUNDS, "round"):
        for taken, each in zip(seconds, passes, strict=True):
            taken.append(_time(each, model.device))
    plain, scoring = (batch / statistics.median(taken) for taken in seconds)
    return Cost(batch, plain, scoring, *peaks)


def _time(function: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _check_commands(model: HookedCLIP, exact: bool) -> tuple[Readiness, ...]:
    """What each command that takes a model needs of it."""
    texts = pools = ""
    if model.text is None:
        texts = "the model has no text tower"
    elif model.tokenizer is None:
        texts = "no tokenizer; put tokenizer.json or OpenAI's bpe_simple_vocab_16e6.txt.gz beside the weights"
    if not model.visual.at_row:
        pools = "its tokens go behind a CLS token, and this model pools patches instead"
    looks = "" if model.visual.at_row else "its embedding is pooled over tokens, so that no row says where a head looks"
    parts = "" if exact else "the parts of its embeddings do not sum to the embeddings"
    return tuple(
        Readiness(command, not reason, reason or note)
        for command, reason, note in (
            ("score with text probes", parts or texts, ""),
            ("score with image probes", parts, "score --by images, with labelled images"),
            ("score by weights", parts or texts, "score --by weights, without images"),
            ("validate", parts or texts, "with labelled images, and the role map that score writes"),
            ("attend", parts or texts or looks, "with that role map"),
            ("retrieve", parts, "with that role map"),
            ("debias", parts, "with that role map" + ("; class vectors from images alone" if texts else "")),
            ("adapt", parts or texts or pools, "with that role map"),
            ("evaluate, predict", parts or texts or pools, "with an adapter of these weights"),
        )
    )
