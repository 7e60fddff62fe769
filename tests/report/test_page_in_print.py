"""The page of a data set's trainings in print, in Chromium: nothing hides beyond an edge, and paper is light."""

import base64
import json

import pytest
from browser import start_browser

from nnunet_mamba.report.contents.dataset_report import report_of
from nnunet_mamba.report.contents.gathering import ReportRequest, gather
from nnunet_mamba.report.contents.reported_model import NetworkCost
from nnunet_mamba.report.dataset_page import page_content, render_page

pytestmark = pytest.mark.slow

# A4 less its margins, in CSS pixels.
PAPER_WIDTH = 703
COST = NetworkCost(
    n_parameters=49_425, multiply_adds=60_000_000, flops=150_000_000, latency_ms=3.2, image_shape=(3, 64, 64)
)
TRAINERS = ("nnUNetTrainerUltraLightVMNoMamba_100epochs_200iterations", "nnUNetTrainerUMambaEncTumour_100epochs")
ORGANS = ("spleen", "right kidney", "left kidney", "gallbladder", "oesophagus", "liver", "stomach", "aorta")
WIDTHS = """
return [...document.querySelectorAll('.card.table, figure.card, dl')].map((box) => [
  box.textContent.trim().slice(0, 30), Math.max(box.scrollWidth - box.clientWidth,
    ...[...box.querySelectorAll('table, svg, td, th')].map(
      (part) => part.getBoundingClientRect().right - box.getBoundingClientRect().right))])
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = start_browser(tmp_path_factory.mktemp("saved"))
    yield started
    started.driver.quit()


@pytest.fixture
def write_page(write_training, tmp_path):
    def write(labels):
        for shift, trainer in enumerate(TRAINERS):
            found = {str(fold): {f"case_{fold}{n}": 11 + fold + n + shift for n in range(3)} for fold in range(2)}
            values = {"background": 0, **{label: value for value, label in enumerate(labels, 1)}}
            training = write_training(trainer, found, labels=values)
            for summary in training.glob("fold_*/validation/summary.json"):
                content = json.loads(summary.read_text())
                for entry in content["metric_per_case"]:
                    entry["metrics"] = {str(value): entry["metrics"]["1"] for value in range(1, len(labels) + 1)}
                summary.write_text(json.dumps(content))
        costs = dict.fromkeys(TRAINERS, COST)
        page = tmp_path / "report.html"
        html = render_page(page_content(report_of(gather(ReportRequest(dataset="1")), costs=costs, papers="isic17")))
        page.write_text(html, encoding="utf-8")
        return page

    return write


def print_page(browser, page):
    """Open a page as it is laid out for print, for someone whose screen is dark."""
    emulate = browser.driver.execute_cdp_cmd
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    emulate("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    size = {"width": PAPER_WIDTH, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    emulate("Emulation.setDeviceMetricsOverride", size)
    browser.driver.get(page.as_uri())


@pytest.mark.parametrize("n_labels", [1, 8, 16, 24])
def test_no_table_or_chart_is_wider_than_the_paper(browser, write_page, n_labels):
    labels = [f"{ORGANS[n % len(ORGANS)]}{' in part' * (n // len(ORGANS))}" for n in range(n_labels)]
    print_page(browser, write_page(labels))
    assert browser.run("return document.documentElement.scrollWidth") <= PAPER_WIDTH
    widths = browser.run(WIDTHS)
    assert len(widths) > 5
    assert [(name, excess) for name, excess in widths if excess > 1] == []


def test_numbers_do_not_break_and_headings_return_on_every_sheet(browser, write_page):
    print_page(browser, write_page(["lesion"]))
    style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    assert browser.run(style, ".card.table td", "overflowWrap") == "normal"
    assert browser.run(style, ".card.table thead", "display") == "table-header-group"
    assert browser.run(style, ".card.table tbody tr", "breakInside") == "avoid"
    assert browser.run(style, ".card.table tbody th", "position") == "static"


def test_paper_is_light_where_the_screen_is_dark(browser, write_page):
    print_page(browser, write_page(["lesion"]))
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("return getComputedStyle(document.querySelector('.card')).color") == "rgb(31, 35, 40)"


def test_a_heading_stays_with_what_follows(browser, write_page):
    print_page(browser, write_page(["lesion"]))
    done = browser.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    assert base64.b64decode(done["data"]).startswith(b"%PDF")
    style = (
        "return [...document.querySelectorAll('h2, h2 + p:not(:last-child)')].map(e => getComputedStyle(e).breakAfter)"
    )
    assert set(browser.run(style)) == {"avoid"}
