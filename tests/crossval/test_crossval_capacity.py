import subprocess
import sys

import pytest

from nnunet_mamba.crossval import capacity
from nnunet_mamba.crossval.capacity import (
    cores_of_this_job,
    default_trainings,
    has_room,
    memory_of_sessions,
    visible_gpus,
)


@pytest.mark.parametrize(
    ("n_runs", "cores", "gpus", "jobs"),
    [(5, 2, (), 1), (5, 1, (), 1), (5, 8, (), 4), (5, 64, (), 5), (10, 64, "01", 2), (1, 64, "01", 1), (5, 1, "01", 2)],
)
def test_one_training_on_each_gpu_or_every_two_cores(n_runs, cores, gpus, jobs):
    assert default_trainings(n_runs, cores=cores, gpus=gpus) == jobs


@pytest.mark.parametrize(
    ("available", "running", "fits"),
    [
        (100, {}, True),
        (1, {}, True),
        (400, {1: 400}, True),
        (399, {1: 400}, False),
        # The second has taken half of what it will take.
        (599, {1: 400, 2: 200}, False),
        (600, {1: 400, 2: 200}, True),
        (None, {1: 400}, True),
    ],
)
def test_memory_is_kept_for_what_the_running_ones_will_still_take(available, running, fits):
    assert has_room(available, peak=400, running=running) is fits


def test_cores_are_those_of_the_slurm_job_before_those_of_the_machine(monkeypatch):
    monkeypatch.setattr(capacity, "usable_cores", lambda: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    assert cores_of_this_job() == 3
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "6")
    assert cores_of_this_job() == 6


def test_gpus_keep_the_names_that_the_user_gave_them(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus(2) == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5a")
    assert visible_gpus(2) == ["2", "GPU-5a"]
    assert visible_gpus(0) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
@pytest.mark.parametrize("leads_a_group", ["", ", preexec_fn=os.setpgrp"], ids=["same_group", "own_group"])
def test_the_memory_of_a_session_is_that_of_all_its_processes(leads_a_group):
    hold = "held = b'x' * (40 << 20); print('held', flush=True); input()"
    child = (
        f"import os, subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', {hold!r}]{leads_a_group}).wait()"
    )
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout.readline() == b"held\n"
        assert 40 << 20 <= memory_of_sessions([process.pid])[process.pid] < 100 << 20
    finally:
        process.communicate(b"\n")
    assert memory_of_sessions([process.pid]) == {}
