"""A Chromium without a window for tests of pages, and axe-core, which finds what keeps people from using one."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1200,900",
)  # fmt: skip
_ASK = """
const [contrast, done] = arguments, name = ({ target }) => target.join(" ");
const rules = { "label-content-name-mismatch": { enabled: true }, "color-contrast": { enabled: contrast } };
axe.run(document, { resultTypes: ["violations"], rules }).then(
  ({ violations }) => done(violations.map(({ id, nodes }) => `${id}: ${nodes.map(name).join(" | ")}`)),
  (error) => done([String(error)]));
"""
NEEDS_BROWSER = [
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER and importlib.util.find_spec("selenium")), reason="needs chromium and chromedriver"
    ),
    pytest.mark.slow,
    pytest.mark.xdist_group("browser"),  # One browser for all.
]
"""The marks of a module whose tests take `browser`."""


def start_browser(profile: Path):
    """A selenium driver; who starts it calls `quit`."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
    return driver


def resize(browser, width: int, height: int = 850) -> None:
    """The window, or a phone's where it is narrow, until `look_plain`."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def prefer(browser, scheme: str, media: str = "") -> None:
    """A system theme, "light" or "dark", and perhaps the medium "print", until `look_plain`."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def look_plain(browser) -> None:
    """Undo `resize` and `prefer`."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def find_barriers(browser, contrast: bool = True) -> list[str]:
    """What axe-core finds wrong on the page as it is now; `contrast` takes nine tenths of its time."""
    if not browser.execute_script("return 'axe' in window"):
        found = importlib.util.find_spec("axe_playwright_python")
        browser.execute_script((Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
    return browser.execute_async_script(_ASK, contrast)
