"""What torch cannot trace is told in a sentence."""

import pytest
import torch

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")

from nnunet_mamba.export.tracing import tracing


def test_an_operator_that_onnx_lacks_is_named_in_one_line():
    class Network(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x).real

    with (
        pytest.raises(
            ValueError, match=r"^torch cannot export the network: .*linalg_eig.*; nothing was written"
        ) as told,
        tracing(),
    ):
        torch.onnx.export(Network(), (torch.eye(3),), dynamo=True, verbose=False)
    assert "\n" not in str(told.value)


def test_a_branch_that_depends_on_values_is_told():
    class Network(torch.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match=r"^torch cannot export the network: .*nothing was written") as told, tracing():
        torch.export.export(Network(), (torch.eye(3),))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (KeyError("a"), "KeyError: 'a'; "),
        (AssertionError(), "AssertionError; "),
        (IndexError("b\nc"), "IndexError: b; "),
    ],
)
def test_errors_of_the_network_itself_are_told_in_a_line(raised, told):
    with pytest.raises(ValueError, match=f"^torch cannot export the network: {told}nothing was written"), tracing():
        raise raised


@pytest.mark.parametrize("raised", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_a_lack_of_memory_is_none_of_the_network(raised):
    with pytest.raises(MemoryError), tracing():
        raise RuntimeError("while tracing") from raised
