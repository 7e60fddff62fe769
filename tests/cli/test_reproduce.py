"""``nnunet-mamba reproduce``: what it lists, refuses and would do."""

from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from nnunet_mamba.cli.main import app
from nnunet_mamba.demo.lesions import write_isic_folder
from nnunet_mamba.reproduction import trainings
from nnunet_mamba.reproduction.experiments import EXPERIMENTS


@pytest.fixture
def run(nnunet_folders, monkeypatch, tmp_path):
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(nnunet_folders.root / name))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["reproduce", *map(str, arguments)])


def test_lists_all_tables(run):
    result = run("--list")
    assert result.exit_code == 0, result.output
    for name in EXPERIMENTS:
        assert name in result.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "no table is named; nnunet-mamba reproduce --list names all of them"),
        (["ultralbm-table-1"], "did you mean ultralbm-unet-table-1 or"),
        (["vm-unet-table-ii", "--budget", "20"], "--budget '20' is none, expected such as 20epochs"),
        (
            ["vm-unet-table-i", "--data", "."],
            "--data . does not tell which of isic17, isic18 it is: --data isic17=FOLDER",
        ),
        (["vm-unet-table-ii", "--slurm-time", "soon"], "--slurm-time 'soon' is no time"),
    ],
)
def test_what_means_nothing_is_refused_as_wrong_usage(run, arguments, told):
    result = run(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_dry_run_names_trainings_and_reasons_and_writes_nothing(run, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    result = run("vm-unet-table-iii", "--data", "isic17=.", "--dry-run", "--budget", "2epochs")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stdout.splitlines() if "nnUNetTrainerVMUNet_paper_2epochs" in line]
    assert [cell.strip() for cell in line.split("│")[1:]] == [
        *("Dataset711_ISIC17_1500_650", "1", "0", "its data are not prepared yet")
    ]
    assert "VMamba-S (isic17) cannot be run: Its training begins with a file of weights" in result.stdout
    assert "none (isic18) cannot be run: No files are given" in result.stdout
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unknown_method_is_told_with_the_nearest(run):
    result = run("vm-unet-table-ii", "--rows", "VMUNet", "--dry-run")
    assert result.exit_code == 1
    assert "--rows 'VMUNet' is no method of the table: did you mean VM-UNet" in result.stderr


def test_without_data_every_row_is_told_and_nothing_is_written(run, tmp_path):
    result = run("ultralight-vm-unet-table-4", "--no-progress")
    assert result.exit_code == 1
    assert "3 (isic17) was not run: No files are given: name their folder with --data isic17=FOLDER." in result.stdout
    assert "0.9091" in (tmp_path / "ultralight-vm-unet-table-4/table.md").read_text(encoding="utf-8")


def test_data_that_cannot_be_converted_stop_their_rows_with_the_reason(run, tmp_path):
    (tmp_path / "empty").mkdir()
    result = run("ultralight-vm-unet-table-4", "--data", "empty", "--no-progress")
    assert result.exit_code == 1
    assert "3 (isic17) was not run: isic17 cannot be converted: no photographs in empty" in result.stdout


def test_a_conversion_of_other_files_stops_its_rows_and_is_left_alone(run, tmp_path, nnunet_folders):
    write_isic_folder(tmp_path / "drawn", n_cases=4, seed=1, progress=False)
    raw = nnunet_folders.root / "nnUNet_raw/Dataset721_ISIC17_1250_600"
    raw.mkdir()
    (raw / "mine.txt").write_text("mine")
    result = run("ultralight-vm-unet-table-4", "--data", "drawn", "--no-progress")
    assert result.exit_code == 1
    (line,) = [each for each in result.stdout.splitlines() if each.startswith("3 (isic17) was not run: ")]
    assert "holds files of another origin (mine.txt)" in line
    assert line.endswith(
        "Remove Dataset721_ISIC17_1250_600 from all three of nnU-Net's folders (nnUNet_raw, nnUNet_preprocessed and "
        "nnUNet_results), or set these variables to other folders."
    )
    assert [path.name for path in raw.iterdir()] == ["mine.txt"]


def test_a_table_of_another_budget_or_seeds_is_not_replaced(run, tmp_path):
    run("ultralight-vm-unet-table-4", "--no-progress", "--budget", "2epochs")
    file = tmp_path / "ultralight-vm-unet-table-4-2epochs/table.json"
    before = file.read_text(encoding="utf-8")
    told = {
        ("--budget", "3epochs"): "has budget 2 epochs, and this run 3 epochs",
        (): "has budget 2 epochs, and this run the paper's",
        ("--budget", "2epochs", "--repeats", "2"): "has seeds 1, and this run 1, 2",
    }
    for arguments, text in told.items():
        result = run("ultralight-vm-unet-table-4", "--no-progress", "-o", file.parent, *arguments)
        assert result.exit_code == 1
        assert f"table.json {text}; choose another --output, or move it away" in result.stderr
    assert file.read_text(encoding="utf-8") == before


def test_a_system_that_cannot_train_is_refused_before_anything_is_prepared(run, tmp_path, monkeypatch):
    monkeypatch.setattr(trainings, "os", SimpleNamespace(name="nt"))
    result = run("ultralight-vm-unet-table-4", "--no-progress")
    assert result.exit_code == 1
    assert "trains on Linux and macOS alone" in result.stderr
    assert not (tmp_path / "ultralight-vm-unet-table-4").exists()
