from pathlib import Path

import matplotlib
import pytest
from PIL import ImageFont

from nnunet_mamba.report.charts.lettering import in_two_lines, shortened, text_width, wrapped

LONG = "nnUNetTrainerUltraLightVMNoMamba_robust_20epochs_seed1"
DEJAVU = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@pytest.mark.parametrize(
    "text",
    [LONG, "illlijjtt..,", "MWmwMWmw", "VMUNet", "nnUNetTrainer_250epochs", "UNet++ (Zhou 2018)", "0.0123456789"],
)
def test_no_text_is_wider_than_told_nor_much_narrower(text):
    width = ImageFont.truetype(DEJAVU, 200).getlength(text) / 200
    assert width <= text_width(text, 1) <= 1.2 * width + 0.2


def test_lines_break_between_words_and_parts_of_names():
    assert wrapped("a point that is long", width=7, size=1) == ["a point that", "is long"]
    assert wrapped("UltraLightVM_robust", width=8, size=1) == ["UltraLightVM_", "robust"]
    assert "".join(wrapped("x" * 50, width=10, size=1)) == "x" * 50
    assert wrapped("", width=10, size=1) == [""]


def test_long_names_take_two_lines_of_like_width_and_lose_nothing():
    lines = in_two_lines(LONG, width=20, size=1)
    assert "".join(lines) == LONG
    assert len(lines) == 2
    widths = [text_width(line, 1) for line in lines]
    assert max(widths) < 1.2 * min(widths)
    assert in_two_lines("VMUNet", width=20, size=1) == ["VMUNet"]
    assert in_two_lines("x" * 50, width=20, size=1) == ["x" * 50]


def test_long_names_keep_both_ends():
    assert shortened("nnUNetTrainerUltraLightVM_20epochs", 15) == "nnUNetT…0epochs"
    assert shortened("short", 15) == "short"
