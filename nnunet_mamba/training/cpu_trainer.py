"""nnU-Net's trainer, at home on a CPU: its memory, threads and processes fit the machine."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

# The module, whose class has the same name.
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from torch import Tensor

from nnunet_mamba.ops.cpu_kernels.thread_team import WAITING_VARIABLES, let_waiting_threads_sleep
from nnunet_mamba.system.allocator import give_back_freed_memory, keep_freed_memory
from nnunet_mamba.system.machine import usable_cores
from nnunet_mamba.system.worker_counts import (
    AUGMENTING_VARIABLE,
    EXPORTING_VARIABLE,
    WorkerCounts,
    fitting_worker_counts,
)
from nnunet_mamba.training.device import device_or_cpu
from nnunet_mamba.training.guarded_trainer import GuardedTrainer

COMPILE_VARIABLE = "NNUNET_MAMBA_COMPILE"
_YES, _NO = ("t", "true", "1"), ("", "f", "false", "0")


def has_compiler() -> bool:
    """Return whether torch.compile finds a C++ compiler."""
    return any(shutil.which(name) for name in (os.environ.get("CXX") or "g++", "clang++"))


def _is_compilation_asked_for() -> bool:
    """Return what the user's variable says, in nnU-Net's words for yes and no.

    Raises:
        ValueError: it says something else.
    """
    said = os.environ.get(COMPILE_VARIABLE, "").lower()
    if said not in (*_YES, *_NO):
        raise ValueError(f"{COMPILE_VARIABLE}={said!r}: expected t or f, or unset it")
    return said in _YES


class CpuTrainer(GuardedTrainer):
    """Train as nnU-Net does; on a CPU, with what the machine has, as far as the user has set nothing.

    - It trains on the CPU where the device that was asked for is missing.
    - torch has as many threads as the process may use cores, and these sleep while they wait.
    - nnU-Net starts as many processes as these cores can feed.
    - The process keeps the memory that it frees.
    - ``$NNUNET_MAMBA_COMPILE`` compiles the network where there is a C++ compiler; nnU-Net compiles on CUDA alone.

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
            self._workers_that_fit = fitting_worker_counts(usable_cores(), on_gpu=False)

    def on_train_start(self) -> None:
        """Prepare as nnU-Net does, with workers that fit the machine, and log what was chosen."""
        if self._workers_that_fit is None:
            super().on_train_start()
            return
        with _variables_if_unset({AUGMENTING_VARIABLE: str(self._workers_that_fit.augmenting)}):
            super().on_train_start()
            n_augmenting = get_allowed_n_proc_DA()
        # Now, because processes that were forked before know nothing of it.
        settled = self.settle_process()
        self.print_to_log_file(
            f"On this CPU: {', '.join([f'{torch.get_num_threads()} threads', *settled])}; processes that augment: "
            f"{n_augmenting} (OMP_NUM_THREADS and {AUGMENTING_VARIABLE} change that)"
        )

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Validate on one batch as nnU-Net does; on a CPU, with logits whose classes lie side by side in memory.

        torch finds the largest class of a position ten times as fast there.
        """
        outputs: dict[str, Any]
        if self.device.type != "cpu":
            outputs = super().validation_step(batch)
            return outputs
        hook = self.network.register_forward_hook(_with_classes_last)
        try:
            outputs = super().validation_step(batch)
        finally:
            hook.remove()
        return outputs

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Validate as nnU-Net does, with processes that fit the machine.

        Args:
            save_probabilities: keep the probabilities of the cases.
        """
        if self._workers_that_fit is None:
            super().perform_actual_validation(save_probabilities)
            return
        # Cases have sizes of their own, unlike batches.
        give_back_freed_memory()
        let_waiting_threads_sleep()
        with _exporting_processes(self._workers_that_fit.exporting):
            super().perform_actual_validation(save_probabilities)

    def _do_i_compile(self) -> bool:
        """Return nnU-Net's answer; on a CPU, where that is always no, the user's, if there is a compiler."""
        answer: bool = super()._do_i_compile()
        if self.device.type != "cpu" or not _is_compilation_asked_for():
            return answer
        if not has_compiler():
            self.print_to_log_file(
                f"{COMPILE_VARIABLE} is set, and there is no C++ compiler (g++, clang++ or what CXX names): training "
                "without torch.compile"
            )
        return has_compiler()

    def settle_process(self) -> list[str]:
        """Make this process one that trains on a CPU, if it is: its memory stays, and waiting threads sleep.

        Returns:
            What could be done, in words.
        """
        if self.device.type != "cpu":
            return []
        done = {"which sleep while they wait": let_waiting_threads_sleep(), "freed memory kept": keep_freed_memory()}
        return [words for words, is_done in done.items() if is_done]


def _with_classes_last(_: torch.nn.Module, __: Any, logits: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
    """Return a network's logits, of which nnU-Net looks for the classes in those of the full resolution."""
    first, *coarser = [logits] if isinstance(logits, Tensor) else logits
    first = first.movedim(1, -1).contiguous().movedim(-1, 1)
    return first if isinstance(logits, Tensor) else [first, *coarser]


@contextmanager
def _variables_if_unset(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment in the block, each of them unless it is set."""
    ours = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


@contextmanager
def _exporting_processes(number: int) -> Iterator[None]:
    """Let nnU-Net start this many processes in the block, whose threads sleep while they wait.

    Both unless the user's variables say otherwise. nnU-Net has read the variable in this process when it was imported.
    The processes that it starts read it again, for the number of their threads.
    """
    if EXPORTING_VARIABLE in os.environ:
        number = nnUNetTrainer.default_num_processes
    waiting = {} if any(name in os.environ for name in WAITING_VARIABLES) else {WAITING_VARIABLES[0]: "passive"}
    kept = nnUNetTrainer.default_num_processes
    nnUNetTrainer.default_num_processes = number
    try:
        with _variables_if_unset({EXPORTING_VARIABLE: str(number), **waiting}):
            yield
    finally:
        nnUNetTrainer.default_num_processes = kept
