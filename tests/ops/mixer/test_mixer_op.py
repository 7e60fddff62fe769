"""What is the mixer's own; ``test_fused_operator`` has what it shares with other fused operators."""

import pytest
import torch

from nnunet_mamba.ops import mamba_mixer
from nnunet_mamba.ops.mixer import composed, numba_cpu, op
from nnunet_mamba.ops.mixer.operands import MambaOperands, refusal


def _mix(x, **biases):
    return mamba_mixer(**x._asdict(), **biases)


@pytest.fixture
def fused_calls(note_calls):
    op._probe_failure()
    op._probe_failure(True)
    return note_calls(numba_cpu)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"d_model": 33}, "d_inner = 66 is above 64"),
        ({"d_conv": 65}, "d_conv = 65 is above 64"),
    ],
)
def test_large_blocks_are_composed(make_block, fused_calls, change, reason):
    x = make_block(**change)
    assert refusal(x) == reason
    assert torch.equal(_mix(x), composed.forward(x))
    assert not fused_calls


def test_layers_with_bias_are_composed(make_block, fused_calls):
    x = make_block()
    in_bias, out_bias = torch.ones(24), torch.ones(6)
    assert torch.equal(_mix(x, in_bias=in_bias, out_bias=out_bias), composed.forward(x, in_bias, out_bias))
    assert not fused_calls


def test_kernels_that_are_wrong_in_one_order_alone_are_not_used(make_block, monkeypatch):
    op._probe_failure.cache_clear()
    right = {name: getattr(numba_cpu, name) for name in ("forward", "forward_saving")}
    for name in right:
        monkeypatch.setattr(numba_cpu, name, lambda x, run=right[name]: run(x._replace(reverse=False)))
    x = make_block(reverse=True)
    assert torch.equal(_mix(x), composed.forward(x))
    assert "in mixed" in op._probe_failure()
    assert "in mixed" in op._probe_failure(True)
    op._probe_failure.cache_clear()


def test_an_exported_block_takes_any_number_of_cases_and_tokens(make_block):
    x, other = make_block(n_parallel=2), make_block(b=5, length=90, n_parallel=2)
    tokens, *weights = x.tensors

    class Mixer(torch.nn.Module):
        def forward(self, tokens):
            return _mix(MambaOperands(tokens, *weights, n_parallel=2))

    sizes = {0: torch.export.Dim("cases", max=64), 1: torch.export.Dim("length", min=2, max=4096)}
    program = torch.export.export(Mixer(), (tokens,), dynamic_shapes={"tokens": sizes})
    expected = composed.forward(x._replace(tokens=other.tokens))
    torch.testing.assert_close(program.module()(other.tokens), expected, rtol=1e-5, atol=1e-5)


def test_no_array_of_tokens_times_channels_is_kept_for_the_backward_pass(leaves, make_block):
    x = leaves(make_block(b=1, length=4096))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        _mix(x)
    operands = {tensor.data_ptr() for tensor in x.tensors}
    extra = sum(tensor.numel() for tensor in kept if tensor.data_ptr() not in operands)
    assert extra == 4096 // 64 * 16 * 16  # chunks, states, lanes
