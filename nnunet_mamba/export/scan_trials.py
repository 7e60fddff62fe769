"""Operands to try a scan with: step sizes near 0, where the state never forgets, and large ones, where it forgets."""

from collections.abc import Iterator

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor

from nnunet_mamba.export.function_nodes import DOMAIN, DOMAIN_VERSION, OPSET
from nnunet_mamba.export.scan_function import ScanKind
from nnunet_mamba.ops.scan import reference
from nnunet_mamba.ops.scan.operands import TENSOR_NAMES, ScanOperands

_IR_VERSION = 8
_AXES = {"A": 2, "B": 4, "C": 4, "D": 1, "delta_bias": 1}

# Of b, d, l, n and g: one token, one channel in a group, and more tokens than a chunk of any kernel.
_SIZES = ((1, 1, 1, 1, 1), (2, 6, 70, 16, 3), (3, 8, 33, 5, 1))
# Before softplus: steps of 1e-13, of about 1, beyond the threshold where softplus is linear, and of all kinds.
_BEFORE_SOFTPLUS = ((-30.0, 1.0), (0.0, 1.0), (60.0, 30.0), (0.0, 40.0))
_STEPS = ((1e-12, 1e-12), (0.5, 0.5), (80.0, 20.0))


def scan_trials(kind: ScanKind) -> Iterator[ScanOperands]:
    """Yield operands of a kind of scan, float32, for which its state stays finite."""
    random = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    for b, d, length, n, groups in _SIZES:
        for centre, spread in _BEFORE_SOFTPLUS if kind.delta_softplus else _STEPS:
            delta, bias = spread * normal(b, d, length), centre + torch.zeros(d)
            if not kind.delta_softplus:
                delta, bias = delta.abs(), bias.abs()
            yield ScanOperands(
                u=normal(b, d, length),
                delta=delta if kind.has_delta_bias else delta + centre,
                A=-torch.exp(normal(d, n)),
                B=normal(b, groups, n, length),
                C=normal(b, groups, n, length),
                D=normal(d) if kind.has_D else None,
                z=10 * normal(b, d, length) if kind.has_z else None,
                delta_bias=bias if kind.has_delta_bias else None,
                delta_softplus=kind.delta_softplus,
            )


def scan_difference(function: onnx.FunctionProto, kind: ScanKind) -> float:
    """Return by how much a function differs from the scan's definition: a share of the largest number of a trial.

    Args:
        function: of an ONNX model.
        kind: of scan that it should compute.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(
        _alone(function, kind).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    differences = []
    for operands in scan_trials(kind):
        given = zip(TENSOR_NAMES, operands.tensors, strict=True)
        found = session.run(None, {name: tensor.numpy() for name, tensor in given if tensor is not None})[0]
        expected = reference.forward(operands).numpy()
        differences.append(float(np.abs(found - expected).max()) / max(1.0, float(np.abs(expected).max())))
    # Not max: it would pass over NaN.
    return float(np.max(differences))


def _alone(function: onnx.FunctionProto, kind: ScanKind) -> onnx.ModelProto:
    """Return a model that does nothing but call a function."""

    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * _AXES.get(name, 3))

    call = helper.make_node(kind.name, list(kind.operands), ["y"], domain=DOMAIN)
    return helper.make_model(
        helper.make_graph([call], "scan", [value(name) for name in kind.operands], [value("y")]),
        functions=[function],
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)],
        ir_version=_IR_VERSION,
    )
