"""Chromium for the tests of pages: one for all of them, and what axe finds on a page."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1200,900",
)  # fmt: skip
IN_CHROMIUM = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
    pytest.mark.slow,
    pytest.mark.xdist_group("browser"),  # One browser for all.
]
"""Marks of tests in the browser."""


@contextmanager
def open_chromium(profile: Path) -> Iterator:
    """A browser without a window, whose console can be read."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
    try:
        yield driver
    finally:
        driver.quit()


def set_theme(browser, scheme: str, media: str = "") -> None:
    """What the system says it prefers: "light", "dark", or "" for nothing; `media`: "print" for paper."""
    features = [{"name": "prefers-color-scheme", "value": scheme}] if scheme else []
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def resize(browser, width: int, height: int = 850) -> None:
    """The window; a phone's below 600."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def look_plain(browser) -> None:
    """Undo `resize` and `set_theme`."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    set_theme(browser, "")


def find_violations(browser, contrast: bool = True) -> list[str]:
    """What axe says against the page as it stands, one line each; `contrast` takes nine tenths of its time."""
    if not browser.execute_script("return 'axe' in window"):
        browser.execute_script(_axe())
    found = browser.execute_async_script(
        "const [contrast, done] = arguments; axe.run(document, { resultTypes: ['violations'], rules: "
        "{ 'color-contrast': { enabled: contrast }, 'label-content-name-mismatch': { enabled: true } } })"
        ".then((found) => done(found.violations));",
        contrast,
    )
    return [f"{each['id']}: {node['html'][:200]} {node['failureSummary']}" for each in found for node in each["nodes"]]


@cache
def _axe() -> str:
    """axe-core, from a package that carries it; the rest of the package is not for selenium."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None:
        pytest.skip("needs axe-playwright-python, which carries axe-core")
    return (Path(found.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8")
