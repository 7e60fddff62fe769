"""The page in a real browser without a window."""

import json
import shutil
import time

import pytest

# For a machine that does other things meanwhile; nothing is measured by it.
PATIENCE = 300


class Browser:
    """A browser with the page, as a person uses it.

    Args:
        driver: Selenium's.
        folder: where it saves files.
    """

    def __init__(self, driver, folder):
        self.driver = driver
        self.folder = folder

    def open(self, url):
        self.driver.get(url)
        self.wait(lambda: self.run("return document.documentElement.dataset.ready"))

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def text(self, name):
        return self.run("return document.getElementById(arguments[0]).textContent", name)

    def wait(self, condition):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.05)
        raise AssertionError(f"waited in vain; the page says {self.text('status')!r} and {self.text('problems')!r}")

    def choose(self, *files):
        """Give files to the page, and wait until it is done with them."""
        self.driver.find_element("id", "choose").send_keys("\n".join(map(str, files)))
        self.wait(lambda: "…" not in self.text("status"))

    def names(self):
        return self.run("return [...document.querySelectorAll('#images .name')].map((name) => name.textContent)")

    def show(self, name):
        """Show an image of the list, and wait until it is there."""
        self.run(
            "[...document.querySelectorAll('#images button')].find((b) => b.innerText.includes(arguments[0])).click()",
            name,
        )
        self.wait(lambda: name in self.text("result-title"))

    def save(self, button, name):
        """Press a button that saves a file, and return the file."""
        self.driver.find_element("id", button).click()
        file = self.folder / name
        self.wait(file.is_file)
        return file

    def requests(self):
        """Return the addresses that anything in the page has asked for, since the last call."""
        entries = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self):
        """Return what the browser has complained about."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


def start_browser(folder):
    """Return a browser, or skip the test with a reason."""
    selenium = pytest.importorskip("selenium.webdriver")
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if missing := [name for name, program in programs.items() if program is None]:
        pytest.skip(f"{' and '.join(missing)} not installed; on Debian: apt-get install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = programs["chromium"]
    # Root may not run Chromium's sandbox, and in containers shared memory is small.
    for argument in (
        "--force-prefers-reduced-motion",
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--window-size=1280,1000",
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(programs["chromedriver"]))
    driver.execute_cdp_cmd("Network.enable", {})
    return Browser(driver, folder)
