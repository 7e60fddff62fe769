"""The fused operators around the scan: results and gradients against float64, twice, and times beside composed ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gpu_checks.checks import Check, Finding, Setting, SkipCheck, equal, verdict, within
from gpu_checks.device_timing import medians
from gpu_checks.kernel_times import REPEATS, REPEATS_OF_DRY_RUN
from gpu_checks.scan_accuracy import TOLERANCE, relative_error
from nnunet_mamba.ops.directions import composed as composed_directions
from nnunet_mamba.ops.directions import op as directions
from nnunet_mamba.ops.directions.operands import CrossScanOperands
from nnunet_mamba.ops.directions.operands import refusal as refusal_of_directions
from nnunet_mamba.ops.mixer import composed as composed_mixer
from nnunet_mamba.ops.mixer import op as mixer
from nnunet_mamba.ops.mixer.operands import MambaOperands
from nnunet_mamba.ops.mixer.operands import refusal as refusal_of_mixer

# Sums over a map's tokens, channels and batch, in another order than float64's, lose more than a scan's own results.
_OF_SUMS = 4.0


@dataclass(frozen=True)
class Fused:
    """An operator that is fused where it can be.

    Args:
        call: computes operands, fused where that works.
        definition: composes them of torch's operators.
        refusal: says why kernels cannot take operands.
        failure: says why kernels do not work on a device.
    """

    call: Callable[[Any], Tensor]
    definition: Callable[[Any], Tensor]
    refusal: Callable[[Any], str | None]
    failure: Callable[[bool, str], str | None]


_CROSS_SCAN = Fused(directions._scan, composed_directions.forward, refusal_of_directions, directions._probe_failure)
_MIXER = Fused(mixer._mix, composed_mixer.forward, refusal_of_mixer, mixer._probe_failure)


def _map(device: str, b: int, side: int, d: int, rank: int, n: int = 16) -> CrossScanOperands:
    """Return a map and the weights of its scans, spread like those of VM-UNet."""

    def normal(*shape: int, size: float = 1.0) -> Tensor:
        return size * torch.randn(shape, device=device)

    return CrossScanOperands(
        u=normal(b, side * side, d),
        projected=normal(b, side * side, 4, rank + 2 * n),
        dt_proj=normal(4, d, rank, size=rank**-0.5),
        dt_bias=normal(4, d) - 4,
        A_logs=torch.arange(1.0, n + 1, device=device).log().repeat(4 * d, 1),
        Ds=normal(4 * d),
        spatial=(side, side),
    )


def _block(device: str, b: int, length: int, d_model: int, n_parallel: int, n: int = 16) -> MambaOperands:
    """Return tokens and the weights of a Mamba block, spread like those of UltraLight VM-UNet."""
    d_inner, rank = 2 * d_model, -(-d_model // 16)

    def normal(*shape: int, size: float = 1.0) -> Tensor:
        return size * torch.randn(shape, device=device)

    return MambaOperands(
        tokens=normal(b, length, n_parallel * d_model),
        in_proj=normal(2 * d_inner, d_model, size=d_model**-0.5),
        conv=normal(d_inner, 1, 4, size=0.5),
        conv_bias=normal(d_inner, size=0.5),
        x_proj=normal(rank + 2 * n, d_inner, size=d_inner**-0.5),
        dt_proj=normal(d_inner, rank, size=rank**-0.5),
        dt_bias=normal(d_inner) - 4,
        A_log=torch.arange(1.0, n + 1, device=device).log().repeat(d_inner, 1),
        D=normal(d_inner),
        out_proj=normal(d_model, d_inner, size=d_inner**-0.5),
        n_parallel=n_parallel,
    )


Case = tuple[Fused, Callable[[str], Any]]


def _cases(*, is_small: bool) -> dict[str, Case]:
    """Return operands of VM-UNet's first and last stages and of UltraLight VM-UNet's widest and longest blocks."""
    if is_small:
        return {
            "cross_scan 1x8² d=24": (_CROSS_SCAN, partial(_map, b=1, side=8, d=24, rank=2)),
            "mamba_mixer 1x64 d=6": (_MIXER, partial(_block, b=1, length=64, d_model=6, n_parallel=4)),
        }
    return {
        "cross_scan 8x64² d=192": (_CROSS_SCAN, partial(_map, b=8, side=64, d=192, rank=6)),
        "cross_scan 8x8² d=1536": (_CROSS_SCAN, partial(_map, b=8, side=8, d=1536, rank=48)),
        "mamba_mixer 64x1024 d=6": (_MIXER, partial(_block, b=64, length=1024, d_model=6, n_parallel=4)),
        "mamba_mixer 64x64 d=16": (_MIXER, partial(_block, b=64, length=64, d_model=16, n_parallel=4)),
    }


def checks(setting: Setting) -> list[Check]:
    """Return the checks of this part."""
    cases = _cases(is_small=setting.is_small)
    return [Check(what, partial(_check, setting, *case)) for what, case in cases.items()]


def _check(setting: Setting, fused: Fused, make: Callable[[str], Any]) -> Iterator[Finding]:
    torch.manual_seed(0)
    x = make(setting.device)
    if reason := fused.refusal(x):
        raise SkipCheck(reason)
    failure = fused.failure(False, setting.device if setting.device == "cpu" else str(x[0].device))
    yield Finding(failure or "used", "used", verdict(failure is None), "kernels")
    results, again = (_with_gradients(fused.call, x) for _ in range(2))
    exact = _with_gradients(fused.definition, x._make(one.double() if isinstance(one, Tensor) else one for one in x))
    errors = {name: relative_error(results[name], exact[name]) for name in exact}
    worst = max(errors, key=lambda name: (errors[name] != errors[name], errors[name]))
    limit = TOLERANCE[torch.float32]
    yield within(errors["result"], limit, what="result")
    yield within(errors[worst], _OF_SUMS * limit, where=worst, what="gradients")
    yield equal(all(torch.equal(results[name], again[name]) for name in results), what="twice")
    del exact, again, results
    repeats = REPEATS_OF_DRY_RUN if setting.is_dry_run else REPEATS
    with torch.no_grad():
        tasks = {"fused": partial(fused.call, x), "composed": partial(fused.definition, x)}
        yield _beside(medians(tasks, setting.device, repeats=repeats), "forward")
    tasks = {
        "fused": partial(_with_gradients, fused.call, x),
        "composed": partial(_with_gradients, fused.definition, x),
    }
    yield _beside(medians(tasks, setting.device, repeats=repeats), "forward+backward")


def _beside(ms: dict[str, float], what: str) -> Finding:
    ratio = ms["composed"] / ms["fused"]
    return Finding(f"{ms['fused']:.3f} ms, composed {ms['composed']:.3f} ms, {ratio:.2f} times", what=what)


def _with_gradients(function: Callable[[Any], Tensor], x: Any) -> dict[str, Tensor]:
    """Return the result and the gradient of every tensor operand, by name."""
    leaves = x._make(one.detach().requires_grad_() if isinstance(one, Tensor) else one for one in x)
    named = {name: one for name, one in leaves._asdict().items() if isinstance(one, Tensor)}
    result = function(leaves)
    gradients = torch.autograd.grad(result, list(named.values()), result.detach().flip(1))
    return {"result": result.detach(), **{f"d{name}": one for name, one in zip(named, gradients, strict=True)}}
