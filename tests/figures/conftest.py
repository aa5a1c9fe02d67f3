"""Role maps of any size for figures, and what a reader sees on a figure."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from headroles.roles.role_map import BankInfo, HeadRole, ImagesInfo, ModelInfo, PickedText, RoleMap

SHAPES = ("background", "brightness", "color", "count", "object", "position", "shape", "size", "texture")
GENERAL = (
    *("action", "animal", "color", "counting", "emotion", "food"),
    *("material", "object", "person", "place", "position", "shape", "style", "texture", "weather"),
)


def build_head(layer: int, head: int, concepts: tuple[str, ...], rng: np.random.Generator) -> HeadRole:
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
        null_entropy=1.0,
        interval=(entropy, entropy),
        p_value=0.01,
        q_value=0.02 if entropy < 0.6 else 0.2,
        stability=0.9,
        effective_rank=3.0,
        variance=0.1,
        distribution=dict(zip(concepts, weights.tolist(), strict=True)),
        texts=tuple(texts),
    )


def build_map(layers=(1, 2, 3), heads=8, concepts=SHAPES, name="tiny-clip") -> RoleMap:
    rng = np.random.default_rng(0)
    return RoleMap(
        model=ModelInfo(name, "0" * 64, max(layers) + 1, heads),
        images=ImagesInfo("photos", 1234, ()),
        bank=BankInfo("general", "0" * 64, dict.fromkeys(concepts, 5)),
        settings={},
        layers=tuple(layers),
        head_roles=tuple(build_head(layer, head, concepts, rng) for layer in layers for head in range(heads)),
    )


@pytest.fixture(scope="session")
def make_map():
    """A function that makes up a role map; see `build_map`."""
    return build_map


@pytest.fixture(scope="session")
def general() -> tuple[str, ...]:
    """Concepts of the general bank."""
    return GENERAL


@pytest.fixture(scope="session")
def shapes() -> tuple[str, ...]:
    """Concepts of the shapes bank."""
    return SHAPES


@pytest.fixture(scope="session")
def role_map() -> RoleMap:
    return build_map()


@pytest.fixture(scope="session")
def small_map() -> RoleMap:
    return build_map(layers=(1,), heads=4)


def visible(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


@pytest.fixture(scope="session")
def words():
    """A function that gives the texts of a figure."""
    return lambda figure: [text.get_text() for text in visible(figure)]


def _assert_nothing_cut(figure: Figure) -> None:
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    page = figure.bbox
    for text in visible(figure):
        box = text.get_window_extent(renderer)
        assert page.x0 <= box.x0 and box.x1 <= page.x1, text.get_text()
        assert page.y0 <= box.y0 and box.y1 <= page.y1, text.get_text()


@pytest.fixture(scope="session")
def assert_nothing_cut():
    """A function that fails where a text of a figure lies outside it."""
    return _assert_nothing_cut
