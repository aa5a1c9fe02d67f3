"""Every source gives the same pictures under the same numbers, names what is broken, and says what is wrong."""

import io
import json
import multiprocessing
import pickle
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from headroles import InputError, RoleMap
from headroles.files.packed_paths import PackedNames
from headroles.images.images import pack_images
from headroles.images.sources.dataset import streamed
from headroles.images.sources.find import find_source
from headroles.images.sources.patterns import expand
from headroles.images.sources.stream import StreamedImages
from headroles.images.sources.tar import count_images
from headroles.passes.image_pass import Part, PassOptions, run_pass
from headroles.passes.state import PassState, Seen

BROKEN = (3, 8)
COUNT = 13
QUICK = ("--null-draws", "50", "--bootstraps", "5", "--texts-per-head", "6", "--device", "cpu")


def preprocess(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.resize((8, 8)), dtype=np.float32)).permute(2, 0, 1)


@pytest.fixture(scope="module")
def contents():
    """13 encoded pictures of three kinds, two of them broken."""
    rng, contents = np.random.default_rng(0), []
    for number in range(COUNT):
        file = io.BytesIO()
        picture = Image.fromarray(rng.integers(0, 255, (40, 36, 3), dtype=np.uint8))
        picture.save(file, ("png", "jpeg", "webp")[number % 3])
        contents.append(b"no" if number in BROKEN else file.getvalue())
    return contents


def name(number: int) -> str:
    return f"{number:02}.{('png', 'jpg', 'webp')[number % 3]}"


@pytest.fixture(scope="module")
def places(contents, tmp_path_factory):
    """The pictures in every kind of source: name -> what --images is called with, further options, broken names."""
    import datasets
    import pyarrow as pa
    from pyarrow import parquet

    root = tmp_path_factory.mktemp("sources")
    folder = root / "folder"
    for number, content in enumerate(contents):
        path = folder / ("early" if number < 5 else "late") / name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    files = [path.relative_to(root) for path in sorted(folder.rglob("*.*"))]
    (root / "list.csv").write_text("label,file\n" + "".join(f"x,{path.as_posix()}\n" for path in files))
    shards = root / "shards"
    shards.mkdir()
    for shard, numbers in enumerate((range(6), range(6, 7), range(7, COUNT))):
        with tarfile.open(shards / f"{shard:03}.tar", "w") as tar:
            for number in numbers:
                for member, content in ((name(number), contents[number]), (f"{number:02}.txt", b"a caption")):
                    info = tarfile.TarInfo(f"./{member}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    rows = [{"bytes": content, "path": None} for content in contents]
    cells = pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    table = pa.table({"image": cells, "text": ["a"] * COUNT, "raw": pa.array(contents, pa.binary())})
    (root / "parquet").mkdir()
    parquet.write_table(table[:7], root / "parquet" / "0.parquet", row_group_size=3)
    parquet.write_table(table[7:], root / "parquet" / "1.parquet", row_group_size=100)
    data = datasets.Dataset.from_dict({"image": rows}, datasets.Features({"image": datasets.Image()}))
    data.save_to_disk(str(root / "saved"))
    datasets.DatasetDict({"train": data, "val": data.select([0, 1])}).save_to_disk(str(root / "splits"))
    return {
        "folder": (folder, (), ("early/03.png", "late/08.webp")),
        "csv": (root / "list.csv", ("--column", "file"), ("folder/early/03.png", "folder/late/08.webp")),
        "tar folder": (shards, (), ("000.tar/./03.png", "002.tar/./08.webp")),
        "tar braces": (f"{shards}/{{000..002}}.tar", (), ("000.tar/./03.png", "002.tar/./08.webp")),
        "tar glob": (f"{shards}/*.tar", (), ("000.tar/./03.png", "002.tar/./08.webp")),
        "parquet": (root / "parquet", ("--column", "image"), ("0.parquet row 3", "1.parquet row 1")),
        "raw parquet": (f"{root}/parquet/*.parquet", ("--column", "raw"), ("0.parquet row 3", "1.parquet row 1")),
        "saved": (root / "saved", (), ("row 3", "row 8")),
        "splits": (root / "splits", ("--split", "train"), ("train row 3", "train row 8")),
    }


KINDS = ("folder", "csv", "tar folder", "tar braces", "tar glob", "parquet", "raw parquet", "saved", "splits")


def open_place(places, kind, **more):
    where, options, _ = places[kind]
    options = {option.removeprefix("--"): value for option, value in zip(options[::2], options[1::2], strict=True)}
    return find_source(where, **options, **more).open(preprocess)


@pytest.fixture
def stream(contents):
    """The pictures as a stream of unknown length, as the hub gives them."""
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})

    def rows():
        for content in contents:
            yield {"image": {"bytes": content, "path": None}, "label": 0}

    data = datasets.IterableDataset.from_generator(rows, features=features)
    return lambda count=None: streamed(data, "test train", None, count)(preprocess)


def read(images, workers=0, **options):
    """(numbers, pixels, what was seen) of a pass."""
    numbers, pixels = [], []
    sums = {"count": torch.zeros(1)}

    def fold(number, values):
        numbers.extend(number.tolist())
        pixels.append(values)

    seen = run_pass(images, sums, fold, PassOptions(unit=4, workers=workers, **options))
    return numbers, torch.cat(pixels), seen


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_all_sources_give_the_same_role_map(run, clip_folder, places, tmp_path, kind):
    maps = {}
    for each in {"folder", kind}:
        where, options, broken = places[each]
        given = ("--model", clip_folder, "--images", where, *options, "--output", tmp_path / each, *QUICK)
        code, _, errors = run("score", *given)
        assert code == 0 and f"left out 2 broken image files: {', '.join(broken)}" in errors
        maps[each] = RoleMap.load(tmp_path / each / "role_map.json")
        assert maps[each].images.broken == broken and maps[each].images.count == COUNT - 2
    assert maps[kind].head_roles == maps["folder"].head_roles


@pytest.mark.parametrize("kind", [*KINDS, "stream"])
def test_workers_parts_and_counts(places, stream, kind):
    def opened(**more):
        return stream(**more) if kind == "stream" else open_place(places, kind, **more)

    numbers, pixels, seen = read(opened())
    assert numbers == [number for number in range(COUNT) if number not in BROKEN]
    assert [number for number, _ in seen.broken] == list(BROKEN) and seen.total == COUNT
    again, same, _ = read(opened(), workers=2)
    assert again == numbers and torch.equal(pixels, same)
    parts = [Part(shard, 2, process, 2) for shard in (0, 1) for process in (0, 1)]
    found = [read(opened(), part=part) for part in parts if list(part.units(4))]
    assert sorted(number for each, _, _ in found for number in each) == numbers
    assert Seen.merge([each for _, _, each in found]) == seen
    few, _, seen = read(opened(count=5))
    assert seen.read + len(seen.broken) == 5 == seen.total
    assert max(few) == 4


@pytest.mark.parametrize("kind", ["folder", "tar folder", "parquet", "stream"])
def test_a_pass_goes_on_from_any_unit(places, stream, tmp_path, kind):
    """Stopped after each unit by an error; the sums and what was seen are those of one pass."""
    images = stream() if kind == "stream" else open_place(places, kind)

    def sum_up(state=None, stop=None, resume=False):
        sums = {"pixels": torch.zeros(3, 8, 8, dtype=torch.float64), "count": torch.zeros(1)}

        def fold(number, pixels):
            if stop is not None and number.min() >= stop * 4:
                raise KeyboardInterrupt
            sums["pixels"] += pixels.double().sum(0)
            sums["count"] += len(number)

        return sums, run_pass(images, sums, fold, PassOptions(4, state=state, resume=resume, save_every=0))

    whole, seen = sum_up()
    for stop in (1, 2, 3):
        state = PassState(tmp_path / str(stop))
        with pytest.raises(KeyboardInterrupt):
            sum_up(state, stop)
        sums, resumed = sum_up(state, resume=True)
        assert resumed == seen and all(torch.equal(sums[name], whole[name]) for name in whole)


def test_sources_travel_to_other_processes(places):
    for kind in KINDS:
        images = open_place(places, kind)
        first = images[1]
        copy = pickle.loads(pickle.dumps(images))
        assert torch.equal(copy[1][1], first[1]) and copy.fingerprint() == images.fingerprint()


def test_fingerprints_differ_where_images_differ(places):
    prints = {open_place(places, kind).fingerprint() for kind in ("folder", "csv", "tar folder", "parquet", "saved")}
    prints |= {open_place(places, kind, count=5).fingerprint() for kind in ("folder", "csv", "tar folder", "parquet")}
    assert len(prints) == 9


def test_wrong_sources_are_one_line(run, places, tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    tarfile.open(tmp_path / "empty.tar", "w").close()
    (tmp_path / "no.tar").write_text("x" * 2000)
    (tmp_path / "no.parquet").write_text("x")
    (tmp_path / "no.zip").write_text("x")
    (tmp_path / "empty.csv").write_text("path\n")
    (tmp_path / "gap.csv").write_text("path,x\na.jpg,1\n,2\n")
    (tmp_path / "latin.csv").write_bytes(b"path\n\xe9.jpg\n")
    parquet.write_table(pa.table({"text": ["a"], "number": [1]}), tmp_path / "text.parquet")
    parquet.write_table(pa.table({"image": pa.array([], pa.binary())}), tmp_path / "rows.parquet")
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "sizes.json").write_text("[1]")
    (tmp_path / "wrong" / "0.tar").write_bytes((places["tar folder"][0] / "000.tar").read_bytes())
    table, split = places["csv"][0], places["splits"][0]
    mistakes = {
        (tmp_path / "nowhere",): "is no folder and no file",
        ("photos/cats",): "or hf:photos/cats for a data set of the hub",
        (tmp_path / "no.zip",): "is no folder and no .csv, .tar or .parquet file",
        (tmp_path / "empty.tar",): "no image in",
        (tmp_path / "no.tar",): "as a tar file",
        (f"{tmp_path}/{{0..2}}.tar",): "3 of the 3 files of",
        (f"{tmp_path}/{{2..0}}.tar",): "counts down",
        (f"{tmp_path}/{{a}}.tar",): "is no range such as 000..010",
        (f"{tmp_path}/*.tgz",): "no file matches",
        (f"{tmp_path}/no.*",): "files of several kinds",
        (tmp_path / "wrong",): "mend or remove it",
        (table,): "has no column 'path'; its columns: label, file",
        (table, "--column", "place"): "has no column 'place'",
        (tmp_path / "empty.csv",): "lists no image",
        (tmp_path / "gap.csv",): "line 3 of",
        (tmp_path / "latin.csv",): "expected UTF-8",
        (tmp_path / "no.parquet",): "as a parquet file",
        (tmp_path / "text.parquet",): "has no column of images; its columns: text, number",
        (tmp_path / "text.parquet", "--column", "text"): "column 'text' of",
        (tmp_path / "rows.parquet",): "no row in",
        (places["parquet"][0], "--column", "photo"): "has no column 'photo'",
        (split,): "has train, val; none was chosen; choose with --split",
        (split, "--split", "test"): "has train, val; got 'test'",
        (places["saved"][0], "--split", "train"): "has no splits",
        (places["folder"][0], "--column", "x"): "has no columns; leave --column out",
        ("shapes", "--split", "x"): "has no splits",
    }
    for (images, *more), expected in mistakes.items():
        code, _, errors = run("score", "--images", images, *more, "--output", tmp_path / "o")
        assert code == 2 and expected in errors and errors.count("\n") == 1, (images, errors)
    assert not (tmp_path / "o").exists()


def test_a_hub_that_cannot_be_reached_is_one_line(run, tmp_path, monkeypatch):
    import datasets
    import huggingface_hub

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    code, _, errors = run("score", "--images", "hf:nobody/nothing", "--output", tmp_path / "o")
    assert code == 2 and "cannot open hf:nobody/nothing" in errors and errors.count("\n") == 1


def test_a_hub_without_a_network_is_asked_once(run, tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    code, _, errors = run("score", "--images", "hf:nobody/nothing", "--output", tmp_path / "o")
    assert code == 2 and "cannot open hf:nobody/nothing" in errors and errors.count("\n") == 1, errors
    code, _, errors = run("score", "--images", "hf:", "--output", tmp_path / "o")
    assert code == 2 and "hf: names no data set; expected hf:NAME" in errors


def test_a_tar_that_is_cut_off_names_its_last_member(places, tmp_path):
    whole = (places["tar folder"][0] / "002.tar").read_bytes()
    with tarfile.open(places["tar folder"][0] / "002.tar") as tar:
        last = [member for member in tar if not member.name.endswith("txt")][-1]
    (tmp_path / "cut.tar").write_bytes(whole[: last.offset_data + last.size // 2])
    images = find_source(tmp_path / "cut.tar").open(preprocess)
    number, error = images[len(images) - 1]
    assert "the tar file ends after" in error and images.name(number) == f"cut.tar/{last.name}"


@pytest.mark.parametrize("workers", [0, 2])
def test_sizes_beside_the_shards_are_believed_and_checked(places, tmp_path, workers):
    for path in places["tar folder"][0].glob("*.tar"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "sizes.json").write_text(json.dumps({"000.tar": 6, "001.tar": 1, "002.tar": 6}))
    assert read(find_source(tmp_path).open(preprocess))[0] == read(open_place(places, "tar folder"))[0]
    assert count_images(tmp_path / "002.tar") == 6
    (tmp_path / "sizes.json").write_text(json.dumps({"000.tar": 9}))
    with pytest.raises(InputError, match=r"^images: .*000.tar holds 6 images, sizes.json says 9$"):
        read(find_source(tmp_path).open(preprocess), workers)
    assert multiprocessing.active_children() == []


def test_a_row_without_an_image_and_missing_files_are_broken(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    Image.new("RGB", (9, 9)).save(tmp_path / "there.png")
    rows = [{"bytes": None, "path": each} for each in ("there.png", "gone.png", None)]
    cells = pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    parquet.write_table(pa.table({"image": cells}), tmp_path / "paths.parquet")
    (tmp_path / "list.csv").write_text("path\nthere.png\ngone.png\n")
    _, _, seen = read(find_source(tmp_path / "paths.parquet").open(preprocess))
    assert seen.broken_names == ("paths.parquet row 1", "paths.parquet row 2") and seen.read == 1
    _, _, seen = read(find_source(tmp_path / "list.csv").open(preprocess))
    assert seen.broken_names == ("gone.png",)


def test_patterns(tmp_path):
    for stem in ("a00", "a01", "a02", "b00"):
        (tmp_path / f"{stem}.tar").touch()
    assert [path.stem for path in expand(f"{tmp_path}/a{{00..02}}.tar")] == ["a00", "a01", "a02"]
    assert [path.stem for path in expand(f"{tmp_path}/{{b,a}}*.tar")] == ["b00", "a00", "a01", "a02"]
    assert [path.stem for path in expand(f"{tmp_path}/{{b00,a{{00..01}}}}.tar")] == ["b00", "a00", "a01"]


def test_packed_names_keep_every_name(tmp_path):
    names = ["a", "", "größe/ü.jpg", "b" * 500]
    packed = PackedNames(names)
    assert list(packed) == names and len(PackedNames([])) == 0
    with pytest.raises(IndexError):
        packed[4]
    (tmp_path / "x.png").touch()
    assert list(pack_images(tmp_path)) == [tmp_path / "x.png"]


def test_a_stream_may_hold_paths_and_bytes(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    cells = [(tmp_path / "a.png").read_bytes(), {"bytes": None, "path": str(tmp_path / "a.png")}, None]
    images = StreamedImages("here", lambda first: iter(cells[first:]), preprocess)
    numbers, _, seen = read(images)
    assert numbers == [0, 1] and seen.broken_names == ("image 2",) and seen.total == 3
