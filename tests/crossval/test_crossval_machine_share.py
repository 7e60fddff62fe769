import pytest

from nnunet_mamba.crossval import capacity
from nnunet_mamba.crossval.machine_share import machine_share


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    """A machine with four cores."""
    monkeypatch.setattr(capacity, "usable_cores", lambda: 4)
    for variable in ("SLURM_CPUS_PER_TASK", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("n_open", "n_gpus", "asked", "jobs"), [(9, 0, None, 2), (9, 3, None, 3), (9, 3, 5, 5), (1, 3, 5, 1)]
)
def test_no_more_trainings_than_there_are_or_were_asked_for(n_open, n_gpus, asked, jobs):
    assert machine_share(n_open, n_gpus=n_gpus, jobs=asked).jobs == jobs


def test_says_what_is_shared():
    assert str(machine_share(9, n_gpus=0, jobs=None)) == "4 cores"
    assert str(machine_share(9, n_gpus=2, jobs=None)) == "2 GPUs and 4 cores"
