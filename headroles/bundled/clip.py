"""A small CLIP for the shapes world: tokenizer, initialisation and the Hugging Face folder it is shipped in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from headroles.shapes.captions import compose, value_texts
from headroles.shapes.render import SIDE
from headroles.shapes.world import CONCEPTS, sample_scene

MEAN = (0.45, 0.45, 0.42)
"""Channel means that the preprocessor subtracts."""
STD = (0.28, 0.27, 0.28)
"""Channel deviations that the preprocessor divides by."""
CONTEXT = 32
"""Length of the text context, in tokens."""


@dataclass(frozen=True)
class Architecture:
    """Sizes of both towers; they have the same number of layers."""

    width: int = 128
    """Width of the vision residual stream."""
    layers: int = 8
    """Layers of each tower."""
    heads: int = 8
    """Heads of a vision layer."""
    patch: int = 8
    """Side of a patch, in pixels."""
    text_width: int = 64
    """Width of the text residual stream."""
    text_heads: int = 4
    """Heads of a text layer."""
    embed: int = 128
    """Width of the shared embedding."""
    mlps: int | None = None
    """Vision layers, from the first on, that have an MLP; the others' are nil and stay so. None: all."""


@cache
def build_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-pair tokenizer in CLIP's manner (lower case, `</w>`), learned from the world's own captions.

    Every word of the world is one token, any other English word falls apart into letters. EOS is the largest id
    but not id 2: transformers pools at the largest token id when `eos_token_id == 2`.
    """
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|unknown|>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace()])
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789.,!?'-")
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=["<|pad|>", "<|unknown|>"],
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    corpus = [text for concept, values in CONCEPTS.items() for value in values for text in value_texts(concept, value)]
    rng = np.random.default_rng(0)
    corpus += [compose(sample_scene(0, index).labels, rng) for index in range(20_000)]
    corpus += letters * 2
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    start, end = (tokenizer.token_to_id(token) for token in ("<|startoftext|>", "<|endoftext|>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>", special_tokens=[("<|startoftext|>", start), ("<|endoftext|>", end)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|startoftext|>",
        eos_token="<|endoftext|>",
        pad_token="<|pad|>",
        unk_token="<|unknown|>",
        model_max_length=CONTEXT,
    )


def open_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer that ships, `build_tokenizer` once: learned anew, its ids differ from run to run."""
    return PreTrainedTokenizerFast.from_pretrained(str(resources.files("headroles.bundled") / "model"))


def build_processor() -> CLIPImageProcessorPil:
    """The preprocessor of the shipped model: 64 x 64, bicubic, the world's own channel statistics."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=list(MEAN),
        image_std=list(STD),
    )


def build_model(architecture: Architecture, tokenizer: PreTrainedTokenizerFast, seed: int) -> CLIPModel:
    """A freshly initialised CLIP; the global random state is left as it was."""
    shared = {"num_hidden_layers": architecture.layers, "hidden_act": "gelu", "layer_norm_eps": 1e-5}
    config = CLIPConfig(
        projection_dim=architecture.embed,
        vision_config={
            **shared,
            "hidden_size": architecture.width,
            "intermediate_size": 4 * architecture.width,
            "num_attention_heads": architecture.heads,
            "image_size": SIDE,
            "patch_size": architecture.patch,
            "projection_dim": architecture.embed,
        },
        text_config={
            **shared,
            "hidden_size": architecture.text_width,
            "intermediate_size": 4 * architecture.text_width,
            "num_attention_heads": architecture.text_heads,
            "max_position_embeddings": CONTEXT,
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "projection_dim": architecture.embed,
        },
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPModel(config)
        _initialise(model)
    silent = architecture.layers if architecture.mlps is None else architecture.mlps
    for layer in list(model.vision_model.encoder.layers)[silent:]:
        _silence(layer)
    return model


@torch.no_grad()
def _silence(layer: Any) -> None:
    """Make the MLP of a layer nil, and leave it so."""
    layer.mlp.fc2.weight.zero_()
    layer.mlp.fc2.bias.zero_()
    layer.mlp.requires_grad_(False)
    layer.layer_norm2.requires_grad_(False)


@torch.no_grad()
def _initialise(model: CLIPModel) -> None:
    """Xavier weights and sinusoidal positions: the library's defaults are far too small at this width."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    vision, text = model.vision_model.embeddings, model.text_model.embeddings
    nn.init.xavier_uniform_(vision.patch_embedding.weight.flatten(1))
    nn.init.normal_(vision.class_embedding, std=0.1)
    sizes: Any = model.config.vision_config
    grid = sizes.image_size // sizes.patch_size
    vision.position_embedding.weight.zero_()
    vision.position_embedding.weight[1:] = 0.5 * _sinusoids_2d(grid, vision.position_embedding.weight.shape[1])
    nn.init.normal_(text.token_embedding.weight, std=0.3)
    text.position_embedding.weight.copy_(0.3 * _sinusoids(torch.arange(CONTEXT), text.position_embedding.embedding_dim))


def _sinusoids(positions: Tensor, width: int) -> Tensor:
    frequencies = torch.exp(-math.log(1000.0) * torch.arange(width // 2) / (width // 2))
    angles = positions[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)


def _sinusoids_2d(grid: int, width: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    return torch.cat([_sinusoids(y.flatten(), width // 2), _sinusoids(x.flatten(), width // 2)], 1)


def to_pixels(images: Tensor) -> Tensor:
    """uint8 (image, 64, 64, 3) -> normalised float32 (image, 3, 64, 64): the preprocessor without its resizing."""
    mean, std = torch.tensor(MEAN, device=images.device), torch.tensor(STD, device=images.device)
    return ((images / 255 - mean) / std).permute(0, 3, 1, 2)


def save_folder(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the Hugging Face folder (config, fp16 safetensors, tokenizer, preprocessor)."""
    half = CLIPModel(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    build_processor().save_pretrained(folder)
