import math
from dataclasses import replace

import pytest
from latex_checks import refuse_malformed

from nnunet_mamba.data.converters.synapse import PAPERS_ORGANS, RAW_DATA_NUMBERS
from nnunet_mamba.evaluation.distances.conventions import MEDPY, DistanceMeasure, MaskDistances
from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
from nnunet_mamba.published_results import DATASETS, published_rows
from nnunet_mamba.report.contents.reported_model import NetworkCost, ReportedModel
from nnunet_mamba.report.tables.as_csv import as_csv
from nnunet_mamba.report.tables.as_latex import as_latex
from nnunet_mamba.report.tables.as_markdown import as_markdown
from nnunet_mamba.report.tables.published_rows import rows_of_dataset
from nnunet_mamba.report.tables.published_table import published_label_table, published_table
from nnunet_mamba.report.tables.score_figures import model_figures

FOUND = {"a": 20, "b": 10, "c": 5}


def shown(table, name):
    row = next(row for row in table.rows if row.name == name)
    return {column.heading: table.shown(row, column) for column in table.columns}


@pytest.fixture
def own(make_model):
    cost = NetworkCost(n_parameters=49_425, multiply_adds=60_000_000, flops=1, latency_ms=None, image_shape=(3, 8, 8))
    training = make_model("Own", FOUND, folds={"a": "0", "b": "0", "c": "1"})
    return model_figures(ReportedModel(name="Own", repeats=[training], cost=cost))


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_row_is_marked_and_tells_its_source_and_protocol(dataset):
    table = published_table(dataset)
    printed = [row for row in published_rows(dataset=dataset) if not row.table.is_ablation]
    assert len(table.rows) == len(printed) > 0
    assert all(row.is_published and row.cells["source"] and row.cells["protocol"] for row in table.rows)
    for row in table.rows:
        assert row.group.title.startswith(f"Published: {row.cells['source']} ({row.cells['protocol']}")
    assert "measured by others" in table.notes[0]
    assert len(set(table.notes)) == len(table.notes)


@pytest.mark.parametrize("dataset", DATASETS)
def test_what_is_remarked_is_a_footnote_once(dataset):
    table = published_table(dataset)
    text = as_markdown(table).replace("\\", "")
    for row in rows_of_dataset(dataset):
        for remark in (*row.remarks, *row.table.remarks, *row.table.paper.remarks, *row.setting.notes):
            assert text.count(f"</sup> {remark}") == 1, remark
        assert text.count(row.setting.shown) == 1
    assert len(set(table.footnotes.values())) == len(table.footnotes)


def test_the_printed_numbers_are_shown_as_printed():
    table = published_table("isic17")
    found = shown(table, "UltraLight VM-UNet")
    assert (found["Dice"], found["SE"], found["parameters"]) == ("0.9091", "0.9053", "0.049")
    assert found["source"] == "Wu et al. 2024, Table 1"


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_printed_digit_is_there(dataset):
    tables = [published_table(dataset), published_label_table(dataset)]
    text = "".join(as_markdown(table).replace("*", "") for table in tables if table is not None)
    for value in (value for row in rows_of_dataset(dataset) for value in row.values):
        printed = f"0.{value.text.replace('.', '')}" if value.column.unit == "%" else value.text
        assert f"| {printed} " in text, value


@pytest.mark.parametrize(
    ("dataset", "name"), [("isic17", "pooled_dsc"), ("ph2", "pooled_dsc"), ("lgg", "batch_pooled_dice")]
)
def test_own_figures_stand_above_in_the_protocol_of_the_papers(own, dataset, name):
    table = published_table(dataset, [own])
    first = table.rows[0]
    (protocol,) = {row.cells["protocol"] for row in table.rows}
    assert (first.name, first.is_published, first.cells["source"]) == ("Own", False, "measured here")
    assert first.group.title == f"Measured here ({protocol}, n = 3)"
    assert first.cells["dice"] == own.mean(name)
    assert shown(table, "Own")["parameters"] == "0.049"
    assert not any(row.is_published is False for row in table.rows[1:])


def test_own_means_are_over_the_organs_that_the_papers_print(organs):
    own = organs("Own", labels=list(RAW_DATA_NUMBERS))
    table = published_table("synapse", [own])
    assert table.rows[0].cells["dice"] == own.mean("synapse_dice", PAPERS_ORGANS)
    assert table.rows[0].cells["dice"].value != own.mean("synapse_dice").value
    assert "Means measured here are over the same." in table.notes
    other = organs("Other")
    assert published_table("synapse", [other]).rows[0].cells["dice"] == other.mean("synapse_dice")
    assert any("are over organ 0, organ 1" in note for note in published_table("synapse", [other]).notes)


def test_organs_stand_beside_the_papers_organs(organs):
    own = organs("Own", labels=list(RAW_DATA_NUMBERS))
    table = published_label_table("synapse", [own])
    assert [column.heading for column in table.shown_columns] == [
        "mean",
        *(name.replace("_", " ") for name in PAPERS_ORGANS),
    ]
    assert table.rows[0].cells["dice of liver"] == own.of_label("liver", "synapse_dice")
    (printed,) = [row for row in rows_of_dataset("synapse") if row.method == "VM-UNet"]
    liver = printed.printed("dice", "liver").value
    assert next(row for row in table.rows if row.name == "VM-UNet").cells["dice of liver"].value == pytest.approx(liver)
    assert "dice_right_kidney" in as_csv(table).splitlines()[0].split(",")
    assert published_label_table("isic17", [own]) is None


def test_hd95_is_medpys_or_not_there(organs):
    own = organs("Own", labels=list(RAW_DATA_NUMBERS))
    table = published_table("synapse", [own])
    assert math.isnan(table.rows[0].cells["hd95"].value)
    assert any("HD95 was not measured here" in note for note in table.notes)
    each = {case: dict.fromkeys(RAW_DATA_NUMBERS, MaskDistances(hd95=7.0, assd=1.0, nsd=math.nan)) for case in "abcd"}
    measured = MeasuredDistances(by_case=each, measure=DistanceMeasure(convention=MEDPY), unit="pixel")
    table = published_table("synapse", [model_figures(replace(own.model, paper_distances=[measured]))])
    assert shown(table, "Own")["HD95"] == "7.00 ± 0.00"
    assert not any("not measured here" in note for note in table.notes)


@pytest.mark.parametrize("dataset", DATASETS)
def test_latex_of_published_rows_is_well_formed(dataset, own, organs):
    refuse_malformed(as_latex(published_table(dataset, [own])))
    if (by_label := published_label_table(dataset, [organs("A_b", labels=list(RAW_DATA_NUMBERS))])) is not None:
        refuse_malformed(as_latex(by_label))
