"""In which order trainings run, and that what fails stops its own rows alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from nnunet_mamba.crossval.attempt import TrainingOptions
from nnunet_mamba.crossval.cross_validation import CrossValidation
from nnunet_mamba.crossval.runs import Run
from nnunet_mamba.crossval.status import Status
from nnunet_mamba.reproduction import run, training_turns, trainings
from nnunet_mamba.reproduction.experiments import EXPERIMENTS
from nnunet_mamba.reproduction.planned_rows import planned_rows
from nnunet_mamba.reproduction.request import ReproductionRequest
from nnunet_mamba.reproduction.run import Prepared, TrainingPlace, train
from nnunet_mamba.results.layout import ModelName
from nnunet_mamba.results.trained_model import TrainedModel


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


class FakeRuns:
    """What becomes of trainings that nobody runs: a name is trained once it is among ``trained``."""

    def __init__(self, monkeypatch):
        self.asked, self.trained, self.refused, self.failing = [], set(), set(), set()
        monkeypatch.setattr(run, "cross_validation", self.cross_validation)
        for module in (run, training_turns, trainings):
            monkeypatch.setattr(module, "trained_models", self.models)

    def cross_validation(self, data, planned, request, *, executor, n_slurm_gpus):
        self.asked.append((data.dataset, executor, [training.trainer for training in planned]))
        if refused := [training.trainer for training in planned if (data.dataset, training.trainer) in self.refused]:
            raise ValueError(f"the splits of {refused[0]}\nhave changed")
        runs = [self.run_of(data, training, seed) for training in planned for seed in range(1, request.repeats + 1)]
        statuses = [Status(run=one, state="done" if self.key(one) in self.trained else "waiting") for one in runs]
        return CrossValidation(statuses=statuses, options=TrainingOptions(device="cpu"), n_gpus=0, notices=[])

    def run_of(self, data, training, seed):
        return Run(
            dataset=data.folder_name,
            configuration="2d",
            trainer=training.trainer_with(seed),
            plans="p",
            fold=0,
            results=Path("results"),
        )

    def key(self, one):
        return one.dataset, one.trainer

    def models(self, training, repeats):
        names = [training.trainer_with(seed) for seed in range(1, repeats + 1)]
        return [
            TrainedModel(folder=Path(name), name=ModelName(trainer=name, plans="p", configuration="2d"))
            for name in names
            if (training.data.folder_name, name) in self.trained
        ]

    def run(self, runs):
        for status in runs.statuses:
            if self.key(status.run) in self.failing:
                status.state, status.reason = "failed", "CUDA is out of memory."
            else:
                status.state = "done"
                self.trained.add(self.key(status.run))


@pytest.fixture
def fake(monkeypatch):
    return FakeRuns(monkeypatch)


def reasons(prepared):
    return {(row.row.method, row.row.setting.dataset): row.reason for row in prepared.rows}


TEACHER, STUDENT = "nnUNetTrainerUltraLBM_paper", "nnUNetTrainerUltraLBMTDistill_paper"
ISIC17, ISIC18 = "Dataset731_ISIC17_70_30", "Dataset732_ISIC18_70_30"


def test_a_training_that_cannot_begin_stops_its_rows_and_no_others(prepared, fake):
    prepared.request = replace(prepared.request, rows=["UltraLBM-UNet,MALUNet"])
    prepared.rows = planned_rows(prepared.request)
    fake.refused = {("isic17", TEACHER)}
    assert train(prepared, TrainingPlace(run=fake.run), Silent())
    told = reasons(prepared)
    assert told["UltraLBM-UNet", "isic17"] == f"It cannot be trained: the splits of {TEACHER} have changed"
    assert told["UltraLBM-UNet", "isic18"] == told["MALUNet", "isic17"] == told["MALUNet", "isic18"] == ""
    assert (ISIC17, f"{TEACHER}_seed1") not in fake.trained


def test_students_of_a_teacher_that_failed_are_not_trained_and_their_rows_tell_why(prepared, fake):
    fake.failing = {(ISIC17, f"{TEACHER}_seed1")}
    train(prepared, TrainingPlace(run=fake.run), Silent())
    told = reasons(prepared)
    for method in ("UltraLBM-UNet", "UltraLBM-UNet-T"):
        assert told[method, "isic17"].startswith("Its training failed: CUDA is out of memory. All of it is in")
        assert told[method, "isic18"] == ""
    assert fake.trained == {(ISIC18, f"{TEACHER}_seed1"), (ISIC18, f"{STUDENT}_seed1")}


def test_a_student_does_not_learn_from_the_teacher_of_another_seed(prepared, fake):
    prepared.request = replace(prepared.request, repeats=2)
    fake.failing = {(ISIC17, f"{TEACHER}_seed2")}
    train(prepared, TrainingPlace(run=fake.run), Silent())
    of_isic17 = {name for data, name in fake.trained if data == ISIC17}
    assert of_isic17 == {f"{TEACHER}_seed1", f"{STUDENT}_seed1"}
    assert not any(reasons(prepared)[method, "isic17"] for method in ("UltraLBM-UNet", "UltraLBM-UNet-T"))


def test_jobs_of_a_cluster_are_all_submitted_first_and_students_when_their_teachers_are_there(prepared, fake):
    submitted = []
    place = TrainingPlace(run=fake.run, submit=lambda runs: submitted.append(len(fake.asked)), n_gpus=1)
    assert train(prepared, place, Silent())
    assert fake.asked == [
        ("isic17", "slurm", [TEACHER]),
        ("isic18", "slurm", [TEACHER]),
        ("isic17", "slurm", [TEACHER]),
        ("isic17", "slurm", [STUDENT]),
        ("isic18", "slurm", [TEACHER]),
        ("isic18", "slurm", [STUDENT]),
    ]
    assert submitted == [1, 2]


def test_a_training_that_cannot_be_submitted_stops_its_rows_and_no_others(prepared, fake):
    fake.refused = {("isic17", TEACHER)}
    train(prepared, TrainingPlace(run=fake.run, submit=lambda runs: None, n_gpus=1), Silent())
    told = reasons(prepared)
    assert told["UltraLBM-UNet", "isic17"].startswith("It cannot be trained: the splits of")
    assert told["UltraLBM-UNet-T", "isic17"].startswith("It cannot be trained: the splits of")
    assert told["UltraLBM-UNet-T", "isic18"] == ""


def test_what_is_only_submitted_is_not_followed_and_the_same_command_submits_the_students_then_ends(prepared, fake):
    submitted = []

    def submit(runs):
        submitted.append([status.run.trainer for status in runs.statuses])

    place = TrainingPlace(run=lambda runs: pytest.fail("followed"), submit=submit, waits=False)
    assert not train(prepared, place, Silent())
    assert submitted == [[f"{TEACHER}_seed1"]] * 2
    assert not any(reason.startswith("It ") for reason in reasons(prepared).values())
    fake.trained |= {(ISIC17, f"{TEACHER}_seed1"), (ISIC18, f"{TEACHER}_seed1")}
    submitted.clear()
    assert not train(prepared, place, Silent())
    assert submitted == [[f"{STUDENT}_seed1"]] * 2
    fake.trained |= {(ISIC17, f"{STUDENT}_seed1"), (ISIC18, f"{STUDENT}_seed1")}
    submitted.clear()
    assert train(prepared, place, Silent())
    assert submitted == []


@pytest.fixture
def scored(prepared, fake, monkeypatch):
    """Score rows, the external test among them, with numbers of nobody; some trainings cannot be."""
    prepared.request = replace(
        prepared.request, rows=["UltraLBM-UNet,MALUNet"], places={"isic17": Path(), "ph2": Path()}
    )
    prepared.rows = planned_rows(prepared.request)
    unscorable, untestable, parts = set(), set(), []

    def gathered_of(data, planned, *, rows, request):
        if bad := [one for one in planned if one.trainer in unscorable]:
            raise ValueError(f"the summary of {bad[0].trainer} is damaged")
        return list(planned)

    def external_models(planned, *, test, request, predictor):
        if bad := [one for one in planned if one.trainer in untestable]:
            raise FileExistsError(f"{bad[0].trainer} holds masks of another prediction")
        return {one: [] for one in planned if one.trainer}

    monkeypatch.setattr(run, "gathered_of", gathered_of)
    monkeypatch.setattr(run, "held_out_scores", lambda found, planned, repeats: dict.fromkeys(planned, "held out"))
    monkeypatch.setattr(run, "external_models", external_models)
    monkeypatch.setattr(run, "external_scores", lambda row, models, repeats: "external")
    monkeypatch.setattr(run, "_missing_models", lambda rows, repeats: [])
    prepared.converted[prepared.request.experiment.data["ph2"]] = None
    monkeypatch.setattr(run, "differences_of", lambda *arguments: [])
    train(prepared, TrainingPlace(run=fake.run), Silent())

    def do():
        found, _ = run.score(prepared, Silent(), predictor=None, on_held_out=parts.append)
        return [{(row.row.method, row.row.setting.dataset): row.scores for row in one.rows} for one in (found, *parts)]

    do.unscorable, do.untestable = unscorable, untestable
    return do


MALUNET = "nnUNetTrainerMALUNet_paper"


def test_the_held_out_rows_are_told_before_an_external_test_and_a_model_that_fails_there_stops_its_own_row(
    scored, prepared
):
    scored.untestable.add(MALUNET)
    whole, before = scored()
    assert before["MALUNet", "isic17"] == before["UltraLBM-UNet", "isic17"] == "held out"
    assert before["UltraLBM-UNet", "ph2"] is before["MALUNet", "ph2"] is None
    assert (whole["UltraLBM-UNet", "ph2"], whole["MALUNet", "ph2"]) == ("external", None)
    assert whole["MALUNet", "isic17"] == "held out"
    text = f"Its models could not be tested: {MALUNET} holds masks of another prediction"
    assert reasons(prepared)["MALUNet", "ph2"] == text


def test_a_training_that_cannot_be_scored_stops_its_own_rows(scored, prepared):
    scored.unscorable.add(MALUNET)
    whole, _ = scored()
    assert (whole["UltraLBM-UNet", "isic17"], whole["MALUNet", "isic17"]) == ("held out", None)
    assert reasons(prepared)["MALUNet", "isic17"].startswith("It cannot be scored: the summary of")
