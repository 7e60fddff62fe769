"""The papers' networks as torch's compiler sees them on a GPU under autocast: tensors that have a device but no memory.

No GPU is needed, and none is run.
"""

import pytest
import torch
from contract_cases import CASES, in_slower_tiers
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from nnunet_mamba.blocks.mamba import Mamba
from nnunet_mamba.blocks.mamba_layer import MambaLayer
from nnunet_mamba.blocks.ss2d import SS2D

IN_FLOAT32 = (Mamba, MambaLayer, SS2D)
PAPERS = [one for one in in_slower_tiers() if ".baselines." not in CASES[one.values[0]].preset.network]


def _move_to_fake_gpu(network):
    for module in network.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is None:
                    continue
                fake = torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")
                tensors[name] = nn.Parameter(fake) if isinstance(tensor, nn.Parameter) else fake


def _tensors(value):
    return [x for x in (value if isinstance(value, (tuple, list)) else [value]) if isinstance(x, torch.Tensor)]


def _is_in_float32(node):
    classes = [kind if isinstance(kind, str) else kind.__name__ for _, kind in node.meta["nn_module_stack"].values()]
    return any(kind.rpartition(".")[2] == block.__name__ for kind in classes for block in IN_FLOAT32)


@pytest.mark.parametrize("name", PAPERS)
def test_training_on_a_gpu_under_autocast_is_one_graph_with_its_state_spaces_in_float32(monkeypatch, name):
    # Or torch turns autocast off where there is no GPU.
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    case, graphs = CASES[name], []
    network = case.build_with_all_heads().train()

    def keep(graph, _):
        graphs.append(graph)
        return graph.forward

    with FakeTensorMode(allow_non_fake_inputs=True), torch.autocast("cuda", dtype=torch.float16):
        _move_to_fake_gpu(network)
        images = torch.empty(2, network.input_channels, *case.odd, device="cuda")
        logits = torch.compile(network, backend=keep, fullgraph=True)(images)

    assert {x.device.type for x in _tensors(logits)} == {"cuda"}
    (graph,) = graphs
    nodes = [node for node in graph.graph.nodes if node.op == "call_function" and "nn_module_stack" in node.meta]
    scans = [node for node in nodes if "selective_scan" in str(node.target)]
    assert len(scans) >= sum(getattr(module, "scans", False) for module in network.modules())
    assert all(given.meta["example_value"].dtype == torch.float32 for node in scans for given in node.all_input_nodes)
    results = {True: set(), False: set()}
    for node in nodes:
        results[_is_in_float32(node)] |= {
            x.dtype for x in _tensors(node.meta.get("example_value")) if x.is_floating_point()
        }
    assert results[True] == ({torch.float32} if any(isinstance(x, IN_FLOAT32) for x in network.modules()) else set())
    assert torch.float16 in results[False]
