"""The machine, its versions, and which backend a scan takes there and why it takes no other."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import torch

from gpu_checks.checks import WRONG, Check, Finding, Setting, require_cuda, verdict
from gpu_checks.device_timing import GIBIBYTE
from nnunet_mamba import __version__
from nnunet_mamba.ops.scan.backends import BACKENDS, VARIABLE, choose_backend
from nnunet_mamba.system.machine import processor, usable_cores

_PACKAGES = ("torch", "triton", "numba", "numpy", "mamba-ssm", "nnunetv2")


def checks(setting: Setting) -> list[Check]:
    """Return the checks of this part."""
    return [
        Check("versions", _versions),
        Check("processor", lambda: [Finding(f"{processor()}, {usable_cores()} cores")]),
        Check("GPU", lambda: _gpu(setting)),
        Check("driver", lambda: _driver(setting)),
        Check("float32 backends", lambda: _backends(setting)),
        Check("chosen backend", lambda: _chosen(setting)),
    ]


def _versions() -> Iterator[Finding]:
    yield Finding(f"{platform.python_version()} ({sys.executable})", what="python")
    yield Finding(__version__, what="nnunet-mamba")
    for package in _PACKAGES:
        try:
            yield Finding(version(package), what=package)
        except PackageNotFoundError:
            yield Finding("not installed", what=package)


def _gpu(setting: Setting) -> Iterator[Finding]:
    require_cuda(setting)
    for index in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(index)
        memory = f"{found.total_memory / GIBIBYTE:.0f} GiB, {found.multi_processor_count} multiprocessors"
        yield Finding(f"{found.name}, {found.major}.{found.minor}, {memory}", what=str(index))
    free, total = torch.cuda.mem_get_info()
    yield Finding(f"{free / GIBIBYTE:.1f} of {total / GIBIBYTE:.1f} GiB", what="free memory")
    yield Finding(str(torch.cuda.is_bf16_supported(including_emulation=False)), what="has bf16")


def _driver(setting: Setting) -> Iterator[Finding]:
    require_cuda(setting)
    yield Finding(str(torch.version.cuda), what="CUDA of torch")
    yield Finding(str(torch.backends.cudnn.version()), what="cuDNN")
    try:
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding(f"unknown, nvidia-smi: {error}", what="NVIDIA driver")
    else:
        yield Finding(", ".join(asked.stdout.split()) or "unknown", what="NVIDIA driver")


def _backends(setting: Setting) -> Iterator[Finding]:
    u = torch.zeros(1, 1, 1, device=setting.device)
    for name, backend in BACKENDS.items():
        refusal = backend.refusal(u)
        runs_there = backend.devices is None or setting.device in backend.devices
        is_installed = backend.requires is None or _is_installed(backend.requires)
        # A kernel that is there, is for this device and fails its own test run is what this check looks for.
        is_wrong = refusal is not None and runs_there and is_installed and backend.is_deterministic
        yield Finding(refusal or "available", verdict=WRONG if is_wrong else "measured", what=name)


def _is_installed(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def _chosen(setting: Setting) -> Iterator[Finding]:
    fast = {"cuda": ("triton_gpu", "mamba_ssm_cuda"), "cpu": ("numba_cpu",)}[setting.device]
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        name = choose_backend(torch.zeros(1, 1, 1, device=setting.device, dtype=dtype)).name
        what = str(dtype).removeprefix("torch.")
        if os.environ.get(VARIABLE):
            yield Finding(f"{name} (forced by {VARIABLE})", what=what)
            continue
        expected = ("reference",) if dtype is torch.float64 else fast
        yield Finding(name, " or ".join(expected), verdict(name in expected), what)
