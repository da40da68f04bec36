"""A headless Chromium that tests drive as a person would."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(None in (CHROMIUM, DRIVER), reason="needs chromium and chromedriver")


@contextlib.contextmanager
def browser(width: int = 1400, height: int = 1000) -> Iterator[Chrome]:
    """Open a window of this size."""
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def complaints(driver: Chrome) -> list[str]:
    """Return the errors that the console shows."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
