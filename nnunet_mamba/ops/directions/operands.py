"""The operands of a scan of a map in several directions."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nnunet_mamba.ops.cpu_kernels.sizes import CHUNK
from nnunet_mamba.ops.operand_checks import (
    require_alike,
    require_dims,
    require_shapes,
    require_sizes,
)


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


# VM-UNet's widest scan has 48.
LARGEST_RANK_ON_GPU = 64

TENSOR_NAMES = CrossScanOperands._fields[:-1]
_OWNER = "cross_scan"


def states_shape(x: CrossScanOperands) -> tuple[int, int, int, int, int]:
    """Return the shape of the states that a fused forward pass saves, (b, K, chunks, n, d)."""
    b, length, d = x.u.shape
    # Not -(-length // CHUNK): torch's compiler cannot divide a negative size that it does not know.
    return b, x.dt_proj.shape[0], (length + CHUNK - 1) // CHUNK, x.A_logs.shape[1], d


def new_states(x: CrossScanOperands) -> Tensor:
    """Return room for the states that a fused forward pass saves."""
    return x.u.new_empty(states_shape(x))


def check_operands(x: CrossScanOperands) -> None:
    """Refuse what is not a map and the weights of its scans.

    Raises:
        TypeError: an operand is not a dense floating-point tensor, or has another dtype than ``u``.
        ValueError: shapes do not fit together, or devices differ.
    """
    # Spelled out: torch.compile of torch 2.6 unpacks a named tuple but traces neither its properties nor its slices.
    u, projected, dt_proj, dt_bias, A_logs, Ds, spatial = x
    require_alike(_OWNER, TENSOR_NAMES, (u, projected, dt_proj, dt_bias, A_logs, Ds))
    require_dims(
        _OWNER, (("u", u, "(b, l, d)"), ("dt_proj", dt_proj, "(K, d, dt_rank)"), ("A_logs", A_logs, "(K * d, n)"))
    )
    (b, length, d), rank, n = u.shape, dt_proj.shape[2], A_logs.shape[1]
    check_spatial(_OWNER, spatial, length)
    require_sizes(_OWNER, (("u", u, "d", d), ("dt_proj", dt_proj, "dt_rank", rank), ("A_logs", A_logs, "n", n)))
    directions = 2 * len(spatial)
    require_shapes(
        _OWNER,
        (
            ("projected", projected, "(b, l, K, dt_rank + 2 * n)", (b, length, directions, rank + 2 * n)),
            ("dt_proj", dt_proj, "(K, d, dt_rank)", (directions, d, rank)),
            ("dt_bias", dt_bias, "(K, d)", (directions, d)),
            ("A_logs", A_logs, "(K * d, n)", (directions * d, n)),
            ("Ds", Ds, "(K * d,)", (directions * d,)),
        ),
        origin="from the shapes of u (b, l, d), dt_proj (K, d, dt_rank) and A_logs (K * d, n), and K = 2 * "
        "len(spatial) directions",
    )


def check_spatial(owner: str, spatial: Sequence[int], length: int) -> None:
    """Refuse sizes of a map's axes that are negative, or whose product is not ``length``.

    Raises:
        ValueError: they are; the text says what they should be.
    """
    if not spatial or min(spatial) < 0 or math.prod(spatial) != length:
        raise ValueError(
            f"{owner}: spatial={tuple(spatial)}, expected the positive sizes of the map's axes, whose product is its "
            f"number of positions, l = {length}"
        )


def check_saved(dy: Tensor, states: Tensor, x: CrossScanOperands) -> None:
    """Refuse a gradient or states that are not those of a forward pass with the operands ``x``.

    Raises:
        TypeError: they have another dtype than ``u``.
        ValueError: they have other shapes, or are on another device.
    """
    require_alike(_OWNER, ("u", "dy", "states"), (x.u, dy, states))
    require_shapes(
        _OWNER,
        (
            ("dy", dy, "(b, l, d)", tuple(x.u.shape)),
            ("states", states, "(b, K, chunks of 64 tokens, n, d)", states_shape(x)),
        ),
        origin="from the operands of the forward pass",
    )


def refusal(x: CrossScanOperands) -> str | None:
    """Return why the fused kernels cannot take these operands, which are checked, or None if they can."""
    device, rank = x.u.device.type, x.dt_proj.shape[2]
    if x.u.dtype != torch.float32 or device not in ("cpu", "cuda"):
        return f"{x.u.dtype} on {x.u.device} is not float32 on a CPU or an NVIDIA GPU"
    if device == "cuda" and len(x.spatial) != 2:
        return f"a map of {len(x.spatial)} axes has not the four directions of the GPU's kernels"
    if device == "cuda" and rank > LARGEST_RANK_ON_GPU:
        return f"dt_rank = {rank} is above {LARGEST_RANK_ON_GPU}, and a lane's registers hold no more weights"
    return None
