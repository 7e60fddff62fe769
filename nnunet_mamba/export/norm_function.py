"""Group and instance normalisation as a function of an ONNX file, as exact as torch's.

onnxruntime's InstanceNormalization, which torch writes for both, adds up a map number by number. Where a map is mostly
one number, as around the content of a framed photograph, that loses three digits, which deep networks multiply.
"""

from collections.abc import Callable
from typing import Any

import onnx
from onnx import helper

from nnunet_mamba.export.function_nodes import DOMAIN, OPSET, FunctionNodes, call_of

GROUP_NORM = "GroupNorm"
_OPERANDS = ("x", "grouping", "scale", "bias", "epsilon")


def translated_norms() -> dict[Any, Callable[..., Any]]:
    """Return what ``torch.onnx.export`` writes for torch's two operators: calls of the function."""
    import torch
    from onnxscript import opset18 as op

    def call(x: Any, n_groups: int, scale: Any, bias: Any, epsilon: float) -> Any:
        channels = [int(x.shape[1])]
        operands = {
            "x": x,
            "grouping": op.Constant(value_ints=[0, n_groups, -1]),
            "scale": op.Constant(value_floats=[1.0] * channels[0]) if scale is None else scale,
            "bias": op.Constant(value_floats=[0.0] * channels[0]) if bias is None else bias,
            "epsilon": op.Constant(value_float=epsilon),
        }
        return call_of(GROUP_NORM, operands, like=x, whole=("grouping",))

    def group_norm(
        input: Any,
        num_groups: int,
        weight: Any = None,
        bias: Any = None,
        eps: float = 1e-5,
        cudnn_enabled: bool = True,
    ) -> Any:
        return call(input, num_groups, weight, bias, eps)

    def instance_norm(
        input: Any,
        weight: Any,
        bias: Any,
        running_mean: Any,
        running_var: Any,
        use_input_stats: bool,
        momentum: float,
        eps: float,
        cudnn_enabled: bool,
    ) -> Any:
        assert use_input_stats, "instance norms of the networks keep no statistics"
        return call(input, int(input.shape[1]), weight, bias, eps)

    return {torch.ops.aten.group_norm.default: group_norm, torch.ops.aten.instance_norm.default: instance_norm}


def norm_function() -> onnx.FunctionProto:
    """Return the function: x (b, c, *spatial), in groups of its channels.

    Its operands are x, grouping, which is (0, groups, -1), scale and bias (c), and epsilon (), what is added to the
    variance; its result is y, like x.
    """
    graph = FunctionNodes()
    last, shape = graph.list_of(-1), graph.add("Shape", "x")
    # Rows first: sums of a few hundred numbers lose nothing.
    rows = graph.add("Reshape", graph.add("ReduceMean", "x", last, keepdims=0), "grouping")
    mean = graph.add("ReduceMean", rows, last)  # (b, groups, 1)
    centred = graph.add("Sub", graph.add("Reshape", "x", "grouping"), mean)
    squares = graph.add("ReduceSumSquare", graph.add("Reshape", centred, shape), last, keepdims=0)
    length = graph.add("Cast", graph.add("Shape", "x", start=-1), to=onnx.TensorProto.FLOAT)
    of_rows = graph.add("Reshape", graph.add("Div", squares, length), "grouping")
    variance = graph.add("ReduceMean", of_rows, last)
    deviation = graph.add("Sqrt", graph.add("Add", variance, "epsilon"))
    scale = graph.add(
        "Reshape", graph.add("Unsqueeze", "scale", graph.list_of(0)), "grouping"
    )  # (1, groups, c / groups)
    by_channel = graph.joined(graph.add("Shape", "x", start=0, end=2), last)
    factor = graph.add("Reshape", graph.add("Div", scale, deviation), by_channel)  # (b, c, 1)
    scaled = graph.add("Mul", graph.add("Reshape", centred, by_channel), factor)
    moved = graph.add("Add", scaled, graph.add("Unsqueeze", "bias", last))
    graph.add("Reshape", moved, shape, result="y")
    return helper.make_function(
        DOMAIN, GROUP_NORM, list(_OPERANDS), ["y"], graph.nodes, [helper.make_opsetid("", OPSET)]
    )
