"""Whole inputs of every kind, made once, and the commands that read them."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

SCORE = ("score", "--bootstraps", "5", "--null-draws", "50", "--workers", "0", "--batch", "8", "--save-every", "0")
ADAPT = (
    "adapt", "--shots", "1", "--epochs", "2", "--retention", "none", "--workers", "0", "--batch", "4",
    "--text-tokens", "1",
)  # fmt: skip
FIGURE = ("--output", "{out}/figure.png")


@dataclass(frozen=True)
class Case:
    """One kind of input, the files of it that are damaged, and the commands that read it."""

    kind: str
    """Such as role map."""
    needs: tuple[str, ...]
    """Files and folders that are copied; the damaged one is among or below the first."""
    damaged: str
    """Pattern below the copies."""
    commands: tuple[tuple[str, ...], ...]
    """{in} is the folder of the copies, {out} a place for results, {whole} where whole inputs lie."""
    goes_on: bool = False
    """The copies lie in {out}: a state or an index. All damage must be told, or the results be those of no damage."""
    refused: tuple[str, ...] = ()
    """Kinds of damage that must be refused."""
    schema: str = ""
    """JSON Schema in the repository: what it does not let through must be refused."""


CASES = (
    Case("role map", ("roles/role_map.json",), "role_map.json", (
        ("plot", "{in}/role_map.json", "--kind", "entropy", *FIGURE),
        ("plot", "{in}/role_map.json", "--kind", "texts", *FIGURE),
        ("diff", "{in}/role_map.json", "{whole}/roles/role_map.json", "--bootstraps", "5", "--json"),
        ("report", "{in}/role_map.json", "--images", "none", "--output", "{out}/page.html"),
        ("attend", "{in}/role_map.json", "--image", "{whole}/photos/a/0.png", "--heads", "L7.H3", "--json"),
        ("validate", "{in}/role_map.json", "--count", "16", "--draws", "20", "--bootstraps", "20", "--output", "{out}"),
        ("debias", "{in}/role_map.json", "--heads", "L7.H3", "--task", "{whole}/groups.csv", "--draws", "2", "--json"),
        (*ADAPT, "--task", "{whole}/photos", "--role-map", "{in}/role_map.json", "--output", "{out}"),
    ), schema="headroles/roles/role_map.schema.json"),
    Case("validation", ("valid/validation.json",), "validation.json", (
        ("plot", "{in}/validation.json", "--kind", "matrix", *FIGURE),
        ("plot", "{in}/validation.json", "--kind", "selectivity", *FIGURE),
        ("report", "{whole}/roles/role_map.json", "--validation", "{in}/validation.json", "--images", "none",
         "--output", "{out}/page.html"),
    ), schema="headroles/causal/validation.schema.json"),
    Case("adapter", ("adapter",), "adapter/*.*", (
        ("predict", "{in}/adapter", "{whole}/photos/a/0.png", "--json"),
        ("evaluate", "{in}/adapter", "--task", "{whole}/photos", "--workers", "0", "--json"),
        ("export", "{in}/adapter", "--output", "{out}"),
    ), refused=("not_finite",)),
    Case("adapter record", ("adapter",), "adapter/*.json", (
        ("plot", "{in}/adapter", "--kind", "curves", *FIGURE),
        ("report", "{whole}/roles/role_map.json", "--run", "{in}/adapter", "--images", "none",
         "--output", "{out}/page.html"),
    )),
    Case("score state", ("score-state/unfinished",), "unfinished/*", (
        (*SCORE, "--count", "40", "--output", "{out}", "--resume"),), goes_on=True),
    Case("adapt state", ("adapt-state/unfinished",), "unfinished/*", (
        (*ADAPT, "--task", "{whole}/photos", "--output", "{out}", "--resume"),), goes_on=True),
    Case("index", ("index",), "index/*", (
        ("retrieve", "{whole}/roles/role_map.json", "--query", "{whole}/photos/a/0.png", "--images", "{whole}/photos",
         "--heads", "L7.H3", "--index", "{out}/index", "--workers", "0", "--json"),), goes_on=True),
    Case("shard", ("shards",), "shards/*", (
        ("merge", "{in}/shards", "--output", "{out}"),), refused=("not_finite",)),
    Case("CSV of paths", ("list.csv", "photos"), "list.csv", (
        (*SCORE, "--images", "{in}/list.csv", "--output", "{out}"),
        (*ADAPT, "--task", "{in}/list.csv", "--role-map", "{whole}/roles/role_map.json", "--output", "{out}"),
    )),
    Case("CSV of labels", ("labels.csv", "photos"), "labels.csv", (
        ("score", "--by", "images", "--images", "{in}/labels.csv", "--bootstraps", "5", "--workers", "0",
         "--batch", "8", "--output", "{out}"),
        ("validate", "{whole}/roles/role_map.json", "--images", "{in}/labels.csv", "--draws", "20",
         "--bootstraps", "20", "--output", "{out}"),
    )),
    Case("CSV of groups", ("groups.csv", "photos"), "groups.csv", (
        ("debias", "{whole}/roles/role_map.json", "--heads", "L7.H3", "--task", "{in}/groups.csv", "--draws", "2"),)),
    Case("bank", ("bank.csv",), "bank.csv", (
        (*SCORE, "--count", "16", "--probes", "{in}/bank.csv", "--texts-per-head", "2", "--output", "{out}"),)),
    Case("split file", ("oxford_pets",), "oxford_pets/*.json", (
        (*ADAPT, "--task", "oxford_pets", "--root", "{in}", "--role-map", "{whole}/roles/role_map.json",
         "--output", "{out}"),)),
    Case("tar", ("photos.tar",), "photos.tar", ((*SCORE, "--images", "{in}/photos.tar", "--output", "{out}"),)),
    Case("parquet", ("photos.parquet",), "photos.parquet", (
        (*SCORE, "--images", "{in}/photos.parquet", "--output", "{out}"),)),
    Case("arrow", ("saved",), "saved/*", ((*SCORE, "--images", "{in}/saved", "--output", "{out}"),)),
    Case("image", ("photos",), "photos/*/*", (
        (*SCORE, "--images", "{in}/photos", "--output", "{out}"),
        ("predict", "{whole}/adapter", "{in}/photos", "--json"),
        ("attend", "{whole}/roles/role_map.json", "--image", "{in}/photos", "--heads", "L7.H3", "--json"),
        (*ADAPT, "--task", "{in}/photos", "--role-map", "{whole}/roles/role_map.json", "--output", "{out}"),
    )),
    Case("head weights", ("weights.json",), "weights.json", (
        ("debias", "{whole}/roles/role_map.json", "--head-weights", "{in}/weights.json", "--task", "{whole}/groups.csv",
         "--draws", "2"),)),
    Case("model folder", ("model",), "model/*", (
        ("doctor", "{in}/model", "--json"),
        (*SCORE, "--model", "{in}/model", "--count", "16", "--output", "{out}"),
        ("edit", "{in}/model", "--heads", "L7.H3,L6.H5.D0-2", "--output", "{out}"),
    ), refused=("not_finite",)),
)  # fmt: skip


def make_inputs(folder: Path, run: Callable[..., None]) -> None:
    """All of them, in `folder`; `run` runs a command."""
    from headroles.adapt.training.checkpoint import Checkpoint
    from headroles.passes.state import PassState

    _photos(folder)
    scored = (*SCORE, "--count", "40", "--output")
    run(*scored, str(folder / "roles"))
    for number in "12":
        run(*scored, str(folder / "shards"), "--shard", f"{number}/2")
    with _stopping(PassState):
        run(*scored, str(folder / "score-state"), stopped=True)
    roles = str(folder / "roles" / "role_map.json")
    adapted = (*ADAPT, "--task", str(folder / "photos"), "--role-map", roles, "--output")
    run(*adapted, str(folder / "adapter"))
    with _stopping(Checkpoint):
        run(*adapted, str(folder / "adapt-state"), stopped=True)
    few = ("--count", "40", "--draws", "20", "--bootstraps", "20")
    run("validate", roles, *few, "--output", str(folder / "valid"))
    run("retrieve", roles, "--query", str(folder / "photos/a/0.png"), "--images", str(folder / "photos"), "--heads",
        "L7.H3", "--index", str(folder / "index"), "--workers", "0")  # fmt: skip
    run("debias", roles, "--learn", str(folder / "weights.json"), "--task", str(folder / "groups.csv"), "--draws", "2",
        "--steps", "2")  # fmt: skip
    _model(folder / "model")


@contextmanager
def _stopping(kind: Any) -> Iterator[None]:
    """A run that stops when its first state is saved."""
    save = kind.save

    def stop(self: Any, *given: Any) -> None:
        save(self, *given)
        raise KeyboardInterrupt

    with mock.patch.object(kind, "save", stop):
        yield


def _photos(folder: Path) -> None:
    """Three classes of six pictures, as files, tables, tar, parquet and a saved data set."""
    import datasets
    from PIL import Image

    datasets.disable_progress_bars()
    rng = random.Random(0)
    rows, cells = [], []
    for name, color in (("a", (200, 30, 30)), ("b", (30, 200, 30)), ("c", (30, 30, 200))):
        for number in range(6):
            path = folder / "photos" / name / f"{number}.{'png' if number % 2 == 0 else 'jpg'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.new("RGB", (40, 36), color)
            picture.paste(tuple(rng.randrange(256) for _ in range(3)), (5, 5, 10 + 4 * number, 30))
            picture.save(path)
            rows.append((path.relative_to(folder).as_posix(), name, ("train", "val", "test")[number // 2]))
            cells.append({"bytes": path.read_bytes(), "path": None})
    _table(folder / "list.csv", [("path", "label", "split"), *rows])
    _table(folder / "labels.csv", [("path", "color", "size"), *((*row[:2], row[2]) for row in rows)])
    groups = [(path, name, "xy"[number % 2], split) for number, (path, name, split) in enumerate(rows)]
    _table(folder / "groups.csv", [("path", "class", "group", "split"), *groups])
    bank = [("text", "concept"), *((f"a {word} thing", concept) for concept, words in
            (("color", "red green blue"), ("size", "small large huge")) for word in words.split())]  # fmt: skip
    _table(folder / "bank.csv", bank)
    with tarfile.open(folder / "photos.tar", "w") as tar:
        for number, cell in enumerate(cells):
            member = tarfile.TarInfo(f"{number}.png")
            member.size = len(cell["bytes"])
            tar.addfile(member, io.BytesIO(cell["bytes"]))
    saved = datasets.Dataset.from_dict({"image": cells}, features=datasets.Features({"image": datasets.Image()}))
    saved.to_parquet(folder / "photos.parquet")
    saved.save_to_disk(folder / "saved")
    pets = folder / "oxford_pets"
    shutil.copytree(folder / "photos", pets / "images")
    listed = {split: [[path.removeprefix("photos/"), "abc".index(name), name] for path, name, its in rows if
              its == split] for split in ("train", "val", "test")}  # fmt: skip
    (pets / "split_zhou_OxfordPets.json").write_text(json.dumps(listed))


def _table(path: Path, rows: Any) -> None:
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _model(folder: Path) -> None:
    """The bundled model's files, beside which there is nothing else."""
    from importlib import resources

    folder.mkdir()
    for file in (resources.files("headroles.bundled") / "model").iterdir():
        if file.name.endswith((".json", ".safetensors")):
            (folder / file.name).write_bytes(file.read_bytes())
