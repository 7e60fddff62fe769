"""A table from drawn photographs to the numbers beside the printed ones, with stock nnU-Net."""

import json
import subprocess
import sys

import pytest

from nnunet_mamba.demo.lesions import write_isic_folder

pytestmark = pytest.mark.slow

COMMAND = "from nnunet_mamba.cli.main import app; app()"
TRAINER = "nnUNetTrainerUltraLightVM_paper_1epochs_1iterations"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    write_isic_folder(folder, n_cases=10, seed=1, progress=False)
    return folder


@pytest.fixture
def reproduce(nnunet_folders, tmp_path, photographs):
    """The command on drawn photographs, with the file of numbers that it writes."""

    def run(*arguments):
        words = ["reproduce", "ultralight-vm-unet-table-4", "--data", str(photographs), "-o", str(tmp_path / "out")]
        words += ["--rows", "3", "--device", "cpu", "--budget", "1epochs_1iterations", *arguments]
        process = subprocess.run(
            [sys.executable, "-c", COMMAND, *words],
            env=nnunet_folders.environment(OMP_NUM_THREADS="2", nnUNet_n_proc_DA="1"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stdout + process.stderr
        return process

    run.output = tmp_path / "out"
    run.results = nnunet_folders.root / "nnUNet_results/Dataset721_ISIC17_1250_600"
    return run


def test_a_table_is_run_and_a_second_run_repeats_nothing(reproduce):
    reproduce("--prepare-only")
    assert not reproduce.results.exists()
    told = reproduce("--dry-run").stdout
    assert "of training steps" in told

    first = reproduce()
    content = json.loads((reproduce.output / "table.json").read_text(encoding="utf-8"))
    (row,) = [row for row in content["rows"] if row["reason"] is None]
    assert (row["method"], row["trainer"], row["n_models"]) == ("3", TRAINER, 1)
    fold = next(reproduce.results.glob(f"{TRAINER}_seed1__*__2d/fold_0"))
    summary = json.loads((fold / "validation/summary.json").read_text(encoding="utf-8"))
    # 10 photographs: 6 train, 3 are held out, 1 is in no fold.
    counts = [case["metrics"] for case in summary["metric_per_case"]]
    assert len(counts) == 3
    tp, fp, fn = (sum(sum(label[name] for label in each.values()) for each in counts) for name in ("TP", "FP", "FN"))
    own = {number["metric"]: number["own"] for number in row["numbers"]}
    assert own["dice"] == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert own["parameters"] == 49_457
    assert any("10 images, where the paper has 2000" in text for text in content["differences"])
    assert (reproduce.output / "Dataset721_ISIC17_1250_600.html").is_file()
    assert (reproduce.output / "Dataset721_ISIC17_1250_600_files/dice_over_parameters.svg").is_file()

    began = (fold / "checkpoint_final.pth").stat().st_mtime
    second = reproduce()
    assert (fold / "checkpoint_final.pth").stat().st_mtime == began
    assert "starting" not in second.stderr
    assert second.stdout == first.stdout
