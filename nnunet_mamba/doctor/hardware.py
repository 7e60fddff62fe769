"""The processor, its threads, CUDA devices, and the shared memory that background workers use."""

import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from nnunet_mamba.doctor.findings import Finding, gibibytes
from nnunet_mamba.system.machine import available_cores, cpu_quota, processor

_SHARED_MEMORY = Path("/dev/shm")
_ENOUGH_SHARED_MEMORY = 2**30  # bytes
# Containers get 64 MiB unless told otherwise; one batch of an ordinary 2D training has as much.
_TOO_LITTLE_SHARED_MEMORY = 128 * 2**20


def hardware() -> Iterator[Finding]:
    """Look at the machine as torch sees it."""
    yield _vectors()
    yield from _threads()
    yield _cuda()
    yield from _worker_numbers()
    if _SHARED_MEMORY.is_dir():
        yield _shared_memory()


def _vectors() -> Finding:
    found = vector_instructions()
    text = f"{processor()}, {found or 'no vector instructions known'}"
    if found is None and platform.machine().lower() in ("x86_64", "amd64"):
        remedy = "train and predict on a machine with AVX2 (most since 2013) or a CUDA device"
        return Finding(name="processor", level="hint", text=f"{processor()}, no AVX2: scans are slow", remedy=remedy)
    return Finding(name="processor", text=text)


def vector_instructions() -> str | None:
    """Return the widest vector instructions that the scan's kernels can use, None if there are none or none known."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return "NEON"  # part of the architecture
    try:
        import llvmlite.binding

        features = llvmlite.binding.get_host_cpu_features()
    except (ImportError, OSError, RuntimeError):
        capability = torch.backends.cpu.get_cpu_capability()
        return {"AVX512": "AVX-512", "AVX2": "AVX2"}.get(capability)
    if features.get("avx512f"):
        return "AVX-512"
    return "AVX2" if features.get("avx2") else None


def _threads() -> Iterator[Finding]:
    threads, cores = torch.get_num_threads(), available_cores()
    quota = cpu_quota()
    text = f"{threads} of torch on {cores} cores"
    if quota is not None and quota < threads:
        yield Finding(
            name="threads",
            level="hint",
            text=f"{text}, but this container may use {quota:g}: threads wait for each other",
            remedy=f"export OMP_NUM_THREADS={max(1, int(quota))}",
        )
    else:
        yield Finding(name="threads", text=text)
    if not torch.cuda.is_available() and "OMP_WAIT_POLICY" not in os.environ:
        yield Finding(
            name="OMP_WAIT_POLICY",
            level="hint",
            text="is not set: outside of trainings torch's threads spin while they wait, though others need the cores",
            remedy="export OMP_WAIT_POLICY=passive",
        )


def _cuda() -> Finding:
    if torch.cuda.is_available():
        described = [_gpu(number) for number in range(torch.cuda.device_count())]
        text = f"{', '.join(text for text, _ in described)}, CUDA {torch.version.cuda}"
        if all(is_free for _, is_free in described):
            return Finding(name="CUDA", text=text)
        remedy = "nvidia-smi lists the programs that hold the rest; end them, or choose a GPU with CUDA_VISIBLE_DEVICES"
        return Finding(name="CUDA", level="hint", text=text, remedy=remedy)
    if torch.version.cuda is None and shutil.which("nvidia-smi"):
        return Finding(
            name="CUDA",
            level="hint",
            text="this machine has NVIDIA's driver, but torch was built without CUDA",
            remedy="install torch with CUDA (pytorch.org/get-started)",
        )
    return Finding(name="CUDA", text="no device: the trainers take the CPU; nnUNetv2_predict needs -device cpu")


def _gpu(number: int) -> tuple[str, bool]:
    """Return a GPU's name and memory, and whether most of the memory is free."""
    device = torch.cuda.get_device_properties(number)
    total = f"{device.name} ({gibibytes(device.total_memory)}"
    try:
        free, _ = torch.cuda.mem_get_info(number)
    except RuntimeError:
        # A full GPU has no room for the context in which it could be asked.
        return f"{total}, no room on it)", False
    return f"{total}, {gibibytes(free)} free)", free >= device.total_memory / 2


def _worker_numbers() -> Iterator[Finding]:
    """Report numbers of worker processes that nnU-Net, or one of its commands, cannot take."""
    for variable in ("nnUNet_n_proc_DA", "nnUNet_def_n_proc"):
        value = os.environ.get(variable)
        if value is None:
            continue
        if not re.fullmatch(r"\s*\d+\s*", value) or (variable == "nnUNet_def_n_proc" and int(value) == 0):
            yield Finding(
                name=variable,
                level="problem",
                text=f"is {value!r}, expected a number of processes",
                remedy=f"export {variable}=2, or unset {variable}",
            )
        elif int(value) == 0:
            yield Finding(
                name=variable,
                level="hint",
                text="is 0: trainings run, but nnU-Net's planning and preprocessing end with an error",
                remedy=f"export {variable}=1 before nnUNetv2_plan_and_preprocess",
            )


def _shared_memory() -> Finding:
    total, _, free = shutil.disk_usage(_SHARED_MEMORY)
    text = f"{gibibytes(free)} of {gibibytes(total)} free for the batches of background workers"
    if free >= _ENOUGH_SHARED_MEMORY or os.environ.get("nnUNet_n_proc_DA") == "0":
        return Finding(name=str(_SHARED_MEMORY), text=text)
    return Finding(
        name=str(_SHARED_MEMORY),
        level="problem" if free < _TOO_LITTLE_SHARED_MEMORY else "hint",
        text=f"only {text}",
        remedy="in Docker: docker run --shm-size=8g; anywhere: export nnUNet_n_proc_DA=1 (one worker, slower)",
    )
