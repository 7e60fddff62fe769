"""Scans of more than 2³¹ numbers, more than 32 bits can count: their first and last numbers against float64.

Far from its ends a scan is not compared: after a thousand tokens of steps that are 0.2 on average, nothing is left of a
state, so that a slice of the operands has the numbers of the whole.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from gpu_checks.checks import Check, Finding, Setting, SkipCheck, within
from gpu_checks.device_timing import GIBIBYTE
from gpu_checks.scan_accuracy import TOLERANCE, relative_error
from gpu_checks.scan_shapes import Shape
from nnunet_mamba.ops import selective_scan

# A few more than 2³¹ numbers of u: along the batch, and along the tokens.
BATCH, TOKENS = Shape(2**15 + 3, 64, 1024), Shape(1, 64, 2**25 + 77)
SMALL_BATCH, SMALL_TOKENS = Shape(5, 8, 70), Shape(1, 8, 5000)
DTYPE = torch.float16
COMPARED, FORGOTTEN = 1024, 1024
# What the passes keep at once, relative to u: for the forward pass operands and y, for the backward pass besides the
# states, all gradients, and several dB and dC in float32.
_COPIES = {"forward": 4.5, "backward": 14}


class _Operands(NamedTuple):
    """The operands of these scans, which have no gate."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor
    delta_bias: Tensor

    def scan(self) -> Tensor:
        return selective_scan(*self[:6], None, self.delta_bias, True)

    def part(self, entries: slice, tokens: slice) -> "_Operands":
        """Return the float64 operands of some entries of the batch and some tokens."""
        u, delta, B, C = (tensor[entries, ..., tokens].double() for tensor in (self.u, self.delta, self.B, self.C))
        return _Operands(u, delta, self.A.double(), B, C, self.D.double(), self.delta_bias.double())


def checks(setting: Setting) -> list[Check]:
    """Return the checks of this part."""
    shapes = (SMALL_BATCH, SMALL_TOKENS) if setting.is_small else (BATCH, TOKENS)
    return [
        Check(f"{name} {shape}, {direction}", partial(_check, setting, shape, direction))
        for name, shape in zip(("long batch", "many tokens"), shapes, strict=True)
        for direction in _COPIES
    ]


def _check(setting: Setting, shape: Shape, direction: str) -> Iterator[Finding]:
    size = shape.b * shape.d * shape.length * DTYPE.itemsize
    if setting.device == "cuda":
        free, needed = torch.cuda.mem_get_info()[0], round(_COPIES[direction] * size)
        if free < needed:
            raise SkipCheck(f"needs {needed / GIBIBYTE:.0f} GiB, {free / GIBIBYTE:.0f} GiB are free")
    x = _operands(shape, setting.device)
    if direction == "forward":
        with torch.no_grad():
            y = x.scan()
        for place, entries, tokens, kept in _places(shape):
            right = x.part(entries, tokens).scan()
            error = relative_error(y[entries, :, tokens][..., kept], right[..., kept])
            yield within(error, TOLERANCE[DTYPE], where="y", what=place)
        return
    names = ("u", "delta", "B", "C")
    gradients = dict(zip(names, _gradients(x, names), strict=True))
    for place, entries, tokens, kept in _places(shape):
        right = _gradients(x.part(entries, tokens), names)
        errors = {
            f"d{name}": relative_error(gradients[name][entries, ..., tokens][..., kept], exact[..., kept])
            for name, exact in zip(names, right, strict=True)
        }
        worst = max(errors, key=lambda name: (errors[name] != errors[name], errors[name]))
        yield within(errors[worst], TOLERANCE[DTYPE], where=worst, what=place)


def _operands(shape: Shape, device: str) -> _Operands:
    b, d, length, n, groups = shape
    generator = torch.Generator(device).manual_seed(0)

    def normal(*sizes: int, dtype: torch.dtype = DTYPE) -> Tensor:
        # In place: a second tensor of this size may be too much.
        return torch.empty(sizes, dtype=dtype, device=device).normal_(generator=generator)

    A = -torch.arange(1.0, n + 1, device=device).repeat(d, 1)
    u, delta = normal(b, d, length), normal(b, d, length).sub_(2)
    B, C = (normal(b, groups, n, length) for _ in range(2))
    D, bias = (normal(d, dtype=torch.float32) for _ in range(2))
    # Steps stay large enough to forget in a thousand tokens.
    return _Operands(u, delta, A, B, C, D, bias.clamp_(-0.5, 0.5))


def _gradients(x: _Operands, names: tuple[str, ...]) -> tuple[Tensor, ...]:
    """Return gradients with u for dy, which saves the memory of another tensor."""
    wanted = {name: getattr(x, name).detach().requires_grad_() for name in names}
    return torch.autograd.grad(x._replace(**wanted).scan(), list(wanted.values()), x.u.detach())


def _places(shape: Shape) -> Iterator[tuple[str, slice, slice, slice]]:
    """Yield the first and the last numbers: the batch's entries, the tokens, and which of these are compared."""
    if shape.length <= COMPARED + FORGOTTEN:
        yield "first entry", slice(0, 1), slice(None), slice(None)
        yield "last entry", slice(shape.b - 1, None), slice(None), slice(None)
        return
    both = COMPARED + FORGOTTEN
    yield "first tokens", slice(None), slice(0, both), slice(0, COMPARED)
    yield "last tokens", slice(None), slice(shape.length - both, None), slice(FORGOTTEN, None)
