"""The command with stock nnU-Net, each training in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

COMMAND = "import typer; from nnunet_mamba.cli.crossval import crossval; typer.run(crossval)"


def start(planned, *arguments, **variables):
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "901", "2d", *arguments],
        env=planned.environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_trainers_are_trained_and_nnunet_compares_them(planned):
    trainers = [f"nnUNetTrainerUltraLightVM{name}_1epoch_2iterations" for name in ("", "NoMamba")]
    process = start(planned, "--trainers", ",".join(trainers), "--folds", "1", "--device", "cpu", OMP_NUM_THREADS="2")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    logs = planned.results / planned.dataset / "crossval_logs"
    assert len(list(logs.glob("*.log"))) == 2

    command = output.splitlines()[-1].split()
    assert command[0] == "nnUNetv2_find_best_configuration"
    best = planned.run(*command, "-np", "1")
    assert best.returncode == 0, best.stdout + best.stderr
    for trainer in trainers:
        # The table has three digits.
        shown = float(re.search(rf"{trainer}__.*?│ *(\S+) *│", output)[1])
        assert float(re.search(rf"{trainer}__nnUNetPlans__2d: (\S+)", best.stdout)[1]) == pytest.approx(shown, abs=1e-3)


def test_two_seeds_of_a_trainer_are_two_trainings_that_nnunet_knows_apart(planned):
    trainer = "nnUNetTrainerUltraLightVM_1epoch_2iterations"
    arguments = ("--trainers", trainer, "--repeats", "2", "--folds", "1", "--device", "cpu")
    process = start(planned, *arguments, OMP_NUM_THREADS="2")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "mean ± SD over seeds" in output
    seeded = [f"nnUNetTrainerUltraLightVM_1epochs_2iterations_seed{seed}" for seed in (1, 2)]
    for seed, name in enumerate(seeded, start=1):
        fold = planned.results / planned.dataset / f"{name}__nnUNetPlans__2d/fold_1"
        (log,) = fold.glob("training_log_*.txt")
        assert f"NNUNET_MAMBA_SEED={seed} " in log.read_text()
        assert (fold / "validation/summary.json").is_file()

    command = output.splitlines()[-1].split()
    assert [word for word in command if word.startswith("nnUNetTrainer")] == seeded
    best = planned.run(*command, "-np", "1")
    assert best.returncode == 0, best.stdout + best.stderr
    assert all(f"{name}__nnUNetPlans__2d: " in best.stdout for name in seeded)


def _members(session: int) -> list[int]:
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[3]) == session and words[0] != "Z":
            members.append(int(stat.parent.name))
    return members


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_no_process_outlives_a_killed_command_and_the_next_call_continues(planned):
    trainer = "nnUNetTrainerUltraLightVM_15epochs_1iteration"
    fold = planned.results / planned.dataset / f"{trainer}__nnUNetPlans__2d" / "fold_0"
    arguments = ("--trainers", trainer, "--folds", "0", "--device", "cpu")
    process = start(planned, *arguments, OMP_NUM_THREADS="2", nnUNet_n_proc_DA="1")
    while not (fold / "checkpoint_latest.pth").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    # The only child that leads a session is the training.
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (session,) = [int(child) for child in children if os.getsid(int(child)) == int(child)]
    assert len(_members(session)) > 1, "the training has no workers that could outlive it"
    process.send_signal(signal.SIGKILL)
    process.communicate()

    end = time.monotonic() + 60
    while left := _members(session):
        assert time.monotonic() < end, f"{left} outlive the command"
        time.sleep(0.1)
    assert not (fold / "checkpoint_final.pth").exists()

    again = start(planned, *arguments, OMP_NUM_THREADS="2")
    output, _ = again.communicate()
    assert again.returncode == 0, output
    log = (fold.parents[1] / f"crossval_logs/{fold.parent.name}__fold_0.log").read_text()
    assert log.count("nnUNetv2_train") == 2
    epochs = [int(number) for number in re.findall(r"Epoch (\d+)", log.rpartition("=== attempt ")[2])]
    assert epochs[0] > 0
    assert epochs[-1] == 14
