"""Methods as one would write them from their papers, in plain torch around transformers' CLIPModel.

For timing beside the methods of `headroles.adapt`: both towers run whole in every step, on all tokens of all texts;
what a paper computes once (frozen texts, cached features) is computed once here too. A method's numbers are those of
its defaults there, so that both train as many.
"""

from __future__ import annotations

from collections.abc import Mapping

from plain import Plain
from plain_prompts import Cocoop, Coop, Dear, Hcvp, Maple, MmrlPlusStep, MmrlStep, PromptSrc, Tac
from plain_weights import (
    ClipCite,
    ClipLora,
    ClipSvd,
    FineTuning,
    HeadPurification,
    LayerFusion,
    LayerFusionTexts,
    LinearProbe,
    Ltv,
    SkipTuning,
    TipAdapterF,
)

PLAIN: Mapping[str, type[Plain]] = {
    **{"dear": Dear, "coop": Coop, "cocoop": Cocoop, "maple": Maple, "promptsrc": PromptSrc, "mmrl": MmrlStep},
    **{"mmrlpp": MmrlPlusStep, "tac": Tac, "fine-tuning": FineTuning, "clip-cite": ClipCite, "clip-lora": ClipLora},
    **{"skip-tuning": SkipTuning, "linear-probe": LinearProbe, "tip-adapter-f": TipAdapterF, "clip-svd": ClipSvd},
    **{"head-purification": HeadPurification, "ltv": Ltv, "hcvp": Hcvp, "layer-fusion": LayerFusion},
    **{"layer-fusion-texts": LayerFusionTexts},
}
"""Name of a method -> its plain implementation."""
