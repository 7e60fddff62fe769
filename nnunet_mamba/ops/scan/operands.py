"""The operands of one selective scan: their names, their checks, and the one form that backends see."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nnunet_mamba.ops.cpu_kernels.sizes import CHUNK
from nnunet_mamba.ops.operand_checks import is_like, require_alike, require_floats, require_shapes


class ScanOperands(NamedTuple):
    """What a backend is given, already checked; gradients come back in the order of the tensors here.

    Args:
        u: input tokens, (b, d, l).
        delta: step size before bias and softplus, (b, d, l).
        A: state decay, (d, n).
        B: input matrix, (b, g, n, l); group i serves channels i * d / g up to (i + 1) * d / g.
        C: output matrix, (b, g, n, l).
        D: skip weight, (d,), or None.
        z: gate before its SiLU, (b, d, l), or None.
        delta_bias: added to ``delta``, (d,), or None.
        delta_softplus: whether the step size passes through softplus after the bias.
    """

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    z: Tensor | None
    delta_bias: Tensor | None
    delta_softplus: bool

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        """The eight tensor operands, None for an absent one."""
        return tuple(self[:-1])

    def to(self, dtype: torch.dtype) -> "ScanOperands":
        """Return the same operands with every tensor in ``dtype``."""
        converted: dict[str, Any] = {
            name: tensor.to(dtype)
            for name, tensor in zip(TENSOR_NAMES, self.tensors, strict=True)
            if tensor is not None
        }
        return self._replace(**converted)


_OPTIONAL = ("D", "z", "delta_bias")
# A constant, because torch.compile of torch 2.6 does not trace the class attribute.
TENSOR_NAMES = ScanOperands._fields[:-1]


def state_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of state and sums for tokens of ``dtype``: float32, or float64 for float64."""
    return torch.promote_types(dtype, torch.float32)


# A saved scan keeps the states before tokens 0, 64, 128 and so on: a quarter of u's size for 16 states. The CPU kernels
# keep them before each of their chunks.
SAVED_EVERY = CHUNK


def states_shape(b: int, d: int, length: int, n: int) -> tuple[int, int, int, int]:
    """Return the shape of the states that a scan saves for its backward pass, (b, ceil(l / 64), n, d)."""
    return b, (length + SAVED_EVERY - 1) // SAVED_EVERY, n, d


class SavedKind(NamedTuple):
    """Shape and dtype of a tensor that a scan saves for its backward pass."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class SavedKinds(NamedTuple):
    """What a scan saves, on the device of its tokens.

    Args:
        states: those before every 64th token, or what a backend has in their place; begins with the batch.
        ungated: y before the gate, for a backend that does not compute it again; else (b, 0).
    """

    states: SavedKind
    ungated: SavedKind


def saved_states(x: ScanOperands) -> SavedKinds:
    """Return what backends save that have nothing of their own."""
    b, d, length = x.u.shape
    states = SavedKind(states_shape(b, d, length, x.A.shape[1]), state_dtype(x.u.dtype))
    return SavedKinds(states, nothing_saved(x))


def nothing_saved(x: ScanOperands) -> SavedKind:
    """Return the kind of a tensor that says that there is none."""
    return SavedKind((x.u.shape[0], 0), x.u.dtype)


def new_saved(x: ScanOperands, kinds: SavedKinds) -> tuple[Tensor, Tensor]:
    """Return room for what a scan saves."""
    states, ungated = (x.u.new_empty(kind.shape, dtype=kind.dtype) for kind in kinds)
    return states, ungated


def _require_shape(name: str, tensor: Tensor, symbols: str, expected: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != expected:
        raise ValueError(
            f"selective_scan: {name} has shape {tuple(tensor.shape)}, expected {symbols} = {expected} "
            f"from the shapes of u (b, d, l) and A (d, n)"
        )


def _check_kinds(u: Tensor, *others: Any) -> None:
    require_floats("selective_scan", "u", u)
    dtype, device = u.dtype, u.device
    for name, tensor in zip(TENSOR_NAMES[1:], others, strict=True):
        if is_like(tensor, dtype, device) or (tensor is None and name in _OPTIONAL):
            continue
        require_floats("selective_scan", name, tensor)
        if (tensor.dtype == torch.float64) != (u.dtype == torch.float64):
            raise TypeError(
                f"selective_scan: {name} is {tensor.dtype} but u is {u.dtype}; float64 does not mix with narrower "
                f"types. Convert one: {name}.to({u.dtype})"
            )
        if tensor.device != u.device:
            raise ValueError(
                f"selective_scan: {name} is on {tensor.device} but u is on {u.device}; move it: {name}.to('{u.device}')"
            )


def _check_matrix(name: str, matrix: Tensor, u: Tensor, n: int) -> None:
    b, d, length = u.shape
    if matrix.dim() == 2:
        _require_shape(name, matrix, "(d, n)", (d, n))
    elif matrix.dim() == 3:
        _require_shape(name, matrix, "(b, n, l)", (b, n, length))
    elif matrix.dim() == 4:
        groups = matrix.shape[1]
        _require_shape(name, matrix, "(b, g, n, l)", (b, groups, n, length))
        if groups == 0 or d % groups:
            raise ValueError(
                f"selective_scan: {name} has {groups} groups (its second size), which does not divide the {d} "
                f"channels of u; every group serves d / g consecutive channels"
            )
    else:
        raise ValueError(
            f"selective_scan: {name} has shape {tuple(matrix.shape)}, expected (b, n, l), (b, g, n, l) or, constant "
            f"in time, (d, n)"
        )


def check_operands(operands: ScanOperands) -> None:
    """Refuse operands that are not a real selective scan; B and C may still have 2, 3 or 4 dimensions.

    Raises:
        TypeError: a tensor is complex, not floating-point, or mixes float64 with narrower types.
        ValueError: shapes do not fit together, or tensors are on different devices.
    """
    u, delta, A, B, C, D, z, delta_bias, _ = operands
    # Spelled out: torch.compile of torch 2.6 unpacks a named tuple but traces neither its properties nor its slices.
    _check_kinds(u, delta, A, B, C, D, z, delta_bias)
    if u.dim() != 3:
        raise ValueError(f"selective_scan: u has shape {tuple(u.shape)}, expected (b, d, l): batch, channels, tokens")
    b, d, length = u.shape
    if A.dim() != 2:
        raise ValueError(f"selective_scan: A has shape {tuple(A.shape)}, expected (d, n) with d = {d} channels of u")
    n = A.shape[1]
    _require_shape("A", A, "(d, n)", (d, n))
    _require_shape("delta", delta, "(b, d, l)", (b, d, length))
    _check_matrix("B", B, u, n)
    _check_matrix("C", C, u, n)
    if D is not None:
        _require_shape("D", D, "(d,)", (d,))
    if z is not None:
        _require_shape("z", z, "(b, d, l)", (b, d, length))
    if delta_bias is not None:
        _require_shape("delta_bias", delta_bias, "(d,)", (d,))


def check_grouped(operands: ScanOperands) -> None:
    """Refuse what a backend does not take: operands that do not fit, or B and C that are not grouped alike.

    Raises:
        TypeError: as ``check_operands``.
        ValueError: as ``check_operands``, or B and C are not (b, g, n, l) with one number of groups.
    """
    check_operands(operands)
    B, C = operands.B, operands.C
    if B.dim() != 4 or C.dim() != 4 or B.shape[1] != C.shape[1]:
        raise ValueError(
            f"selective_scan: B has shape {tuple(B.shape)} and C {tuple(C.shape)}, expected both (b, g, n, l) with one "
            f"number of groups g; call nnunet_mamba.ops.selective_scan, which repeats the groups"
        )


def check_saved(
    dy: Tensor, states: Tensor | None, ungated: Tensor | None, operands: ScanOperands, kinds: SavedKinds
) -> None:
    """Refuse a gradient or saved tensors that are not those of a forward scan with these operands.

    Args:
        dy: gradient of the output.
        states: that were saved; None for none.
        ungated: that was saved; None for none, as with ``states``.
        operands: of the forward scan.
        kinds: what the scan saves.

    Raises:
        TypeError: they have another dtype than the forward scan's.
        ValueError: they have other shapes, are on another device, or one of two is missing.
    """
    u = operands.u
    require_alike("selective_scan", ("u", "dy"), (u, dy))
    if (states is None) != (ungated is None):
        raise ValueError(
            "selective_scan: one of states and ungated is None; pass both as the forward scan returned them, or neither"
        )
    for name, tensor, kind in (("states", states, kinds.states), ("ungated", ungated, kinds.ungated)):
        if tensor is None:
            continue
        require_floats("selective_scan", name, tensor)
        if tensor.dtype != kind.dtype or tensor.device != u.device:
            raise TypeError(
                f"selective_scan: {name} is {tensor.dtype} on {tensor.device}, expected {kind.dtype} on {u.device}; "
                "pass what the forward scan returned"
            )
    require_shapes(
        "selective_scan",
        (
            ("dy", dy, "(b, d, l)", tuple(u.shape)),
            ("states", states, "of the forward scan", kinds.states.shape),
            ("ungated", ungated, "of the forward scan", kinds.ungated.shape),
        ),
        origin="from the operands of the forward scan",
    )


def _grouped(matrix: Tensor, b: int, length: int) -> Tensor:
    """Return B or C as (b, g, n, l); one that is constant in time has one group per channel."""
    if matrix.dim() == 2:
        return _wide(matrix)[None, :, :, None].expand(b, -1, -1, length)
    return matrix[:, None] if matrix.dim() == 3 else matrix


def _wide(matrix: Tensor) -> Tensor:
    """Return a matrix that is to be repeated in the state's dtype: its gradients are summed before they are rounded."""
    return matrix.to(state_dtype(matrix.dtype))


def grouped_alike(B: Tensor, C: Tensor, b: int, length: int) -> tuple[Tensor, Tensor]:
    """Return B and C as (b, g, n, l) with the same number of groups g.

    Args:
        B: (b, n, l), (b, g, n, l) or (d, n).
        C: likewise, with its own number of groups.
        b: batch size.
        length: number of tokens.

    Returns:
        Both, in their own dtype, or in the state's where they are repeated.
    """
    B, C = _grouped(B, b, length), _grouped(C, b, length)
    groups = math.lcm(B.shape[1], C.shape[1])
    if B.shape[1] != groups:
        B = _wide(B).repeat_interleave(groups // B.shape[1], dim=1)
    if C.shape[1] != groups:
        C = _wide(C).repeat_interleave(groups // C.shape[1], dim=1)
    return B, C
