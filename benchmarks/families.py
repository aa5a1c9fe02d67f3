"""Full-size SigLIP, DINOv2 and others with random weights: exactness of parts, cost and memory of scoring.

`python benchmarks/families.py` builds each model from its config, offline, compares the sum of all parts with
transformers' own embedding in single and double precision, and prints what the scoring pass and TextSpan take, in
CPU seconds.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
from benchmark import benchmark
from measure import in_fresh_process, resident_peak

# Everything heavy is imported where it is used: the processes that are measured must start small.
if TYPE_CHECKING:
    from headroles import HookedCLIP

NAMES = ("SigLIP-B/16", "DINOv2-B/14", "ViT-B/16-IN1k", "SigLIP-So400m/14@384", "DINOv3-B/16", "SigLIP2-B/16-NaFlex",
         "SmolVLM-tower")  # fmt: skip


@benchmark()
@click.option("--model", "names", multiple=True, type=click.Choice(NAMES), default=NAMES[:2], show_default=True)
@click.option("--images", type=click.IntRange(min=4), default=64, show_default=True, help="Images of a scoring pass.")
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Images a forward.")
@click.option("--layers", default="deep", show_default=True, help="Layers to score.")
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Threads of torch.")
@click.option("--score/--no-score", default=True, show_default=True, help="Measure a scoring pass too.")
def main(names: tuple[str, ...], images: int, batch: int, layers: str, threads: int, score: bool) -> None:
    """Measure exactness, time and memory of the families beyond CLIP."""
    for name in names:
        click.echo(name)
        for line in in_fresh_process(measure_exactness, name, threads):
            click.echo(f"  {line}")
        for line in in_fresh_process(measure_scoring, name, images, batch, layers, threads) if score else ():
            click.echo(f"  {line}")


def build_model(name: str) -> HookedCLIP:
    """A random model of a known size; every bias, norm and layer scale is random, so that no term is zero."""
    import torch
    from transformers import (
        Dinov2Config,
        Dinov2Model,
        DINOv3ViTConfig,
        DINOv3ViTModel,
        Siglip2Config,
        Siglip2Model,
        SiglipConfig,
        SiglipModel,
        SiglipTextConfig,
        SiglipVisionConfig,
        ViTConfig,
        ViTModel,
    )
    from transformers.models.smolvlm.configuration_smolvlm import SmolVLMVisionConfig
    from transformers.models.smolvlm.modeling_smolvlm import SmolVLMVisionTransformer

    from headroles import HookedCLIP
    from headroles.bundled.clip import build_tokenizer

    torch.manual_seed(0)
    if name == "DINOv2-B/14":
        model = Dinov2Model(Dinov2Config(image_size=224, layerscale_value=0.5))
    elif name == "ViT-B/16-IN1k":
        model = ViTModel(ViTConfig(), add_pooling_layer=False)
    elif name == "DINOv3-B/16":
        sizes = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_register_tokens": 4}
        model = DINOv3ViTModel(DINOv3ViTConfig(**sizes, layerscale_value=0.5))
    elif name == "SigLIP2-B/16-NaFlex":
        model = Siglip2Model(Siglip2Config())
    elif name == "SmolVLM-tower":
        config = SmolVLMVisionConfig(hidden_size=768, num_attention_heads=12, image_size=512, patch_size=16)
        model = SmolVLMVisionTransformer(config)
    else:
        wide = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16}
        sizes, image = (wide, {"image_size": 384, "patch_size": 14}) if "So400m" in name else ({}, {})
        model = SiglipModel(
            SiglipConfig(
                text_config=SiglipTextConfig(**sizes).to_dict(),
                vision_config=SiglipVisionConfig(**sizes, **image).to_dict(),
            )
        )
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith("bias") or "norm" in key or "lambda" in key:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return HookedCLIP(model, name, build_tokenizer())


def measure_exactness(name: str, threads: int) -> list[str]:
    """Relative error of the sum of all parts, both towers, in both precisions."""
    import torch

    from headroles import image_contributions, text_contributions

    torch.set_num_threads(threads)
    model, lines = build_model(name), []
    texts = ["a red circle", "something striped in the top left"]
    with torch.inference_mode():
        for dtype in (torch.float32, torch.float64):
            model.clip.to(dtype)
            pixels = torch.randn(2, 3, model.image_size, model.image_size).to(dtype)
            errors = {"image": (image_contributions(model, pixels).total(), model(pixels))}
            if model.text is not None:
                errors["text"] = (text_contributions(model, texts).total(), model(**model.tokenize(texts)))
            errors = {side: ((sum_ - own).norm() / own.norm()).item() for side, (sum_, own) in errors.items()}
            lines.append(f"{dtype}: " + ", ".join(f"{side} {error:.1e}" for side, error in errors.items()))
    return lines


def measure_scoring(name: str, images: int, batch: int, layers: str, threads: int) -> list[str]:
    """CPU seconds of a plain and a scoring pass, of TextSpan with its bootstrap, and peak memory after each."""
    import torch

    from headroles import HeadMoments, ProbeBank, ScoreConfig
    from headroles.heads.moments import observe
    from headroles.models.layers import resolve_layers
    from headroles.roles.picks import pick_texts

    torch.set_num_threads(threads)
    model, config = build_model(name), ScoreConfig(layers=layers)
    lines, mark = [f"model in memory: peak {resident_peak() / 2**30:.2f} GiB"], [time.process_time()]

    def note(label: str) -> None:
        now = time.process_time()
        lines.append(f"{label}: {now - mark[0]:.1f} s, peak {resident_peak() / 2**30:.2f} GiB")
        mark[0] = time.process_time()

    pixels = torch.randn(images, 3, model.image_size, model.image_size).split(batch)
    with torch.inference_mode():
        for part in pixels:
            model(part)
        note(f"plain forward of {images} images")
        chosen = resolve_layers(layers, model.visual.layers, model.visual.pooling)
        moments = HeadMoments.empty(model, chosen, config.blocks)
        for part in pixels:
            moments.update(observe(model, part, chosen), torch.zeros(len(part), dtype=torch.long))
        size = moments.second.numel() * 8 / 2**30
        note(f"scoring pass, layers {chosen[0]}-{chosen[-1]}, {len(moments.count)} blocks, moments {size:.2f} GiB")
        if model.text is not None:
            bank = ProbeBank.load("general")
            model.embed_texts(bank.texts[:4])
            texts = torch.nn.functional.normalize(torch.randn(len(bank.texts), model.visual.embed), dim=-1)
            model.embed_texts = lambda _: texts  # Random directions: the text tower's own time is not at stake.
            mark[0] = time.process_time()
            pick_texts(model, moments, bank, config)
            note(f"TextSpan, {len(texts)} texts, {config.bootstraps} resamples")
    return lines


if __name__ == "__main__":
    main()
