"""What the heads of a text tower write on texts: the u that `headroles.heads.moments` sums, at the row that is read."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from headroles.heads.contributions import row_picker
from headroles.models.hooked_clip import HookedCLIP, recording
from headroles.models.precision import half_precision


@torch.inference_mode()
def observe_texts(
    model: HookedCLIP, texts: Sequence[str], layers: Sequence[int], precision: str = "no"
) -> Float[Tensor, "text layer head width"]:
    """u = z / (sigma |f|) of texts at their end (SigLIP: the last token), as `headroles.heads.moments.observe`.

    u times `model.text.bases()` is a head's part of the unit embedding (`text_contributions`, over the length of the
    sum). Long texts are cut. Raises InputError where there is no text tower.
    """
    tokens = model.tokenize(texts)
    pick, scale = row_picker(model.text_rows(tokens["input_ids"])), "text.ln_final.hook_scale"
    names = [f"text.blocks.{layer}.attn.hook_z" for layer in layers]
    with recording(model, {name: pick for name in (*names, scale)}) as seen, half_precision(model.device, precision):
        embedding = model(**tokens)
    length = embedding.to(model.dtype).norm(dim=-1, keepdim=True)
    return torch.stack([seen[name] for name in names], 1) / (seen[scale] * length)[:, :, None, None]
