"""What scoring costs per image, so that the cost of any number of images on any number of machines can be worked out.

`python benchmarks/scale.py` measures, offline: peak memory at 500 and at 10,000 images; throughput of the pass over
JPEG files beside a pure forward, with a profile of where the time goes; what options change; the size of the moments;
and the costs that grow with the number of images (decoding, reading an index). The rest is derived in
docs/howto/many-gpus.md.
"""

from __future__ import annotations

import io
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
from benchmark import benchmark
from measure import in_fresh_process, interleave, random_clip, random_model, report, report_ratios, resident_peak

# Everything heavy is imported where it is used: this process must stay small until the memory figures are taken.
FIGURES = ("memory", "throughput", "options", "sizes", "images")
COUNTS = (500, 10_000)
"""Numbers of images whose memory is compared."""
GOALS = {"memory": 1.02, "throughput": 1 / 0.95}
"""Peak memory at the larger over that at the smaller count; seconds of the pass over those of a pure forward."""
PHOTO = (500, 375)
"""Width and height of a photo, as most of ImageNet's are."""
HEADS = {"ViT-B/16": (12, 12, 64, 768), "ViT-L/14": (24, 16, 64, 1024), "ViT-H/14": (32, 16, 80, 1280)}
"""Layers, heads, head width and width of vision towers."""


@benchmark()
@click.option("--only", type=click.Choice(FIGURES), multiple=True, help="Measure this alone (may be repeated).")
@click.option("--images", type=click.IntRange(min=8), default=64, show_default=True, help="Images of a timed pass.")
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Images of a timed forward.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Rounds.")
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Threads of torch.")
def main(only: tuple[str, ...], images: int, batch: int, repeats: int, threads: int) -> None:
    """Measure what the parts of a scoring run cost, and compare memory and throughput with their goals."""
    measures = {
        "memory": partial(measure_memory, repeats),
        "throughput": partial(measure_throughput, images, batch, repeats, threads),
        "options": partial(measure_options, batch, repeats, threads),
        "sizes": print_sizes,
        "images": partial(measure_images, repeats),
    }
    for figure in only or FIGURES:
        measures[figure]()


def measure_memory(repeats: int) -> None:
    """Peak resident memory of fresh processes that pass over files, of a folder and of a tar file."""
    for kind in ("folder", "tar"):
        click.echo(f"memory: bundled model, {COUNTS[0]:,} and {COUNTS[1]:,} JPEG files in a {kind}, {repeats} rounds")
        with tempfile.TemporaryDirectory() as place:
            sources = [make_photos(Path(place), kind, count) for count in COUNTS]
            rounds = [[in_fresh_process(peak_memory, str(source))[0] for source in sources] for _ in range(repeats)]
        for count, measured in zip(COUNTS, zip(*rounds, strict=True), strict=True):
            report(f"peak MB of the pass over {count:,} images", [each / 1e6 for each in measured])
        report("10,000 / 500 images", [more / less for less, more in rounds], GOALS["memory"])


def peak_memory(source: str) -> list[int]:
    """Peak resident bytes of this process after the pass over a source."""
    import torch

    from headroles import ScoreConfig, load
    from headroles.images.sources.find import find_source
    from headroles.roles.score_texts import collect_moments

    torch.set_num_threads(1)
    model = load("shapes")
    collect_moments(model, find_source(source).open(model.processor), ScoreConfig())
    return [resident_peak()]


def make_photos(place: Path, kind: str, count: int, size: tuple[int, int] = (64, 64)) -> Path:
    """`count` JPEG files of noise over a gradient, 100 different ones, in a folder or in a tar file."""
    contents = [make_jpeg(number, size) for number in range(min(count, 100))]
    source = place / f"{count}-{size[0]}" if kind == "folder" else place / f"{count}.tar"
    if kind == "tar":
        with tarfile.open(source, "w") as tar:
            for number in range(count):
                info = tarfile.TarInfo(f"{number:06}.jpg")
                info.size = len(contents[number % 100])
                tar.addfile(info, io.BytesIO(contents[number % 100]))
        return source
    source.mkdir()
    for number in range(count):
        (source / f"{number:06}.jpg").write_bytes(contents[number % 100])
    return source


def make_jpeg(seed: int, size: tuple[int, int]) -> bytes:
    """A picture with the detail of a photo: smooth noise on several scales; about 110 KB at 500 x 375."""
    import numpy as np
    from PIL import Image

    rng, (width, height) = np.random.default_rng(seed), size
    total = np.zeros((height, width, 3))
    for side in (4, 16, 64, max(size)):
        coarse = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize(size, Image.BICUBIC)
        total += np.asarray(coarse, dtype=float) / (4 if side > 64 else 2)
    file = io.BytesIO()
    Image.fromarray((255 * (total - total.min()) / np.ptp(total)).astype(np.uint8)).save(file, "jpeg", quality=90)
    return file.getvalue()


def measure_throughput(images: int, batch: int, repeats: int, threads: int) -> None:
    """Seconds of the pass over JPEG files beside those of pure forwards of as many images, and where they go."""
    import torch

    from headroles import FolderImages, ScoreConfig
    from headroles.roles.score_texts import collect_moments

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = random_model("ViT-B/16", 224)
    pixels = torch.randn(batch, 3, 224, 224)

    def forward() -> None:
        with torch.inference_mode():
            for _ in range(images // batch):
                model(pixels)

    with tempfile.TemporaryDirectory() as place:
        folder = make_photos(Path(place), "folder", images, PHOTO)
        files = FolderImages(folder, model.processor)
        passes = {
            workers: partial(collect_moments, model, files, ScoreConfig(), batch=batch, workers=workers)
            for workers in (0, 1, 2)
        }
        click.echo(f"throughput: ViT-B/16, {images} JPEGs of {PHOTO[0]} x {PHOTO[1]}, batch {batch}, {threads} threads")
        seconds = interleave({"forward": forward, **passes}, repeats)
        report("pure forward, images a second", [images / each for each in seconds["forward"]])
        for workers in passes:
            report(f"pass, {workers} workers, images a second", [images / each for each in seconds[workers]])
            report_ratios("  seconds over pure forward's", seconds[workers], seconds["forward"], GOALS["throughput"])
        for workers in passes:
            print_profile(passes[workers], workers)


def print_profile(work: Callable[[], object], workers: int) -> None:
    """Where the seconds of one pass go, by the functions that spend them, in the main process."""
    import headroles.passes.image_pass as image_pass
    import headroles.passes.moment_pass as moment_pass
    from headroles import HeadMoments

    spent: dict[str, float] = {}

    def timed(name: str, function: Callable) -> Callable:
        def call(*arguments, **options):
            start = time.perf_counter()
            result = function(*arguments, **options)
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
            return result

        return call

    def waited(load: Callable) -> Callable:
        def batches(*arguments):
            source = load(*arguments)
            step = timed("waiting for pixels" if workers else "reading, decoding, resizing", lambda: next(source, None))
            yield from iter(step, None)

        return batches

    replaced = [
        (image_pass._Units, "load", waited(image_pass._Units.load)),
        (moment_pass, "observe", timed("forward", moment_pass.observe)),
        (HeadMoments, "update", timed("folding into moments", HeadMoments.update)),
        (HeadMoments, "empty", timed("hash of the weights, empty moments", HeadMoments.empty)),
    ]
    kept = [(home, name, getattr(home, name)) for home, name, _ in replaced]
    empty = HeadMoments.__dict__["empty"]
    for home, name, new in replaced:
        setattr(home, name, staticmethod(new) if name == "empty" else new)
    try:
        start = time.perf_counter()
        work()
        whole = time.perf_counter() - start
    finally:
        for home, name, old in kept:
            setattr(home, name, empty if name == "empty" else old)
    click.echo(f"  profile, {workers} workers: {whole:.2f} s")
    for name, each in [*sorted(spent.items(), key=lambda item: -item[1]), ("all else", whole - sum(spent.values()))]:
        click.echo(f"    {name:<46}{each:10.3f} s {100 * each / whole:6.1f}%")


def measure_options(batch: int, repeats: int, threads: int) -> None:
    """Seconds of a forward that is observed, in bfloat16 and compiled, over those in fp32; and how far they differ."""
    import torch

    from headroles import HookedCLIP
    from headroles.heads.moments import observe

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    clip = random_clip(224)
    model, compiled = HookedCLIP(clip, "ViT-B/16"), HookedCLIP(random_clip(224), "ViT-B/16")
    compiled.clip.load_state_dict(clip.state_dict())
    compiled.visual.compile_mlps()
    pixels, layers = torch.randn(batch, 3, 224, 224), (8, 9, 10, 11)
    tasks = {
        "fp32": partial(observe, model, pixels, layers),
        "bf16": partial(observe, model, pixels, layers, "bf16"),
        "compiled": partial(observe, compiled, pixels, layers),
    }
    exact = tasks["fp32"]()
    start = time.perf_counter()
    tasks["compiled"]()
    click.echo(f"options: ViT-B/16, {batch} images, {threads} threads; the first compiled forward took")
    report("seconds, compiling", [time.perf_counter() - start])
    seconds = interleave(tasks, repeats)
    report("fp32, seconds", seconds["fp32"])
    for name in ("bf16", "compiled"):
        report_ratios(f"{name} / fp32", seconds[name], seconds["fp32"])
        error = (tasks[name]() - exact).norm() / exact.norm()
        click.echo(f"  {name + ': relative difference of u':<48}{error:10.1e}")


def print_sizes() -> None:
    """Floating-point operations of an image, and bytes of the moments, of random vision towers."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    clip = random_clip(224)
    # The fused attention is not counted; written out, it is.
    with FlopCounterMode(display=False) as counter, torch.inference_mode(), sdpa_kernel(SDPBackend.MATH):
        clip.get_image_features(pixel_values=torch.randn(1, 3, 224, 224))
    click.echo("sizes")
    report("ViT-B/16, GFLOP an image (2 a multiply-add)", [counter.get_total_flops() / 1e9])
    for name, (layers, heads, width, _) in HEADS.items():
        for chosen, kind in ((-(-layers // 3), "deep"), (layers, "all")):
            numbers = 32 * (1 + chosen * heads * (width + width * width))
            stored = 32 * (1 + chosen * heads * (width + width * (width + 1) // 2))
            report(f"{name}, {kind} layers: MB of moments in memory", [numbers * 8 / 1e6])
            report(f"{name}, {kind} layers: MB of moments in the file", [stored * 8 / 1e6])


def measure_images(repeats: int) -> None:
    """What an image costs before its forward, on one core."""
    import torch

    from headroles import FolderImages
    from headroles.images.images import open_image
    from headroles.images.sources.tar import _Index

    torch.set_num_threads(1)
    model = random_model("ViT-B/16", 224)
    click.echo(f"images: JPEGs of {PHOTO[0]} x {PHOTO[1]}, one core, {repeats} rounds")
    with tempfile.TemporaryDirectory() as place:
        folder = make_photos(Path(place), "folder", 50, PHOTO)
        files = FolderImages(folder, model.processor)
        opened = [open_image(path) for path in files.paths]
        tasks = {
            "decode": lambda: [open_image(path) for path in files.paths],
            "preprocess": lambda: [model.processor(image) for image in opened],
        }
        seconds = interleave(tasks, repeats)
        report("KB of a file", [statistics.mean(path.stat().st_size for path in files.paths) / 1e3])
        report("reading and decoding, ms an image", [1000 * each / 50 for each in seconds["decode"]])
        report("resizing and normalising, ms an image", [1000 * each / 50 for each in seconds["preprocess"]])
        tar = make_photos(Path(place), "tar", 10_000)
        large = make_photos(Path(place), "folder", 10_000)
        tasks = {"tar": lambda: _Index(tar), "folder": lambda: FolderImages(large, None)}
        seconds = interleave(tasks, repeats)
        report("index of a tar file, microseconds a member", [100 * each for each in seconds["tar"]])
        report("listing a folder, microseconds a file", [100 * each for each in seconds["folder"]])


if __name__ == "__main__":
    main()
