"""The paper's table: each printed number beside one's own, scored by the paper's protocol."""

import csv
import io
import json
from pathlib import Path

import pytest

from nnunet_mamba.comparison.scored_model import ScoredModel
from nnunet_mamba.evaluation.paper_protocols import protocol_scores
from nnunet_mamba.networks.complexity import Complexity
from nnunet_mamba.report.contents.reported_model import ReportedModel
from nnunet_mamba.report.tables.as_csv import as_csv
from nnunet_mamba.report.tables.as_markdown import as_markdown
from nnunet_mamba.report.tables.score_figures import model_figures
from nnunet_mamba.reproduction.experiments import EXPERIMENTS
from nnunet_mamba.reproduction.network_costs import counted
from nnunet_mamba.reproduction.own_scores import OwnScores
from nnunet_mamba.reproduction.planned_rows import planned_rows
from nnunet_mamba.reproduction.request import ReproductionRequest
from nnunet_mamba.reproduction.result_table import ReproducedRow, Reproduction, result_table
from nnunet_mamba.reproduction.row_trainers import network_of
from nnunet_mamba.reproduction.writing import refuse_other_run, write_reproduction
from nnunet_mamba.results.confusion import Confusion, ScoredCase


def cases(label, *counts):
    return [
        ScoredCase(identifier=f"case_{number:02d}", confusions={label: Confusion(tp=tp, fp=fp, fn=fn, tn=tn)})
        for number, (tp, fp, fn, tn) in enumerate(counts)
    ]


FIRST = cases("lesion", (90, 10, 5, 895), (1, 3, 9, 987))
SECOND = cases("lesion", (80, 10, 15, 895), (5, 3, 5, 987))


def scores(*repeats):
    models = [ScoredModel(name=str(number), place=Path(), cases=each) for number, each in enumerate(repeats)]
    reported = ReportedModel(name="T", repeats=models, seeds=range(1, len(models) + 1))
    return OwnScores(figures=model_figures(reported), n_models=len(models), hours=1.5)


def found(name, method, dataset, own, *, given=("isic17", "isic18", "ph2", "lgg", "synapse")):
    experiment = EXPERIMENTS[name]
    request = ReproductionRequest(
        experiment=experiment, output=Path("out"), places=dict.fromkeys(given, Path()), rows=[method]
    )
    (row,) = [row for row in planned_rows(request) if row.row.setting.dataset == dataset]
    network = network_of(row.row)
    cost = None if network is None else counted(network, 256)
    return ReproducedRow(planned=row, scores=own, cost=cost)


def column(row, metric, label=""):
    return row.own(row.row.printed(metric, label).column)


def test_own_numbers_are_those_of_the_papers_protocol_with_the_deviation_over_seeds():
    row = found("ultralbm-unet-table-1", "UltraLBM-UNet", "isic17", scores(FIRST, SECOND))
    pooled = [
        next(each for each in protocol_scores(one) if each.protocol == "pooled pixels").dice for one in (FIRST, SECOND)
    ]
    assert column(row, "dice").value == pytest.approx(sum(pooled) / 2)
    assert column(row, "dice").spread == pytest.approx(abs(pooled[0] - pooled[1]) / 2**0.5)
    one = found("ultralight-vm-unet-table-1", "UltraLight VM-UNet", "isic17", scores(FIRST))
    total = Confusion(tp=91, fp=13, fn=14, tn=1882)
    for metric in ("dice", "sensitivity", "specificity", "accuracy"):
        assert column(one, metric).value == getattr(total, metric)


def test_tumours_are_scored_batch_by_batch():
    many = cases("tumour", *([(90, 10, 5, 895)] * 16), (1, 3, 9, 987))
    row = found("mamba-tumour-segmentation-table-i", "UL-VM-UNet", "lgg", scores(many))
    assert column(row, "dice").value == pytest.approx((180 / 195 + 2 / 14) / 2)


def test_organs_stand_in_columns_of_their_own():
    organs = [
        ScoredCase(
            identifier="case_01",
            confusions={
                "aorta": Confusion(tp=8, fp=2, fn=0, tn=90),
                "liver": Confusion(tp=5, fp=0, fn=5, tn=90),
            },
        )
    ]
    row = found("vm-unet-table-ii", "VM-UNet", "synapse", scores(organs))
    assert column(row, "dice", "aorta").value == pytest.approx(16 / 18)
    assert column(row, "dice").value == pytest.approx((16 / 18 + 10 / 15) / 2)
    assert column(row, "dice", "spleen").value != column(row, "dice", "spleen").value
    assert column(row, "hd95").value != column(row, "hd95").value


def test_networks_are_counted_as_the_papers_count():
    row = found("ultralbm-unet-table-1", "UltraLBM-UNet", "isic17", None)
    assert (column(row, "parameters").value, column(row, "flops").value / 1e9) == (
        34_166,
        pytest.approx(0.060454, abs=1e-6),
    )
    assert isinstance(row.cost, Complexity)


@pytest.fixture
def reproduction():
    return Reproduction(
        rows=[
            found("ultralbm-unet-table-1", "UltraLBM-UNet", "isic17", scores(FIRST, SECOND)),
            found("ultralbm-unet-table-1", "UltraLBM-UNet", "isic18", None, given=["isic17"]),
        ],
        differences=["Other images than the `data` of the paper."],
    )


def test_printed_numbers_keep_their_decimals_and_own_ones_stand_behind_with_as_many(reproduction):
    lines = as_markdown(result_table(reproduction)).splitlines()
    assert lines[2].startswith("| method | IoU(%) | IoU(%) here | DSC(%) | DSC(%) here | Params (M) | Params (M) here")
    (ran,) = [line for line in lines if line.startswith("| UltraLBM-UNet |")]
    cells = [cell.strip() for cell in ran.strip("|").split("|")]
    assert cells[3:7] == ["88.78 ± 0.45", "85.41 ± 2.36", "0.034", "0.034"]
    assert cells[-2:] == ["2", "1.50"]
    (lost,) = [line for line in lines if line.startswith("| UltraLBM-UNet<sup>")]
    assert "| 88.85 ± 0.39 | – |" in lost
    assert "Printed ± of isic17 and isic18 is over three seeds." in lines


def test_the_files_hold_the_same_with_differences_and_reasons(reproduction, tmp_path):
    experiment = EXPERIMENTS["ultralbm-unet-table-1"]
    request = ReproductionRequest(experiment=experiment, output=tmp_path / "out", places={}, repeats=2)
    text, table, content = (
        file.read_text(encoding="utf-8") for file in write_reproduction(reproduction, request, in_words=str.upper)
    )
    assert text.startswith("Each network is trained by the recipe of its own paper")
    assert "- OTHER IMAGES THAN" in text
    assert "- UltraLBM-UNet (isic18): NO FILES ARE GIVEN" in text
    first, second = csv.DictReader(io.StringIO(table))
    assert (first["printed_dice"], first["printed_dice_sd"]) == ("0.8878", "0.0045")
    assert (first["dataset"], second["dice"]) == ("isic17", "")
    ran, lost = json.loads(content)["rows"]
    dice = next(number for number in ran["numbers"] if number["metric"] == "dice")
    assert dice["printed"] == "88.78 ± 0.45"
    assert float(first["dice"]) == dice["own"]
    assert lost["reason"].startswith("No files are given")
    assert as_csv(result_table(reproduction)) == table


def test_a_table_with_numbers_that_a_run_leaves_out_is_not_replaced_and_rows_may_be_added(reproduction, tmp_path):
    experiment = EXPERIMENTS["ultralbm-unet-table-1"]
    request = ReproductionRequest(experiment=experiment, output=tmp_path / "out", places={}, repeats=2)
    write_reproduction(reproduction, request, in_words=str)
    refuse_other_run(request, planned_rows(request))
    other = [row for row in planned_rows(request) if row.row.method == "MALUNet"]
    with pytest.raises(ValueError, match=r"numbers of UltraLBM-UNet \(isic17\), and this run leaves them out"):
        refuse_other_run(request, other)


def test_a_row_that_could_run_and_has_no_numbers_is_lacking_and_one_that_could_not_is_not(reproduction):
    assert not reproduction.lacks_numbers([True, False])
    assert reproduction.lacks_numbers([True, True])
