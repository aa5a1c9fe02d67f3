"""Methods that learn weights of CLIP, or numbers behind its features, in plain torch, as from their papers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from plain import SCALE, Given, Plain, causal, copy_clip, embed_images, embed_texts, run_with
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, normalize
from torch.nn.utils.parametrize import register_parametrization


class FineTuning(Plain):
    """All weights of both towers."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.tuned = copy_clip(self.clip)
        self.tuned.logit_scale.requires_grad_(False)

    def forward(self) -> Tensor:
        return self.loss(embed_images(self.tuned, self.given.pixels), embed_texts(self.tuned, self.ids))


class ClipCite(FineTuning):
    """All weights, and a vector a class: three losses."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.vectors = nn.Parameter(self.frozen_texts.clone())

    def forward(self) -> Tensor:
        labels = self.given.labels
        images, frozen = embed_images(self.tuned, self.given.pixels), self.frozen_images()
        texts = embed_texts(self.tuned, self.ids[labels])
        similar, before = SCALE * images @ texts.T, SCALE * frozen @ self.frozen_texts[labels].T
        own = torch.arange(len(labels))
        contrast = (cross_entropy(similar, own) + cross_entropy(similar.T, own)) / 2
        apart = kl_div(before.log_softmax(-1), similar.log_softmax(-1), reduction="batchmean", log_target=True)
        return self.loss(images, normalize(self.vectors, dim=-1)) + 0.7 * contrast + 0.1 * apart


class SkipTuning(Plain):
    """Copies of the later layers, behind features that are kept; few classes a step."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        first, vision, text = self.layers * 5 // 12, self.clip.vision_model, self.clip.text_model
        self.image_layers, self.text_layers = (copy_clip(tower.encoder.layers[first:]) for tower in (vision, text))
        self.ends = copy_clip(
            nn.ModuleList(
                [vision.post_layernorm, self.clip.visual_projection, text.final_layer_norm, self.clip.text_projection]
            )
        )
        self.mask = causal(self.ids.shape[1])
        with torch.no_grad():
            self.images = run_with(
                vision.encoder.layers[:first], vision.pre_layrnorm(vision.embeddings(given.pixels)), {}, 0
            )
            self.texts = run_with(text.encoder.layers[:first], text.embeddings(self.ids), {}, 0, self.mask)
            self.similar = self.frozen_images() @ self.frozen_texts.T
        self.kept = max(1, min(50, len(self.ids) // 2))

    def forward(self) -> Tensor:
        labels = self.given.labels
        similar = self.similar.scatter(1, labels[:, None], torch.inf)
        ranks = similar.argsort(dim=1, descending=True).argsort(dim=1)
        kept = torch.rand(ranks.shape) < torch.exp(-0.3 * (ranks - self.kept + 1).clamp(min=0))
        present = kept.any(0).nonzero()[:, 0]
        images = run_with(self.image_layers, self.images, {}, 0)[:, 0]
        texts = run_with(self.text_layers, self.texts[present], {}, 0, self.mask)
        texts = texts[torch.arange(len(present)), self.given.ends(self.ids)[present]]
        image_norm, image_end, text_norm, text_end = self.ends
        images = normalize(image_end(image_norm(images)), dim=-1)
        texts = normalize(text_end(text_norm(texts)), dim=-1)
        return cross_entropy(SCALE * images @ texts.T, torch.searchsorted(present, labels))


class ClipLora(Plain):
    """Low-rank sums by `peft`, wrapped around a copy of the model."""

    def __init__(self, given: Given) -> None:
        from peft import LoraConfig, get_peft_model

        super().__init__(given)
        lora = LoraConfig(
            r=2, lora_alpha=1, lora_dropout=0.25, use_rslora=True, target_modules=["q_proj", "k_proj", "v_proj"]
        )
        self.tuned = get_peft_model(copy_clip(self.clip), lora).train().base_model.model

    def forward(self) -> Tensor:
        return self.loss(embed_images(self.tuned, self.given.pixels), embed_texts(self.tuned, self.ids))


class HeadValues(nn.Module):
    """A parametrization of an output projection: trained singular values of every head's W_V W_O."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        heads, width = attention.num_heads, attention.head_dim
        reading = attention.v_proj.weight.unflatten(0, (heads, width)).mT
        writing = attention.out_proj.weight.T.unflatten(0, (heads, width))
        (_, inner), (base, outer) = torch.linalg.qr(reading), torch.linalg.qr(writing.mT)
        turned, values, back = torch.linalg.svd(inner @ outer.mT)
        self.values = nn.Parameter(values)
        self.register_buffer("left", torch.linalg.solve(inner, turned))
        self.register_buffer("right", back @ base.mT)

    def forward(self, weight: Tensor) -> Tensor:
        return (self.left * self.values[:, None] @ self.right).flatten(0, 1).T


class ClipSvd(Plain):
    """Singular values of all heads of both towers."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.tuned = copy_clip(self.clip).requires_grad_(False)
        for tower in (self.tuned.vision_model, self.tuned.text_model):
            for layer in tower.encoder.layers:
                attention = layer.self_attn
                register_parametrization(attention.out_proj, "weight", HeadValues(attention), unsafe=True)

    def forward(self) -> Tensor:
        return self.loss(embed_images(self.tuned, self.given.pixels), embed_texts(self.tuned, self.ids))


class HeadSum(nn.Module):
    """A parametrization of a projection: a low-rank sum for every head."""

    def __init__(self, heads: int, rank: int, weight: Tensor) -> None:
        super().__init__()
        bound = weight.shape[1] ** -0.5
        self.low = nn.Parameter((2 * torch.rand(heads, rank, weight.shape[1]) - 1) * bound)
        self.high = nn.Parameter(torch.zeros(heads, len(weight) // heads, rank))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.high @ self.low).flatten(0, 1)


class HeadGates(nn.Module):
    """A parametrization of an output projection: a factor for every head's columns, held in [0, 1]."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.gates = nn.Parameter(torch.ones(heads))

    def forward(self, weight: Tensor) -> Tensor:
        held = self.gates + (self.gates.clamp(0, 1) - self.gates).detach()
        return weight * held.repeat_interleave(weight.shape[1] // len(held))


class HeadPurification(Plain):
    """A low-rank sum and a gate for every vision head; texts are frozen, and no image has a domain."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.tuned = copy_clip(self.clip).requires_grad_(False)
        layers = self.tuned.vision_model.encoder.layers
        for number, layer in enumerate(layers):
            attention, rank = layer.self_attn, 8 if number >= len(layers) - 2 else 2
            for part in (attention.q_proj, attention.k_proj, attention.v_proj):
                register_parametrization(part, "weight", HeadSum(attention.num_heads, rank, part.weight))
            register_parametrization(attention.out_proj, "weight", HeadGates(attention.num_heads))

    def forward(self) -> Tensor:
        return self.loss(embed_images(self.tuned, self.given.pixels), self.frozen_texts)


class LinearProbe(Plain):
    """A linear layer behind features that are kept."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.linear = nn.Linear(self.embed, len(given.names))
        self.features = SCALE * self.frozen_images()

    def forward(self) -> Tensor:
        return cross_entropy(self.linear(self.features), self.given.labels)


class TipAdapterF(Plain):
    """The keys of a cache."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.keys = nn.Parameter(self.frozen_images())
        self.values = torch.eye(len(given.names))[given.labels]

    def forward(self) -> Tensor:
        images = self.frozen_images()
        near = torch.exp(5.5 * (images @ self.keys.T - 1))
        return cross_entropy(SCALE * images @ self.frozen_texts.T + near @ self.values, self.given.labels)


class Ltv(Plain):
    """A weight for every vision head, by which what it writes on the images, on average, goes to kept embeddings."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.means, self.images = self.mean_parts(), self.frozen_images()
        self.weights = nn.Parameter(torch.zeros(len(self.means)))

    @torch.no_grad()
    def mean_parts(self) -> Float[Tensor, "head embed"]:
        """The heads' mean parts of the images' unit embeddings, layer by layer."""
        vision, found = self.clip.vision_model, []
        hidden = vision.pre_layrnorm(vision.embeddings(self.given.pixels))
        gathered: list[Tensor] = []
        attentions = [layer.self_attn for layer in vision.encoder.layers]
        hooks = [
            each.out_proj.register_forward_pre_hook(lambda _, inputs: gathered.append(inputs[0][:, 0]))
            for each in attentions
        ]
        for layer in vision.encoder.layers:
            hidden = layer(hidden, attention_mask=None)
        for hook in hooks:
            hook.remove()
        cls, norm = hidden[:, 0], vision.post_layernorm
        deviation = (cls.var(-1, correction=0) + norm.eps).sqrt()
        length = self.clip.visual_projection(norm(cls)).norm(dim=-1)
        for attention, z in zip(attentions, gathered, strict=True):
            heads = z.unflatten(1, (attention.num_heads, -1))
            writing = attention.out_proj.weight.T.unflatten(0, (attention.num_heads, -1))
            parts = torch.einsum("ihk,hkw->ihw", heads, writing)
            parts = (parts - parts.mean(-1, keepdim=True)) * norm.weight / (deviation * length)[:, None, None]
            found.append(self.clip.visual_projection(parts).mean(0))
        return torch.cat(found)

    def forward(self) -> Tensor:
        return self.loss(normalize(self.images + self.weights @ self.means, dim=-1), self.frozen_texts)


class LayerFusion(Plain):
    """A learned query over kept tokens of layers, as many heads as tokens; BatchNorm and a linear layer behind it."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.tokens, self.images = self.observe(), self.frozen_images()
        self.heads, self.head_width = self.tokens.shape[1], 2 * self.width // self.tokens.shape[1]
        inner = self.heads * self.head_width
        self.query = nn.Parameter(0.02 * torch.randn(self.width))
        self.norms = nn.ModuleDict({name: nn.LayerNorm(self.width) for name in "qkv"})
        self.maps = nn.ModuleDict({name: nn.Linear(self.width, inner) for name in "qkv"})
        counts = given.labels.bincount(minlength=len(given.names))
        self.balance = len(given.labels) / (len(given.names) * counts.clamp(min=1))
        self.build(inner)

    def build(self, inner: int) -> None:
        """What stands behind the query."""
        self.out, self.scaled = nn.Linear(inner, self.width), nn.BatchNorm1d(self.width)
        self.head = nn.Linear(self.width, len(self.given.names))

    @torch.no_grad()
    def observe(self) -> Float[Tensor, "image token width"]:
        """CLS and mean patch, of length 1, where every MLP but the first reads them, and behind the last norm."""
        vision, seen = self.clip.vision_model, []
        keep = [layer.mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for layer in self.later]
        run = run_with(vision.encoder.layers, vision.pre_layrnorm(vision.embeddings(self.given.pixels)), {}, 0)
        for hook in keep:
            hook.remove()
        pooled = [torch.stack([each[:, 0], each[:, 1:].mean(1)], 1) for each in (*seen, vision.post_layernorm(run))]
        return normalize(torch.cat(pooled, 1), dim=-1)

    @property
    def later(self) -> nn.ModuleList:
        """All layers but the first."""
        return self.clip.vision_model.encoder.layers[1:]

    def fuse(self) -> Tensor:
        """What the query gathers of every image; half of them have noise on their tokens."""
        noisy = torch.rand(len(self.tokens), 1, 1) < 0.5
        tokens = self.tokens + 0.05 * noisy * torch.randn_like(self.tokens)
        query, key, value = (
            self.maps[name](self.norms[name](each)).unflatten(-1, (self.heads, self.head_width))
            for name, each in (("q", self.query), ("k", tokens), ("v", tokens))
        )
        weights = (torch.einsum("hw,ithw->iht", query, key) / self.head_width**0.5).softmax(-1)
        return self.out(torch.einsum("iht,ithw->ihw", weights, value).flatten(1))

    def forward(self) -> Tensor:
        return cross_entropy(self.head(self.scaled(self.fuse())), self.given.labels, self.balance)


class LayerFusionTexts(LayerFusion):
    """What the query gathers is added to kept embeddings, which are held near."""

    def build(self, inner: int) -> None:
        self.out = nn.Linear(inner, self.embed)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self) -> Tensor:
        images = normalize(self.images + self.fuse(), dim=-1)
        logits = SCALE * images @ self.frozen_texts.T
        return cross_entropy(logits, self.given.labels, self.balance) + 1 - (images * self.images).sum(-1).mean()
