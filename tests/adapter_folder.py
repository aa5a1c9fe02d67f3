"""The files of an adapter folder that a report reads, without a training."""

import numpy as np

from headroles.adapt.adapter.info import AdapterInfo
from headroles.adapt.config import DearConfig, TrainConfig
from headroles.adapt.metrics import Measure, to_json


def write_adapter(folder, seed=1, model_hash="abc123" + 58 * "0") -> None:
    """Of random accuracies; made for the weights of `random_role_map`."""
    folder.mkdir(parents=True)
    info = AdapterInfo(
        base_model_name_or_path="tiny", base_model_hash=model_hash, task="toy", protocol="base-to-novel",
        classes=("a", "b"), trained_classes=("a",), template="a photo of a {}", shots=None, training_images="0",
        targets=(), retention=("other",), seed=seed, layer=1, attributes=("color", "shape"),
        method="dear", settings=DearConfig(core=("color", "shape")), train=TrainConfig(), role_map_sha256="0",
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    parts = (("base-to-novel", "base"), ("base-to-novel", "novel"), ("base-to-novel", "hm"), ("retention", "all"))
    measures = [
        Measure(seed, protocol, "toy", part, 30, *rng.random(2).tolist(), {"adapted": {"a": 0.5}})
        for protocol, part in parts
    ]
    history = [
        {
            "epoch": epoch, "loss": 3 / epoch, "losses": {"ce": 2 / epoch, "text": 1 / epoch}, "accuracy": epoch / 7,
            "lr": 0.001, "alpha": {"cls": 0.7, "color": 0.2, "shape": 0.1},
        }
        for epoch in (1, 2, 3)
    ]  # fmt: skip
    (folder / "adapter_config.json").write_text(info.to_json())
    (folder / "metrics.json").write_text(to_json(measures, history=history, trainable="trainable params: 5"))
