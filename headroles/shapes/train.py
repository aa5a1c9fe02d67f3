"""Train the bundled small CLIP: `python -m headroles.shapes.train --output FOLDER`.

Three losses, all over exact labels. (1) Image-caption contrast: a caption names a random subset of concepts, so it
fits many images of a batch; the renderer knows which, and all of them are positives. (2) Within each concept, a
cross-entropy over one short description of every value. (3) The same for every patch that shows the item, read out
like CLS, with a weight that falls to zero on the way. Without (2) and (3), location stays at chance for very long.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import CLIPModel, PreTrainedTokenizerFast

from headroles.shapes.captions import caption, value_texts
from headroles.shapes.clip import Architecture, build_model, build_tokenizer, save_folder, to_pixels
from headroles.shapes.render import render_with_mask
from headroles.shapes.world import ABSENT, CONCEPTS, NAMES, sample_scene


@dataclass(frozen=True)
class TrainConfig:
    """All that decides the result; written beside the weights."""

    architecture: Architecture = field(default_factory=Architecture)
    steps: int = 3000
    """Optimiser steps."""
    batch: int = 128
    """Images, and as many captions, a step."""
    lr: float = 1e-3
    """Peak learning rate."""
    warmup: int = 200
    """Steps of linear warm-up before the cosine decay to zero."""
    weight_decay: float = 0.05
    """Decoupled weight decay of matrices."""
    optimizer: str = "muon"
    """"muon" (matrices by Muon, the rest by AdamW) or "adamw"."""
    contrast: float = 1.0
    """Weight of the image-caption loss."""
    concept: float = 1.0
    """Weight of the within-concept loss."""
    patch: float = 2.0
    """Weight of the patch loss at the start; it falls linearly to zero."""
    patch_until: float = 0.6
    """Share of the run after which the patch loss is off."""
    seed: int = 0
    """Seed of the initial weights and of the stream of scenes."""


class SceneStream(Dataset):
    """Training scenes by index: image, coverage by items, labels, caption and the labels it names."""

    def __init__(self, seed: int, length: int, start: int = 0) -> None:
        self.seed, self.length, self.start = seed, length, start

    def __len__(self) -> int:
        return self.length - self.start

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, str, np.ndarray]:
        scene = sample_scene(self.seed, self.start + index, "train")
        text, named = caption(scene.labels, np.random.default_rng([*scene.stream, 2]))
        return *render_with_mask(scene), np.array(scene.labels), text, np.array(named)


def compatibility(named: Tensor, labels: Tensor) -> Tensor:
    """Which image fits which caption, bool (caption, image): every concept that the caption names agrees."""
    named = named[:, None]
    return ((named == ABSENT) | (named == labels[None])).all(-1)


def contrastive_loss(image: Tensor, text: Tensor, fits: Tensor, scale: Tensor) -> Tensor:
    """Multi-positive InfoNCE, both ways; the target mass is spread evenly over all that fits."""
    logits = scale * text @ image.T
    by_text = fits / fits.sum(1, keepdim=True)
    by_image = fits.T / fits.sum(0)[:, None]
    return (F.cross_entropy(logits, by_text) + F.cross_entropy(logits.T, by_image)) / 2


def concept_loss(image: Tensor, values: Tensor, labels: Tensor, scale: Tensor) -> Tensor:
    """Mean over concepts of the cross-entropy of an image over the concept's values."""
    losses, start = [], 0
    for column, concept in enumerate(NAMES):
        texts = values[start : start + len(CONCEPTS[concept])]
        start += len(texts)
        has = labels[:, column] != ABSENT
        losses.append(F.cross_entropy(scale * image[has] @ texts.T, labels[has, column]))
    return torch.stack(losses).mean()


def covered_patches(mask: Tensor, patch: int) -> Tensor:
    """Which patches show at least a quarter of item, bool (image, patches), from coverage (image, 64, 64)."""
    return F.avg_pool2d(mask[:, None], patch).flatten(1) > 0.25


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * done))


class Trainer:
    """The training state: model, optimisers and the step reached."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.tokenizer: PreTrainedTokenizerFast = build_tokenizer()
        self.model: CLIPModel = build_model(config.architecture, self.tokenizer, config.seed).train()
        self.optimizers = _optimizers(self.model, config)
        self.step = 0
        self._values = [[value_texts(c, v) for v in values] for c, values in CONCEPTS.items()]

    def train_step(
        self, images: Tensor, mask: Tensor, labels: Tensor, captions: list[str], named: Tensor
    ) -> dict[str, float]:
        """One optimiser step; returns the losses."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self.config, self.step)
        rng = np.random.default_rng([self.config.seed, self.step, 3])
        values = [str(rng.choice(texts)) for concept in self._values for texts in concept]
        image, patches = self._embed_tokens(images)
        text, value = self.embed_texts(captions), self.embed_texts(values)
        scale = self.model.logit_scale.exp().clamp(max=100)
        fits = compatibility(named, labels).float()
        contrast = contrastive_loss(image, text, fits, scale)
        concept = concept_loss(image, value, labels, scale)
        loss = self.config.contrast * contrast + self.config.concept * concept
        weight = self.config.patch * max(0.0, 1 - self.step / (self.config.patch_until * self.config.steps))
        shown = covered_patches(mask, self.config.architecture.patch)
        patch = torch.zeros(())
        if weight:
            image_of = shown.nonzero()[:, 0]
            patch = concept_loss(patches[shown], value, labels[image_of], scale)
            loss = loss + weight * patch
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        return {"contrast": contrast.item(), "concept": concept.item(), "patch": patch.item()}

    def _embed_tokens(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Unit embeddings (image, embed) of the images and (image, patches, embed) of their patches."""
        vision = self.model.vision_model
        tokens = vision.post_layernorm(vision(pixel_values=to_pixels(images)).last_hidden_state)
        tokens = F.normalize(self.model.visual_projection(tokens), dim=-1)
        return tokens[:, 0], tokens[:, 1:]

    def embed_images(self, images: Tensor) -> Tensor:
        """uint8 (image, 64, 64, 3) -> unit embeddings (image, embed)."""
        return F.normalize(self.model.get_image_features(pixel_values=to_pixels(images)).pooler_output, dim=-1)

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Texts -> unit embeddings (text, embed)."""
        tokens = self.tokenizer(texts, padding=True, return_tensors="pt")
        return F.normalize(self.model.get_text_features(**tokens).pooler_output, dim=-1)

    def save(self, path: Path) -> None:
        """Write a checkpoint; the old one stays whole until the new one is."""
        state = {
            "config": json.dumps(dataclasses.asdict(self.config)),
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Take the state of a checkpoint of the same settings."""
        state = torch.load(path, weights_only=True)
        if json.loads(state["config"]) != dataclasses.asdict(self.config):
            raise ValueError(f"{path} was written with other settings; remove it or choose another --output")
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step = state["step"]


def _optimizers(model: CLIPModel, config: TrainConfig) -> list[torch.optim.Optimizer]:
    def is_matrix(name: str, parameter: Tensor) -> bool:
        return parameter.ndim == 2 and "embedding" not in name

    matrices = [p for n, p in model.named_parameters() if is_matrix(n, p)]
    others = [p for n, p in model.named_parameters() if not is_matrix(n, p)]
    if config.optimizer == "muon":
        return [
            torch.optim.Muon(matrices, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0),
        ]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [torch.optim.AdamW(groups, betas=(0.9, 0.98))]
