"""What the card of each bundled model says beyond what is measured: its purpose, and which recipes were tried."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Story:
    """The words of a card."""

    title: str
    """First heading."""
    purpose: str
    """What the model is made for."""
    tried: str
    """Sections, in Markdown."""


PLANTED = Story(
    "shapes: a small CLIP of known concepts",
    "Half of its deep heads have roles that training planted: it is made for reading heads where the truth is known.",
    """## What was tried

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
  specialise of themselves is not shown by this model; `shapes-natural` is the one to ask.
""",
)
NATURAL = Story(
    "shapes-natural: a small CLIP that nobody taught roles",
    "It is made for asking whether heads that nobody taught roles have them, and whether knowing them helps.",
    """## Roles

No term of the loss speaks of heads, layers or concepts within heads: it has images, captions, and one short text of
every value. The last three vision layers have no MLP (their weights are nil), so that nothing but heads writes into CLS
there. Of the 36 heads of these layers 20 are Attribute heads of five concepts. What they cost, and what was missed, is
in the documentation's results.

The weights that ship are the steps of `python -m headroles.bundled.train --model shapes-natural`, replayed on one
H100 (TF32) with the same scenes, texts, order and updates; on a CPU both agreed to five digits of the loss over ten
steps of 32 scenes. There a step takes 0.9 s of CPU time (fp32, an AMD EPYC), so the whole takes about an hour of
one core. Autocast to bfloat16 is slower even on a Xeon with units for it: two threads train a model with 8 heads of 16
at 191 images a second instead of 457.

## What was tried

One seed a recipe, so small differences may be chance; `shapes-natural` was chosen after all were read, which flatters
it. "Concepts" counts those whose Attribute heads cost their own concept at least 3 times what matched random heads cost
it, and at least 3 times what they cost the others, among those that have Attribute heads. The last two columns are
Spearman's correlation of Concept Entropy and causal selectivity over all deep heads, and the same with effective rank
held, with 95% intervals over heads. Accuracy of texture, the hardest concept, over 1,000 scenes; all others are 97%
or more everywhere.

AdamW where nothing else is said, learning rate 1e-3, 3,000 steps of 256 scenes out of 400,000 ("one step size a
matrix": in attention, whose values and outputs begin at a tenth; it lets the head that leads pull ahead):

| recipe | texture | Attribute heads | concepts | entropy | rank held |
|---|---|---|---|---|---|
| 16-pixel patches, 8 heads of 16 | 81% | 1 of 24 | 0 of 1 | -0.26 [-0.60, 0.18] | -0.01 [-0.47, 0.39] |
| no captions | 73% | 2 of 24 | 1 of 1 | -0.56 [-0.78, -0.21] | -0.36 [-0.65, 0.01] |
| 16 heads of 8, no late MLP | 81% | 5 of 48 | 3 of 3 | -0.54 [-0.73, -0.28] | -0.39 [-0.65, -0.11] |
| one step size a matrix, small start | 83% | 6 of 24 | 1 of 3 | -0.12 [-0.51, 0.35] | 0.07 [-0.32, 0.46] |
| 32 heads of 4, no late MLP | 82% | 0 of 96 | 0 of 0 | - | - |
| weight decay 1 | 85% | 4 of 24 | 3 of 3 | -0.39 [-0.70, 0.05] | -0.10 [-0.55, 0.42] |
| learning rate 3e-3 | 66% | 6 of 24 | 1 of 2 | -0.77 [-0.91, -0.53] | -0.55 [-0.84, -0.14] |
| Muon, 3e-3, momentum 0.9 | 94% | 4 of 24 | 3 of 3 | -0.53 [-0.80, -0.14] | -0.44 [-0.75, -0.06] |
| 8-pixel patches | 96% | 2 of 24 | 2 of 2 | -0.67 [-0.83, -0.30] | -0.67 [-0.84, -0.32] |
| 8-pixel patches, 16 heads of 8, no late MLP | 96% | 0 of 48 | 0 of 0 | - | - |

Muon at 3e-3 and patches of 16 pixels, 3,750 steps of 128 scenes, each seen once:

| recipe | texture | Attribute heads | concepts | entropy | rank held |
|---|---|---|---|---|---|
| 8 heads of 16 | 93% | 5 of 24 | 1 of 2 | -0.72 [-0.90, -0.39] | -0.78 [-0.92, -0.50] |
| **shipped**: 12 heads of 16, no late MLP | 93% | 20 of 36 | 5 of 5 | -0.68 [-0.84, -0.41] | -0.25 [-0.58, 0.15] |
| the same, decay 0.5 | 96% | 24 of 36 | 6 of 6 | -0.25 [-0.54, 0.09] | -0.35 [-0.61, -0.00] |
| 16 heads of 8, no late MLP, decay 0.5 | 94% | 12 of 48 | 5 of 5 | -0.23 [-0.52, 0.08] | -0.45 [-0.66, -0.14] |
| 16 heads of 16, no late MLP, decay 0.5 | 96% | 32 of 48 | 6 of 7 | -0.34 [-0.55, -0.05] | -0.28 [-0.56, 0.06] |

- **No MLP late, and more heads**: the recipes that have both have more Attribute heads, of more concepts, than those
  of the same optimiser without (first row against third; in the second table, first row against the others, whose
  median causal selectivity is 0.31 to 0.52 instead of 0.21). Which of the two it is was not taken apart.
- **Muon** is quicker than AdamW on texture (94% against 81% after as many steps) and blends no more.
- **More decay** (0.5) gives more Attribute heads, and heads that are more selective (median 0.37 instead of 0.31),
  but entropy foretells less which ones.
- **Narrow heads** (width 4, and 8 on small patches) write few directions, whose entropy is small by chance alone: none
  stands out from chance, so none is an Attribute head.
- **Effective rank** goes with entropy in most recipes: a head that reads one concept writes few directions. With it
  held, entropy foretells little more in `shapes-natural`.
""",
)
