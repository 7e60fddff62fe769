"""What is the pooled norm's own; ``test_fused_operator`` has what it shares with other fused operators."""

import pytest
import torch
from torch.nn import functional

from nnunet_mamba.ops import pooled_group_norm
from nnunet_mamba.ops.pooled_norm import numba_cpu, op


@pytest.fixture
def fused_calls(note_calls):
    op._probe_failure()
    return note_calls(numba_cpu)


def _picture(dtype=torch.float32, memory_format=torch.channels_last):
    torch.manual_seed(0)
    x = torch.randn(2, 8, 6, 10, dtype=dtype).to(memory_format=memory_format)
    return x, torch.randn(8, dtype=dtype), torch.randn(8, dtype=dtype)


def _torch(x, weight, bias, window):
    return functional.max_pool2d(functional.group_norm(x, 4, weight, bias), window)


@pytest.mark.parametrize("window", [(1, 1), (2, 2), (3, 5)], ids=str)
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format], ids=str)
def test_is_torchs_norm_and_pooling_with_the_channels_last_in_memory(fused_calls, window, memory_format):
    x, weight, bias = _picture(memory_format=memory_format)
    y = pooled_group_norm(x, weight, bias, groups=4, window=window)
    torch.testing.assert_close(y, _torch(x, weight, bias, window), rtol=1e-5, atol=1e-5)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert fused_calls == ["forward"]


def test_volumes_have_their_channels_last_as_well():
    x = torch.randn(2, 8, 4, 6, 4)
    y = pooled_group_norm(x, torch.ones(8), torch.zeros(8), groups=4, window=(1, 2, 2))
    torch.testing.assert_close(y, functional.max_pool3d(functional.group_norm(x, 4), (1, 2, 2)), rtol=1e-5, atol=1e-5)
    assert y.is_contiguous(memory_format=torch.channels_last_3d)


def test_gradients_are_those_of_finite_differences():
    x, weight, bias = (tensor.requires_grad_() for tensor in _picture(torch.float64))
    torch.autograd.gradcheck(lambda *given: pooled_group_norm(*given, groups=4, window=(2, 2)), (x, weight, bias))


def test_autocast_changes_nothing(fused_calls):
    x, weight, bias = _picture()
    expected = pooled_group_norm(x, weight, bias, groups=4, window=(2, 2))
    with torch.autocast("cpu", torch.bfloat16):
        y = pooled_group_norm(x, weight, bias, groups=4, window=(2, 2))
    assert torch.equal(y, expected)
    assert fused_calls == ["forward", "forward"]


def test_neither_the_normalised_map_nor_positions_are_kept_for_the_backward_pass():
    x, weight, bias = (tensor.requires_grad_() for tensor in _picture())
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        pooled_group_norm(x, weight, bias, groups=4, window=(2, 2))
    operands = {tensor.data_ptr() for tensor in (x, weight, bias)}
    extra = sum(tensor.numel() for tensor in kept if tensor.data_ptr() not in operands)
    assert extra == 2 * 4 * 2  # cases, groups, mean and deviation


def test_an_exported_norm_takes_any_number_of_cases():
    x, weight, bias = _picture()

    class Norm(torch.nn.Module):
        def forward(self, x):
            return pooled_group_norm(x, weight, bias, groups=4, window=(2, 2))

    program = torch.export.export(Norm(), (x,), dynamic_shapes={"x": {0: torch.export.Dim("cases", max=64)}})
    more = torch.cat([x, x, x])
    torch.testing.assert_close(program.module()(more), _torch(more, weight, bias, 2), rtol=1e-5, atol=1e-5)
