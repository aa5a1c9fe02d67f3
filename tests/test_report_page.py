"""The page in a browser, where there is one: keys, numbers, theme; no error, nothing asked of a network."""

import shutil

import pytest

from headroles.report import Report

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1200,900",
)  # fmt: skip
HOSTILE = (
    "</script><script>document.title='hacked'</script>",
    "<img src=x onerror=\"document.title='hacked'\">",
    "a striped thing",
)

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def role_map(random_role_map):
    return random_role_map(HOSTILE)


@pytest.fixture
def page(browser, role_map, tmp_path):
    """The report of `role_map`, open in the browser; no error may be left in its console."""
    Report(role_map, commands=HOSTILE).save(tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())
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
    return [float(each.get_attribute("value")) for each in browser.find_elements(By.CSS_SELECTOR, selector + " data")]


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
        assert numbers(page, "#panel .facts") == [head.p_value, head.q_value, head.stability, head.variance]
        shares = sorted((share for share in head.distribution.values() if share), reverse=True)
        assert numbers(page, "#panel .bars:not(.texts)") == shares
        assert numbers(page, "#panel .texts") == [text.share for text in head.texts]
        words = [each.text for each in page.find_elements(By.CSS_SELECTOR, "#panel .texts .word > span:first-child")]
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
    cells = page.find_elements(By.CSS_SELECTOR, '[role="grid"] [role="gridcell"]')
    assert len(cells) == len(role_map) and [cell.get_attribute("tabindex") for cell in cells].count("0") == 1
    for cell in cells:
        head = role_map[cell.get_attribute("data-head")]
        named = cell.get_attribute("aria-label")
        assert head.name in named and head.role in named and head.concept in named
    order = page.execute_script("return [...document.querySelectorAll('a[href], button, select, input, [tabindex]')]"
                                ".filter(each => each.tabIndex > 0).length")  # fmt: skip
    assert order == 0, "the order of the tab key is that of the page"


def test_filters_leave_the_heads_that_fit(page, role_map):
    def kept() -> set[str]:
        cells = page.find_elements(By.CSS_SELECTOR, ".head:not(.dim)")
        return {cell.get_attribute("data-head") for cell in cells}

    page.find_element(By.ID, "by-text").send_keys("STRIPED")
    with_text = {head.name for head in role_map if any("striped" in text.text for text in head.texts)}
    assert kept() == with_text
    page.find_element(By.CSS_SELECTOR, ".filters [type=reset]").click()
    assert len(kept()) == len(role_map)
    page.find_element(By.ID, "by-role").send_keys("attribute")
    assert kept() == {head.name for head in role_map.heads(role="attribute")}
    assert page.find_element(By.ID, "matches").text == f"{len(kept())} of {len(role_map)} heads fit"


def test_the_theme_follows_the_system_and_the_toggle_turns_it(page):
    def background() -> str:
        return page.execute_script("return getComputedStyle(document.body).backgroundColor")

    def system(scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    button = page.find_element(By.ID, "theme")
    system("light")
    light, off = background(), button.get_attribute("aria-pressed")
    system("dark")
    dark, on = background(), button.get_attribute("aria-pressed")
    assert light != dark and (off, on) == ("false", "true")
    button.click()
    assert background() == light and button.get_attribute("aria-pressed") == "false"
    system("light")
    button.click()
    assert background() == dark and button.get_attribute("aria-pressed") == "true"
    system("dark")
    assert background() == dark, "the choice is the reader's"
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_is_never_wider_than_its_window(page, width):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    )
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
