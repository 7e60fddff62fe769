"""The page of a data set's trainings, from results with made-up summaries to files."""

import re

import numpy as np
import pytest
from PIL import Image
from test_render import Page

from nnunet_mamba.evaluation.distances.conventions import MEDPY, DistanceMeasure
from nnunet_mamba.report import dataset_page
from nnunet_mamba.report.charts.colours import DARK, LIGHT
from nnunet_mamba.report.contents.dataset_report import PatientTable, report_of
from nnunet_mamba.report.contents.gathering import ReportRequest, gather
from nnunet_mamba.report.contents.reported_model import NetworkCost
from nnunet_mamba.report.dataset_page import page_content, render_page
from nnunet_mamba.report.figure_data import short_name
from nnunet_mamba.report.tables.score_figures import model_figures
from nnunet_mamba.report.writing import files_folder, write_dataset_report

FOLDS = {"0": {f"case_{n}": n for n in range(10)}, "1": {f"case_{n}": n for n in range(10, 21)}}
LOG = "2026-01-01 10:00:00.0: Epoch 0\n2026-01-01 10:00:01.0: train_loss -0.5\n2026-01-01 10:00:02.0: val_loss -0.2\n"
COST = NetworkCost(
    n_parameters=49_425, multiply_adds=60_000_000, flops=150_000_000, latency_ms=3.2, image_shape=(3, 64, 64)
)


@pytest.fixture
def trainings(write_training, tmp_path):
    """Two trainers, one of them with two seeds, and images and masks of every case."""
    for name in ("nnUNetTrainerA_seed1", "nnUNetTrainerA_seed2", "nnUNetTrainer<B>"):
        training = write_training(name, FOLDS)
        for fold, found in FOLDS.items():
            (training / f"fold_{fold}" / "training_log_2026_1_1_10_00_00.txt").write_text(LOG)
            for case in found:
                write_mask(training / f"fold_{fold}" / "validation" / f"{case}.png", 3)
    raw = tmp_path / "nnUNet_raw" / "Dataset001_Toy"
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True)
    for case in (case for found in FOLDS.values() for case in found):
        write_mask(raw / "labelsTr" / f"{case}.png", 4)
        Image.fromarray(np.full((10, 10, 3), 120, np.uint8)).save(raw / "imagesTr" / f"{case}_0000.png")


def write_mask(path, n_rows):
    mask = np.zeros((10, 10), np.uint8)
    mask[2 : 2 + n_rows, 2:7] = 1
    Image.fromarray(mask).save(path)


def made(**options):
    gathered = gather(ReportRequest(dataset="1"))
    return report_of(gathered, costs={"nnUNetTrainerA": COST}, **options)


@pytest.mark.usefixtures("trainings")
def test_the_page_needs_nothing_else_and_shows_everything():
    html = render_page(page_content(made(papers="isic17")))
    page = Page(html)
    # No script, no network.
    assert "script" not in page.tags
    links = [value for _, name, value in page.attributes if name in ("src", "href")]
    assert [link for link in links if not link.startswith(("#", "data:image/jpeg;base64,"))] == []
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", html)
    assert titles == [
        *("Scores", "Published by others", "Dice and size", "Dice of every case", "Which trainer is better"),
        *("Best, median and worst case", "Cases that all trainers miss", "Trainings", "Labels in the data"),
        "How this was made",
    ]
    assert "nnUNetTrainer&lt;B&gt;" in html
    assert "<B>" not in html
    # 3 and at most 6 pictures with the outlines of 2 trainers and of the reference.
    assert html.count("<img ") == 9
    assert "Mean and standard deviation over seeds of nnUNetTrainerA" in html
    assert len(html) < 3_000_000


@pytest.mark.usefixtures("trainings")
def test_ids_are_unique_and_links_lead_somewhere():
    page = Page(render_page(page_content(made())))
    ids = [value for _, name, value in page.attributes if name == "id"]
    links = [value for _, name, value in page.attributes if name == "href"]
    assert len(set(ids)) == len(ids)
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_one_training_without_images_logs_and_costs_is_a_page_too(write_training):
    write_training("A", {"0": {"a": 20}})
    report = report_of(gather(ReportRequest(dataset="1")), costs={})
    content = page_content(report)
    html = render_page(content)
    assert "Which trainer is better" not in html
    assert "Dice and size" not in html
    assert html.count("<img ") == 0
    assert report.undrawn == [report.undrawn[0]]
    assert [table.key for table in content.tables] == ["scores_per_case", "scores_pooled"]


@pytest.mark.usefixtures("trainings")
def test_tables_and_figures_lie_beside_the_page(tmp_path):
    page = tmp_path / "out" / "report.html"
    page.parent.mkdir()
    written = write_dataset_report(made(papers="isic17"), page)
    assert written[0] == page
    names = {path.name for path in files_folder(page).iterdir()}
    assert names == {path.name for path in written[1:]}
    assert {"report.md", "scores_per_case.csv", "scores_per_case.tex", "published.csv", "differences.tex"} <= names
    for stem in ("dice_over_parameters", "dice_of_cases", "differences", "trainings"):
        assert {f"{stem}.png", f"{stem}.svg"} <= names
    with Image.open(files_folder(page) / "dice_over_parameters.png") as picture:
        assert min(picture.size) > 1000
    assert "nnUNetTrainerA" in (files_folder(page) / "report.md").read_text()
    alone = tmp_path / "alone" / "report.html"
    alone.parent.mkdir()
    assert write_dataset_report(made(), alone, page_only=True) == [alone]
    assert list(alone.parent.iterdir()) == [alone]


@pytest.mark.usefixtures("trainings")
def test_a_model_without_costs_is_named_below_the_scatter():
    html = render_page(page_content(made()))
    assert "Not drawn: nnUNetTrainer&lt;B&gt; (parameters not known)." in html


@pytest.mark.usefixtures("trainings")
def test_each_model_has_its_colour_on_light_and_dark_pages():
    html = render_page(page_content(made()))
    light, dark = (f".model-1 {{ --model: {colours[1]};" for colours in (LIGHT, DARK))
    assert html.index(light) < html.index(dark)
    assert 'class="box model-1"' in html
    assert 'class="line model-1"' in html


@pytest.mark.usefixtures("trainings")
def test_patients_of_a_table_are_resampled_whole(tmp_path):
    table = tmp_path / "patients.csv"
    rows = [f"{case},{int(case[5:]) // 3}" for found in FOLDS.values() for case in found]
    table.write_text("\n".join(["image,patient_id", *rows]))
    report = made(patients=PatientTable(file=table))
    assert report.comparison.rows[0].values.n_groups == 7
    told = made(in_words=str.upper)
    assert any("--GROUPS" in note or "`GROUPS`" in note for note in told.comparison_notes)


@pytest.mark.parametrize(
    ("name", "short"),
    [("nnUNetTrainerVMUNet_2epochs", "VMUNet_2epochs"), ("nnUNetTrainer_1epoch",) * 2, ("Other",) * 2],
)
def test_charts_leave_out_what_all_trainers_begin_with(name, short):
    assert short_name(name) == short


@pytest.mark.usefixtures("trainings")
def test_the_papers_distances_are_measured_beside_ones_own():
    options = {"distances": DistanceMeasure(tolerance=1), "paper_distances": DistanceMeasure(convention=MEDPY)}
    gathered = gather(ReportRequest(dataset="1", processes=1, **options))
    figures = page_content(report_of(gathered, costs={}, papers="synapse")).figures
    # A mask of 4 rows, of which 3 are found in each case.
    assert [model.mean("synapse_hd95").value for model in figures] == [1, 1]
    assert [len(model.model.paper_distances) for model in figures] == [1, 2]
    assert {each.unit for model in figures for each in model.model.paper_distances} == {"pixel"}


@pytest.mark.usefixtures("trainings")
def test_page_and_files_are_made_of_one_content(tmp_path, monkeypatch):
    scored = []

    def counted(model):
        scored.append(model.name)
        return model_figures(model)

    monkeypatch.setattr(dataset_page, "model_figures", counted)
    write_dataset_report(made(papers="isic17"), tmp_path / "report.html")
    assert sorted(scored) == ["nnUNetTrainer<B>", "nnUNetTrainerA"]


def test_one_trainer_and_one_case_are_told_in_the_singular(write_training):
    write_training("A", {"0": {"a": 20}})
    html = render_page(page_content(report_of(gather(ReportRequest(dataset="1")), costs={})))
    assert "<h1>Dataset001_Toy: 1 trainer, 1 case</h1>" in html
    assert "in 1 of 1 case<" in html
    assert re.findall(r"\b1 (?:cases|folds|trainers|labels)\b", html) == []
