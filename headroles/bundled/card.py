"""The model card of the bundled small CLIP: data, settings, time and accuracies, as measured on the shipped weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from headroles.bundled.clip import to_pixels
from headroles.bundled.config import TrainConfig
from headroles.bundled.evaluate import Accuracy, zero_shot
from headroles.files.json_files import dump_json
from headroles.models.hooked_clip import HookedCLIP
from headroles.shapes.world import CONCEPTS, NAMES

_CARD = """---
license: mit
library_name: transformers
tags: [clip, interpretability, synthetic]
---

# shapes: a small CLIP of known concepts

Trained from scratch on the shapes world of `headroles.shapes`: rendered 64 x 64 scenes with {concepts} concepts, and
captions that name random subsets of them. It is made for reading attention heads where the truth is known; it knows
nothing about photographs.

## Sizes

{sizes}

## Data and training

{images:,} scenes, each seen once: one image, one caption. Every (color, item) pair of a fixed Latin pattern (one
color in eight for every item) was held out. {steps:,} steps took {minutes:.0f} minutes on one CPU core. All settings:

```json
{settings}
```

## Zero-shot accuracy

Over {scenes:,} scenes that training never drew, with 95% Wilson intervals; a value is the mean of all its short
descriptions in the bundled probe bank. "Held-out pairs" shows only (color, item) pairs that training left out.

{table}

## What was tried

Every recipe from scratch, 64 or 96 images a step on one core; accuracies are zero-shot, in percent, on 500 scenes.

- **Optimiser** (all losses together, no specialists, step 300): AdamW at 1e-3 reaches shape 18, texture 30, position
  38; Muon at 3e-3, shipped, 35, 53, 95. Muon at 1e-2 is slower than at 2e-3 (step 400, anchors: shape 26 against 39).
- **Anchors first, texts later**, or all losses together: no difference (step 500: shape 59 and 57). Together, shipped,
  needs no second schedule.
- **Patches.** 16 pixels are quicker for shape (step 900: 88) and far slower for texture (39); shipped: 8. The loss on
  patches changes little (step 300 without it: shape 30, texture 45).
- **Roles.** Without more, all of this gives a good CLIP whose deep heads are blends: at step 1,000 of an earlier run
  (96,000 scenes) texture, color and shape explained at most 27%, 13% and 36% of the variance of any head of the last
  third. Keeping CLS empty until the last third moves the concepts there, still blended; so do 16 heads of width 8. So
  the shipped model has **specialists**: half of the deep heads are trained to follow one given concept
  (`headroles.bundled.specialists`). What a role map says of these heads can be held to that; that heads of a CLIP
  specialise of themselves is not shown by this model.

## Limits

64 x 64 pixels, one item kind a scene, {words}. The text tower knows the words of `headroles.shapes.captions`; any
other word falls apart into letters.
"""


def accuracy_table(columns: Mapping[str, Mapping[str, Accuracy]]) -> str:
    """A Markdown table, one row a concept, one column of accuracies a mapping."""
    rows = [f"| concept | values | chance | {' | '.join(columns)} |", "|---" * (3 + len(columns)) + "|"]
    for concept in NAMES:
        count = len(CONCEPTS[concept])
        cells = [str(accuracies[concept]) for accuracies in columns.values()]
        rows.append(f"| {concept} | {count} | {100 / count:.1f}% | {' | '.join(cells)} |")
    return "\n".join(rows)


def measure(model: HookedCLIP, scenes: int) -> dict[str, dict[str, Accuracy]]:
    """Zero-shot accuracies on fresh scenes of all pairs and of held-out pairs."""

    def embed(images: Tensor) -> Tensor:
        return model(to_pixels(images))

    columns = {"all pairs": "all", "held-out pairs": "held-out"}
    return {title: zero_shot(embed, model.embed_texts, scenes, split) for title, split in columns.items()}


def write_card(folder: Path, config: TrainConfig, seconds: float, scenes: int) -> None:
    """Measure the model in `folder` over fresh scenes, as shipped (float16 weights), and write its README.md."""
    from headroles.models.load import load

    model = load(str(folder), "cpu")
    towers = {"vision": model.visual, "text": model.text}
    sizes = "\n".join(
        f"- {name}: {tower.layers} layers x {tower.heads} heads of width {tower.head_width}, residual {tower.width}"
        for name, tower in towers.items()
        if tower is not None
    )
    size = sum(path.stat().st_size for path in folder.iterdir())
    sizes += f"\n- patches of {config.architecture.patch} pixels a side, embedding of {model.visual.embed}"
    sizes += f"\n- {sum(p.numel() for p in model.parameters()):,} parameters, {size / 2**20:.1f} MiB, float16"
    card = _CARD.format(
        concepts=len(NAMES),
        sizes=sizes,
        images=config.steps * config.batch,
        steps=config.steps,
        minutes=seconds / 60,
        settings=dump_json(dataclasses.asdict(config), indent=2),
        scenes=scenes,
        table=accuracy_table(measure(model, scenes)),
        words="a position only for single items, counts up to four",
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
