import json
import re
from hashlib import sha256

import pytest
from scored_trainings import make_model, write_training
from typer.testing import CliRunner

from nnunet_mamba.cli.main import app

__all__ = ["make_model", "write_training"]
FOLDS = {"0": {"a": 10, "b": 20}, "1": {"c": 5}}


def run(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def words(text):
    return " ".join(text.split())


@pytest.fixture
def trainings(write_training):
    for trainer in ("A", "B"):
        write_training(trainer, FOLDS)


@pytest.mark.usefixtures("trainings")
def test_the_page_and_its_files_are_named(tmp_path):
    page = tmp_path / "page.html"
    done = run(1, "-c", "2d", "--no-distances", "--no-costs", "-o", page)
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == [str(page), str(tmp_path / "page_files")]
    assert "HD95" not in re.sub("Empty masks.*", "", page.read_text())
    assert run(1, "--no-distances", "--no-costs", "--page-only", "-o", tmp_path / "b.html").exit_code == 0
    assert not (tmp_path / "b_files").exists()


@pytest.mark.usefixtures("trainings")
def test_distances_without_label_maps_and_networks_without_weights_are_told(tmp_path):
    done = run(1, "-o", tmp_path / "page.html")
    assert done.exit_code == 1
    assert "the label maps of Dataset001_Toy are not there" in words(done.stderr)
    assert "do without distances" in words(done.stderr)
    done = run(1, "--no-distances", "-o", tmp_path / "page.html")
    assert done.exit_code == 0
    assert "Note: no costs of A:" in words(done.stderr)


@pytest.mark.usefixtures("trainings")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-o", "page.txt"], "--output page.txt: expected the name of a page, such as report.html"),
        (["--with-papers"], "Dataset001_Toy does not tell whose published rows fit it; name them with --papers"),
        (["--papers", "isic19"], "--papers 'isic19' has no published rows, expected one of isic17"),
        (["--trainers", "Z"], "no training of Z"),
        (["--folds", "7"], "--folds"),
        (["--folds", "²"], "--folds '²' names '²', expected numbers such as 0,1, or all"),
    ],
)
def test_what_cannot_be_reported_is_one_sentence(tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    done = run(1, "--no-distances", "--no-costs", *arguments)
    assert done.exit_code in (1, 2)
    assert told in words(done.stderr)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.usefixtures("trainings")
def test_a_page_that_cannot_be_written_whole_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "page_files").touch()
    for name, told in (
        ("folder.html", "folder.html is a folder: expected the name of a page"),
        ("page.html", "page_files is a file, expected a folder; choose another --output"),
    ):
        done = run(1, "--no-distances", "--no-costs", "-o", tmp_path / name)
        assert done.exit_code == 1
        assert told in words(done.stderr)
    assert not (tmp_path / "page.html").exists()
    assert run(1, "--no-distances", "--no-costs", "--page-only", "-o", tmp_path / "page.html").exit_code == 0


@pytest.mark.usefixtures("trainings")
def test_files_of_an_earlier_report_are_told(tmp_path):
    (tmp_path / "page_files").mkdir()
    (tmp_path / "page_files" / "hd95_by_label.csv").touch()
    for _ in range(2):
        done = run(1, "--no-distances", "--no-costs", "-o", tmp_path / "page.html")
        assert "page_files also holds hd95_by_label.csv, which this report has not written" in words(done.stderr)
    assert "also holds" not in run(1, "--no-distances", "--no-costs", "-o", tmp_path / "b.html").stderr


def test_the_name_of_a_data_set_tells_whose_rows_fit(write_training, tmp_path):
    write_training("A", FOLDS, dataset="Dataset017_ISIC2017")
    page = tmp_path / "page.html"
    done = run(17, "--with-papers", "--no-distances", "--no-costs", "--page-only", "-o", page)
    assert done.exit_code == 0, done.stderr
    assert "Published, by other hands" in page.read_text()


@pytest.mark.usefixtures("trainings")
def test_a_report_of_the_run_tells_what_was_read_and_written(tmp_path):
    page, told = tmp_path / "page.html", tmp_path / "run.json"
    results = tmp_path / "nnUNet_results" / "Dataset001_Toy"
    options = ["-c", "2d", "--trainers", "B", "--no-distances", "--no-costs", "-o", page]
    done = run(1, *options, "--run-report", told)
    assert done.exit_code == 0, done.output
    report = json.loads(told.read_text())
    assert (report["command"], report["outcome"]) == ("nnunet-mamba report", "finished")
    assert report["options"]["trainers"] == ["B"]
    assert report["versions"]["nnunet-mamba"]
    assert report["seconds"] > 0
    assert report["peak_memory"]["process"] > 0
    read = {entry["path"]: entry for entry in report["inputs"]}
    folds = [results / f"B__nnUNetPlans__2d/fold_{fold}/validation" for fold in FOLDS]
    assert {str(fold) for fold in folds} < set(read)
    assert not any("A__nnUNetPlans" in path for path in read)
    assert all(len(read[str(fold)]["sha256"]) == 64 for fold in folds)
    written = {entry["path"]: entry for entry in report["outputs"]}
    assert set(written) == {str(page), str(tmp_path / "page_files")}
    assert written[str(page)]["sha256"] == sha256(page.read_bytes()).hexdigest()
    assert written[str(tmp_path / "page_files")]["files"] == len(list((tmp_path / "page_files").iterdir()))


@pytest.mark.usefixtures("trainings")
def test_a_report_of_a_page_alone_names_no_folder_of_an_earlier_run(tmp_path):
    page, told = tmp_path / "page.html", tmp_path / "run.json"
    (tmp_path / "page_files").mkdir()
    options = ["--no-distances", "--no-costs", "--page-only", "-o", page]
    assert run(1, *options, "--run-report", told).exit_code == 0
    assert [entry["path"] for entry in json.loads(told.read_text())["outputs"]] == [str(page)]


def test_a_report_of_what_is_not_there_is_one_sentence(write_training, tmp_path):
    write_training("A", FOLDS)
    done = run(1, "--trainers", "Z", "--run-report", tmp_path / "run.json")
    assert done.exit_code in (1, 2)
    assert "no training of Z" in words(done.stderr)
    assert "Traceback" not in done.output
