"""A tiny CLIP in OpenAI's layout, its forward written from the layout's own names, and writers of every format."""

import json
import math
import shutil
from collections import OrderedDict
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import conv2d, gelu, layer_norm

EMBED, IMAGE, PATCH, CONTEXT, VOCABULARY = 24, 32, 8, 32, 511
VISION, TEXT, LAYERS, EPS = 128, 64, 2, 1e-5
"""Two heads of 64 in the vision tower, one in the text tower."""


def quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS = {"quick_gelu": quick_gelu, "gelu": gelu}


def make_tensors(seed: int = 0, half: bool = True) -> dict[str, Tensor]:
    """Random tensors of the layout, rounded to what fp16 holds so that both types store the same numbers."""
    shapes = {
        "visual.class_embedding": (VISION,), "visual.conv1.weight": (VISION, 3, PATCH, PATCH),
        "visual.positional_embedding": ((IMAGE // PATCH) ** 2 + 1, VISION), "visual.proj": (VISION, EMBED),
        "token_embedding.weight": (VOCABULARY, TEXT), "positional_embedding": (CONTEXT, TEXT),
        "text_projection": (TEXT, EMBED), "logit_scale": (),
    }  # fmt: skip
    for name, width in (("visual.ln_pre", VISION), ("visual.ln_post", VISION), ("ln_final", TEXT)):
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    for prefix, width in (("visual.transformer.resblocks", VISION), ("transformer.resblocks", TEXT)):
        for layer in range(LAYERS):
            for part, out, width_in in (
                ("attn.in_proj_", 3 * width, width), ("attn.out_proj.", width, width),
                ("mlp.c_fc.", 4 * width, width), ("mlp.c_proj.", width, 4 * width),
            ):  # fmt: skip
                shapes |= {f"{prefix}.{layer}.{part}weight": (out, width_in), f"{prefix}.{layer}.{part}bias": (out,)}
            for part in ("ln_1", "ln_2"):
                shapes |= {f"{prefix}.{layer}.{part}.weight": (width,), f"{prefix}.{layer}.{part}.bias": (width,)}
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator) * 0.2 + (1.0 if ".ln" in name or "ln_" in name else 0.0)
        tensors[name] = values.half() if half else values.half().float()
    return tensors


def attend(x: Tensor, tensors: dict[str, Tensor], block: str, heads: int, causal: bool) -> Tensor:
    """Multi-head attention, head by head, of in_proj and out_proj."""
    joint = x @ tensors[f"{block}.attn.in_proj_weight"].T + tensors[f"{block}.attn.in_proj_bias"]
    width = x.shape[-1]
    k = width // heads
    outputs = []
    for head in range(heads):
        q, key, v = (joint[..., part * width + head * k : part * width + (head + 1) * k] for part in range(3))
        scores = q @ key.transpose(-1, -2) / math.sqrt(k)
        if causal:
            scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
        outputs.append(scores.softmax(-1) @ v)
    return torch.cat(outputs, -1) @ tensors[f"{block}.attn.out_proj.weight"].T + tensors[f"{block}.attn.out_proj.bias"]


def run_blocks(x: Tensor, tensors: dict[str, Tensor], prefix: str, heads: int, causal: bool, act, eps: float) -> Tensor:
    for layer in range(LAYERS):
        block = f"{prefix}.{layer}"
        x = x + attend(norm(x, tensors, f"{block}.ln_1", eps), tensors, block, heads, causal)
        hidden = norm(x, tensors, f"{block}.ln_2", eps) @ tensors[f"{block}.mlp.c_fc.weight"].T
        hidden = act(hidden + tensors[f"{block}.mlp.c_fc.bias"])
        x = x + hidden @ tensors[f"{block}.mlp.c_proj.weight"].T + tensors[f"{block}.mlp.c_proj.bias"]
    return x


def norm(x: Tensor, tensors: dict[str, Tensor], name: str, eps: float) -> Tensor:
    return layer_norm(x, x.shape[-1:], tensors[f"{name}.weight"], tensors[f"{name}.bias"], eps)


@dataclass
class Reference:
    """The forward of OpenAI's layout from its tensors alone, in fp64."""

    tensors: dict[str, Tensor]
    activation: str = "quick_gelu"
    heads: tuple[int, int] = (VISION // 64, TEXT // 64)
    eps: float = EPS

    def __post_init__(self) -> None:
        self.tensors = {name: tensor.double() for name, tensor in self.tensors.items()}

    def images(self, pixels: Tensor) -> Tensor:
        t = self.tensors
        x = conv2d(pixels.double(), t["visual.conv1.weight"], stride=t["visual.conv1.weight"].shape[-1])
        x = torch.cat([t["visual.class_embedding"].expand(len(x), 1, -1), x.flatten(2).transpose(1, 2)], 1)
        x = norm(x + t["visual.positional_embedding"], t, "visual.ln_pre", self.eps)
        act = ACTIVATIONS[self.activation]
        x = run_blocks(x, t, "visual.transformer.resblocks", self.heads[0], False, act, self.eps)
        return norm(x[:, 0], t, "visual.ln_post", self.eps) @ t["visual.proj"]

    def texts(self, ids: Tensor) -> Tensor:
        t = self.tensors
        x = t["token_embedding.weight"][ids] + t["positional_embedding"][: ids.shape[1]]
        act = ACTIVATIONS[self.activation]
        x = run_blocks(x, t, "transformer.resblocks", self.heads[1], True, act, self.eps)
        x = norm(x, t, "ln_final", self.eps)[torch.arange(len(ids)), ids.argmax(-1)]
        return x @ t["text_projection"]


class QuickGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    def __init__(self, width: int, heads: int, activation: str, mask: Tensor | None) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        act = QuickGELU() if activation == "quick_gelu" else nn.GELU()
        layers = [("c_fc", nn.Linear(width, 4 * width)), ("gelu", act), ("c_proj", nn.Linear(4 * width, width))]
        self.mlp = nn.Sequential(OrderedDict(layers))
        self.mask = mask

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=self.mask)[0]
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, width: int, activation: str, mask: Tensor | None = None) -> None:
        super().__init__()
        self.resblocks = nn.Sequential(*(Block(width, width // 64, activation, mask) for _ in range(LAYERS)))

    def forward(self, x: Tensor) -> Tensor:
        return self.resblocks(x.transpose(0, 1)).transpose(0, 1)


class Visual(nn.Module):
    def __init__(self, activation: str) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.zeros(VISION))
        self.conv1 = nn.Conv2d(3, VISION, PATCH, PATCH, bias=False)
        self.positional_embedding = nn.Parameter(torch.zeros((IMAGE // PATCH) ** 2 + 1, VISION))
        self.ln_pre, self.ln_post = nn.LayerNorm(VISION), nn.LayerNorm(VISION)
        self.transformer = Transformer(VISION, activation)
        self.proj = nn.Parameter(torch.zeros(VISION, EMBED))

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.conv1(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(x.shape[0], 1, -1), x], 1) + self.positional_embedding
        return self.ln_post(self.transformer(self.ln_pre(x))[:, 0]) @ self.proj


class OpenAiClip(nn.Module):
    """Modules under OpenAI's names, to be traced into an archive as OpenAI's were."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        self.visual = Visual(activation)
        mask = torch.full((CONTEXT, CONTEXT), -torch.inf).triu(1)
        self.transformer = Transformer(TEXT, activation, mask)
        self.token_embedding = nn.Embedding(VOCABULARY, TEXT)
        self.positional_embedding = nn.Parameter(torch.zeros(CONTEXT, TEXT))
        self.ln_final = nn.LayerNorm(TEXT)
        self.text_projection = nn.Parameter(torch.zeros(TEXT, EMBED))
        self.logit_scale = nn.Parameter(torch.zeros(()))
        for name, value in (("input_resolution", IMAGE), ("context_length", CONTEXT), ("vocab_size", VOCABULARY)):
            self.register_buffer(name, torch.tensor(value))

    def forward(self, pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        x = self.ln_final(self.transformer(self.token_embedding(ids) + self.positional_embedding))
        ends = x[torch.arange(x.shape[0]), ids.argmax(-1)]
        return self.visual(pixels), ends @ self.text_projection * self.logit_scale.exp()


@pytest.fixture(scope="session")
def tensors() -> dict[str, Tensor]:
    return make_tensors()


def write_archive(path: Path, tensors: dict[str, Tensor], activation: str = "quick_gelu") -> Path:
    """A TorchScript archive, as torch.jit.save writes it."""
    clip = OpenAiClip(activation).eval()
    clip.load_state_dict(tensors, strict=False)
    ids = torch.arange(CONTEXT)[None].repeat(2, 1)
    traced = torch.jit.trace(clip, (torch.zeros(2, 3, IMAGE, IMAGE), ids), check_trace=False)
    if next(iter(tensors.values())).dtype == torch.float16:
        traced.half()
    torch.jit.save(traced, path)
    return path


def open_clip_config(quick_gelu: bool = True, **more) -> dict:
    model = {
        "embed_dim": EMBED, "quick_gelu": quick_gelu,
        "vision_cfg": {"image_size": IMAGE, "layers": LAYERS, "width": VISION, "patch_size": PATCH},
        "text_cfg": {
            "context_length": CONTEXT, "vocab_size": VOCABULARY, "width": TEXT, "heads": 1, "layers": LAYERS,
        },
    }  # fmt: skip
    return {"model_cfg": model, "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], **more}}


def write_open_clip(
    folder: Path, tensors: dict[str, Tensor], kind: str = "safetensors", config: dict | None = None
) -> Path:
    """A folder as OpenCLIP's push_to_hf_hub writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "safetensors":
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "open_clip_model.safetensors"
        )
    else:
        torch.save(tensors, folder / "open_clip_pytorch_model.bin")
    (folder / "open_clip_config.json").write_text(json.dumps(config or open_clip_config()))
    return folder


def add_tokenizer(folder: Path) -> None:
    """The bundled model's tokenizer: its ids fit the vocabulary of these models."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(resources.files("headroles.bundled") / "model" / name, folder / name)


def write(kind: str, folder: Path, tensors: dict[str, Tensor]) -> Path:
    """The tensors in one of `FORMATS`, with a tokenizer beside them; what `load` takes."""
    folder.mkdir(parents=True, exist_ok=True)
    add_tokenizer(folder)
    if kind == "archive":
        return write_archive(folder / "tiny.pt", tensors)
    if kind == "state dict":
        torch.save({**tensors, "input_resolution": torch.tensor(IMAGE)}, folder / "tiny.pt")
        return Path(f"{folder / 'tiny.pt'}:quick_gelu")
    if kind == "training checkpoint":
        torch.save(
            {"epoch": 3, "state_dict": {f"module.{name}": each for name, each in tensors.items()}}, folder / "e3.pt"
        )
        return Path(f"{folder / 'e3.pt'}:quick_gelu")
    if kind == "open_clip custom text":
        text = ("token_embedding", "positional_embedding", "transformer.", "ln_final", "text_projection")
        renamed = {f"text.{name}" if name.startswith(text) else name: tensor for name, tensor in tensors.items()}
        config = open_clip_config()
        config["model_cfg"]["custom_text"] = True
        return write_open_clip(folder, renamed, config=config)
    return write_open_clip(folder, tensors, kind.removeprefix("open_clip "))


FORMATS = (
    "archive", "state dict", "training checkpoint", "open_clip safetensors", "open_clip bin", "open_clip custom text",
)  # fmt: skip


class Formats:
    """What tests need of this file: it cannot be imported by them."""

    names = FORMATS
    reference = Reference
    make = staticmethod(make_tensors)
    write = staticmethod(write)
    write_archive = staticmethod(write_archive)
    write_open_clip = staticmethod(write_open_clip)
    config = staticmethod(open_clip_config)
    add_tokenizer = staticmethod(add_tokenizer)


@pytest.fixture(scope="session")
def formats() -> type[Formats]:
    return Formats


@pytest.fixture(scope="session")
def written(tensors, tmp_path_factory) -> dict[str, Path]:
    """The same model once in every format."""
    return {kind: write(kind, tmp_path_factory.mktemp("format") / "model", tensors) for kind in FORMATS}
