import xml.etree.ElementTree as ET

from nnunet_mamba.report.charts.axes import log_ticks, name_above
from nnunet_mamba.report.charts.lettering import text_width

# What a telephone of 380 pixels shows of a chart at once, in its units.
SEEN = 320


def test_ticks_of_a_logarithmic_axis_are_round():
    assert log_ticks(1e4, 1e8) == [1e4, 1e5, 1e6, 1e7, 1e8]
    assert log_ticks(3e4, 3e5) == [5e4, 1e5, 2e5]


def test_long_names_above_rows_are_seen_on_a_telephone():
    name = "nnUNetTrainerUltraLightVMNoMamba_robust_20epochs_seed1"
    drawn, height = name_above(name, 4)
    lines = list(ET.fromstring(f"<svg>{drawn}</svg>"))
    assert "".join(line.text for line in lines) == name
    assert max(float(line.get("x")) + text_width(line.text, 12) for line in lines) < SEEN
    assert height == 2 * name_above("VMUNet", 4)[1]
