import pytest
import torch
from torch import nn

from nnunet_mamba.blocks.few_map_convolution import FewMapConvolution
from nnunet_mamba.ops.few_maps import numba_cpu, op


@pytest.fixture
def layers():
    torch.manual_seed(0)
    ours = FewMapConvolution(2, 1, 7, dilation=3)
    torchs = nn.Conv2d(2, 1, 7, padding=9, dilation=3)
    torchs.load_state_dict(ours.state_dict())
    return ours, torchs


@pytest.fixture
def fused_calls(monkeypatch):
    op._probe_failure()
    op._probe_failure(True)
    calls, forward = [], numba_cpu.forward
    monkeypatch.setattr(numba_cpu, "forward", lambda x: calls.append(x) or forward(x))
    return calls


def test_computes_what_torchs_layer_computes(layers, fused_calls):
    ours, torchs = layers
    x = torch.randn(2, 2, 20, 30)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), torchs(x), rtol=1e-5, atol=1e-5)
    assert len(fused_calls) == 1


def test_takes_maps_without_a_batch_as_torchs_layer_does(layers):
    ours, torchs = layers
    x = torch.randn(2, 20, 30)
    assert torch.equal(ours(x), torchs(x))


def test_autocast_has_torchs_convolution_in_half_precision(layers, fused_calls):
    ours, torchs = layers
    x = torch.randn(2, 2, 20, 30)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours(x).dtype == torch.bfloat16
        assert torch.equal(ours(x), torchs(x))
    assert not fused_calls


def test_traced_and_exported_graphs_serve_every_device(layers):
    ours, torchs = layers
    x = torch.randn(2, 2, 20, 30)
    traced = torch.jit.trace(ours, (x,))
    exported = torch.export.export(ours, (x,))
    assert not any("nnunet_mamba" in node.kind() for node in traced.inlined_graph.nodes())
    assert not any("nnunet_mamba" in str(node.target) for node in exported.graph.nodes)
    assert torch.equal(traced(x), torchs(x))
    assert torch.equal(exported.module()(x), torchs(x))


def test_other_devices_have_torchs_convolution(layers):
    x = torch.empty(2, 2, 20, 30, device="meta")
    assert layers[0].to("meta")(x).shape == (2, 1, 20, 30)
