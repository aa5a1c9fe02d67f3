"""The page in a browser, where there is one: keys, numbers, theme; no error, nothing asked of a network."""

import io
from base64 import b64encode
from dataclasses import replace

import pandas as pd
import pytest
from adapter_folder import write_adapter
from chromium import IN_CHROMIUM, find_violations, look_plain, resize, set_theme
from PIL import Image

from headroles.causal.costs import Estimate
from headroles.causal.dose_curve import DoseCurve, DosePoint
from headroles.reports.adaptation import read_adaptation
from headroles.reports.evidence import (
    Example,
    HeadExamples,
    Histogram,
    Illustrations,
    Match,
    NearestImages,
    Search,
    SharedValues,
)
from headroles.reports.render import asset, looks_of
from headroles.reports.report import Report
from headroles.roles.spread import ConceptSpread, HeadSpread

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

HOSTILE = (
    "</script><script>document.title='hacked'</script>",
    "<img src=x onerror=\"document.title='hacked'\">",
    "a striped thing",
)

FACTS = ("null_entropy", "p_value", "q_value", "stability", "effective_rank", "variance")

pytestmark = IN_CHROMIUM


@pytest.fixture(scope="module")
def role_map(random_role_map):
    return random_role_map(HOSTILE)


@pytest.fixture(scope="module")
def validation(role_map, random_validation):
    return random_validation(role_map)


@pytest.fixture(scope="module")
def illustrations(role_map):
    """One picture everywhere, black; the same numbers for every head."""
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "JPEG")
    shown = tuple(Match("3", score, value) for score, value in ((0.75, "<b>red</b>"), (0.5, None)))
    top = (Example("3", 0.125, (0.1, 0.0, -0.2, 0.05)),)
    own = HeadExamples(
        top, (Example("3", -0.5),), (Example("3", 0.25),), Histogram(-0.5, 0.5, (1, 0, 1)),
        (NearestImages("a second text", (Example("3", 0.75),)),),
    )  # fmt: skip
    return Illustrations(
        source="photos", count=2, side=2, names={"3": HOSTILE[1]},
        pictures={"3": b64encode(content.getvalue()).decode()},
        examples={head.name: own for head in role_map},
        searches=(Search("3", "color", "<b>red</b>", shown, shown), Search("3", "shape", None, shown, shown)),
        precision=(SharedValues("color", ("L1.H0",), 0.9, (0.8, 0.95), 0.4, (0.3, 0.5), 0.2, 2),),
    )  # fmt: skip


@pytest.fixture(scope="module")
def full(role_map, random_role_map, validation, illustrations, tmp_path_factory):
    """Where a page with every part lies, a second role map among them."""
    folder = tmp_path_factory.mktemp("full")
    for job in ("one", "two"):
        for seed in (1, 2):
            write_adapter(folder / job / f"seed-{seed}", seed)
    runs = tuple(read_adaptation(folder / job) for job in ("one", "two"))
    found = Report(role_map, validation, illustrations, runs, HOSTILE, random_role_map(seed=1, silent=("L1.H0",)))
    found.save(folder / "report.html")
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def saved(role_map, validation, illustrations, tmp_path_factory):
    """Where the report of `role_map` lies."""
    path = tmp_path_factory.mktemp("saved") / "report.html"
    Report(role_map, validation, illustrations, commands=HOSTILE).save(path)
    return path.as_uri()


@pytest.fixture
def page(browser, saved):
    """The report of `role_map`, open in the browser; no error may be left in its console."""
    browser.get_log("browser")
    browser.get("about:blank")  # An address that differs by its # alone would load nothing.
    browser.get(saved)
    assert browser.execute_script("return document.documentElement.dataset.ready") == "true"
    yield browser
    assert browser.get_log("browser") == []
    assert browser.title == "Head roles of tiny", "a text of the bank ran as a script"


def press(browser, *keys) -> None:
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


def shown(browser) -> str:
    return browser.find_element(By.CSS_SELECTOR, "#panel h3").text


def numbers(browser, selector: str) -> list[float]:
    values = browser.execute_script(f"return [...document.querySelectorAll('{selector} data')].map(each => each.value)")
    return [float(value) for value in values]


def focus_grid(browser, name: str) -> None:
    browser.execute_script(f"document.querySelector('[data-head=\"{name}\"]').focus()")


def test_arrow_keys_walk_over_all_heads_and_the_panel_shows_their_numbers(page, role_map):
    focus_grid(page, "L2.H0")
    for step, name in enumerate(("L2.H0", "L2.H1", "L2.H2", "L1.H2", "L1.H1", "L1.H0")):
        if step:
            press(page, {1: Keys.RIGHT, 2: Keys.RIGHT, 3: Keys.DOWN}.get(step, Keys.LEFT))
        head = role_map[name]
        assert shown(page) == name and page.switch_to.active_element.get_attribute("data-head") == name
        assert numbers(page, "#panel .role-line") == [head.concept_share]
        assert numbers(page, "#panel .entropy") == [head.entropy, *head.interval, head.entropy_bits]
        assert numbers(page, "#panel .facts") == [getattr(head, name) for name in FACTS]
        shares = sorted((share for share in head.distribution.values() if share), reverse=True)
        assert numbers(page, "#panel .bars:not(.texts):not(.costs)") == shares
        assert numbers(page, "#panel .texts") == [text.share for text in head.texts]
        select = "document.querySelectorAll('#panel .texts .word > span:first-child')"
        words = page.execute_script(f"return [...{select}].map(each => each.textContent)")
        assert words == [text.text for text in head.texts]
    press(page, Keys.LEFT, Keys.DOWN)
    assert shown(page) == "L1.H0", "the grid's edge holds"
    press(page, Keys.CONTROL + Keys.END)
    assert shown(page) == "L1.H2"
    press(page, Keys.HOME, Keys.UP, Keys.END)
    assert shown(page) == "L2.H2"


def test_enter_pins_a_head_and_escape_frees_it(page, role_map):
    focus_grid(page, "L1.H1")
    press(page, Keys.ENTER, Keys.RIGHT)
    assert shown(page) == "L1.H1" and page.current_url.endswith("#L1.H1")
    cell = page.find_element(By.CSS_SELECTOR, '[data-head="L1.H1"]')
    assert cell.get_attribute("aria-selected") == "true"
    assert "pinned" in page.find_element(By.ID, "said").get_attribute("textContent")
    press(page, Keys.ESCAPE)
    assert shown(page) == "L1.H2" and cell.get_attribute("aria-selected") == "false"


def test_one_cell_is_in_the_tab_order_and_every_cell_has_a_name(page, role_map):
    cells = page.execute_script(
        "return [...document.querySelectorAll('#heads [role=grid] [role=gridcell]')]"
        ".map(each => [each.dataset.head, each.ariaLabel, each.tabIndex])"
    )
    assert len(cells) == len(role_map) and [order for _, _, order in cells].count(0) == 1
    for name, named, _ in cells:
        head = role_map[name]
        assert head.name in named and head.role in named and head.concept in named
    order = page.execute_script("return [...document.querySelectorAll('a[href], button, select, input, [tabindex]')]"
                                ".filter(each => each.tabIndex > 0).length")  # fmt: skip
    assert order == 0, "the order of the tab key is that of the page"


def test_filters_leave_the_heads_that_fit(page, role_map):
    def kept() -> set[str]:
        return set(
            page.execute_script(
                "return [...document.querySelectorAll('#heads .head:not(.dim)')].map(each => each.dataset.head)"
            )
        )

    page.find_element(By.ID, "by-text").send_keys("STRIPED")
    with_text = {head.name for head in role_map if any("striped" in text.text for text in head.texts)}
    assert kept() == with_text
    page.find_element(By.CSS_SELECTOR, ".filters [type=reset]").click()
    assert len(kept()) == len(role_map)
    page.find_element(By.ID, "by-role").send_keys("attribute")
    assert kept() == {head.name for head in role_map.heads(role="attribute")}
    assert page.find_element(By.ID, "matches").text == f"{len(kept())} of {len(role_map)} heads fit"


def test_silent_heads_have_cells_without_letters_a_tile_and_a_filter(browser, random_role_map, tmp_path):
    role_map = random_role_map(silent=("L1.H0", "L2.H1"))
    Report(role_map).save(tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())
    cell = browser.find_element(By.CSS_SELECTOR, '[data-head="L1.H0"]')
    assert cell.text == "" and cell.get_attribute("aria-label") == "L1.H0, silent"
    focus_grid(browser, "L1.H0")
    press(browser, Keys.ENTER)
    assert "says nothing" in browser.find_element(By.ID, "panel").text and shown(browser) == "L1.H0"
    browser.find_element(By.ID, "by-role").send_keys("silent")
    assert browser.find_element(By.ID, "matches").text == "2 of 6 heads fit"
    assert browser.find_element(By.CSS_SELECTOR, "[data-role=silent] b").text == "2"
    assert browser.get_log("browser") == []


def test_the_page_says_what_stands_out_from_chance(page, role_map):
    for cell in page.find_elements(By.CSS_SELECTOR, "#heads [role=gridcell]"):
        head = role_map[cell.get_attribute("data-head")]
        said = ("no more than chance", "stands out from chance")[head.stands_out]
        assert cell.get_attribute("aria-label").endswith(said)
        assert ("hollow" in cell.find_element(By.CSS_SELECTOR, ".mark").get_attribute("class")) != head.stands_out
    clear = sum(head.stands_out for head in role_map.heads(role="attribute"))
    assert f"{clear} of which stand out" in page.find_element(By.CSS_SELECTOR, "[data-role=attribute]").text
    assert not page.find_elements(By.CSS_SELECTOR, "[data-role=silent]")


def test_the_theme_follows_the_system_and_the_toggle_turns_it(page):
    def background() -> str:
        return page.execute_script("return getComputedStyle(document.body).backgroundColor")

    def system(scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def wait_until_pressed(value: str) -> None:
        """The page hears of a new system theme by an event, so a moment later."""
        WebDriverWait(page, 5).until(lambda _: button.get_attribute("aria-pressed") == value)

    button = page.find_element(By.ID, "theme")
    system("light")
    wait_until_pressed("false")
    light = background()
    system("dark")
    wait_until_pressed("true")
    dark = background()
    assert light != dark
    button.click()
    assert background() == light and button.get_attribute("aria-pressed") == "false"
    system("light")
    button.click()
    assert background() == dark and button.get_attribute("aria-pressed") == "true"
    system("dark")
    assert background() == dark, "the choice is the reader's"
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_arrow_keys_walk_over_the_validation_and_show_each_cut(page, validation):
    page.execute_script("document.querySelector('[data-test]').focus()")
    for step, (concept, name) in enumerate((("color", "color"), ("color", "shape"), ("shape", "shape"))):
        press(page, *([Keys.RIGHT], [Keys.DOWN])[step - 1] if step else ())
        cost = validation[concept].costs[name]
        wanted = [cost.times.value, cost.times.low, cost.times.high, cost.margin.value, cost.margin.low]
        wanted += [cost.margin.high, cost.accuracy, *([] if cost.random is None else [cost.random])]
        assert numbers(page, "#cut") == wanted
    cells = page.find_elements(By.CSS_SELECTOR, ".matrix .own")
    assert [cell.get_attribute("data-concept") for cell in cells] == ["color", "shape"]
    assert numbers(page, ".matrix") == [cost.times.value for test in validation.tests for cost in test.costs.values()]
    lost = validation["shape"].costs["shape"].accuracy
    assert f"zero-shot accuracy lost\n{100 * lost:.1f} points" in page.find_element(By.ID, "cut").text
    rho = validation.correlations["entropy"]
    assert numbers(page, "#rho-entropy") == [rho.rho, rho.low, rho.high]


def test_a_mark_of_the_scatter_plot_leads_to_its_head_and_names_cover_nothing(page, validation):
    names, others = page.execute_script(
        "return ['.scatter text.name', '.scatter .point path'].map(where => [...document.querySelectorAll(where)].map("
        "each => { const box = each.getBoundingClientRect(); return [box.left, box.top, box.right, box.bottom]; }))"
    )
    assert names
    for place, one in enumerate(names):
        for other in (*names[:place], *names[place + 1 :], *others):
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    marks = page.find_elements(By.CSS_SELECTOR, ".point")
    compared = sorted(
        (head for head in validation.heads if head.selectivity is not None), key=lambda head: head.entropy
    )
    assert [each.get_attribute("data-name") for each in marks] == [head.name for head in compared]
    page.execute_script("document.querySelector('.point').focus()")
    press(page, Keys.RIGHT, Keys.ENTER)
    assert shown(page) == compared[1].name
    effect = next(head for head in validation.heads if head.name == compared[1].name)
    assert numbers(page, "#panel .costs") == sorted(effect.costs.values(), reverse=True)
    assert numbers(page, "#panel .effect") == [effect.selectivity]


def test_pictures_show_and_their_names_stay_texts(page, illustrations):
    sizes = page.execute_script("return [...document.images].map(each => [each.naturalWidth, each.alt])")
    assert len(sizes) > 5 and {width for width, _ in sizes} == {8}
    assert HOSTILE[1] in {alt for _, alt in sizes}
    values = [each.text for each in page.find_elements(By.CSS_SELECTOR, "#retrieval .value")]
    assert values == ["✓ <b>red</b>", "✗ none"]
    assert numbers(page, "#panel .examples") == [0.125, -0.5, 0.25, 0.75], "most, least, at random, of the next text"
    assert "a second text" in page.find_element(By.ID, "panel").text
    bins = "return [...document.querySelectorAll('#panel .bin')].map(each => each.height.baseVal.value)"
    heights = page.execute_script(bins)
    assert heights[0] == heights[2] > heights[1] == 0
    pixels = page.execute_script(
        "return [...document.querySelector('#panel canvas').getContext('2d').getImageData(0, 0, 2, 2).data]"
    )
    assert [value for value in pixels[3::4]] == [round(255 * (0.25 + 0.65 * share)) for share in (0.5, 0, 1, 0.25)]
    adds, takes = pixels[:3], pixels[8:11]
    assert adds[0] > adds[2] and takes[0] < takes[2], "orange where a patch adds, purple where it takes"


def test_spreads_and_doses_are_shown_where_a_map_and_a_validation_have_them(
    browser, role_map, random_validation, tmp_path
):
    concepts = role_map.concepts
    shares = {head.name: dict(zip(concepts, head.distribution.values(), strict=True)) for head in role_map}
    heads = [replace(head, spread=HeadSpread(shares[head.name], {}, 0.25, 0.6)) for head in role_map]
    spread_map = replace(
        role_map, head_roles=tuple(heads), concept_spread=tuple(ConceptSpread(name, 0.375) for name in concepts)
    )
    gained = Estimate(-1.5, -2.0, -1.0)
    points = (
        DosePoint(-1.0, gained, 0.5, None, None, 0.25),
        DosePoint(2.0, Estimate(3.0, 2.5, 3.5), 0.75, None, None, 0.5),
    )
    dosed = replace(random_validation(spread_map), doses=(DoseCurve("color", ("L1.H0",), 0, points),))
    Report(spread_map, dosed).save(tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())
    assert numbers(browser, "#shares tr:nth-child(2)") == [0.25, 0.6, *shares["L1.H1"].values()]
    focus_grid(browser, "L1.H1")
    assert numbers(browser, "#panel .spread") == [0.25, 0.6]
    assert numbers(browser, "#panel .held") == sorted(shares["L1.H1"].values(), reverse=True)[:5]
    held = {head.name: head.variance * shares[head.name]["color"] for head in role_map}
    (row,) = [row for row in browser.find_elements(By.CSS_SELECTOR, "#spread tbody tr") if "color" in row.text]
    assert max(held, key=held.get) in row.text and "0.38" in row.text
    assert numbers(browser, "#doses tr:first-child") == [-1.5, -2.0, -1.0, 0.5, 0.25]
    assert len(browser.find_elements(By.CSS_SELECTOR, ".doses figure circle")) == 3
    assert browser.get_log("browser") == []


@pytest.fixture
def plain(browser):
    """The browser as it was, after a test that turned it into something else."""
    yield
    look_plain(browser)


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1200, "light")])
def test_axe_finds_nothing_on_a_phone_and_a_desk_dark_and_light(browser, full, plain, width, scheme):
    """With two adapters, and with all details open; the page is never wider than its window."""
    resize(browser, width)
    set_theme(browser, scheme)
    browser.get(full)
    browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    alike = "tbody:not([role]) tr:nth-child(n+3), li:nth-child(n+3)"
    browser.execute_script(f"for (const each of document.querySelectorAll('{alike}')) each.hidden = true")
    assert find_violations(browser, contrast=False) == []
    browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = false")
    assert find_violations(browser) == []


def test_words_on_every_colour_of_a_scale_can_be_read(browser, role_map):
    """WCAG's contrast of 4.5, also where axe sees no colour because a mark lies on it."""
    pairs = browser.execute_script(
        "const data = { looks: arguments[0] };\n" + asset("dom.js") + "return ['entropy', 'diverging'].flatMap(name => "
        "Array.from({ length: 201 }, (_, at) => between(data.looks[name], at / 200))).map(each => [each, inkOn(each)])",
        looks_of(role_map),
    )

    def luminance(color: str) -> float:
        parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for pair in pairs:
        low, high = sorted(map(luminance, pair))
        assert (high + 0.05) / (low + 0.05) >= 4.5, pair


def test_on_a_phone_a_tapped_head_leads_to_its_panel_and_back(page, plain):
    resize(page, 390)
    page.execute_script("document.documentElement.style.scrollBehavior = 'auto'")
    page.find_element(By.CSS_SELECTOR, '[data-head="L1.H1"]').click()
    where = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
    assert 0 <= page.execute_script(where, "#panel") < 150
    assert page.switch_to.active_element.get_attribute("id") == "panel"
    page.find_element(By.CSS_SELECTOR, "#panel .back").click()
    assert 0 <= page.execute_script(where, '[data-head="L1.H1"]') < 850
    assert page.switch_to.active_element.get_attribute("data-head") == "L1.H1"


def test_on_paper_no_mark_covers_letters_at_sixteen_columns(browser, random_role_map, plain, tmp_path):
    Report(random_role_map(heads=16)).save(tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())
    resize(browser, 700)
    set_theme(browser, "light", "print")
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('#heads td.head')].map(cell => [cell, cell.querySelector('span'), "
        "cell.querySelector('.mark')].map(each => { const box = each.getBoundingClientRect(); "
        "return [box.left, box.top, box.right, box.bottom]; }))"
    )
    assert len(boxes) == 32
    for cell, letters, mark in boxes:
        assert mark[1] >= letters[3] - 1 or mark[0] >= letters[2], "beside or below"
        assert cell[0] <= min(letters[0], mark[0]) and cell[3] + 1 >= mark[3], "within the cell"


def test_a_heading_sorts_its_table_and_a_button_saves_it_in_full(page, role_map, tmp_path):
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    page.execute_script("document.querySelector('#all-heads').open = true")
    table = page.find_element(By.CSS_SELECTOR, "#all-heads table")
    heading = next(each for each in table.find_elements(By.TAG_NAME, "th") if each.text.startswith("entropy"))
    names = "return [...arguments[0].tBodies[0].rows].map(row => row.dataset.row)"
    by_entropy = [head.name for head in role_map.heads()]
    stored = [head.name for head in role_map]
    for wanted, order in (("ascending", by_entropy), ("descending", by_entropy[::-1]), (None, stored)):
        page.execute_script("arguments[0].click()", heading.find_element(By.TAG_NAME, "button"))
        assert page.execute_script(names, table) == order and heading.get_attribute("aria-sort") == wanted
    page.execute_script("arguments[0].click()", page.find_element(By.CSS_SELECTOR, "#all-heads .csv"))
    WebDriverWait(page, 5).until(lambda _: list(tmp_path.glob("*.csv")))
    (path,) = tmp_path.glob("*.csv")
    frame = pd.read_csv(path)
    assert path.name == "every-head-of-the-role-map.csv"
    assert frame["head"].tolist() == [head.name for head in role_map]
    assert frame["entropy"].tolist() == [head.entropy for head in role_map], "unrounded"
    assert HOSTILE[0] in frame["texts"][0]


def test_pointing_shows_a_head_until_one_is_pinned(page):
    def point(name: str, click: bool = False) -> None:
        cell = page.find_element(By.CSS_SELECTOR, f'[data-head="{name}"]')
        actions = webdriver.ActionChains(page, duration=50).move_to_element(cell)
        (actions.click() if click else actions).perform()

    point("L1.H1")
    assert shown(page) == "L1.H1"
    point("L2.H0", click=True)
    point("L1.H2")
    assert shown(page) == "L2.H0"
    press(page, Keys.ESCAPE)
    point("L1.H1")
    assert shown(page) == "L1.H1"


def test_a_notebook_shows_the_page_in_a_frame(browser, role_map, tmp_path):
    (tmp_path / "notebook.html").write_text("<!doctype html><main>" + Report(role_map)._repr_html_(), encoding="utf-8")
    browser.get((tmp_path / "notebook.html").as_uri())
    browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
    assert browser.execute_script("return document.documentElement.dataset.ready") == "true"
    cell = browser.find_element(By.CSS_SELECTOR, '[data-head="L2.H1"]')
    browser.execute_script("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", cell)
    cell.click()
    assert shown(browser) == "L2.H1"
    browser.find_element(By.CSS_SELECTOR, "#sections a").click()
    assert shown(browser) == "L2.H1", "a link to a section stays in the frame"
    assert browser.get_log("browser") == []


def test_two_maps_side_by_side_show_a_head_in_both_and_the_changed_ones_first(
    browser, role_map, random_role_map, tmp_path
):
    other = random_role_map(HOSTILE, seed=1, name=HOSTILE[0], silent=("L1.H0",))
    found = Report(role_map, against=other)
    found.save(tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())
    names = [button.text for button in browser.find_elements(By.CSS_SELECTOR, "#changes .changed-now tbody button")]
    assert names == [head.name for head in found.changes.changed][:12] and names
    assert browser.find_element(By.CSS_SELECTOR, ".in-both h3").text == names[0]
    framed = browser.execute_script("return [...document.querySelectorAll('.sides .changed')].map(e => e.dataset.pair)")
    assert sorted(framed) == sorted(2 * [head.name for head in found.changes.changed])
    browser.execute_script("""document.querySelector('.sides [data-pair="L2.H0"]').focus()""")
    press(browser, Keys.RIGHT)
    assert browser.find_element(By.CSS_SELECTOR, ".in-both h3").text == "L2.H1"
    entropies = [head["L2.H1"].entropy for head in (role_map, other)]
    assert numbers(browser, ".in-both .role-line b") == entropies
    focus_grid(browser, "L2.H1")
    assert entropies[1] in numbers(browser, "#panel .in-other")
    assert "hacked" not in browser.title and browser.get_log("browser") == []
