"""The selective scan: which backend it takes, and how long a process waits for its first one."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from nnunet_mamba.doctor.findings import Finding
from nnunet_mamba.doctor.triton_cache import triton_cache_folder, triton_kernel_files
from nnunet_mamba.ops.scan.backends import BACKENDS, VARIABLE, choose_backend
from nnunet_mamba.ops.scan.survey import devices
from nnunet_mamba.ops.warm import warm
from nnunet_mamba.system.counts import how_many
from nnunet_mamba.system.memory_errors import is_lack_of_memory


@dataclass(frozen=True)
class FirstScan:
    """The first scans of a process, all kernels of a training and of a prediction.

    Args:
        seconds: with the import of numba or Triton, without that of torch.
        n_compiled: kernels that were not in the cache.
    """

    seconds: float
    n_compiled: int

    @property
    def text(self) -> str:
        """How long, and why."""
        loaded = "nothing compiled" if not self.n_compiled else f"compiled {how_many(self.n_compiled, 'kernel')}"
        return f"{self.seconds:.1f} s, {loaded}"


def first_scan(device: str = "cpu") -> FirstScan:
    """Run every kernel once and tell whether they were compiled.

    Raises:
        RuntimeError: no backend can run a scan there.
        ValueError: ``$NNUNET_MAMBA_SCAN`` names none.
    """
    import torch._dynamo  # noqa: F401  torch imports it at the first call of any custom operator, nnU-Net at once

    start = time.perf_counter()
    before = _kernels(device)
    warm(device)
    return FirstScan(time.perf_counter() - start, len(_kernels(device) - before))


def _kernels(device: str) -> set[tuple[Path, int]]:
    """Return the files of the kernels that are compiled for a device, and when they were written."""
    files = triton_kernel_files() if device == "cuda" else _numba_kernel_files()
    return {(file, file.stat().st_mtime_ns) for file in files}


def _numba_kernel_files() -> list[Path]:
    """Return the files of the compiled CPU kernels; none where numba cannot be imported."""
    try:
        from nnunet_mamba.ops.cpu_kernels.kernel_cache import cache_folder, kernel_files
    except (ImportError, AttributeError, OSError):
        return []
    return kernel_files(cache_folder())


def scan() -> Iterator[Finding]:
    """Choose a backend on every device, compile its kernels, and time a process that finds them compiled."""
    for device in devices():
        try:
            # Where other programs hold all of a GPU, there is no room even for this.
            tokens = torch.zeros(1, 1, 1, device=device)
            first = first_scan(device)
            name = choose_backend(tokens).name
        except (RuntimeError, ValueError, OSError, MemoryError) as error:
            yield _failure(device, error)
            continue
        yield _choice(name, tokens)
        if name == "numba_cpu":
            yield _cache()
        elif name == "triton_gpu":
            yield Finding(name="compile cache", text=f"{triton_cache_folder()} (Triton's)")
        if name != "reference":
            yield Finding(name="first scan", text=f"{first.text} (this process)")
            yield _next_process(device)


def _failure(device: str, error: Exception) -> Finding:
    remedy = f"unset {VARIABLE}"
    if is_lack_of_memory(error):
        holders = "nvidia-smi lists the programs that hold some of the GPU's" if device == "cuda" else "end programs"
        remedy = f"free memory: {holders}"
    text = str(error) or type(error).__name__
    return Finding(name=f"on {device}", level="problem", text=text, remedy=remedy)


def _choice(name: str, tokens: Tensor) -> Finding:
    forced = f" (forced by {VARIABLE})" if os.environ.get(VARIABLE) else ""
    device = tokens.device.type
    if name != "reference":
        return Finding(name=f"on {device}", text=f"{name}{forced}")
    if forced:
        remedy = f"unset {VARIABLE}"
    else:
        refusals = {backend.name: backend.refusal(tokens) for backend in BACKENDS.values()}
        reasons = [f"{name}: {reason.splitlines()[0]}" for name, reason in refusals.items() if reason]
        remedy = "make one of the others available: " + "; ".join(reasons)
    return Finding(
        name=f"on {device}",
        level="hint",
        text=f"only the reference{forced}: right, but many times slower than a kernel",
        remedy=remedy,
    )


def _cache() -> Finding:
    from nnunet_mamba.ops.cpu_kernels.kernel_cache import cache_folder, ignored_folder, user_folders

    folder, wanted = cache_folder(), user_folders()
    if why := ignored_folder():
        return Finding(
            name="compile cache",
            level="hint",
            text=f"{folder}, because {why}",
            remedy="export NUMBA_CACHE_DIR=/a/folder/that/lasts",
        )
    if wanted and folder.parent == wanted[0]:
        return Finding(name="compile cache", text=str(folder))
    why = f"{wanted[0]} is not writable or full" if wanted else "there is no home folder"
    return Finding(
        name="compile cache",
        level="hint",
        text=f"{folder}, because {why}",
        remedy="export NUMBA_CACHE_DIR=/a/folder/that/lasts",
    )


def _next_process(device: str) -> Finding:
    """Time the first scan of a fresh process: what every training and every prediction will wait."""
    code = f"from nnunet_mamba.doctor.scan import print_first_scan; print_first_scan({device!r})"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if process.returncode != 0:
        return Finding(
            name="first scan",
            level="problem",
            text=f"a new process fails: {_last_line(process.stderr)}",
            remedy=f"export {VARIABLE}=reference works without compiled kernels",
        )
    first = FirstScan(**json.loads(process.stdout.splitlines()[-1]))
    if first.n_compiled:
        return Finding(
            name="first scan",
            level="hint",
            text=f"{first.text} in every new process",
            remedy=f"export {'TRITON' if device == 'cuda' else 'NUMBA'}_CACHE_DIR=/a/folder/that/lasts",
        )
    return Finding(name="first scan", text=f"{first.text} (a new process)")


def print_first_scan(device: str) -> None:
    """Write what ``first_scan`` returns to standard output, for the process that asked."""
    sys.stdout.write(json.dumps(asdict(first_scan(device))) + "\n")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]
