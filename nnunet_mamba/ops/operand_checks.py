"""What every operator asks of its operands, before anything takes their addresses."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import index
from typing import Any, NoReturn

import torch
from torch import Tensor

FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})


def require_floats(owner: str, name: str, operand: Any) -> None:
    """Refuse an operand that is not a strided tensor of real floating-point numbers.

    Args:
        owner: the operator, named in errors.
        name: of the operand.
        operand: what was passed for it.

    Raises:
        TypeError: it is something else; the text says what.
    """
    if not isinstance(operand, Tensor):
        raise TypeError(f"{owner}: {name} is {_described(operand)}, expected a tensor")
    if operand.is_complex():
        raise TypeError(
            f"{owner}: {name} is {operand.dtype}; only real state spaces are supported. Pass a real {name} "
            f"(such as the negative decay rates -exp(A_log) for A)"
        )
    if operand.dtype not in FLOATS:
        raise TypeError(f"{owner}: {name} is {operand.dtype}, expected a floating-point tensor; use .float()")
    if operand.layout != torch.strided:
        raise TypeError(
            f"{owner}: {name} has the layout {operand.layout}, expected a dense tensor; use {name}.to_dense()"
        )


def is_like(operand: Any, dtype: torch.dtype, device: torch.device) -> bool:
    """Return whether an operand is a dense tensor of this dtype, of real numbers, on this device."""
    return (
        isinstance(operand, Tensor)
        and operand.dtype == dtype
        and operand.device == device
        and operand.layout == torch.strided
    )


def require_alike(owner: str, names: Sequence[str], operands: Sequence[Any], optional: Collection[str] = ()) -> None:
    """Refuse operands that are not dense tensors of one floating-point dtype on one device.

    Args:
        owner: the operator, named in errors.
        names: of the operands.
        operands: what was passed for them; the first one says which dtype and device.
        optional: names of those that may be None.

    Raises:
        TypeError: an operand is not a dense floating-point tensor, or of another dtype than the first.
        ValueError: an operand is on another device than the first.
    """
    first = operands[0]
    require_floats(owner, names[0], first)
    dtype, device = first.dtype, first.device
    for name, operand in zip(names, operands, strict=True):
        if is_like(operand, dtype, device) or (operand is None and name in optional):
            continue
        require_floats(owner, name, operand)
        if operand.dtype != dtype:
            raise TypeError(
                f"{owner}: {name} is {operand.dtype} but {names[0]} is {dtype}; convert one, or the whole module: "
                f".to({dtype})"
            )
        if operand.device != device:
            raise ValueError(
                f"{owner}: {name} is on {operand.device} but {names[0]} is on {device}; move it: {name}.to('{device}')"
            )


def require_dims(owner: str, ranks: Iterable[tuple[str, Tensor, str]]) -> None:
    """Refuse tensors with another number of axes than their symbols have.

    Args:
        owner: the operator, named in errors.
        ranks: name, tensor and symbols such as "(b, d, l)" of each operand.

    Raises:
        ValueError: a tensor has more axes or fewer.
    """
    for name, tensor, symbols in ranks:
        if tensor.ndim != 1 + symbols.count(", "):
            raise ValueError(f"{owner}: {name} has shape {tuple(tensor.shape)}, expected {symbols}")


def require_shapes(
    owner: str, shapes: Iterable[tuple[str, Tensor | None, str, tuple[int, ...]]], *, origin: str
) -> None:
    """Refuse tensors of other sizes than expected; one that is None is left out.

    Args:
        owner: the operator, named in errors.
        shapes: name, tensor, symbols such as "(d, n)" and the sizes that they stand for, of each operand.
        origin: which operands say what the symbols are.

    Raises:
        ValueError: a tensor has another shape.
    """
    for name, tensor, symbols, expected in shapes:
        if tensor is not None and tuple(tensor.shape) != expected:
            raise ValueError(
                f"{owner}: {name} has shape {tuple(tensor.shape)}, expected {symbols} = {expected} {origin}"
            )


def require_sizes(owner: str, sizes: Iterable[tuple[str, Tensor, str, int]]) -> None:
    """Refuse sizes below 1.

    Args:
        owner: the operator, named in errors.
        sizes: name and tensor of the operand that says the size, its symbol and the size itself.

    Raises:
        ValueError: names the first one.
    """
    for name, tensor, symbol, size in sizes:
        if size < 1:
            raise ValueError(
                f"{owner}: {name} has shape {tuple(tensor.shape)}, so that {symbol} = {size}, expected at least 1"
            )


def whole_sizes(owner: str, name: str, sizes: Sequence[Any]) -> tuple[int, ...]:
    """Return one size per axis of a map as integers; ``torch.jit.trace`` and numpy hand over other types.

    Args:
        owner: the operator, named in errors.
        name: of the sizes.
        sizes: what was passed for them.

    Raises:
        TypeError: they are not a sequence of whole numbers.
    """
    if not isinstance(sizes, Sequence):
        refuse_count(owner, name, sizes, expected="a sequence of whole numbers")
    whole: Iterator[Any] = (
        size if isinstance(size, (int, torch.SymInt)) else _whole(owner, f"{name}[{axis}]", size)
        for axis, size in enumerate(sizes)
    )
    return tuple(whole)


def _whole(owner: str, name: str, size: Any) -> int:
    try:
        return index(size)
    except TypeError:
        refuse_count(owner, name, size)


def refuse_count(owner: str, name: str, value: object, *, expected: str = "a whole number") -> NoReturn:
    """Raise a TypeError that says that ``value`` is not what is expected."""
    raise TypeError(f"{owner}: {name} is {_described(value)}, expected {expected}")


def _described(value: object) -> str:
    shown = f"{value!r} " if isinstance(value, (bool, int, float, str)) else ""
    return "None" if value is None else f"{shown}of type {type(value).__name__}"
