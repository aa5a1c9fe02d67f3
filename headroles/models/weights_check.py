"""Can a loaded model compute: are its weights numbers, and do its pictures have the size that it takes?"""

from __future__ import annotations

import torch

from headroles.errors import InputError
from headroles.models.checkpoints.image_processor import shape_of
from headroles.models.hooked_clip import HookedCLIP


def check_weights(model: HookedCLIP, source: str) -> None:
    """InputError that names the first tensor with a NaN or an infinity."""
    for name, tensor in model.clip.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            count = int((~torch.isfinite(tensor)).sum())
            what = "1 value that is" if count == 1 else f"{count} values that are"
            wider = "" if tensor.dtype == torch.float32 else ", or load it in fp32"
            raise InputError(
                f"model: {source}: tensor {name} has {what} NaN or infinite as {tensor.dtype}, so all embeddings would "
                f"be; copy or download it again{wider}"
            )


def check_input(model: HookedCLIP, source: str) -> None:
    """InputError where the preprocessing makes pictures of a size that the vision tower does not take."""
    if model.processor is not None:
        model.family.check_size(*shape_of(model.processor, source), source)
