"""In which order trainings run, and that what fails stops its own rows alone."""

from pathlib import Path

import pytest

from nnunet_mamba.crossval.attempt import TrainingOptions
from nnunet_mamba.crossval.cross_validation import CrossValidation
from nnunet_mamba.reproduction import run
from nnunet_mamba.reproduction.experiments import EXPERIMENTS
from nnunet_mamba.reproduction.planned_rows import planned_rows
from nnunet_mamba.reproduction.request import ReproductionRequest
from nnunet_mamba.reproduction.run import Prepared, TrainingPlace, train


class Silent:
    def begins(self, text):
        pass

    def note(self, text):
        pass


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    request = ReproductionRequest(
        experiment=EXPERIMENTS["ultralbm-unet-table-1"],
        output=tmp_path / "out",
        places={"isic17": Path("a"), "isic18": Path("b")},
        rows=["UltraLBM-UNet,UltraLBM-UNet-T"],
        repeats=1,
    )
    return Prepared(request=request, rows=planned_rows(request))


@pytest.fixture
def asked(monkeypatch):
    """The trainings of each cross-validation that is asked for, by the place where they run."""
    found = []

    def cross_validation(data, trainings, request, *, executor, n_slurm_gpus):
        found.append((data.dataset, executor, [training.trainer for training in trainings]))
        if data.dataset == "isic17" and executor == "local":
            raise ValueError("splits\nhave changed")
        return CrossValidation(statuses=[], options=TrainingOptions(device="cpu"), n_gpus=0, notices=[])

    monkeypatch.setattr(run, "cross_validation", cross_validation)
    return found


def test_trainings_that_cannot_begin_stop_their_rows_and_no_others(prepared, asked):
    train(prepared, TrainingPlace(run=lambda runs: None), Silent())
    reasons = {(row.row.method, row.row.setting.dataset): row.reason for row in prepared.rows}
    assert reasons["UltraLBM-UNet", "isic17"] == "It cannot be trained: splits have changed"
    assert reasons["UltraLBM-UNet", "isic18"] == "It has not been trained to its end yet."
    assert [dataset for dataset, _, _ in asked] == ["isic17", "isic18"]


def test_jobs_of_a_cluster_are_all_submitted_first_and_students_when_their_teachers_are_there(prepared, asked):
    submitted = []
    place = TrainingPlace(run=lambda runs: None, submit=lambda runs: submitted.append(len(asked)), n_gpus=1)
    train(prepared, place, Silent())
    teacher, student = "nnUNetTrainerUltraLBM_paper", "nnUNetTrainerUltraLBMTDistill_paper"
    assert asked == [
        ("isic17", "slurm", [teacher]),
        ("isic18", "slurm", [teacher]),
        ("isic17", "slurm", [teacher]),
        ("isic17", "slurm", [student]),
        ("isic18", "slurm", [teacher]),
        ("isic18", "slurm", [student]),
    ]
    assert submitted == [1, 2]


def test_what_is_only_submitted_is_not_followed(prepared, asked):
    place = TrainingPlace(run=lambda runs: pytest.fail("followed"), submit=lambda runs: None, waits=False)
    train(prepared, place, Silent())
    assert len(asked) == 2
    assert not any(row.reason.startswith("It ") for row in prepared.rows)
