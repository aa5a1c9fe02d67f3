"""The model card of an adapter folder."""

from __future__ import annotations

from collections.abc import Sequence

from headroles.adapt.adapter.info import CONFIG, METRICS, WEIGHTS, AdapterInfo
from headroles.adapt.methods.registry import METHODS
from headroles.adapt.metrics import Measure, to_table
from headroles.files.json_files import dump_json


def write_card(info: AdapterInfo, measures: Sequence[Measure], trainable: str) -> str:
    """The text of README.md; `trainable`: trained and frozen parameters."""
    prompt = " and ".join(f'"{line}"' for line in info.template.split("\n"))
    shots = "all images" if info.shots is None else f"{info.shots} images"
    without = f", without the images of domain {info.held_out}" if info.held_out else ""
    classes = ", ".join(info.trained_classes[:12]) + (", ..." if len(info.trained_classes) > 12 else "")
    kept = any(measure.protocol == "retention" for measure in measures)
    retention = " Retention: zero-shot on tasks that were not trained." if kept else ""
    table = to_table(measures, markdown=True) if measures else "Not evaluated."
    return f"""---
library_name: headroles
base_model: {dump_json(info.base_model_name_or_path, ensure_ascii=False)}
tags:
- clip
- few-shot
- {info.method}
---

# {info.base_model_name_or_path} adapted to {info.task}

{METHODS[info.method].describe(info.layer)} The CLIP itself is
unchanged; `{WEIGHTS}` holds the trained tensors alone ({trainable}).

Trained on {shots} a class of {len(info.trained_classes)} classes ({classes}){without}, prompt {prompt}, seed
{info.seed}. All settings are in `{CONFIG}`.

## Results

Percent of right answers (top-1); `difference` is adapted minus zero-shot.{retention} Every row, also per class, is in
`{METRICS}`.

{table}

## Use

```
headroles predict FOLDER IMAGE... --classes "a,b,c"
headroles evaluate FOLDER --task TASK
```

```python
from headroles.adapt import load_adapter, predict

predict(load_adapter("FOLDER"), "IMAGE", ["a", "b", "c"])
```
"""
