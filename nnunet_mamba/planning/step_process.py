"""The memory of a trainer's step, measured in a process of its own."""

import contextlib
import multiprocessing
import os
import tempfile
import warnings
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_mamba.planning.memory import Budget
from nnunet_mamba.planning.process_memory import taken_by_others, unmapped_libraries
from nnunet_mamba.planning.training_step import StepMemory, StepRequest, train_steps
from nnunet_mamba.system.memory_errors import is_lack_of_memory

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

_OOM_SCORE = Path("/proc/self/oom_score_adj")
# SIGKILL is the system's, SIGABRT the C++ library's; Windows has no name for the first.
_KILLED_FOR_MEMORY = (-9, -6)


@dataclass(frozen=True, kw_only=True)
class StepTooLarge:
    """There was not enough memory for the steps.

    Args:
        words: what the library said that found none; empty if the system ended the process.
    """

    words: str = ""


class TrainingStepError(RuntimeError):
    """The step failed for another reason than memory; the text is the step's own."""


def measure_step(request: StepRequest, budget: Budget) -> StepMemory | StepTooLarge:
    """Train a few steps in a new process, and return their memory or that there was not enough of it.

    Args:
        request: what to train.
        budget: steps that take more are stopped, on a CPU those that take far more.

    Raises:
        TrainingStepError: the step failed for another reason.
    """
    context: ForkServerContext | SpawnContext = multiprocessing.get_context("spawn")
    is_fork = budget.device == "cpu" and "forkserver" in multiprocessing.get_all_start_methods()
    if is_fork:
        # Forks of a server that has imported all this and run nothing begin alike, and at once.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(
            target=_report_step, args=(sender, request, budget), kwargs={"folder": folder, "is_fork": is_fork}
        )
        process.start()
        sender.close()
        try:
            answer = receiver.recv()
        except EOFError:
            answer = None
        finally:
            process.join()
            receiver.close()
    if isinstance(answer, str):
        raise TrainingStepError(answer)
    if answer is None and process.exitcode not in _KILLED_FOR_MEMORY:
        raise TrainingStepError(f"the process that trained ended with exit code {process.exitcode} and no message")
    memory: StepMemory | StepTooLarge = answer or StepTooLarge()
    return memory


def _report_step(sender: Connection, request: StepRequest, budget: Budget, *, folder: str, is_fork: bool) -> None:
    """Send a StepMemory, a StepTooLarge, or the text of an error.

    On a GPU nnU-Net compiles the network unless the user's environment forbids it, and so do the steps: a compiled one
    keeps other tensors than an eager one. It costs a compilation for each batch size.
    """
    os.environ |= {"nnUNet_preprocessed": folder, "nnUNet_results": folder}
    with contextlib.suppress(OSError):
        # If memory runs out, the system ends this process and not the user's browser.
        _OOM_SCORE.write_text("1000")
    answer: StepMemory | StepTooLarge | str
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            unmapped = unmapped_libraries() if is_fork else 0
            memory = train_steps(request, budget)
            answer = replace(memory, peak=memory.peak + unmapped, before=memory.before + unmapped)
    except (RuntimeError, MemoryError) as error:
        words = f"{type(error).__name__}: {error}"
        if is_lack_of_memory(error, of_workspace=budget.device == "cuda"):
            answer = taken_by_others(budget) or StepTooLarge(words=words)
        else:
            answer = words
    except (ValueError, NotImplementedError, OSError, AssertionError) as error:
        answer = f"{type(error).__name__}: {error}"
    sender.send(answer)
