"""HookedCLIP: transformers' CLIP with TransformerLens hook points, in place.

The only file that knows the modules of a CLIP. Hook points are plain identities until somebody hooks them: the
forward stays transformers' own, with its fused attention, and no weight is copied.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens import HookedRootModule
from transformer_lens.hook_points import HookPoint
from transformers import CLIPModel

from headroles.errors import InputError


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hook_pattern = HookPoint()
        self.hook_z = HookPoint()


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hook_resid_pre = HookPoint()
        self.attn = _Attention()
        self.hook_attn_out = HookPoint()
        self.hook_mlp_out = HookPoint()
        self.hook_resid_post = HookPoint()


class _FinalNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hook_scale = HookPoint()


class Tower(nn.Module):
    """The hook points of one tower and the constants of its residual stream.

    Hook names, below `visual.` or `text.`: `blocks.{l}.hook_resid_pre`, `blocks.{l}.attn.hook_pattern`
    (image, head, token, token), `blocks.{l}.attn.hook_z` (image, token, head, width), `blocks.{l}.hook_attn_out`,
    `blocks.{l}.hook_mlp_out`, `blocks.{l}.hook_resid_post` (image, token, D), `ln_final.hook_scale` (image, ..., 1).
    """

    def __init__(self, encoder: nn.ModuleList, final_norm: nn.LayerNorm, projection: nn.Linear) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block() for _ in encoder)
        self.ln_final = _FinalNorm()
        # Plain references, so that the transformers' modules keep one owner: `HookedCLIP.clip`.
        self.__dict__["_encoder"] = encoder
        self.__dict__["_norm"] = final_norm
        self.__dict__["_projection"] = projection
        for layer, block in zip(encoder, self.blocks, strict=True):
            _connect(layer, block)
        final_norm.register_forward_pre_hook(partial(_scale_hook, self.ln_final.hook_scale))

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self._encoder)

    @property
    def heads(self) -> int:
        """Heads of one layer."""
        return self._encoder[0].self_attn.num_heads

    @property
    def head_width(self) -> int:
        """Width k of a head's output before the output projection."""
        return self._encoder[0].self_attn.head_dim

    @property
    def width(self) -> int:
        """Width D of the residual stream."""
        return self._norm.normalized_shape[0]

    @property
    def embed(self) -> int:
        """Width d of the embedding."""
        return self._projection.out_features

    def readout(self) -> Float[Tensor, "residual embed"]:
        """(I - 11'/D) diag(gamma) P': takes a residual, divided by the LayerNorm's deviation, to the embedding."""
        weight = self._norm.weight[:, None] * self._projection.weight.T
        return weight - weight.mean(0, keepdim=True)

    def constant(self) -> Float[Tensor, "embed"]:
        """P beta: the part of every embedding that the final LayerNorm's bias writes."""
        return self._projection.weight @ self._norm.bias

    def bases(self) -> Float[Tensor, "layer head width embed"]:
        """B[l, h] = W_O[l, h] @ readout: a head's output z times B, over sigma, is its part of the embedding."""
        output = torch.stack([layer.self_attn.out_proj.weight for layer in self._encoder])
        output = output.unflatten(-1, (self.heads, self.head_width)).permute(0, 2, 3, 1)
        return output @ self.readout()

    def biases(self) -> Float[Tensor, "layer embed"]:
        """Every layer's attention output bias b_O, read out (still to be divided by sigma)."""
        return torch.stack([layer.self_attn.out_proj.bias for layer in self._encoder]) @ self.readout()

    def run(
        self,
        residual: Float[Tensor, "image token width"],
        layers: Iterable[int],
        mask: Float[Tensor, "... head query key"] | None = None,
    ) -> Float[Tensor, "image token width"]:
        """The residual stream after `layers`; `mask` (0 or -inf) is added to every score of these layers' heads.

        Any number of tokens may flow; hook points act as in `HookedCLIP.forward`.
        """
        if mask is not None:
            mask = mask.to(residual.dtype)
            mask = mask[(None,) * (4 - mask.ndim)]
        for layer in layers:
            residual = self._encoder[layer](residual, attention_mask=mask)
        return residual

    def run_rows(
        self,
        residual: Float[Tensor, "image token width"],
        layer: int,
        rows: Int[Tensor, "row"] | Int[Tensor, "image row"],
        mask: Float[Tensor, "... query key"] | None = None,
    ) -> Float[Tensor, "image row width"]:
        """`run` of one layer at some rows alone, equal to rounding: all else than keys and values is theirs only.

        `rows` are positions, the same for all images or each image's own; the latter take a mask without heads. Where
        a hook point of the layer is hooked, it sees all tokens, as ever.
        """
        points = (point for point in self.blocks[layer].modules() if isinstance(point, HookPoint))
        if any(point.has_hooks() for point in points):
            return _take(self.run(residual, [layer], mask), rows)
        block = self._encoder[layer]
        attention, normed = block.self_attn, block.layer_norm1(residual)
        parts = [attention.q_proj(_take(normed, rows)), attention.k_proj(normed), attention.v_proj(normed)]
        parts = [part.unflatten(-1, (self.heads, self.head_width)).transpose(1, 2) for part in parts]
        if mask is not None:
            mask = mask.to(parts[0].dtype)
            mask = mask[rows][:, None] if rows.ndim == 2 else mask[..., rows, :]
        z = nn.functional.scaled_dot_product_attention(*parts, attn_mask=mask, scale=attention.scale)
        kept = _take(residual, rows) + attention.out_proj(z.transpose(1, 2).flatten(-2))
        return kept + block.mlp(block.layer_norm2(kept))

    def read(self, rows: Float[Tensor, "... width"]) -> Float[Tensor, "... embed"]:
        """Final LayerNorm and projection: the embedding, not normalised, of rows of the last residual stream."""
        return self._projection(self._norm(rows))

    def copy_readout(self) -> nn.Sequential:
        """A copy of `read`'s LayerNorm and projection with parameters of its own."""
        return copy.deepcopy(nn.Sequential(self._norm, self._projection))


class HookedCLIP(HookedRootModule):
    """A CLIP whose activations can be read and edited under TransformerLens' names, on both towers.

    `run_with_cache` and `run_with_hooks` take what `forward` takes. `clip` is the wrapped model itself, by reference.
    """

    def __init__(
        self, clip: CLIPModel, name: str, tokenizer: Callable | None = None, processor: Callable | None = None
    ) -> None:
        super().__init__()
        self.clip = clip.eval()
        self.model_name = name
        self.tokenizer = tokenizer
        self.processor = processor
        vision, text = clip.vision_model, clip.text_model
        self.visual = Tower(vision.encoder.layers, vision.post_layernorm, clip.visual_projection)
        self.text = Tower(text.encoder.layers, text.final_layer_norm, clip.text_projection)
        self.setup()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.clip.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' floating-point type."""
        return self.clip.dtype

    @property
    def image_size(self) -> int:
        """Height and width of an input image, in pixels."""
        return self.clip.config.vision_config.image_size

    @property
    def context(self) -> int:
        """Tokens of the longest text."""
        return self.clip.config.text_config.max_position_embeddings

    @property
    def patches(self) -> int:
        """Patch tokens of an image, CLS not counted."""
        return self.clip.vision_model.embeddings.num_patches

    @property
    def logit_scale(self) -> float:
        """The factor on cosines, exp of the learned temperature."""
        return self.clip.logit_scale.exp().item()

    def forward(
        self,
        pixel_values: Float[Tensor, "image 3 height width"] | None = None,
        input_ids: Int[Tensor, "text token"] | None = None,
        attention_mask: Int[Tensor, "text token"] | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Embeddings, not normalised: (image, embed) for images, (text, embed) for tokens, a pair for both."""
        if pixel_values is None and input_ids is None:
            raise InputError("forward needs pixel_values, input_ids or both; got neither")
        image = text = None
        if pixel_values is not None:
            image = self.clip.get_image_features(pixel_values=pixel_values).pooler_output
        if input_ids is not None:
            text = self.clip.get_text_features(input_ids=input_ids, attention_mask=attention_mask).pooler_output
        if image is None or text is None:
            return text if image is None else image
        return image, text

    def start_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image token width"]:
        """The vision tower's residual stream before layer 0: CLS, then patches, after the pre-LayerNorm.

        `visual.read(visual.run(start_images(x), range(visual.layers))[:, 0])` is `forward(x)`.
        """
        vision = self.clip.vision_model
        return vision.pre_layrnorm(vision.embeddings(pixel_values.to(self.device, self.dtype)))

    def start_texts(self, input_ids: Int[Tensor, "text token"]) -> Float[Tensor, "text token width"]:
        """The text tower's residual stream before layer 0; `text.run` needs `causal_mask`, `text.read` `text_rows`."""
        return self.clip.text_model.embeddings(input_ids=input_ids)

    def causal_mask(self, tokens: int) -> Float[Tensor, "query key"]:
        """0 where a token may look (itself and earlier ones), -inf elsewhere."""
        return torch.full((tokens, tokens), -torch.inf, dtype=self.dtype, device=self.device).triu(1)

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """`input_ids` and `attention_mask` on the model's device; long texts are cut to the context."""
        if self.tokenizer is None:
            raise InputError(
                f"model {self.model_name} has no tokenizer; put tokenizer.json (or "
                "vocab.json and merges.txt, or OpenAI's bpe_simple_vocab_16e6.txt.gz) beside its weights"
            )
        tokens = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self.context,
            return_tensors="pt",
        )
        return {key: tokens[key].to(self.device) for key in ("input_ids", "attention_mask")}

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str], batch: int = 256) -> Float[Tensor, "text embed"]:
        """Unit embeddings of texts."""
        rows = [self(**self.tokenize(texts[start : start + batch])) for start in range(0, len(texts), batch)]
        return nn.functional.normalize(torch.cat(rows), dim=-1)

    @torch.inference_mode()
    def embed_images(self, pixel_values: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image embed"]:
        """Unit embeddings of preprocessed images."""
        return nn.functional.normalize(self(pixel_values.to(self.device, self.dtype)), dim=-1)

    def text_rows(self, input_ids: Int[Tensor, "text token"]) -> Int[Tensor, "text"]:
        """The position that a text's embedding is read at: the first EOS (the largest id where EOS is 2)."""
        end = self.clip.config.text_config.eos_token_id
        marks = input_ids if end == 2 else (input_ids == end)
        return marks.int().argmax(-1)

    def weights_hash(self) -> str:
        """sha256 over all named weights, as loaded: equal for equal weights, whatever file they came from."""
        digest = hashlib.sha256()
        for key, value in sorted(self.clip.state_dict().items()):
            digest.update(f"{key} {tuple(value.shape)} ".encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().data)
        return digest.hexdigest()


def _take(tokens: Float[Tensor, "image token width"], rows: Int[Tensor, "... row"]) -> Float[Tensor, "image row width"]:
    """Some positions of every image."""
    if rows.ndim == 1:
        return tokens[:, rows]
    return tokens[torch.arange(len(tokens), device=tokens.device)[:, None], rows]


@contextmanager
def recording(model: HookedCLIP, names: dict[str, Callable[[Tensor], Tensor]]):
    """While open, keep `keep(activation)` of every named hook point of the latest forward, in the yielded dict."""
    store: dict[str, Tensor] = {}

    def save(tensor: Tensor, hook: HookPoint) -> None:
        store[hook.name] = names[hook.name](tensor)

    with model.hooks(fwd_hooks=[(name, save) for name in names]):
        yield store


def _connect(layer: nn.Module, block: _Block) -> None:
    """Let the hook points of `block` see, and edit, what flows through a transformers' encoder layer."""
    attention = layer.self_attn
    layer.register_forward_pre_hook(partial(_input_hook, block.hook_resid_pre), with_kwargs=True)
    layer.register_forward_hook(partial(_output_hook, block.hook_resid_post))
    layer.mlp.register_forward_hook(partial(_output_hook, block.hook_mlp_out))
    attention.out_proj.register_forward_hook(partial(_output_hook, block.hook_attn_out))
    parts = _AttentionParts(attention, block.attn.hook_pattern)
    attention.out_proj.register_forward_pre_hook(partial(_z_hook, attention, block.attn, parts))


class _AttentionParts:
    """Queries, keys, values and mask of the running forward, kept only while somebody hooks the pattern."""

    def __init__(self, attention: nn.Module, point: HookPoint) -> None:
        self.attention, self.point = attention, point
        self.seen: dict[str, Tensor | None] = {}
        attention.register_forward_pre_hook(self._keep_mask, with_kwargs=True)
        for name in ("q_proj", "k_proj", "v_proj"):
            getattr(attention, name).register_forward_hook(partial(self._keep, name))

    def _keep_mask(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        if self.point.has_hooks():
            mask = kwargs.get("attention_mask", args[1] if len(args) > 1 else None)
            self.seen = {"mask": mask, "causal": kwargs.get("is_causal", False)}

    def _keep(self, name: str, module: nn.Module, args: tuple, output: Tensor) -> None:
        if self.point.has_hooks():
            self.seen[name] = output.unflatten(-1, (self.attention.num_heads, -1)).transpose(1, 2)

    def pattern(self) -> Float[Tensor, "image head query key"]:
        """Softmax of the scaled scores under the mask that the fused attention got."""
        scores = self.seen["q_proj"] @ self.seen["k_proj"].transpose(-1, -2) * self.attention.scale
        mask = self.seen["mask"]
        if mask is None and self.seen["causal"]:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        return scores.softmax(-1)

    def attend(self, pattern: Float[Tensor, "image head query key"]) -> Float[Tensor, "image query head width"]:
        """What the heads read with this pattern: z."""
        return (pattern @ self.seen["v_proj"]).transpose(1, 2)


def _z_hook(attention: nn.Module, points: _Attention, parts: _AttentionParts, module: nn.Module, args: tuple):
    if not (points.hook_z.has_hooks() or points.hook_pattern.has_hooks()):
        return None
    z = args[0].unflatten(-1, (attention.num_heads, attention.head_dim))
    if points.hook_pattern.has_hooks():
        pattern = parts.pattern()
        edited = points.hook_pattern(pattern)
        if edited is not pattern:
            z = parts.attend(edited)
        parts.seen = {}
    return (points.hook_z(z).flatten(-2),)


def _input_hook(point: HookPoint, module: nn.Module, args: tuple, kwargs: dict):
    if not point.has_hooks():
        return None
    return (point(args[0]), *args[1:]), kwargs


def _output_hook(point: HookPoint, module: nn.Module, args: tuple, output: Tensor):
    return point(output) if point.has_hooks() else None


def _scale_hook(point: HookPoint, module: nn.LayerNorm, args: tuple):
    """Show sigma, the deviation that the LayerNorm divides by. Reading only: the fused LayerNorm makes its own."""
    if not point.has_hooks():
        return None
    (residual,) = args
    deviation = (residual.var(-1, unbiased=False, keepdim=True) + module.eps).sqrt()
    edited = point(deviation)
    if edited is deviation:
        return None
    raise InputError("ln_final.hook_scale can be read, not edited: edit blocks.{last}.hook_resid_post instead")
