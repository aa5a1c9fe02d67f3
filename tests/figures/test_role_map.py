"""Figures of a role map: what a reader can see on them, and what ends up in the files."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from headroles.errors import InputError
from headroles.figures.role_map import KINDS, concept_codes, concepts_figure, entropy_figure, plot, texts_figure
from headroles.roles.role_map import BankInfo, HeadRole, ImagesInfo, ModelInfo, PickedText, RoleMap

SHAPES = ("background", "brightness", "color", "count", "location", "object", "shape", "size", "texture")
GENERAL = (
    *("action", "animal", "color", "counting", "emotion", "food", "location"),
    *("material", "object", "person", "shape", "style", "texture", "weather"),
)
MAGIC = {".png": b"\x89PNG\r\n\x1a\n", ".svg": b"<?xml", ".pdf": b"%PDF-"}


def make_head(layer: int, head: int, concepts: tuple[str, ...], rng: np.random.Generator) -> HeadRole:
    weights = rng.dirichlet(np.full(len(concepts), rng.choice([0.1, 0.5, 3.0])))
    entropy = float(-(weights * np.log2(weights.clip(1e-12))).sum() / np.log2(len(concepts)))
    role = "attribute" if entropy < 0.4 else "generalization" if entropy > 0.7 else "mixed"
    texts = [PickedText(f"a text number {n}, $5 or $6", str(rng.choice(concepts)), 0.3 / (n + 1)) for n in range(12)]
    return HeadRole(
        layer=layer,
        head=head,
        role=role,
        concept=concepts[weights.argmax()],
        concept_share=float(weights.max()),
        entropy_bits=entropy * float(np.log2(len(concepts))),
        entropy=entropy,
        interval=(entropy, entropy),
        p_value=0.01,
        q_value=0.02,
        stability=0.9,
        variance=0.1,
        distribution=dict(zip(concepts, weights.tolist(), strict=True)),
        texts=tuple(texts),
    )


def make_map(layers=(1, 2, 3), heads=8, concepts=SHAPES, name="tiny-clip") -> RoleMap:
    rng = np.random.default_rng(0)
    return RoleMap(
        model=ModelInfo(name, "hash", max(layers) + 1, heads),
        images=ImagesInfo("photos", 1234, ()),
        bank=BankInfo("general", "hash", dict.fromkeys(concepts, 5)),
        settings={},
        layers=tuple(layers),
        head_roles=tuple(make_head(layer, head, concepts, rng) for layer in layers for head in range(heads)),
    )


@pytest.fixture(scope="module")
def role_map() -> RoleMap:
    return make_map()


@pytest.fixture(scope="module")
def small_map() -> RoleMap:
    return make_map(layers=(1,), heads=4)


def visible(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in visible(figure)]


def assert_nothing_cut(figure: Figure) -> None:
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    page = figure.bbox
    for text in visible(figure):
        box = text.get_window_extent(renderer)
        assert page.x0 <= box.x0 and box.x1 <= page.x1, text.get_text()
        assert page.y0 <= box.y0 and box.y1 <= page.y1, text.get_text()


@pytest.mark.parametrize("suffix", MAGIC)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_in_every_format(small_map, kind, suffix, tmp_path):
    path = tmp_path / "new" / "folder" / f"roles{suffix}"
    assert plot(small_map, kind, path) == [path]
    assert path.read_bytes().startswith(MAGIC[suffix])
    assert list(path.parent.iterdir()) == [path]


def test_all_writes_one_file_a_kind(small_map, tmp_path):
    written = plot(small_map, "all", str(tmp_path / "roles.PNG"), heads=["L1.H0"])
    assert [path.name for path in written] == ["roles-entropy.PNG", "roles-concepts.PNG", "roles-texts.PNG"]
    assert sorted(tmp_path.iterdir()) == sorted(written)


@pytest.mark.parametrize("suffix", MAGIC)
def test_same_map_same_bytes_whatever_the_user_has_set(small_map, suffix, tmp_path):
    first = [path.read_bytes() for path in plot(small_map, "all", tmp_path / f"first{suffix}")]
    with mpl.rc_context({"font.size": 20, "savefig.dpi": 30, "savefig.bbox": "tight", "text.parse_math": True}):
        before = dict(mpl.rcParams)
        again = plot(RoleMap.from_dict(small_map.to_dict()), "all", tmp_path / f"second{suffix}")
        assert dict(mpl.rcParams) == before
    assert first == [path.read_bytes() for path in again]


def test_a_failed_write_leaves_the_old_file(role_map, tmp_path, monkeypatch):
    path = tmp_path / "roles.png"
    path.write_bytes(b"old")

    def fail(figure, target, **options):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        plot(role_map, "entropy", path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("kind", "name", "heads", "message"),
    [
        ("pie", "roles.png", None, "kind must be one of entropy, concepts, texts, all, got 'pie'"),
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
        plot(role_map, kind, tmp_path / name, heads)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("draw", [entropy_figure, concepts_figure, texts_figure])
def test_title_says_what_was_scored(role_map, draw):
    title = draw(role_map).get_suptitle()
    assert "tiny-clip" in title and "1,234 images" in title and "general bank" in title


@pytest.mark.parametrize("draw", [entropy_figure, concepts_figure, texts_figure])
@pytest.mark.parametrize(
    "options",
    [
        {"layers": (11,), "heads": 12, "concepts": GENERAL},
        {"layers": (0,), "heads": 1, "concepts": ("color", "shape"), "name": "folder/" * 20},
        {"layers": range(24), "heads": 16, "concepts": GENERAL},
    ],
    ids=["one layer", "one head", "24x16"],
)
def test_nothing_is_cut_at_any_size(draw, options):
    assert_nothing_cut(draw(make_map(**options)))


def test_entropy_figure_shows_every_head(role_map):
    codes = concept_codes(role_map.concepts)
    shown = words(entropy_figure(role_map))
    for concept, code in codes.items():
        assert shown.count(code) == sum(head.concept == concept for head in role_map)
    key = " ".join(shown).replace("\n", " ")
    assert all(f"{code} {concept}" in key for concept, code in codes.items())
    assert {"Concept Entropy / log2 C", "attribute", "mixed", "generalization"} <= set(shown)


def test_deepest_layer_is_on_top(role_map):
    figure = entropy_figure(role_map)
    grid = next(axes for axes in figure.axes if axes.get_ylabel() == "layer")
    height = {label.get_text(): label.get_window_extent().y0 for label in grid.get_yticklabels()}
    assert height["3"] > height["2"] > height["1"]


def test_concepts_figure_has_every_head_of_every_layer(role_map):
    shown = words(concepts_figure(role_map))
    assert all(shown.count(f"H{head}") == 3 for head in range(8))
    assert {"layer 1", "layer 2", "layer 3"} <= set(shown)
    assert all(any(word.endswith(concept) for word in shown) for concept in role_map.concepts)


def test_texts_figure_shows_chosen_heads_with_eight_texts(role_map):
    shown = words(texts_figure(role_map, ["L3.H7", "L1.H0"]))
    names = [word for word in shown if word.startswith("L") and ".H" in word]
    assert names == ["L3.H7", "L1.H0"]
    assert shown.count("a text number 7, $5 or $6") == 2
    assert "a text number 8, $5 or $6" not in shown


def test_default_texts_are_of_the_purest_head_of_each_concept():
    role_map = make_map(range(6), 12, GENERAL)
    names = [word for word in words(texts_figure(role_map)) if word.startswith("L") and ".H" in word]
    heads = [role_map[name] for name in names]
    assert len(heads) == 9 == len({head.concept for head in heads})
    assert all(head == role_map.heads(concept=head.concept)[0] for head in heads)


def test_codes_are_unique_short_and_do_not_mislead():
    assert concept_codes(SHAPES) == dict(zip(SHAPES, ("B", "Br", "C", "Cu", "L", "O", "S", "Si", "T"), strict=True))
    for concepts in (GENERAL, ("a", "aa", "aaa", "A b"), ("3d", "_", "état", "x")):
        codes = list(concept_codes(concepts).values())
        assert len(set(codes)) == len(concepts) and all(1 <= len(code) <= 2 for code in codes)


def test_a_head_without_texts_still_gets_its_card(role_map):
    silent = RoleMap(**{**vars(role_map), "head_roles": (replace(role_map["L1.H0"], texts=()),)})
    figure = texts_figure(silent)
    assert "L1.H0" in words(figure)
    assert_nothing_cut(figure)
