"""Train a few steps on random data, in a process of their own, and tell what memory they took."""

import contextlib
import multiprocessing
import os
import re
import sys
import tempfile
import warnings
from dataclasses import dataclass, replace
from difflib import get_close_matches
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.ops.warm import warm
from nnunet_mamba.planning.memory import Budget
from nnunet_mamba.system.machine import available_cores
from nnunet_mamba.training.distillation import DistillationTrainer
from nnunet_mamba.training.distillation_settings import DistillationSettings
from nnunet_mamba.training.generated_trainers import load_trainer, trainer_with_budget
from nnunet_mamba.training.preset_trainer import PresetTrainer

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

# The first step makes the optimiser's states and leaves the heap in pieces; the later ones hold what a training holds.
N_STEPS = 3
# A step that takes more than this multiple of the budget is stopped: how much too large it is does not matter.
STOPPED_AT = 1.5
_CLEAR_REFS = Path("/proc/self/clear_refs")
_OOM_SCORE = Path("/proc/self/oom_score_adj")
# What torch, the C++ library and oneDNN say when an allocation fails.
_OUT_OF_MEMORY = re.compile(r"can't allocate memory|not enough memory|bad_alloc|out of memory", re.IGNORECASE)
# What CUDA's libraries say when there is no room for their workspace.
_OUT_OF_WORKSPACE = re.compile(
    r"alloc(ation)?_failed|unable to find an engine|unable to find a valid cudnn algorithm", re.IGNORECASE
)
# SIGKILL is the system's, SIGABRT the C++ library's; Windows has no name for the first.
_KILLED_FOR_MEMORY = (-9, -6)


@dataclass(frozen=True, kw_only=True)
class StepRequest:
    """What to train.

    Args:
        trainer: name of a bundled trainer, with or without suffixes.
        plans: with the patch size, batch size and architecture to try.
        configuration: of the plans.
        dataset_json: nnU-Net's description of the data set.
    """

    trainer: str
    plans: dict[str, Any]
    configuration: str
    dataset_json: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """What the steps took, in bytes.

    Args:
        peak: of the whole process on a CPU; reserved by torch on a GPU.
        before: the same before the trainer was made.
    """

    peak: int
    before: int


@dataclass(frozen=True, kw_only=True)
class StepTooLarge:
    """There was not enough memory for the steps.

    Args:
        words: of the library that found none; empty if the system ended the process.
    """

    words: str = ""


class StepFailedError(RuntimeError):
    """The step failed for another reason than memory; the text is the step's own."""


def trainer_class(name: str) -> type[PresetTrainer]:
    """Return one of our trainers by its name, with or without suffixes.

    Raises:
        ValueError: there is none of that name; lists the ones there are.
    """
    if name in trainer_names():
        return load_trainer(name)
    try:
        return trainer_with_budget(name)
    except AttributeError:
        alike = get_close_matches(name, trainer_names(), n=1, cutoff=0.9)
        meant = f". Did you mean {alike[0]}?" if alike else ""
        raise ValueError(f"--trainer {name}: unknown; choose one of {', '.join(trainer_names())}{meant}") from None


def measure_step(request: StepRequest, budget: Budget) -> StepMemory | StepTooLarge:
    """Train in a new process, and return its memory or that there was not enough for it.

    Args:
        request: what to train.
        budget: on a CPU a step that takes far more is stopped.

    Raises:
        StepFailedError: the step failed for another reason.
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
        raise StepFailedError(answer)
    if answer is None and process.exitcode not in _KILLED_FOR_MEMORY:
        raise StepFailedError(f"the process that trained ended with exit code {process.exitcode} and no message")
    memory: StepMemory | StepTooLarge = answer or StepTooLarge()
    return memory


def _report_step(sender: Connection, request: StepRequest, budget: Budget, *, folder: str, is_fork: bool) -> None:
    """Send a StepMemory, a StepTooLarge, or the text of an error."""
    os.environ |= {"nnUNet_preprocessed": folder, "nnUNet_results": folder, "nnUNet_compile": "f"}
    with contextlib.suppress(OSError):
        # Where memory runs out, the system ends this process and not the user's browser.
        _OOM_SCORE.write_text("1000")
    answer: StepMemory | StepTooLarge | str
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            unmapped = _unmapped_libraries() if is_fork else 0
            memory = train_steps(request, budget)
            answer = replace(memory, peak=memory.peak + unmapped, before=memory.before + unmapped)
    except (RuntimeError, MemoryError) as error:
        words = f"{type(error).__name__}: {error}"
        answer = StepTooLarge(words=words) if _is_for_want_of_memory(error, budget.device) else words
    except (ValueError, NotImplementedError, OSError, AssertionError) as error:
        answer = f"{type(error).__name__}: {error}"
    sender.send(answer)


def _is_for_want_of_memory(error: RuntimeError | MemoryError, device: str) -> bool:
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
        return True
    return device == "cuda" and _OUT_OF_WORKSPACE.search(str(error)) is not None


def train_steps(request: StepRequest, budget: Budget) -> StepMemory:
    """Train the trainer's network on random batches in this process, and return the memory.

    Args:
        request: what to train; the trainer writes into the folders that nnU-Net's variables name.
        budget: see ``measure_step``.
    """
    torch.set_num_threads(available_cores())
    torch.backends.cudnn.benchmark = budget.device == "cuda"  # as nnU-Net has it
    # Kernels that compile and libraries that load at first use belong to the process, not to the step.
    warm(budget.device)
    _reset_peak(budget)
    before = _peak(budget)
    trainer = _initialised_trainer(request, budget.device)
    for _ in range(N_STEPS):
        trainer.train_step(random_batch(trainer))
    return StepMemory(peak=_peak(budget), before=before)


def _initialised_trainer(request: StepRequest, device: str) -> PresetTrainer:
    plans = {**request.plans, "continue_training": False}
    trainer: PresetTrainer = trainer_class(request.trainer)(
        plans, request.configuration, 0, request.dataset_json, torch.device(device)
    )
    # nnU-Net looks at the files' endings to see how cases are stored; none of them is opened.
    folder = Path(trainer.preprocessed_dataset_folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "case.b2nd").touch()
    trainer.initialize()
    if isinstance(trainer, DistillationTrainer):
        # Weights do not matter, so no teacher needs to be trained yet.
        trainer.settings = DistillationSettings.from_environment()
        teacher = load_trainer(trainer.teacher_preset.trainer).build_network_architecture(
            trainer.plans_manager,
            trainer.configuration_manager,
            trainer.num_input_channels,
            trainer.label_manager.num_segmentation_heads,
            enable_deep_supervision=False,
        )
        trainer.teacher = teacher.to(trainer.device).eval()
    return trainer


def random_batch(trainer: PresetTrainer) -> dict[str, Any]:
    """Return what nnU-Net's data loader gives: images, labels or regions, under deep supervision at all resolutions."""
    manager, labels = trainer.configuration_manager, trainer.label_manager
    data = torch.randn(manager.batch_size, trainer.num_input_channels, *manager.patch_size)
    n_targets, dtype = 1, torch.int16
    if labels.has_regions:
        n_targets, dtype = len(labels.foreground_regions) + bool(labels.has_ignore_label), torch.bool
    scales = trainer._get_deep_supervision_scales()
    sizes = [[round(size * by) for size, by in zip(manager.patch_size, scale, strict=True)] for scale in scales or ()]
    if not sizes:
        return {"data": data, "target": torch.zeros(manager.batch_size, n_targets, *manager.patch_size, dtype=dtype)}
    return {"data": data, "target": [torch.zeros(manager.batch_size, n_targets, *size, dtype=dtype) for size in sizes]}


def _reset_peak(budget: Budget) -> None:
    """Forget the peak so far; on a CPU, let allocations fail far above the budget."""
    if budget.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError):
        # Elsewhere than on Linux the peak counts from the start, when libraries are loaded.
        _CLEAR_REFS.write_text("5")
    if writable := _status("VmData"):
        import resource

        left = max(0, round(STOPPED_AT * budget.size) - _peak(budget))
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = writable + left
        # A cluster may have set a limit that nobody may lift.
        resource.setrlimit(
            resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most)
        )


def _peak(budget: Budget) -> int:
    """Return the most memory since the last reset, in bytes."""
    if budget.device == "cuda":
        return torch.cuda.max_memory_reserved()
    if resident := _status("VmHWM"):
        return resident
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _unmapped_libraries() -> int:
    """Return what a fork has less than the process it was forked from: code of libraries that it did not touch yet."""
    own, parent = _status("VmRSS"), _status("VmRSS", process=str(os.getppid()))
    return 0 if own is None or parent is None else max(0, parent - own)


def _status(name: str, *, process: str = "self") -> int | None:
    """Return what Linux tells of a process under a name, in bytes; None elsewhere."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None
