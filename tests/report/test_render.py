import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.report.charts.axes import ticks
from nnunet_mamba.report.charts.line_chart import Series, line_chart
from nnunet_mamba.report.figures import draw_panel, outline
from nnunet_mamba.report.render import RanCommand, Report, render_report, write_report
from nnunet_mamba.results.confusion import Confusion, ScoredCase
from nnunet_mamba.results.training_logs import Epoch

VOID = {"meta", "img", "input", "br", "wbr"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and keeps every attribute."""

    def __init__(self, html):
        super().__init__()
        self.open, self.attributes, self.tags, self.text = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def case(identifier, tp, fp, fn, tn):
    return ScoredCase(identifier=identifier, confusions={"lesion": Confusion(tp=tp, fp=fp, fn=fn, tn=tn)})


@pytest.fixture
def panel_files(tmp_path):
    label, prediction = np.zeros((2, 32, 32), np.uint8)
    label[4:12, 0:8] = 1
    prediction[5:13, 0:8] = 1
    Image.fromarray(label).save(tmp_path / "label.png")
    Image.fromarray(prediction).save(tmp_path / "prediction.png")
    Image.fromarray(np.full((60, 80, 3), 127, np.uint8)).save(tmp_path / "photo.jpg")
    return {
        name: tmp_path / file
        for name, file in (("photograph", "photo.jpg"), ("label", "label.png"), ("prediction", "prediction.png"))
    }


@pytest.fixture
def report(panel_files):
    cases = [case("best", 50, 1, 1, 48), case("worst", 10, 30, 20, 40), case("none", 0, 0, 0, 100)]
    return Report(
        title="Skin & <script>",
        summary="What was done.",
        notice="These data are synthetic.",
        cases=cases,
        panels=[draw_panel(one.identifier, one.dice, **panel_files) for one in cases],
        epochs=[
            Epoch(number=0, train_loss=0.5, validation_loss=0.6, pseudo_dice=(0.4,), seconds=2),
            Epoch(number=1, train_loss=-0.5, validation_loss=-0.4, pseudo_dice=(0.8,), seconds=2),
        ],
        commands=[RanCommand(title="Train", command="nnUNetv2_train 1 2d 0", seconds=65)],
        facts=[("Machine", "two cores")],
    )


def test_page_is_well_formed_and_needs_nothing_from_elsewhere(report):
    html = render_report(report)
    page = Page(html)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert not re.search(r"https?:|@import|url\(", html)
    for tag, name, value in page.attributes:
        if name in ("src", "href", "srcset"):
            assert value.startswith("data:image/"), (tag, name, value[:40])
    assert page.tags.count("img") == 3


def test_page_shows_both_protocols_by_name(report):
    text = " ".join(Page(render_report(report)).text)
    mean_dice = (100 / 102 + 20 / 70) / 2
    pooled = 120 / (120 + 31 + 21)
    assert f"{mean_dice:.3f}" in text
    assert f"{pooled:.3f}" in text
    assert "Mean per-case Dice" in text
    assert "Pooled-pixel DSC" in text


def test_page_says_that_data_are_synthetic_and_how_empty_cases_count(report):
    text = " ".join(Page(render_report(report)).text)
    assert "These data are synthetic." in text
    assert "left out of the mean" in text


def test_cases_come_worst_first_and_those_without_dice_last(report):
    html = render_report(report)
    captions = re.findall(r"<figcaption><span>(\w+)</span>", html)
    assert captions == ["worst", "best", "none"]
    assert "Dice n/a" in html


def test_page_shows_curve_commands_and_facts(report):
    page = Page(render_report(report))
    text = " ".join(page.text)
    assert page.tags.count("polyline") == 3
    assert "nnUNetv2_train 1 2d 0" in text
    assert "1 min 05 s" in text
    assert "two cores" in text


def test_text_is_escaped(report):
    assert "Skin &amp; &lt;script&gt;" in render_report(report)


def test_page_is_made_for_phones_and_dark_rooms(report):
    html = render_report(report)
    assert 'name="viewport"' in html
    assert "prefers-color-scheme: dark" in html
    # A trainer's name among the steps made the page wider than a telephone.
    assert re.search(r"^body \{[^}]*overflow-wrap: anywhere", html, flags=re.M)


def test_report_without_training_or_panels_leaves_those_sections_out():
    several = {"a": Confusion(tp=1, fp=0, fn=0, tn=9), "b": Confusion(tp=0, fp=1, fn=1, tn=8)}
    report = Report(title="T", summary="S", notice="", cases=[ScoredCase(identifier="c", confusions=several)])
    page = Page(render_report(report))
    text = " ".join(page.text)
    assert "Training" not in text
    assert "What was run" not in text
    assert "polyline" not in page.tags


def test_writes_the_page_and_leaves_nothing_partial(report, tmp_path):
    write_report(report, tmp_path / "out" / "report.html")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]
    Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))


def test_outline_runs_along_the_pixel_borders_and_closes_at_the_edge():
    label = np.zeros((8, 8), np.uint8)
    label[0:3, 0:4] = 1
    numbers = np.array(re.findall(r"-?[\d.]+", outline(label)), float).reshape(-1, 2)
    assert numbers.min(0).tolist() == [0, 0]
    assert numbers.max(0).tolist() == [4, 3]
    assert outline(np.zeros((8, 8), np.uint8)) == ""


def test_panel_refuses_masks_of_different_size(panel_files, tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match=r"case_1: prediction is \(8, 8\)"):
        draw_panel("case_1", 0.5, **{**panel_files, "prediction": tmp_path / "small.png"})


def test_panel_keeps_the_shape_of_the_photograph(panel_files):
    panel = draw_panel("case_1", 0.5, **panel_files)
    assert panel.aspect == pytest.approx(80 / 60)
    assert (panel.width, panel.height) == (32, 32)


def test_chart_skips_what_is_not_a_number():
    chart = str(line_chart([Series(name="loss", values=[1.0, math.nan, 3.0], style="first")], title="Loss"))
    assert chart.count("<circle") == 2
    assert "nan" not in chart
    assert line_chart([Series(name="loss", values=[math.nan], style="first")], title="Loss") == ""


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.93, 0.11), (1, 12), (0.5, 0.5001), (3, 3)])
def test_ticks_are_few_round_and_inside(low, high):
    found = ticks(low, high)
    assert 1 <= len(found) <= 12
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)


def test_wide_tables_scroll_and_say_so_and_no_word_tells_a_side(panel_files):
    report = Report(title="T", summary="S", notice="", cases=[case("a", 1, 2, 3, 4)], panels=[])
    html = render_report(report)
    assert html.count("<table>") == 2
    assert re.findall(
        r'<div class="scroll" tabindex="0" role="region" aria-label="[^"]+">\s*<table>', html
    ) == re.findall(r'<div class="scroll"[^>]*>\s*<table>', html)
    assert html.count("Scroll the table sideways for all columns.") == 2
    # On a telephone, cards and pictures lie below each other.
    text = " ".join(Page(html).text)
    assert not re.search(r"\b(beside|left|right)\b", text[text.index("Mean per-case") :])


def test_a_label_map_in_colour_is_drawn_as_its_one_channel(panel_files, tmp_path):
    grey = draw_panel("a", 0.5, **panel_files)
    picture = Image.open(panel_files["prediction"])
    picture.convert("RGBA").save(tmp_path / "colour.png")
    assert draw_panel("a", 0.5, **{**panel_files, "prediction": tmp_path / "colour.png"}) == grey
    pixels = np.asarray(picture)
    Image.fromarray(np.stack([pixels, pixels * 0, pixels], -1)).save(tmp_path / "colour.png")
    with pytest.raises(ValueError, match=r"colour\.png is no label map: it has 3 channels that differ"):
        draw_panel("a", 0.5, **{**panel_files, "prediction": tmp_path / "colour.png"})
