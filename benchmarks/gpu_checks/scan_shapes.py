"""The scans that are checked: shapes of the networks, odd ones, and their operands on a device."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from nnunet_mamba.ops.scan.operands import TENSOR_NAMES, ScanOperands
from nnunet_mamba.ops.scan.survey import random_operands


class Shape(NamedTuple):
    """The sizes of a scan: batch, channels, tokens, states and groups."""

    b: int
    d: int
    length: int
    n: int = 16
    groups: int = 1

    def __str__(self) -> str:
        return f"{self.b}x{self.d}x{self.length} n={self.n} g={self.groups}"


# The batch is smaller than in training where the reference, which keeps every state in float64, would not fit.
NETWORKS = {
    "UltraLight": Shape(64, 12, 1024),
    "VM-UNet": Shape(1, 768, 4096, groups=4),
    "U-Mamba 2D": Shape(12, 1024, 100),
    "U-Mamba 3D bottleneck": Shape(2, 640, 210),
    "U-Mamba 3D encoder": Shape(1, 64, 53_760),
}
SMALL_NETWORKS = {
    "UltraLight": Shape(2, 12, 64),
    "VM-UNet": Shape(1, 24, 100, groups=4),
    "U-Mamba 2D": Shape(2, 32, 25),
    "U-Mamba 3D bottleneck": Shape(1, 40, 21),
    "U-Mamba 3D encoder": Shape(1, 16, 300),
}
TAILS = {f"l={length}": Shape(2, 20, length, groups=2) for length in (1, 63, 65, 1000)}
STATES = {"n=64": Shape(2, 33, 300, n=64), "n=256": Shape(2, 33, 300, n=256)}


def operands(shape: Shape, device: str, dtype: torch.dtype, *, seed: int = 0) -> ScanOperands:
    """Return the operands of a scan with every feature, spread like those of a Mamba block."""
    x = random_operands((shape.b, shape.d, shape.length, shape.n), groups=shape.groups, seed=seed)
    return moved(x, device, dtype)


def moved(x: ScanOperands, device: str, dtype: torch.dtype) -> ScanOperands:
    """Return the operands on a device, in a dtype."""
    return _mapped(x, lambda tensor: tensor.to(device, dtype))


def sliced(x: ScanOperands) -> ScanOperands:
    """Return equal operands that are slices of larger tensors: no row follows the one before it in memory."""

    def spread(tensor: Tensor) -> Tensor:
        wide = torch.zeros(*tensor.shape[:-1], 2 * tensor.shape[-1], device=tensor.device, dtype=tensor.dtype)
        wide[..., ::2] = tensor
        return wide[..., ::2]

    # Slices of channels and tokens that lie the other way round are what networks pass.
    return _mapped(x, spread)._replace(
        u=x.u.transpose(1, 2).contiguous().transpose(1, 2), z=torch.cat([x.z, x.z], 1)[:, : x.u.shape[1]]
    )


def leaves(x: ScanOperands) -> list[Tensor | None]:
    """Return the tensors as leaves that want gradients, with their strides."""
    return [None if tensor is None else tensor.detach().requires_grad_() for tensor in x.tensors]


def _mapped(x: ScanOperands, function: Any) -> ScanOperands:
    changed = {
        name: function(tensor) for name, tensor in zip(TENSOR_NAMES, x.tensors, strict=True) if tensor is not None
    }
    return x._replace(**changed)
