"""Figures as files: whole pictures, the same bytes for the same numbers, nothing lost in silence."""

import math
import re

import pytest
from PIL import Image

from nnunet_mamba.report.charts.distribution_chart import NO_SCORE, Distribution
from nnunet_mamba.report.charts.interval_chart import UNKNOWN_BOUNDS, UNKNOWN_VALUE, Interval
from nnunet_mamba.report.charts.line_chart import Curves, Series
from nnunet_mamba.report.charts.scatter_points import Point
from nnunet_mamba.report.exported_figures import save_curves, save_distributions, save_intervals
from nnunet_mamba.report.exported_scatter import save_scatter

LONG = "nnUNetTrainerUltraLightVMNoMamba_robust_20epochs_seed{}"
POINTS = [
    *(
        Point(name=LONG.format(i), x=5e4 + 900 * i, y=0.88 + i / 900, amount=6e7 * (i + 1), spread=0.004)
        for i in range(9)
    ),
    Point(name="a $\\frac$ b", x=1e7, y=0.9, is_published=True),
    Point(name="lost", x=math.inf, y=0.9),
]
ROWS = [
    Distribution(name="A$", values=[0.1, 0.5, 0.9, math.nan, math.inf]),
    Distribution(name="B", values=[math.nan]),
]
INTERVALS = [
    Interval(first="A$", second="B$", value=0.1, low=0.05, high=0.15, is_shown=True),
    Interval(first="A", second="C", value=0.1, low=math.nan, high=0.2),
    Interval(first="A", second="D", value=math.nan, low=math.nan, high=math.nan),
]
CURVES = [
    Curves(title=title, series=[Series(name=f"{i}$", values=[0.1, math.inf, i], style=f"model-{i}") for i in range(8)])
    for title in ("Loss", "Dice")
]
FIGURES = {
    "scatter": lambda stem: save_scatter(POINTS, stem, y_title="Dice"),
    "distributions": lambda stem: save_distributions(ROWS, stem, x_title="Dice"),
    "intervals": lambda stem: save_intervals(INTERVALS, stem, x_title="difference"),
    "curves": lambda stem: save_curves(CURVES, stem),
}


def words(file):
    """The texts of an SVG of matplotlib, which stand in comments beside their outlines."""
    return " ".join(re.findall(r"<!-- (.*?) -->", file.read_text(), re.DOTALL))


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_numbers_give_the_same_bytes(name, tmp_path):
    first, second = (FIGURES[name](tmp_path / folder / name) for folder in "ab")
    assert [file.name for file in first] == [f"{name}.png", f"{name}.svg"]
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
    with Image.open(first[0]) as picture:
        assert min(picture.size) > 500
        assert "Software" not in picture.info
    assert "<dc:date>" not in first[1].read_text()


@pytest.mark.parametrize("name", FIGURES)
def test_settings_of_matplotlib_stay_as_they_are(name, tmp_path):
    from matplotlib import rcParams

    before = dict(rcParams)
    FIGURES[name](tmp_path / name)
    assert dict(rcParams) == before


def test_the_scatter_has_each_of_ones_own_names_and_tells_what_is_not_drawn(tmp_path):
    told = words(save_scatter(POINTS, tmp_path / "s", y_title="Dice")[1])
    # A name may stand in two lines.
    assert all(point.name in told.replace(" ", "") for point in POINTS[:9])
    assert "compute not published" in told
    assert "Not drawn: lost (parameters not known)." in told


def test_a_model_without_a_score_says_so(tmp_path):
    assert NO_SCORE in words(save_distributions(ROWS, tmp_path / "d", x_title="Dice")[1])


def test_unknown_intervals_are_told_and_the_sides_tell_which_model_is_better(tmp_path):
    told = words(save_intervals(INTERVALS, tmp_path / "i", x_title="difference")[1])
    assert told.count(UNKNOWN_BOUNDS) == 1
    assert told.count(UNKNOWN_VALUE) == 1
    assert told.index("first one worse") < told.index("first one better")


def test_curves_have_one_entry_for_each_model(tmp_path):
    told = words(save_curves(CURVES, tmp_path / "c")[1])
    assert [told.count(f"{i}$") for i in range(8)] == [1] * 8
    assert "Loss" in told
    assert "Dice" in told


def test_nothing_to_draw_is_no_file(tmp_path):
    stem = tmp_path / "nothing"
    nothing = Series(name="A", values=[math.nan], style="model-0")
    assert save_scatter([Point(name="a", x=math.nan, y=1)], stem, y_title="Dice") == []
    assert save_distributions([], stem, x_title="Dice") == []
    assert save_distributions([Distribution(name="A", values=[math.nan])], stem, x_title="Dice") == []
    assert save_intervals([], stem, x_title="difference") == []
    assert save_curves([Curves(title="T", series=[nothing])], stem) == []
    assert list(tmp_path.iterdir()) == []


def test_a_chart_that_nobody_has_measured_for_is_drawn_too(tmp_path):
    assert len(save_scatter(POINTS[:1], tmp_path / "one", y_title="Dice")) == 2
    published = [Point(name=f"m{i}", x=1e6 * (i + 1), y=0.8, is_published=True) for i in range(30)]
    told = words(save_scatter(published, tmp_path / "many", y_title="Dice")[1])
    assert "compute not published" in told


@pytest.mark.parametrize("save", [save_distributions, save_intervals])
def test_long_names_leave_room_for_what_they_name(save, tmp_path):
    def frame_width(name):
        rows = {
            save_distributions: [Distribution(name=name, values=[0.1, 0.9])],
            save_intervals: [Interval(first=name, second=name, value=0.1, low=0.05, high=0.15)],
        }[save]
        drawing = save(rows, tmp_path / "f", x_title="x")[1].read_text()
        outline = re.search(r'id="patch_2">\s*<path d="M ([\d.]+) [\d.]+\s+L ([\d.]+) ', drawing)
        return float(outline[2]) - float(outline[1])

    assert frame_width(LONG.format(1)) > 0.5 * frame_width("A")
    assert frame_width("A") > 300
