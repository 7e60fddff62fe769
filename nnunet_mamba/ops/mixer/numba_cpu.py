"""The fused Mamba block on a CPU, compiled by numba."""

from itertools import pairwise

import torch
from torch import Tensor

from nnunet_mamba.ops.cpu_kernels.kernel_task import KernelTask, own_copy
from nnunet_mamba.ops.cpu_kernels.sizes import LANES
from nnunet_mamba.ops.mixer.numba_backward import backward_jobs
from nnunet_mamba.ops.mixer.numba_forward import forward_jobs
from nnunet_mamba.ops.mixer.numba_layout import MambaTask, sum_rows
from nnunet_mamba.ops.mixer.operands import TENSOR_NAMES, MambaOperands, new_states


class _Task(KernelTask):
    def __init__(self, x: MambaOperands) -> None:
        cases, length, _ = x.tokens.shape
        d_inner, n = x.A_log.shape
        self.n_jobs = cases * x.n_parallel
        structure = MambaTask(
            cases=cases,
            n_parallel=x.n_parallel,
            reverse=x.reverse,
            length=length,
            d_model=x.in_proj.shape[1],
            d_inner=d_inner,
            d_conv=x.conv.shape[2],
            dt_rank=x.dt_proj.shape[1],
            d_state=n,
        )
        super().__init__(structure, owner="mamba_mixer")
        self.point(**dict(zip(TENSOR_NAMES, x.tensors, strict=True)))


def _forward(x: MambaOperands, states: Tensor | None) -> Tensor:
    mixed = torch.empty_like(x.tokens, memory_format=torch.contiguous_format)
    if mixed.numel():
        task = _Task(x)
        task.point(mixed=mixed, states=states)
        task.run(forward_jobs, task.n_jobs)
    return mixed


def forward(x: MambaOperands) -> Tensor:
    """Run the block: the mixed tokens, (b, l, n_parallel * d_model)."""
    return _forward(x, None)


def forward_saving(x: MambaOperands) -> tuple[Tensor, Tensor]:
    """Run the block and keep the states that its backward pass starts from, see ``states_shape``."""
    states = new_states(x)
    return _forward(x, states), states


def backward(dmixed: Tensor, x: MambaOperands, states: Tensor) -> tuple[Tensor | None, ...]:
    """Compute the forward pass again, chunk by chunk, and the gradients of the tensor operands.

    Args:
        dmixed: gradient of the mixed tokens, (b, l, n_parallel * d_model).
        x: operands of the forward pass.
        states: those that it saved.

    Returns:
        One gradient per tensor operand, None for an absent one.
    """
    d_inner, n = x.A_log.shape
    rows = sum_rows(x.in_proj.shape[1], x.conv.shape[2], x.dt_proj.shape[1], n)
    dtokens = torch.empty_like(x.tokens, memory_format=torch.contiguous_format)
    blocks = -(-d_inner // LANES)
    if dtokens.numel():
        task = _Task(x)
        copies = x.tokens.new_empty(task.n_jobs, rows.total, blocks * LANES)
        task.point(dmixed=dmixed, states=states, dtokens=dtokens, sums=copies)
        task.run(backward_jobs, task.n_jobs)
        sums = copies.sum(0)[:, :d_inner]
    else:
        sums = x.tokens.new_zeros(rows.total, d_inner)
    in_x, in_z, conv, conv_bias, x_proj, dt_proj, dt_bias, A, D, out_proj = sums.split_with_sizes(
        [last - first for first, last in pairwise(rows)]
    )
    return (
        dtokens,
        torch.cat([in_x.mT, in_z.mT]),
        own_copy(conv.mT[:, None]),
        None if x.conv_bias is None else own_copy(conv_bias[0]),
        own_copy(x_proj),
        own_copy(dt_proj.mT),
        own_copy(dt_bias[0]),
        A.mT * -torch.exp(x.A_log),
        own_copy(D[0]),
        own_copy(out_proj),
    )
