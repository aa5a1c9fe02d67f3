"""The model card of an adapter folder."""

from __future__ import annotations

from collections.abc import Sequence

from headroles.adapt.adapter.info import CONFIG, FINDINGS, METRICS, WEIGHTS, AdapterInfo
from headroles.adapt.methods.findings import Findings
from headroles.adapt.methods.registry import METHODS
from headroles.adapt.metrics import Measure, to_table
from headroles.files.json_files import dump_json
from headroles.models.on_hub import card_head


def write_card(
    info: AdapterInfo,
    measures: Sequence[Measure],
    trainable: str,
    findings: Findings | None = None,
    license: str | None = None,
) -> str:
    """The text of README.md; `trainable`: trained and frozen parameters; `license`: see `Adapter.save`."""
    found = "" if findings is None else _write_findings(findings)
    prompt = " and ".join(f'"{line}"' for line in info.template.split("\n"))
    shots = "all images" if info.shots is None else f"{info.shots} images"
    without = f", without the images of domain {info.held_out}" if info.held_out else ""
    classes = ", ".join(info.trained_classes[:12]) + (", ..." if len(info.trained_classes) > 12 else "")
    kept = any(measure.protocol == "retention" for measure in measures)
    retention = " Retention: zero-shot on tasks that were not trained." if kept else ""
    table = to_table(measures, markdown=True) if measures else "Not evaluated."
    task = "image-classification" if METHODS[info.method].needs_classes else "zero-shot-image-classification"
    head = card_head(license, info.base_model_name_or_path, ["clip", "few-shot", info.method], task)
    return f"""{head}
# {info.base_model_name_or_path} adapted to {_title(info)}

{METHODS[info.method].describe(info.layer)} The CLIP itself is
unchanged; `{WEIGHTS}` holds the trained tensors alone ({trainable}).

{_begin(info)}Trained on {shots} a class of {len(info.trained_classes)} classes ({classes}){without},
prompt {prompt}, seed {info.seed}. All settings are in `{CONFIG}`.

## Results

Percent of right answers (top-1); `difference` is adapted minus zero-shot.{retention} Every row, also per class, is in
`{METRICS}`.

{table}
{found}
## Use

The files are laid out as PEFT lays them out, no more: PEFT does not know the method and cannot load it. headroles can:

```
headroles predict FOLDER IMAGE... --classes "a,b,c"
headroles evaluate FOLDER --task TASK
```

```python
from headroles.adapt import load_adapter, predict

predict(load_adapter("FOLDER"), "IMAGE", ["a", "b", "c"])
```

From the hub: `headroles.adapt.Adapter.from_pretrained("someone/name")`.
"""


def _write_findings(findings: Findings) -> str:
    lines = "\n".join(f"- {line}" for line in findings.lines)
    return f"""
## Found

{lines}

`{FINDINGS}` has all of it.
"""


def _title(info: AdapterInfo) -> str:
    """The task, or those of all parts."""
    parts = (part.task for part in info.merged.parts) if info.merged else (info.task,)
    return ", ".join(dict.fromkeys(parts))


def _begin(info: AdapterInfo) -> str:
    """What a merged adapter was merged of, and what a training went on from; "" where there is neither."""
    if info.begun_with:
        return f"Its training went on from another adapter's tensors (sha256 of the file {info.begun_with}).\n\n"
    if info.merged is None:
        return ""
    given = {name: dump_json(value) for name, value in info.merged.settings.items()}
    settings = ", ".join(f"{name} {value}" for name, value in given.items())
    looked = f"; by images of {info.merged.samples}" if info.merged.samples else ""
    rows = "\n".join(f"| {part.task} | {part.seed} | {part.sha256} |" for part in info.merged.parts)
    odd = "".join(f"\n{note[0].upper()}{note[1:]}.\n" for note in info.merged.notes)
    return f"""Merged ({settings}{looked}) of these adapters, the newest last; the weights are in `{CONFIG}`.

| task | seed | sha256 of {WEIGHTS} |
| --- | --- | --- |
{rows}
{odd}
Of the newest: """
