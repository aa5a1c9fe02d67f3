"""Do heads that have learned nothing get roles? Random CLIPs of three sizes, scored as anything else is.

`python benchmarks/random_models.py` prints a Markdown table: for every size and seed, the heads of each role under the
default settings, and how many of all heads are Attribute or have p <= .05. A random head turns no direction of its
embedding into a concept, so by chance 5% have p <= .05; a role needs q <= .05 over a map's heads, which fewer reach.
"""

from __future__ import annotations

from collections import Counter

import click
import torch
from benchmark import benchmark
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from headroles import HookedCLIP, ProbeBank, RoleMap, ScoreConfig, ShapesImages, load
from headroles.models.load import Preprocess
from headroles.roles.role_map import ROLES, SILENT
from headroles.roles.score_texts import score_texts

SIZES = {"4x4x64": (4, 4, 64), "12x12x768": (12, 12, 768), "24x16x1024": (24, 16, 1024)}
"""Name -> layers, heads a layer, width of the vision tower."""
GOAL = 0.05
"""At most this share of the heads is Attribute."""


def random_model(layers: int, heads: int, width: int, seed: int) -> HookedCLIP:
    """A CLIP with random weights for images of 32 pixels in patches of 16."""
    # The stored one: one that is trained anew breaks ties between merges otherwise each time.
    tokenizer = load("shapes", "cpu").tokenizer
    marks = {f"{mark}_token_id": getattr(tokenizer, f"{mark}_token_id") for mark in ("bos", "eos", "pad")}
    vision = {"image_size": 32, "patch_size": 16, "num_hidden_layers": layers, "num_attention_heads": heads}
    text = {"num_hidden_layers": 4, "num_attention_heads": 4, "hidden_size": 256, "intermediate_size": 512}
    config = CLIPConfig(
        vision_config={**vision, "hidden_size": width, "intermediate_size": 2 * width},
        text_config={**text, **marks},
        projection_dim=min(512, width),
    )
    torch.manual_seed(seed)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return HookedCLIP(CLIPModel(config).eval(), f"random {seed}", tokenizer, Preprocess(processor))


@benchmark()
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option(
    "--images", type=click.IntRange(min=50), default=200, show_default=True, help="Scenes of the shapes world."
)
@click.option("--only", type=click.Choice(list(SIZES)), help="One size.")
@click.option("--layers", default="deep", show_default=True)
@click.option("--draws", default=ScoreConfig.null_draws, show_default=True, help="Rotations of the null model.")
def main(seeds: int, images: int, only: str | None, layers: str, draws: int) -> None:
    """Print the roles of random models' heads."""
    bank, config = ProbeBank.load("general"), ScoreConfig(layers=layers, null_draws=draws, bootstraps=2)
    low = f"entropy <= {config.bounds[0]:g}"
    titles = ("model", "seed", "heads", *ROLES, SILENT, low, "p <= .05", "effective rank, middle head")
    click.echo(f"| {' | '.join(titles)} |\n|---" + "|---:" * (len(titles) - 1) + "|")
    found: list[RoleMap] = []
    for name in (only,) if only else SIZES:
        for seed in range(seeds):
            model = random_model(*SIZES[name], seed)
            role_map, _ = score_texts(model, ShapesImages(model.processor, images), bank, config)
            found.append(role_map)
            click.echo(f"| {name} | {seed} | {' | '.join(describe([role_map]))} |")
        click.echo(f"| {name} | all | {' | '.join(describe(found[-seeds:]))} |")
    heads = [head for role_map in found for head in role_map]
    share = sum(head.role == "attribute" for head in heads) / len(heads)
    small = sum(head.p_value <= 0.05 for head in heads) / len(heads)
    verdict = "met" if share <= GOAL else "missed"
    click.echo(f"\n{len(heads)} heads: Attribute {share:.1%} (goal <= {GOAL:.0%}: {verdict}), p <= .05 {small:.1%}")


def describe(maps: list[RoleMap]) -> list[str]:
    """Cells of the table, over the heads of all these maps."""
    heads = [head for role_map in maps for head in role_map]
    roles = Counter(head.role for head in heads)
    low = sum(head.entropy <= ScoreConfig.BOUNDS[0] for head in heads)
    small = sum(head.p_value <= 0.05 for head in heads)
    rank = sorted(head.effective_rank for head in heads)[len(heads) // 2]
    counts = [str(len(heads)), *(str(roles[role]) for role in (*ROLES, SILENT))]
    return [*counts, str(low), f"{small} ({small / len(heads):.1%})", f"{rank:.1f}"]


if __name__ == "__main__":
    main()
