import json
from dataclasses import asdict

import pytest

from nnunet_mamba.crossval.attempt import TrainingShare
from nnunet_mamba.crossval.gpu_sharing import GIB, GpuSharing
from nnunet_mamba.crossval.gpu_use import GpuUse


class Machine:
    """GPUs of 24 GiB, and trainings on them that say what they take."""

    def __init__(self, *gpus):
        self.told, self.running = [], []
        self.sharing = GpuSharing(gpus, self.told.append)

    def train(self, gpu, *, reserved=None, peak=None, free=0.0):
        """Start a training on a GPU; None reserved says nothing."""
        share = TrainingShare(cores=1, gpu=gpu, gpu_use=self.sharing.new_file())
        if reserved is not None:
            sizes = {"reserved": reserved, "peak": peak or reserved, "free": free, "total": 24}
            use = GpuUse(**{name: round(size * GIB) for name, size in sizes.items()})
            share.gpu_use.write_text(json.dumps(asdict(use)))
        self.running.append(share)
        return share

    @property
    def next_gpu(self):
        return self.sharing.gpu_with_room(self.running)


def test_gpus_without_trainings_come_first():
    machine = Machine("3", "GPU-aa")
    machine.train("3", reserved=1, free=22)
    assert machine.next_gpu == "GPU-aa"
    assert machine.told == []


def test_nothing_joins_a_training_that_has_not_said_what_it_takes():
    machine = Machine("0")
    assert machine.next_gpu == "0"
    machine.train("0")
    assert machine.next_gpu is None
    assert machine.told == []


@pytest.mark.parametrize(("free", "gpu"), [(11, "0"), (10.9, None)])
def test_one_more_needs_room_for_the_largest_and_for_cuda_itself(free, gpu):
    machine = Machine("0")
    # It has taken 10 GiB, of which it holds all.
    machine.train("0", reserved=10, free=free)
    assert machine.next_gpu == gpu


@pytest.mark.parametrize(("free", "gpu"), [(15, "0"), (14.9, None)])
def test_room_is_kept_for_what_running_trainings_will_still_take(free, gpu):
    machine = Machine("0")
    machine.train("0", reserved=6, peak=6, free=free)
    machine.train("0", reserved=2, peak=2, free=free)
    # The second will take 4 more, and one more 6 and CUDA's own.
    assert machine.next_gpu == "0"
    machine.train("0", reserved=2, peak=2, free=free)
    assert machine.next_gpu == gpu


def test_other_programs_on_the_gpu_count():
    machine = Machine("0")
    machine.train("0", reserved=4, free=18)
    assert machine.next_gpu == "0"
    machine.running.clear()
    machine.train("0", reserved=4, free=3)
    assert machine.next_gpu is None


def test_the_largest_is_remembered_beyond_its_end():
    machine = Machine("0")
    machine.train("0", reserved=16, free=7)
    machine.sharing.measure(machine.running)
    machine.running.clear()
    machine.train("0", reserved=2, free=21)
    # The small one may grow by 14, and one more may take 17.
    assert machine.next_gpu is None


def test_why_a_training_waits_is_told_once_with_the_numbers():
    machine = Machine("0")
    machine.train("0", reserved=12, peak=14, free=9.5)
    assert [machine.next_gpu, machine.next_gpu] == [None, None]
    assert machine.told == [
        "GPU 0 has 9.5 of 24.0 GiB free beside 1 training, and one more may take 15.0 (14.0 as the largest so far and "
        "1.0 for CUDA itself; those that run may still take 2.0): the next one waits"
    ]


def test_a_gpu_with_more_trainings_is_taken_where_the_other_has_no_room():
    machine = Machine("0", "1")
    machine.train("0", reserved=5, free=1)
    for _ in range(2):
        machine.train("1", reserved=5, free=13)
    assert machine.next_gpu == "1"
