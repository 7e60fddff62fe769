"""``torch.func.vmap`` over our operators: as one larger batch where the weights are shared, else one by one."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def register_folding(operator: str, *, cases: Sequence[int]) -> None:
    """Let vmap fold its axis into the batch, as all results begin with the batch.

    Args:
        operator: name with its namespace, such as "nnunet_mamba::selective_scan".
        cases: which arguments begin with the batch; where another one has vmap's axis, the calls come one by one.
    """

    def folded(info: Any, in_dims: Sequence[Any], *given: Any) -> tuple[Any, Any]:
        with_axis = {i for i, (x, dim) in enumerate(zip(given, in_dims, strict=True)) if _is_mapped(x, dim)}
        if not with_axis <= set(cases):
            return _one_by_one(operator, info, in_dims, given)
        n = info.batch_size
        arguments = list(given)
        for i in cases:
            if given[i] is not None:
                x = given[i].movedim(in_dims[i], 0) if i in with_axis else given[i].expand(n, *given[i].shape)
                arguments[i] = x.flatten(0, 1)
        results = _operator(operator)(*arguments)
        if isinstance(results, Tensor):
            return _unfolded(results, n), 0
        return tuple(_unfolded(result, n) for result in results), (0,) * len(results)

    torch.library.register_vmap(operator, folded)


def register_one_by_one(operator: str) -> None:
    """Let vmap call the operator for one entry of its axis after the other.

    Args:
        operator: name with its namespace.
    """

    def one_by_one(info: Any, in_dims: Sequence[Any], *given: Any) -> tuple[Any, Any]:
        return _one_by_one(operator, info, in_dims, given)

    torch.library.register_vmap(operator, one_by_one)


def _one_by_one(operator: str, info: Any, in_dims: Sequence[Any], given: Sequence[Any]) -> tuple[Any, Any]:
    results = []
    for i in range(info.batch_size):
        entry = (x.select(dim, i) if _is_mapped(x, dim) else x for x, dim in zip(given, in_dims, strict=True))
        results.append(_operator(operator)(*entry))
    if isinstance(results[0], Tensor):
        return torch.stack(results), 0
    return tuple(torch.stack(copies) for copies in zip(*results, strict=True)), (0,) * len(results[0])


def _operator(name: str) -> Any:
    return getattr(torch.ops.nnunet_mamba, name.partition("::")[2])


def _is_mapped(x: Any, dim: Any) -> bool:
    return isinstance(x, Tensor) and dim is not None


def _unfolded(result: Tensor, n: int) -> Tensor:
    return torch.unflatten(result, 0, (n, result.shape[0] // n))
