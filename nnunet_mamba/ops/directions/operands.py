"""The operands of a scan of a map in several directions."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

LANES, CHUNK = 16, 64


class CrossScanOperands(NamedTuple):
    """What the K = 2 len(spatial) directions scan; gradients come back in the order of the tensors here.

    Args:
        u: the map's positions, row-major, (b, l, d).
        projected: dt, B and C of every position and direction, (b, l, K, dt_rank + 2 n).
        dt_proj: (K, d, dt_rank).
        dt_bias: (K, d).
        A_logs: (K d, n); the state decays by -exp(A_logs).
        Ds: skip weight, (K d,).
        spatial: the sizes of the map's axes, whose product is l; ``scan_order`` tells what the directions are.
    """

    u: Tensor
    projected: Tensor
    dt_proj: Tensor
    dt_bias: Tensor
    A_logs: Tensor
    Ds: Tensor
    spatial: Sequence[int]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensor operands."""
        return (self.u, self.projected, self.dt_proj, self.dt_bias, self.A_logs, self.Ds)


TENSOR_NAMES = CrossScanOperands._fields[:-1]


def states_shape(b: int, directions: int, length: int, n: int, d: int) -> tuple[int, int, int, int, int]:
    """Return the shape of the states that a fused forward pass saves, (b, K, chunks, n, d)."""
    return b, directions, -(-length // CHUNK), n, d


def refusal(x: CrossScanOperands) -> str | None:
    """Return why the fused kernels cannot take these operands, or None if they can."""
    if x.u.dtype != torch.float32 or x.u.device.type != "cpu":
        return f"{x.u.dtype} on {x.u.device} is not float32 on a CPU"
    return None
