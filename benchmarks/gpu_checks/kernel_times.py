"""Times of the scan's kernels: medians, and their share of the device's copy bandwidth, beside mamba_ssm's extension.

Bytes are what a scan has to move if it touches every operand, result and saved state once; the share is their rate over
that of a copy. mamba_ssm's extension is called directly, with its own saved states.
"""

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch

from gpu_checks.checks import Check, Finding, Setting, SkipCheck
from gpu_checks.device_timing import GIBIBYTE, copy_bandwidth, medians
from gpu_checks.scan_shapes import Shape, operands
from nnunet_mamba.ops.scan.backends import BACKENDS
from nnunet_mamba.ops.scan.operands import ScanOperands, states_shape

# UltraLight VM-UNet at 256², batch 64 (four Mambas side by side); VM-UNet at 256², batch 32; U-Mamba on patches of
# 40×224×192, batch 2: its bottleneck, and its encoder at a quarter of the resolution.
SHAPES = {
    "UltraLight": Shape(256, 12, 1024),
    "VM-UNet": Shape(32, 768, 4096, groups=4),
    "U-Mamba 3D bottleneck": Shape(2, 640, 210),
    "U-Mamba 3D encoder": Shape(2, 256, 53_760),
}
SMALL_SHAPES = {"UltraLight": Shape(4, 12, 64), "VM-UNet": Shape(1, 48, 64, groups=4)}
DTYPES = (torch.float32, torch.float16)
REPEATS, REPEATS_OF_DRY_RUN = 20, 2
_EXTENSION = "selective_scan_cuda"

Task = Callable[[ScanOperands], Any]


def checks(setting: Setting) -> list[Check]:
    """Return the checks of this part."""
    shapes = SMALL_SHAPES if setting.is_small else SHAPES
    found = [Check("copy", lambda: [Finding(f"{_copy_rate(setting) / 1e6:.0f} GB/s")])]
    if not _has_extension(setting):
        found.append(Check("mamba_ssm", _no_extension))
    for dtype in DTYPES:
        for name, shape in shapes.items():
            what = f"{str(dtype).removeprefix('torch.')} {name} {shape}"
            found.append(Check(what, partial(_times, setting, shape, dtype)))
    return found


def _has_extension(setting: Setting) -> bool:
    return setting.device == "cuda" and find_spec(_EXTENSION) is not None


def _no_extension() -> Iterator[Finding]:
    raise SkipCheck(f"{_EXTENSION} is not installed, or this is no CUDA device")


def _repeats(setting: Setting) -> int:
    return REPEATS_OF_DRY_RUN if setting.is_dry_run else REPEATS


def _copy_rate(setting: Setting) -> float:
    size = GIBIBYTE // 64 if setting.is_small else GIBIBYTE
    return copy_bandwidth(setting.device, size=size, repeats=_repeats(setting))


def _times(setting: Setting, shape: Shape, dtype: torch.dtype) -> Iterator[Finding]:
    kernels = "triton_gpu" if setting.device == "cuda" else "numba_cpu"
    refusal = BACKENDS[kernels].refusal(torch.zeros(1, 1, 1, device=setting.device))
    if refusal:
        raise SkipCheck(f"{kernels}: {refusal}")
    ours, x, rate = BACKENDS[kernels].load(), operands(shape, setting.device, dtype), _copy_rate(setting)
    per_channel = {"A": x.A.float(), "D": x.D.float(), "delta_bias": x.delta_bias.float()}
    x = x._replace(**per_channel)
    for name, task, theirs in (
        ("forward", ours.forward, _extension_forward),
        ("forward+backward", partial(_forward_and_backward, ours), _extension_forward_and_backward),
    ):
        tasks: dict[str, Callable[[], Any]] = {"ours": partial(task, x)}
        if _has_extension(setting):
            tasks["mamba_ssm"] = partial(theirs, x)
        ms = medians(tasks, setting.device, repeats=_repeats(setting))
        share = bytes_moved(x, with_backward=name != "forward") / ms["ours"] / rate
        beside = f", mamba_ssm {ms['mamba_ssm']:.3f} ms" if "mamba_ssm" in ms else ""
        yield Finding(f"{ms['ours']:.3f} ms, {100 * share:.0f} % of copy{beside}", what=name)


def bytes_moved(x: ScanOperands, *, with_backward: bool) -> int:
    """Return the bytes of operands, results and, with the backward pass, saved states, each counted once per pass."""
    size = x.u.element_size()
    (b, d, length), n = x.u.shape, x.A.shape[1]
    tokens, matrices = x.u.numel() * size, (x.B.numel() + x.C.numel()) * size
    forward = 4 * tokens + matrices
    if not with_backward:
        return forward
    states = 4 * torch.Size(states_shape(b, d, length, n)).numel()
    backward = 7 * tokens + 2 * matrices
    return forward + states + backward + states


def _forward_and_backward(implementation: Any, x: ScanOperands) -> None:
    y, *saved = implementation.forward_saving(x)
    implementation.backward(y, x, *saved)


def _extension_forward(x: ScanOperands) -> None:
    import selective_scan_cuda

    selective_scan_cuda.fwd(*x)


def _extension_forward_and_backward(x: ScanOperands) -> None:
    import selective_scan_cuda

    y, states, gated = selective_scan_cuda.fwd(*x)
    selective_scan_cuda.bwd(*x.tensors, gated, states, y, None, x.delta_softplus, False)
