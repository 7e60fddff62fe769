"""Five folds as a job array on a real Slurm: one is requeued by Slurm, one is told that its time is over."""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from one_node_slurm import OneNodeSlurm, missing_programs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_programs()), reason=f"not installed: {', '.join(missing_programs())}"),
    pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="submitit is not installed"),
]
COMMAND = "import typer; from nnunet_mamba.cli.crossval import crossval; typer.run(crossval)"
TRAINER = "nnUNetTrainerUltraLightVM_10epochs_1iteration"


@pytest.fixture
def cluster():
    # pytest's own folders have paths too long for a socket.
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:
        cluster = OneNodeSlurm(Path(folder))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def crossval(planned, cluster, *arguments):
    options = ("--executor", "slurm", "--device", "cpu", "--slurm-cpus", "1", "--slurm-time", "30")
    process = subprocess.run(
        [sys.executable, "-c", COMMAND, "901", "2d", "--trainers", TRAINER, *options, *arguments],
        env=planned.environment(**{**cluster.variables, "LC_ALL": "C"}),
        capture_output=True,
        text=True,
        check=False,
    )
    return process.returncode, process.stdout + process.stderr


def tell_that_time_is_over(cluster, job):
    """Send what Slurm sends before the time of a job is over, or before another job takes its place."""
    environment = {**os.environ, **cluster.variables}
    # For a job of an array scancel delivers the signal, reports an error and sends it again and again (22.05).
    process = subprocess.Popen(["scancel", "--signal=USR2", job], env=environment, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while f"{job} RUNNING" in cluster.run("squeue", "--noheader", "--array", "--format=%i %T"):
        assert time.monotonic() < end, f"{job} runs on\n{cluster.logs()}"
        time.sleep(0.05)
    process.kill()
    process.wait()


def test_five_folds_complete_though_two_are_requeued(planned, cluster):
    model = planned.results / planned.dataset / f"{TRAINER}__nnUNetPlans__2d"
    code, output = crossval(planned, cluster, "--no-wait")
    assert code == 0, output + cluster.logs()
    array = re.search(r"scancel (\d+)", output)[1]
    assert f"{TRAINER}__nnUNetPlans__2d__fold_4: job {array}_4" in output

    interruptions = {
        0: lambda: cluster.run("scontrol", "requeue", f"{array}_0"),
        1: lambda: tell_that_time_is_over(cluster, f"{array}_1"),
    }
    end = time.monotonic() + 300
    while interruptions:
        for fold in list(interruptions):
            if (model / f"fold_{fold}/checkpoint_latest.pth").exists():
                interruptions.pop(fold)()
        assert time.monotonic() < end, cluster.logs()
        time.sleep(0.05)

    code, output = crossval(planned, cluster)

    assert code == 0, output + cluster.logs()
    assert f"{array}_" in output, "the second call submitted the jobs again"
    assert f"-tr {TRAINER} -p nnUNetPlans -f 0 1 2 3 4 --disable_ensembling" in output
    for fold in range(5):
        assert (model / f"fold_{fold}/validation/summary.json").exists()
        log = (model.parent / f"crossval_logs/{model.name}__fold_{fold}.log").read_text()
        attempts = re.findall(r"=== attempt .*", log)
        assert len(attempts) == (2 if fold < 2 else 1)
        if fold < 2:
            assert attempts[1].endswith(" --c")
            epochs = [int(number) for number in re.findall(r"Epoch (\d+)", log.rpartition("=== attempt ")[2])]
            assert epochs[0] > 0
            assert epochs[-1] == 9
    assert os.listdir(model.parent / "crossval_logs/slurm")
