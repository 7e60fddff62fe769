from dataclasses import replace

import pytest

from nnunet_mamba.published_results.row import (
    DICE,
    FLOPS,
    HD95,
    PARAMETERS,
    Column,
    OurNetwork,
    Paper,
    PrintedValue,
    PublishedRow,
    Setting,
    Table,
    columns_of,
)


def value(text, unit="", *, metric=DICE, label="", spread=""):
    return PrintedValue(column=Column(heading="H", metric=metric, unit=unit, label=label), text=text, spread=spread)


@pytest.mark.parametrize(
    ("text", "unit", "number", "rounding"),
    [
        ("0.8940", "", 0.894, 0.00005),
        ("79.82", "%", 0.7982, 0.00005),
        ("0.049", "M", 49_000, 500),
        ("9.8", "M", 9_800_000, 50_000),
        ("4.112", "G", 4.112e9, 5e5),
        ("19.21", "mm", 19.21, 0.005),
        ("7", "mm", 7, 0.5),
    ],
)
def test_a_printed_number_in_our_own_units_with_its_rounding(text, unit, number, rounding):
    assert value(text, unit).value == pytest.approx(number)
    assert value(text, unit).rounding == pytest.approx(rounding)


def test_a_number_is_shown_as_it_is_printed():
    assert value("0.060").shown == "0.060"
    assert value("77.30", "%", spread="0.40").shown == "77.30 ± 0.40"


def test_a_row_finds_its_numbers_by_metric_and_organ():
    paper = Paper(name="p", title="P", authors="A et al.", year=2024, source="arXiv:1")
    row = PublishedRow(
        table=Table(paper=paper, number="Table 1", topic="t"),
        setting=Setting(dataset="d", split="s", n_test=1, protocol="Synapse"),
        method="m",
        values=(
            value("81.08", "%"),
            value("19.21", "mm", metric=HD95),
            value("94.17", "%", label="liver"),
            value("27.4", "M", metric=PARAMETERS),
        ),
    )

    assert row.printed(DICE).text == "81.08"
    assert row.printed(DICE, "liver").text == "94.17"
    assert row.printed(HD95).text == "19.21"
    assert row.printed(PARAMETERS).text == "27.4"
    assert row.printed(FLOPS) is None
    assert row.printed(HD95, "liver") is None
    assert paper.citation == "A et al. 2024, arXiv:1"


def test_a_network_is_shown_as_create_network_takes_it():
    assert OurNetwork(preset="vm_unet").shown == "vm_unet"
    overrides = {"depths": (2, 2), "mixer": "conv"}
    assert OurNetwork(preset="vm_unet", overrides=overrides).shown == "vm_unet, depths=(2, 2), mixer='conv'"
    assert OurNetwork(preset="vm_unet", trainer="nnUNetTrainerMine").shown == "vm_unet by nnUNetTrainerMine"


def test_columns_are_in_the_order_of_the_row_that_has_most():
    paper = Paper(name="p", title="P", authors="A et al.", year=2024, source="arXiv:1")
    values = (value("81.08"), value("19.21", "mm", metric=HD95), value("94.17", label="liver"))
    setting = Setting(dataset="d", split="s", n_test=1, protocol="Synapse")
    few, most = (
        PublishedRow(table=Table(paper=paper, number="1", topic="t"), setting=setting, method="m", values=chosen)
        for chosen in ((values[0], values[2]), values)
    )

    assert columns_of([few, most]) == tuple(each.column for each in values)
    assert columns_of([few]) == (values[0].column, values[2].column)


def test_a_setting_is_shown_in_one_line():
    setting = Setting(dataset="lgg", split="3143 and 393 slices", n_test=393, protocol="batch-pooled")
    assert setting.shown == "lgg: 3143 and 393 slices; protocol: batch-pooled"
    assert replace(setting, image_size="256×256").shown.endswith("; images of 256×256")
