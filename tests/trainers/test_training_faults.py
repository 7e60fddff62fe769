"""What happens to a training by the stock commands when the world around it fails."""

import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

NAME = "nnUNetTrainerUltraLightVM"


def fold(folders, trainer):
    return folders.results / folders.dataset / f"{trainer}__nnUNetPlans__2d" / "fold_0"


def arguments(trainer, *more):
    return [
        sys.executable,
        str(Path(sys.executable).parent / "nnUNetv2_train"),
        "901",
        "2d",
        "0",
        "-tr",
        trainer,
        *more,
    ]


def start(folders, trainer, *more, **environment):
    return subprocess.Popen(
        arguments(trainer, *more),
        env=folders.environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, f"the training ended before {path.name} was there"
        time.sleep(0.01)


def checkpoints(folder):
    """What can be compared of two trainings whose batches are random."""
    files = {path.name: torch.load(path, weights_only=False) for path in folder.glob("*.pth")}
    logged = files["checkpoint_final.pth"]["logging"]
    return {
        "files": sorted(path.name for path in folder.iterdir() if path.suffix != ".txt"),
        "epochs": files["checkpoint_final.pth"]["current_epoch"],
        "learning rates": logged["lrs"],
        "logged": {name: len(values) for name, values in logged.items()},
        "optimizer": files["checkpoint_final.pth"]["optimizer_state"]["param_groups"][0]["lr"],
    }


@pytest.mark.slow
def test_killed_ten_times_a_training_ends_as_an_undisturbed_one(planned):
    trainer = f"{NAME}_12epochs_2iterations"
    begin = time.monotonic()
    undisturbed = start(planned, trainer)
    wait_for(fold(planned, trainer) / "debug.json", undisturbed)
    preparation = time.monotonic() - begin
    output, _ = undisturbed.communicate()
    assert undisturbed.returncode == 0, output
    training = time.monotonic() - begin - preparation
    expected = checkpoints(fold(planned, trainer))
    fold(planned, trainer).rename(fold(planned, trainer).with_name("undisturbed"))

    chance = random.Random(0)
    n_killed = 0
    for attempt in range(10):
        process = start(planned, trainer, *(["--c"] if attempt else []))
        try:
            # Most of them within the training, whose ten parts do not add up to its end.
            process.communicate(timeout=preparation + chance.uniform(0, 0.15) * training)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            n_killed += 1
    assert n_killed >= 5
    last = start(planned, trainer, "--c")
    output, _ = last.communicate()
    assert last.returncode == 0, output

    assert checkpoints(fold(planned, trainer)) == expected
    logging = torch.load(fold(planned, trainer) / "checkpoint_final.pth", weights_only=False)["logging"]
    best = torch.load(fold(planned, trainer) / "checkpoint_best.pth", weights_only=False)
    averages = logging["ema_fg_dice"]
    assert best["current_epoch"] == 1 + averages.index(max(averages))


@pytest.mark.slow
def test_on_a_full_disk_the_checkpoint_before_stays_and_the_training_can_end_later(planned):
    trainer = f"{NAME}_6epochs_1iteration"
    process = start(planned, trainer)
    latest = fold(planned, trainer) / "checkpoint_latest.pth"
    wait_for(latest, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = latest.read_bytes()

    def fill_the_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    full = subprocess.run(
        arguments(trainer, "--c"),
        env=planned.environment(),
        preexec_fn=fill_the_disk,
        capture_output=True,
        text=True,
        check=False,
    )
    assert full.returncode != 0
    assert "checkpoint_latest.pth could not be written" in full.stdout
    assert "Training goes on" in full.stdout
    assert "free space and run the same command with --c" in full.stderr.splitlines()[-1]
    assert latest.read_bytes() == before

    process = start(planned, trainer, "--c")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert checkpoints(fold(planned, trainer))["epochs"] == 6


@pytest.mark.slow
def test_a_checkpoint_that_was_cut_is_told_and_the_one_before_taken(planned):
    trainer = f"{NAME}_8epochs_1iteration"
    process = start(planned, trainer)
    latest, spare = (fold(planned, trainer) / f"checkpoint_{name}.pth" for name in ("latest", "previous"))
    wait_for(spare, process)
    while spare.samefile(latest):
        # For a moment they are two names of one file.
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    os.truncate(latest, latest.stat().st_size // 2)

    process = start(planned, trainer, "--c")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "checkpoint_latest.pth is damaged" in output
    # Whichever of the others has come further.
    assert re.search(r"Continuing from checkpoint_(previous|best)\.pth instead", output)
    assert checkpoints(fold(planned, trainer))["logged"]["lrs"] == 8


def test_a_worker_that_meets_a_damaged_case_is_quoted_at_the_end(planned):
    trainer = f"{NAME}_2epochs_1iteration"
    for case in (planned.preprocessed / "nnUNetPlans_2d").glob("*.b2nd"):
        if not case.stem.endswith("_seg"):
            case.write_bytes(case.read_bytes()[:200])
    process = start(planned, trainer, nnUNet_n_proc_DA="1")
    output, _ = process.communicate()
    assert process.returncode != 0
    end = output[output.rindex("A background worker that loads and augments cases died") :]
    assert "its last words were:" in end
    assert "Error" in end
    assert "--c" in end


@pytest.mark.slow
def test_a_worker_that_was_killed_is_told_with_the_way_out(planned):
    trainer = f"{NAME}_200epochs_1iteration"
    process = start(planned, trainer, nnUNet_n_proc_DA="2")
    wait_for(fold(planned, trainer) / "checkpoint_best.pth", process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    output, _ = process.communicate()
    assert process.returncode != 0
    end = output[output.rindex("A background worker that loads and augments cases died") :]
    assert "the system ended it with SIGKILL, most often for want of memory" in end
    assert "nnUNet_n_proc_DA" in end
