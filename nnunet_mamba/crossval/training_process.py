"""nnU-Net's own training command in a process that takes its share of the cores and does not outlive its parent.

``python -m nnunet_mamba.crossval.training_process`` takes the arguments of ``nnUNetv2_train``.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

from nnunet_mamba.crossval.gpu_use import asked_file, write_gpu_use

_SECONDS_BETWEEN_REPORTS = 2.0


def _end_with(parent: int) -> None:
    """End with all workers once the parent is gone, even if it was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(0, signal.SIGKILL)


def _report_gpu_use(file: Path) -> None:
    while True:
        write_gpu_use(file)
        time.sleep(_SECONDS_BETWEEN_REPORTS)


def _asked_device(arguments: list[str]) -> str | None:
    given = [value for option, value in pairwise(arguments) if option == "-device"]
    return given[-1] if given else None


def _main() -> None:
    # Slurm announces the end of a job to all its processes; submitit's answers it, and the training goes on meanwhile.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    parent = int(os.environ["NNUNET_MAMBA_CROSSVAL_PARENT"])
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()

    import torch
    from nnunetv2.run.run_training import run_training_entry

    if _asked_device(sys.argv) == "cuda" and not torch.cuda.is_available():
        # Our trainers would take the CPU, which nobody asked for.
        sys.exit("-device cuda: torch finds no CUDA device on this machine, so nothing is trained here")

    if (file := asked_file()) is not None:
        threading.Thread(target=_report_gpu_use, args=(file,), daemon=True).start()

    # For "-device cpu" nnU-Net starts as many threads as the machine has cores, whatever OMP_NUM_THREADS says.
    share = int(os.environ["OMP_NUM_THREADS"])
    multiprocessing.cpu_count = lambda: share
    run_training_entry()


if __name__ == "__main__":
    _main()
