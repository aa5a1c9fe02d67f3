"""Train a bundled small CLIP: `python -m headroles.bundled.train --model shapes-natural --output FOLDER`.

The objective is CLIP's own, over exact labels: a caption names a random subset of concepts, so it fits many images of
a batch; the renderer knows which, and all of them are positives. A cross-entropy over one short text of every value
within each concept goes with it. At first the two towers also learn one vector ("anchor") per concept value: images,
and the patches that show the item, are classified against the anchors within each concept, short texts against all
anchors. The anchors' weight falls to zero halfway: they only spare the vision tower the time in which the texts of a
random tower are too much alike to teach anything. In the model `shapes` two more terms make deep heads of known
concepts (`headroles.bundled.specialists`); no term of `shapes-natural` speaks of heads or layers.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import time
from collections.abc import Callable
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import CLIPModel, PreTrainedTokenizerFast

from headroles.bundled.card import write_card
from headroles.bundled.clip import build_model, open_tokenizer, save_folder, to_pixels
from headroles.bundled.config import RECIPES, TrainConfig
from headroles.bundled.evaluate import zero_shot
from headroles.bundled.specialists import DeepOutputs
from headroles.errors import InputError
from headroles.files.json_files import dump_json
from headroles.files.whole import write_bytes
from headroles.shapes.captions import caption, value_texts
from headroles.shapes.render import render_with_mask
from headroles.shapes.world import ABSENT, CONCEPTS, NAMES, sample_scene


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
    """The training state: model, anchors, optimisers and the step reached."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.tokenizer: PreTrainedTokenizerFast = open_tokenizer()
        self.model: CLIPModel = build_model(config.architecture, self.tokenizer, config.seed).train()
        # On a CPU the fused attention's bfloat16 backward costs more than all the rest of a step.
        self.model.set_attn_implementation("eager")
        self.deep = DeepOutputs(self.model)
        self._texts = [value_texts(c, v) for c, values in CONCEPTS.items() for v in values]
        generator = torch.Generator().manual_seed(config.seed)
        self.anchors = nn.Parameter(torch.randn(len(self._texts), config.architecture.embed, generator=generator))
        self.optimizers = _optimizers(self.model, self.anchors, config)
        self.step = 0
        self.seconds = 0.0

    def train_step(
        self, images: Tensor, mask: Tensor, labels: Tensor, captions: list[str], named: Tensor
    ) -> dict[str, float]:
        """One optimiser step; returns the losses."""
        for optimizer, ratio in zip(self.optimizers, (1.0, self.config.lr_ratio), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = ratio * learning_rate(self.config, self.step)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.half):
            losses = self._losses(images, mask, labels, captions, named)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        reduce(add, (weight * loss for weight, loss in losses.values())).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        return {name: loss.item() for name, (_, loss) in losses.items()}

    def _losses(
        self, images: Tensor, mask: Tensor, labels: Tensor, captions: list[str], named: Tensor
    ) -> dict[str, tuple[float, Tensor]]:
        """Name -> (weight, loss) of this step."""
        config, losses = self.config, {}
        rng = np.random.default_rng([config.seed, self.step, 3])
        values = self.embed_texts([str(rng.choice(texts)) for texts in self._texts])
        image, patches = self._embed_tokens(images)
        scale = self.model.logit_scale.exp().clamp(max=100)
        weight = config.anchor * max(0.0, 1 - 2 * self.step / config.steps)
        if weight > 0:
            anchors = F.normalize(self.anchors, dim=-1)
            shown = covered_patches(mask, config.architecture.patch)
            owner = shown.nonzero()[:, 0]
            own = torch.arange(len(values))
            losses["anchor"] = weight, concept_loss(image, anchors, labels, scale)
            if config.patches:
                losses["patch"] = weight, concept_loss(patches[shown], anchors, labels[owner], scale)
            losses["text"] = weight / 4, F.cross_entropy(scale * values @ anchors.T, own)
        fits = compatibility(named, labels).float()
        losses["contrast"] = config.contrast, contrastive_loss(image, self.embed_texts(captions), fits, scale)
        losses["concept"] = config.concept, concept_loss(image, values, labels, scale)
        if config.late:
            losses["late"] = config.late, self.deep.early_share()
        if config.specialists:
            losses["mixing"] = config.specialists, self.deep.mixing(labels)
        return losses

    def _embed_tokens(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Unit embeddings (image, embed) of the images and (image, patches, embed) of their patches."""
        vision = self.model.vision_model
        tokens = vision.post_layernorm(vision(pixel_values=to_pixels(images)).last_hidden_state)
        tokens = F.normalize(self.model.visual_projection(tokens).float(), dim=-1)
        return tokens[:, 0], tokens[:, 1:]

    def embed_images(self, images: Tensor) -> Tensor:
        """uint8 (image, 64, 64, 3) -> unit embeddings (image, embed)."""
        return F.normalize(self.model.get_image_features(pixel_values=to_pixels(images)).pooler_output, dim=-1)

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Texts -> unit embeddings (text, embed)."""
        tokens = self.tokenizer(texts, padding=True, return_tensors="pt")
        return F.normalize(self.model.get_text_features(**tokens).pooler_output.float(), dim=-1)

    def save(self, path: Path) -> None:
        """Write a checkpoint; the old one stays whole until the new one is."""
        state = {
            "config": dump_json(dataclasses.asdict(self.config)),
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "anchors": self.anchors.data,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        content = io.BytesIO()  # Where a disk is full, torch's own writer of files ends the process.
        torch.save(state, content)
        write_bytes(path, content.getvalue())

    def resume(self, path: Path) -> None:
        """Take the state of a checkpoint of the same settings."""
        state = torch.load(path, weights_only=True)
        if json.loads(state["config"]) != dataclasses.asdict(self.config):
            raise InputError(f"{path} was written with other settings; remove it or choose another --output")
        self.model.load_state_dict(state["model"])
        self.anchors.data.copy_(state["anchors"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]


def _optimizers(model: CLIPModel, anchors: nn.Parameter, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Muon for matrices, AdamW for all else."""

    def is_matrix(name: str, parameter: Tensor) -> bool:
        return parameter.ndim == 2 and "embedding" not in name

    learned = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    matrices = [p for n, p in learned if is_matrix(n, p)]
    others = [p for n, p in learned if not is_matrix(n, p)]
    return [
        torch.optim.Muon(matrices, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([*others, anchors], betas=(0.9, 0.98), weight_decay=0.0),
    ]


def train(
    config: TrainConfig, output: Path, every: int = 200, scenes: int = 500, log: Callable[[str], None] = print
) -> Trainer:
    """Train to the end, from the checkpoint in `output` where there is one; writes the model folder there too.

    Every `every` steps: a checkpoint, and a line with the zero-shot accuracies over `scenes` fresh scenes; the model
    card has them over eight times as many.
    """
    output.mkdir(parents=True, exist_ok=True)
    checkpoint = output / "checkpoint.pt"
    trainer = Trainer(config)
    if checkpoint.exists():
        trainer.resume(checkpoint)
        log(f"resumed at step {trainer.step}")
    stream = SceneStream(config.seed, config.steps * config.batch, trainer.step * config.batch)
    loader = DataLoader(stream, batch_size=config.batch, num_workers=1, prefetch_factor=8)
    clock = time.perf_counter()
    for batch in loader:
        losses = trainer.train_step(*batch)
        trainer.seconds, clock = trainer.seconds + time.perf_counter() - clock, time.perf_counter()
        if trainer.step % every == 0 or trainer.step == config.steps:
            trainer.save(checkpoint)
            trainer.model.eval()
            accuracy = zero_shot(trainer.embed_images, trainer.embed_texts, scenes)
            trainer.model.train()
            log(
                f"step {trainer.step}/{config.steps}, {trainer.seconds:.0f} s; "
                + ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
                + "; zero-shot "
                + ", ".join(f"{name} {100 * value.mean:.0f}" for name, value in accuracy.items())
            )
    trainer.model.eval()
    save_folder(trainer.model, trainer.tokenizer, output / "model")
    took = f"{trainer.seconds / 60:.0f} minutes on {torch.get_num_threads()} CPU threads"
    write_card(output / "model", config, took, 8 * scenes)
    return trainer


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder of checkpoint and model.")
@click.option("--model", type=click.Choice(list(RECIPES)), default="shapes", show_default=True, help="Which one.")
@click.option("--steps", type=int, help="Optimiser steps.  [default: the model's]")
@click.option("--batch", type=int, help="Images a step.  [default: the model's]")
@click.option("--seed", default=TrainConfig.seed, show_default=True, help="Seed of weights and scenes.")
@click.option("--every", default=200, show_default=True, help="Steps between checkpoints.")
def main(output: Path, model: str, steps: int | None, batch: int | None, seed: int, every: int) -> None:
    """Train a small CLIP of the shapes world; run again to resume."""
    given: dict[str, Any] = {name: value for name, value in (("steps", steps), ("batch", batch)) if value is not None}
    config = dataclasses.replace(RECIPES[model], seed=seed, **given)
    train(config, output, every, log=lambda line: click.echo(line))


if __name__ == "__main__":
    main()
