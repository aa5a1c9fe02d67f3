"""Images that a role map was scored on do not judge it, wherever they lie; others do, and these where it is said."""

import io
import json
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from headroles import RoleMap, Validation
from headroles.files.sketch import Sketch, overlap
from headroles.images.fingerprints import fingerprint

QUICK = ("--device", "cpu", "--batch", "4", "--bootstraps", "20")
VALUES = {"color": ("red", "green"), "light": ("dim", "bright")}


def make_images(folder, seed, count=6):
    """A folder CONCEPT/VALUE/IMAGE of noise, and the same as a table beside it."""
    rng, rows = np.random.default_rng(seed), ["path," + ",".join(VALUES)]
    for concept, values in VALUES.items():
        for place, value in enumerate(values):
            (folder / concept / value).mkdir(parents=True)
            for number in range(count):
                pixels = (rng.integers(0, 120, (36, 32, 3)) + 100 * place).astype(np.uint8)
                name = f"{concept}/{value}/{number}.png"
                Image.fromarray(pixels).save(folder / name)
                rows.append(f"{name}," + ",".join(value if each == concept else "" for each in VALUES))
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Two folders of labelled images, a tar file of the first one's, a table of copies under other names, a bank."""
    place = tmp_path_factory.mktemp("places")
    scored, _ = (make_images(place / name, seed) for seed, name in enumerate(("scored", "fresh")))
    copies = place / "copies"
    copies.mkdir()
    rows = (scored / "labels.csv").read_text().splitlines()
    for number, row in enumerate(rows[1:]):
        name, _, rest = row.partition(",")
        shutil.copy(scored / name, copies / f"{number}.dat.png")
        rows[number + 1] = f"{number}.dat.png,{rest}"
    (copies / "renamed.csv").write_text("\n".join(rows) + "\n")
    with tarfile.open(place / "scored.tar", "w") as tar:
        for number, path in enumerate(sorted(scored.rglob("*.png"))):
            member = tarfile.TarInfo(f"{number}.png")
            content = path.read_bytes()
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    texts = [(f"a {value} thing number {number}", concept) for concept, values in VALUES.items() for value in values
             for number in range(4)]  # fmt: skip
    (place / "bank.csv").write_text("text,concept\n" + "\n".join(",".join(each) for each in texts) + "\n")
    return place


@pytest.fixture(scope="module")
def done():
    """What was scored, and where."""
    return {}


@pytest.fixture
def score(run, clip_folder, places, done):
    """Scores the images at a place, half of the heads as Attribute, once: the role map's file."""

    def call(images, *options):
        asked = (images, *options)
        if asked not in done:
            output = places / f"roles-{len(done)}"
            job = ("score", "--model", clip_folder, "--images", images, "--roles-by", "quantile", "--low", 0.5, *QUICK)
            code, _, errors = run(*job, "--output", output, *options)
            assert code == 0, errors
            done[asked] = output / "role_map.json"
        return done[asked]

    return call


def last_line(errors):
    """The mistake; what is said before work stands above it."""
    lines = errors.splitlines()
    assert not [line for line in lines[:-1] if not line.startswith(("images:", "note:", "too few"))], errors
    return lines[-1]


JUDGES = {
    "validate": lambda images: ("validate", "--images", images, "--draws", 20, "--bootstraps", 20),
    "retrieve": lambda images: ("retrieve", "--evaluate", images, "--k", 2),
}


@pytest.mark.parametrize(
    "judge, scored, judging",
    [
        ("validate", "scored", "scored"),
        ("retrieve", "scored", "scored/labels.csv"),
        ("validate", "scored", "copies/renamed.csv"),
        ("retrieve", "scored.tar", "scored"),
    ],
)
def test_images_that_were_scored_are_refused_in_one_line_wherever_they_lie(run, score, places, judge, scored, judging):
    role_map = score(places / scored, "--probes", places / "bank.csv")
    command, *options = JUDGES[judge](places / judging)
    code, out, errors = run(command, role_map, *options, "--device", "cpu")
    line, name = last_line(errors), (places / judging).name
    assert code == 2 and not out and "Traceback" not in errors
    assert f"100% of the 24 images read of {name} are among those" in line and f"({scored})" in line
    assert "--allow-overlap" in line and "labels" not in line.replace(name, "")


def test_other_images_judge_and_scored_ones_where_it_is_said(run, score, places, tmp_path):
    role_map = score(places / "scored", "--probes", places / "bank.csv")
    for images, more, share in (("fresh", (), 0.0), ("scored", ("--allow-overlap",), 1.0)):
        command, *options = JUDGES["validate"](places / images)
        code, out, errors = run(command, role_map, *options, *more, "--output", tmp_path / images)
        assert code == 0, errors
        assert Validation.load(tmp_path / images).overlap == share
        assert ("was scored on 100.0% of these images" in out) == bool(share)
        command, *options = JUDGES["retrieve"](places / images)
        code, out, errors = run(command, role_map, *options, *more)
        assert code == 0 and ("was scored on 100.0% of these images" in out) == bool(share), errors


def test_labels_that_chose_heads_do_not_judge_them(run, score, places):
    role_map = score(places / "scored" / "labels.csv", "--by", "images")
    command, *options = JUDGES["validate"](places / "scored")
    code, _, errors = run(command, role_map, *options)
    assert code == 2 and "labels that chose heads cannot judge them" in last_line(errors)


def test_a_cue_is_not_judged_by_test_images_that_chose_the_heads(run, score, places, tmp_path):
    role_map = score(places / "scored", "--probes", places / "bank.csv")
    rows = ["path,class,group,split"]
    for split, home in (("train", "scored"), ("test", "fresh")):
        for place, group in ((place, group) for place in VALUES["color"] for group in ("odd", "even")):
            for number in range(group == "odd", 6, 2):
                rows.append(f"{places}/{home}/color/{place}/{number}.png,{place},{group},{split}")
    own = tmp_path / "fresh.csv"
    own.write_text("\n".join(rows) + "\n")
    other = tmp_path / "other.csv"
    other.write_text("\n".join(row.replace("/fresh/", "/scored/") for row in rows) + "\n")
    concept = next(head.concept for head in RoleMap.load(role_map).heads(role="attribute"))
    for chosen, tasks in ((("--concept", concept), (own,)), (("--heads", "L2.H0"), (own, other))):
        for task in tasks:
            code, out, errors = run("debias", role_map, *chosen, "--task", task, "--draws", 2, "--json")
            assert code == 0 or "too few heads" in errors, errors
            assert code or json.loads(out)["overlap"] == 0
    code, _, errors = run("debias", role_map, "--concept", concept, "--task", other, "--draws", 2)
    assert code == 2 and "100% of the 12 images" in last_line(errors)


def test_the_sketch_of_a_role_map_is_of_its_files_bytes_whoever_reads_them(run, score, places, tmp_path):
    prints = np.array([fingerprint(path.read_bytes()) for path in (places / "scored").rglob("*.png")], np.uint64)
    bank = ("--probes", places / "bank.csv")
    for images, *options in (("scored",), ("scored.tar",), ("scored", "--workers", 2), ("scored/labels.csv",)):
        role_map = RoleMap.load(score(places / images, *bank, *options))
        assert role_map.images.sketch == Sketch.of(prints).text
    assert overlap(Sketch(role_map.images.sketch), prints) == 1


def test_a_sketch_that_is_none_is_refused(run, score, places, tmp_path):
    file = score(places / "scored", "--probes", places / "bank.csv")
    raw = json.loads(file.read_text())
    raw["images"]["sketch"] = "AAAA"
    (tmp_path / "role_map.json").write_text(json.dumps(raw))
    code, _, errors = run("plot", tmp_path / "role_map.json")
    assert code == 2 and "images.sketch" in last_line(errors)
