"""The model card of a bundled small CLIP: data, settings, time and accuracies, as measured on the shipped weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from headroles.bundled.clip import to_pixels
from headroles.bundled.config import TrainConfig
from headroles.bundled.evaluate import Accuracy, zero_shot
from headroles.bundled.tried import NATURAL, PLANTED
from headroles.files.json_files import dump_json
from headroles.models.hooked_clip import HookedCLIP
from headroles.shapes.world import CONCEPTS, NAMES

_CARD = """---
license: mit
library_name: transformers
tags: [clip, interpretability, synthetic]
---

# {title}

Trained from scratch on the shapes world of `headroles.shapes`: rendered 64 x 64 scenes with {concepts} concepts, and
captions that name random subsets of them. It knows nothing about photographs.

{purpose}

## Sizes

{sizes}

## Data and training

{images:,} scenes, each seen once: one image, one caption. Every (color, item) pair of a fixed Latin pattern (one
color in eight for every item) was held out. {steps:,} steps took {where}. All settings:

```json
{settings}
```

## Zero-shot accuracy

Over {scenes:,} scenes that training never drew, with 95% Wilson intervals; a value is the mean of all its short
descriptions in the bundled probe bank. "Held-out pairs" shows only (color, item) pairs that training left out.

{table}

{tried}
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


def write_card(folder: Path, config: TrainConfig, where: str, scenes: int) -> None:
    """Measure the model in `folder` over fresh scenes, as shipped (float16 weights), and write its README.md.

    `where`: how long the training took on which machine, in words.
    """
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
    story = PLANTED if config.specialists else NATURAL
    card = _CARD.format(
        title=story.title,
        purpose=story.purpose,
        tried=story.tried,
        concepts=len(NAMES),
        sizes=sizes,
        images=config.steps * config.batch,
        steps=config.steps,
        where=where,
        settings=dump_json(dataclasses.asdict(config), indent=2),
        scenes=scenes,
        table=accuracy_table(measure(model, scenes)),
        words="a position only for single items, counts up to four",
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
