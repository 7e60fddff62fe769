"""Chromium without a window, for the scripts that measure in a browser."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

PATIENCE_SECONDS = 600


@contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium.

    Yields:
        Selenium's driver, or None where Chromium, its driver or Selenium is missing.
    """
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if find_spec("selenium") is None or None in programs:
        yield None
        return
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    # Root may not run Chromium's sandbox, and in containers shared memory is small.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs[1]))
    driver.set_script_timeout(PATIENCE_SECONDS)
    try:
        yield driver
    finally:
        driver.quit()
