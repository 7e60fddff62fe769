"""The operands of a convolution that keeps the size of its maps."""

from typing import NamedTuple

import torch
from torch import Tensor

from nnunet_mamba.ops.cpu_kernels.sizes import LANES
from nnunet_mamba.ops.operand_checks import refuse_count, require_alike, require_dims, require_shapes, require_sizes

OWNER = "few_map_convolution"
# Filters beyond this many numbers are torch's: their products outweigh what its layout costs.
_MOST_NUMBERS = 1024
# Taps further apart meet nothing but zeros in any map that memory has room for.
_LARGEST_DILATION = 2**20


class FewMapOperands(NamedTuple):
    """What is convolved; gradients come back in the order of the tensors here.

    Args:
        x: maps, (b, c_in, h, w).
        weight: filters of an odd number of taps along each axis, (c_out, c_in, kh, kw).
        bias: (c_out,).
        dilation: distance of the taps, along both axes.
    """

    x: Tensor
    weight: Tensor
    bias: Tensor
    dilation: int

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensor operands."""
        return (self.x, self.weight, self.bias)


TENSOR_NAMES = FewMapOperands._fields[:3]


def margins(x: FewMapOperands) -> tuple[int, int]:
    """Return how many rows and columns of zeros surround the maps."""
    return x[3] * (x[1].shape[2] // 2), x[3] * (x[1].shape[3] // 2)


def new_result(x: FewMapOperands) -> Tensor:
    """Return room for the result, (b, c_out, h, w)."""
    return x[0].new_empty(x[0].shape[0], x[1].shape[0], *x[0].shape[2:])


def padded_shape(maps: Tensor, x: FewMapOperands) -> tuple[int, ...]:
    """Return the shape of ``maps`` surrounded by the margins, the columns filled up to whole rows of lanes."""
    rows, columns = margins(x)
    b, channels, height, width = maps.shape
    return b, channels, height + 2 * rows, (width + LANES - 1) // LANES * LANES + 2 * columns


def new_states(x: FewMapOperands) -> Tensor:
    """Return room for the padded maps, which a backward pass needs again."""
    return x[0].new_empty(padded_shape(x[0], x))


def check_operands(x: FewMapOperands) -> None:
    """Refuse what is not a batch of maps and filters for them.

    Raises:
        TypeError: an operand is not a dense floating-point tensor, has another dtype than ``x``, or ``dilation`` is no
            whole number.
        ValueError: shapes do not fit together, or devices differ, or a filter has no centre.
    """
    # Spelled out: torch.compile of torch 2.6 unpacks a named tuple but traces neither its properties nor its slices.
    maps, weight, bias, dilation = x
    require_alike(OWNER, TENSOR_NAMES, (maps, weight, bias))
    require_dims(OWNER, (("x", maps, "(b, c_in, h, w)"), ("weight", weight, "(c_out, c_in, kh, kw)")))
    require_sizes(OWNER, (("weight", weight, "c_out", weight.shape[0]), ("x", maps, "c_in", maps.shape[1])))
    require_shapes(
        OWNER,
        (
            ("weight", weight, "(c_out, c_in, kh, kw)", (weight.shape[0], maps.shape[1], *weight.shape[2:])),
            ("bias", bias, "(c_out,)", (weight.shape[0],)),
        ),
        origin="from the shapes of x (b, c_in, h, w) and weight (c_out, c_in, kh, kw)",
    )
    if weight.shape[2] % 2 == 0 or weight.shape[3] % 2 == 0:
        raise ValueError(
            f"{OWNER}: weight has {weight.shape[2]}×{weight.shape[3]} taps, expected odd numbers: others have no centre"
        )
    if isinstance(dilation, bool) or not isinstance(dilation, (int, torch.SymInt)):
        refuse_count(OWNER, "dilation", dilation)
    if not 1 <= dilation <= _LARGEST_DILATION:
        raise ValueError(f"{OWNER}: dilation={dilation}, expected 1 or more, and at most {_LARGEST_DILATION}")


def check_saved(dy: Tensor, states: Tensor, x: FewMapOperands) -> None:
    """Refuse a gradient or states that are not those of a forward pass with the operands ``x``.

    Raises:
        TypeError: they have another dtype than ``x``.
        ValueError: they have other shapes, or are on another device.
    """
    require_alike(OWNER, ("x", "dy", "states"), (x[0], dy, states))
    shape = (x[0].shape[0], x[1].shape[0], *x[0].shape[2:])
    require_shapes(
        OWNER,
        (
            ("dy", dy, "(b, c_out, h, w)", shape),
            ("states", states, "(b, c_in, padded h, padded w)", padded_shape(x[0], x)),
        ),
        origin="from x, weight and dilation of the forward pass",
    )


def refusal(x: FewMapOperands) -> str | None:
    """Return why the loops cannot take these operands, which are checked, or should not, or None if they can."""
    maps, weight = x[0], x[1]
    if maps.dtype != torch.float32 or maps.device.type != "cpu":
        return f"{maps.dtype} on {maps.device} is not float32 on a CPU"
    if any(margin > size for margin, size in zip(margins(x), maps.shape[2:], strict=True)):
        return "taps that reach beyond the maps on both sides would ask for more zeros than there are numbers"
    if maps.shape[3] < LANES:
        return f"maps of {maps.shape[3]} columns are narrower than the {LANES} that are computed at once"
    if weight.numel() > _MOST_NUMBERS:
        return f"{weight.numel()} numbers in the filters are more than {_MOST_NUMBERS}"
    return None
