import pytest

from nnunet_mamba.system.worker_counts import WorkerCounts, fitting_worker_counts


@pytest.mark.parametrize(
    ("cores", "on_gpu", "expected"),
    [
        (1, False, (1, 1)),
        (2, False, (1, 1)),
        (8, False, (4, 4)),
        (64, False, (12, 8)),
        (1, True, (1, 1)),
        (8, True, (8, 8)),
        (64, True, (12, 8)),
    ],
)
def test_processes_fit_the_cores_and_are_no_more_than_nnunets(cores, on_gpu, expected):
    assert fitting_worker_counts(cores, on_gpu=on_gpu) == WorkerCounts(*expected)
