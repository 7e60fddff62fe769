"""nnU-Net's trainer, at home on a CPU: its memory, threads and processes fit the machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

# The module, whose class has the same name.
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer

from nnunet_mamba.ops.cpu_kernels.thread_team import let_waiting_threads_sleep
from nnunet_mamba.system.allocator import keep_freed_memory
from nnunet_mamba.system.machine import available_cores
from nnunet_mamba.system.worker_counts import (
    AUGMENTING_VARIABLE,
    EXPORTING_VARIABLE,
    WorkerCounts,
    fitting_worker_counts,
)
from nnunet_mamba.training.device import device_or_cpu
from nnunet_mamba.training.guarded_trainer import GuardedTrainer


class CpuTrainer(GuardedTrainer):
    """Train as nnU-Net does; on a CPU, with what the machine has, as far as the user has set nothing.

    - It trains on the CPU where the device that was asked for is missing.
    - torch has as many threads as the process may use cores, and these sleep while they wait.
    - nnU-Net starts as many processes as these cores can feed.
    - The process keeps the memory that it frees.

    A training on another device is left as nnU-Net has it.
    """

    # nnU-Net reads the parameter names of this method, so they are spelled out.
    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008  the default of nnU-Net's own signature
    ) -> None:
        device, notice = device_or_cpu(device)
        super().__init__(plans, configuration, fold, dataset_json, device)
        if notice:
            self.print_to_log_file(notice)
        self._workers_that_fit: WorkerCounts | None = None
        if self.device.type == "cpu":
            self._workers_that_fit = fitting_worker_counts(available_cores(), on_gpu=False)

    def on_train_start(self) -> None:
        """Prepare as nnU-Net does, with workers that fit the machine, and log what was chosen."""
        with _variable_if_unset(AUGMENTING_VARIABLE, self._workers_that_fit and self._workers_that_fit.augmenting):
            super().on_train_start()
        # Now, because processes that were forked before know nothing of it.
        self.settle_process()
        if self.device.type == "cpu":
            self.print_to_log_file(self._cpu_notice())

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Validate as nnU-Net does, with processes that fit the machine.

        Args:
            save_probabilities: keep the probabilities of the cases.
        """
        self.settle_process()
        with _default_processes_if_unset(self._workers_that_fit and self._workers_that_fit.exporting):
            super().perform_actual_validation(save_probabilities)

    def settle_process(self) -> None:
        """Make this process one that trains on a CPU, if it is: its memory stays, and waiting threads sleep."""
        if self.device.type == "cpu":
            keep_freed_memory()
            let_waiting_threads_sleep()

    def _cpu_notice(self) -> str:
        assert self._workers_that_fit is not None
        augmenting = os.environ.get(AUGMENTING_VARIABLE, self._workers_that_fit.augmenting)
        exporting = os.environ.get(EXPORTING_VARIABLE, self._workers_that_fit.exporting)
        return (
            f"On this CPU: {torch.get_num_threads()} threads, augmenting processes: {augmenting}, exporting ones in "
            f"the final validation: {exporting} (OMP_NUM_THREADS, {AUGMENTING_VARIABLE} and {EXPORTING_VARIABLE} "
            "change that)"
        )


@contextmanager
def _variable_if_unset(name: str, value: int | None) -> Iterator[None]:
    """Set a variable of the environment in the block, unless it is set or ``value`` is None."""
    if value is None or name in os.environ:
        yield
        return
    os.environ[name] = str(value)
    try:
        yield
    finally:
        os.environ.pop(name, None)


@contextmanager
def _default_processes_if_unset(number: int | None) -> Iterator[None]:
    """Let nnU-Net's trainer start this many processes in the block, unless its variable is set or there is no number.

    nnU-Net has read its variable when it was imported.
    """
    if number is None or EXPORTING_VARIABLE in os.environ:
        yield
        return
    kept = nnUNetTrainer.default_num_processes
    nnUNetTrainer.default_num_processes = number
    try:
        yield
    finally:
        nnUNetTrainer.default_num_processes = kept
