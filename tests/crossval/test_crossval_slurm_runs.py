from types import SimpleNamespace

from nnunet_mamba.crossval import slurm_runs
from nnunet_mamba.crossval.attempt import TrainingOptions
from nnunet_mamba.crossval.slurm import Resources
from nnunet_mamba.crossval.slurm_runs import SlurmRuns, submit_runs


def test_the_arrays_of_all_jobs():
    jobs = {"a": "7_0", "b": "12", "c": "7_1"}
    assert SlurmRuns([], jobs, npz=False, logs=None).arrays == ["12", "7"]


def test_jobs_are_followed_as_they_were_submitted(tmp_path, monkeypatch):
    watched = {}
    monkeypatch.setattr(slurm_runs, "slurm_executor", lambda folder, _: SimpleNamespace(folder=folder))
    monkeypatch.setattr(slurm_runs, "submit_missing", lambda *_: {"a": "7_0"})
    monkeypatch.setattr(slurm_runs, "watch", lambda statuses, jobs, show, **how: watched.update(how, jobs=jobs))
    status = SimpleNamespace(run=SimpleNamespace(results=tmp_path, dataset="Dataset901_Tiny"))
    submit_runs([status], TrainingOptions(device="cpu", npz=True), Resources(minutes=5)).follow(lambda: None)
    logs = tmp_path / "Dataset901_Tiny/crossval_logs/slurm"
    assert watched == {"npz": True, "logs": logs, "jobs": {"a": "7_0"}}
