"""What ends up in the files of figures."""

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from headroles.errors import InputError
from headroles.figures.files import save_plots
from headroles.roles.role_map import RoleMap

MAGIC = {".png": b"\x89PNG\r\n\x1a\n", ".svg": b"<?xml", ".pdf": b"%PDF-"}
KINDS = tuple(RoleMap.figures)


def test_one_kind_is_one_file_in_a_new_folder(small_map, tmp_path):
    path = tmp_path / "new" / "folder" / "roles.svg"
    assert save_plots(small_map, "spread", path) == (path,)
    assert list(path.parent.iterdir()) == [path]


def test_all_writes_one_file_a_kind(small_map, tmp_path):
    written = save_plots(small_map, "all", str(tmp_path / "roles.PNG"), texts={"heads": ["L1.H0"]})
    assert [path.name for path in written] == [f"roles-{kind}.PNG" for kind in KINDS]
    assert sorted(tmp_path.iterdir()) == sorted(written)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", MAGIC)
def test_every_kind_in_every_format_has_the_same_bytes_whatever_the_user_has_set(small_map, suffix, tmp_path):
    first = [path.read_bytes() for path in save_plots(small_map, "all", tmp_path / f"first{suffix}")]
    with mpl.rc_context({"font.size": 20, "savefig.dpi": 30, "savefig.bbox": "tight", "text.parse_math": True}):
        before = dict(mpl.rcParams)
        again = save_plots(RoleMap.from_dict(small_map.to_dict()), "all", tmp_path / f"second{suffix}")
        assert dict(mpl.rcParams) == before
    assert first == [path.read_bytes() for path in again] and len(first) == len(KINDS)
    assert all(content.startswith(MAGIC[suffix]) for content in first)


def test_a_failed_write_leaves_the_old_file(role_map, tmp_path, monkeypatch):
    path = tmp_path / "roles.png"
    path.write_bytes(b"old")

    def fail(figure, target, **options):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        save_plots(role_map, "entropy", path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("kind", "name", "heads", "message"),
    [
        ("pie", "roles.png", None, "kind must be one of entropy, concepts, texts, shares, spread, all, got 'pie'"),
        ("entropy", "roles.jpg", None, "must end in .png, .svg, .pdf, got 'roles.jpg'"),
        ("all", "roles", None, "must end in .png, .svg, .pdf, got 'roles'"),
        ("texts", "roles.png", ["L1.H0", "L9.H3"], "heads must be .* layer one of 1, 2, 3 .* 0-7, got 'L9.H3'"),
        ("all", "roles.png", ["L1.H8"], "heads must be .* got 'L1.H8'"),
        ("texts", "roles.png", [], "heads must be .* got none"),
        ("entropy", "roles.png", ["L1.H0"], "heads can be chosen for texts only, got kind 'entropy'"),
    ],
)
def test_wrong_input_is_named_and_writes_nothing(role_map, kind, name, heads, message, tmp_path):
    with pytest.raises(InputError, match=message):
        save_plots(role_map, kind, tmp_path / name, **({} if heads is None else {"texts": {"heads": heads}}))
    assert not list(tmp_path.iterdir())
