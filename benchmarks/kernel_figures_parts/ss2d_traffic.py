"""What an SS2D block moves through a GPU's memory beside its scan, and what it launches, without a GPU."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kernel_figures_parts.compiling import CROSS_SCAN, recording
from nnunet_mamba.blocks.ss2d import SS2D
from nnunet_mamba.ops.directions import composed, op
from nnunet_mamba.ops.directions.operands import CrossScanOperands


@dataclass
class Traffic:
    """Bytes that operators read and write.

    Args:
        scan: of the operators of ours.
        outside: of all others that move numbers.
        launches: of those, and of our kernels.
    """

    scan: int = 0
    outside: int = 0
    launches: int = 0


class _Counting(TorchDispatchMode):
    """Adds up the traffic of what is called."""

    def __init__(self, traffic: Traffic) -> None:
        super().__init__()
        self._traffic = traffic

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        given, results = _tensors((args, kwargs)), _tensors(result)
        known = {x.untyped_storage()._cdata for x in given}
        if _is_memory_alone(function, results, known):
            return result
        size = sum(x.numel() * x.element_size() for x in (*given, *results))
        if function.namespace == "nnunet_mamba":
            self._traffic.scan += size
        else:
            self._traffic.outside += size
            self._traffic.launches += 1
        return result


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _is_memory_alone(function: Any, results: list[Tensor], known: set[int]) -> bool:
    """Return whether an operator gives another view of its operands, or new memory without numbers."""
    name = function._schema.name
    is_view = all(x.untyped_storage()._cdata in known for x in results) and not function._schema.is_mutable
    return is_view or function.is_view or name.rpartition("::")[2].startswith(("empty", "new_empty"))


def _inside(x: CrossScanOperands, n_multiprocessors: int, *, backward: bool) -> Traffic:
    """Return the traffic of torch's operators beside the cross scan's kernels, and all launches."""
    traffic = Traffic()
    y = torch.empty_like(x.u)
    with recording(CROSS_SCAN, n_multiprocessors) as record, _Counting(traffic):
        if backward:
            CROSS_SCAN.module.backward(y, x, torch.empty(0, device=x.u.device))
        else:
            CROSS_SCAN.module.forward(x)
    traffic.launches += len(record.launches)
    return traffic


def _passes(
    block: SS2D, x: Tensor, scan: Callable[[CrossScanOperands], Tensor]
) -> tuple[Traffic, Traffic, CrossScanOperands]:
    """Return the traffic of a prediction and of a backward pass, and what was scanned."""
    forward, backward, seen = Traffic(), Traffic(), list[CrossScanOperands]()

    def noted_scan(operands: CrossScanOperands) -> Tensor:
        seen.append(operands)
        return scan(operands)

    with patch.object(op, "_scan", noted_scan):
        with _Counting(forward), torch.no_grad():
            block(x)
        y = block(x.requires_grad_())
        with _Counting(backward):
            y.backward(torch.empty_like(y))
    return forward, backward, seen[0]


def ss2d_traffic(b: int, side: int, d_model: int, n_multiprocessors: int) -> dict[str, Traffic]:
    """Return the traffic of a block, with a scan that is composed and one that reads directions by index.

    Args:
        b: batch.
        side: of the map.
        d_model: the block's width.
        n_multiprocessors: of the GPU that the directions are divided for.
    """
    with torch.device("meta"):
        block, x = SS2D(d_model), torch.empty(b, side, side, d_model)
        forward, backward, _ = _passes(block, x, composed.forward)
    found = {"forward, composed": forward, "backward, composed": backward}
    # Of tensors without memory, those of a CPU keep their channels last in a convolution, as on a GPU.
    with FakeTensorMode(), torch.device("cpu"):
        block, x = SS2D(d_model), torch.empty(b, side, side, d_model)
        forward, backward, operands = _passes(block, x, _by_index)
        for traffic, is_backward in ((forward, False), (backward, True)):
            own = _inside(operands, n_multiprocessors, backward=is_backward)
            traffic.outside += own.outside
            traffic.launches += own.launches
    return found | {"forward, by index": forward, "backward, by index": backward}


def _by_index(x: CrossScanOperands) -> Tensor:
    y: Tensor = torch.ops.nnunet_mamba.cross_scan_saving(*x)[0]
    return y
