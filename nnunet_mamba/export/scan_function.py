"""The selective scan as a function of an ONNX file, composed of standard operators around the standard Scan.

With step = softplus(delta + delta_bias): h_t = exp(step_t A) h_{t-1} + step_t B_t u_t and y_t = (C_t h_t + D u_t)
SiLU(z_t), as ``ops.selective_scan`` has it. A function cannot ask which of its operands are there, so each combination
is a function of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from nnunet_mamba.export.function_nodes import DOMAIN, OPSET, FunctionNodes, call_of

_FLOAT = TensorProto.FLOAT
# Numbers of a token's state. Above, the arithmetic of a token outweighs what a step of Scan costs, and arrays of all
# states, which a small state computes at once, would take hundreds of megabytes.
_LARGEST_STATE_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True)
class ScanKind:
    """Which scan a function computes.

    Args:
        has_D: whether there is a skip weight.
        has_z: whether there is a gate.
        has_delta_bias: whether something is added to the step size.
        delta_softplus: whether the step size passes through softplus.
        by_token: compute products and exponentials of one token after the other, not of all at once.
    """

    has_D: bool = False
    has_z: bool = False
    has_delta_bias: bool = False
    delta_softplus: bool = False
    by_token: bool = False

    @property
    def name(self) -> str:
        """The name of the function."""
        parts = [part.name.removeprefix("has_") for part in fields(self) if getattr(self, part.name)]
        return "_".join(["SelectiveScan", *parts])

    @property
    def operands(self) -> tuple[str, ...]:
        """The names of the operands, those of ``selective_scan``."""
        optional = (("D", self.has_D), ("z", self.has_z), ("delta_bias", self.has_delta_bias))
        return ("u", "delta", "A", "B", "C", *(name for name, is_there in optional if is_there))


def scan_kinds(model: onnx.ModelProto) -> set[ScanKind]:
    """Return which scans the nodes of a model call."""
    kinds = {kind.name: kind for kind in all_kinds()}
    return {kinds[node.op_type] for node in model.graph.node if node.domain == DOMAIN and node.op_type in kinds}


def all_kinds() -> Iterator[ScanKind]:
    """Yield every kind of scan."""
    names = [part.name for part in fields(ScanKind)]
    for number in range(2 ** len(names)):
        yield ScanKind(**{name: bool(number >> place & 1) for place, name in enumerate(names)})


def translated_scan() -> Callable[..., Any]:
    """Return what ``torch.onnx.export`` writes for ``nnunet_mamba::selective_scan``: a call of the function."""

    def selective_scan(
        u: Any,
        delta: Any,
        A: Any,
        B: Any,
        C: Any,
        D: Any = None,
        z: Any = None,
        delta_bias: Any = None,
        delta_softplus: bool = False,
    ) -> Any:
        d, n = A.shape
        kind = ScanKind(
            has_D=D is not None,
            has_z=z is not None,
            has_delta_bias=delta_bias is not None,
            delta_softplus=bool(delta_softplus),
            by_token=int(d) * int(n) > _LARGEST_STATE_AT_ONCE,
        )
        given = [operand for operand in (u, delta, A, B, C, D, z, delta_bias) if operand is not None]
        return call_of(kind.name, dict(zip(kind.operands, given, strict=True)), like=u)

    return selective_scan


def scan_function(kind: ScanKind) -> onnx.FunctionProto:
    """Return the function of a kind of scan.

    Its operands are those of ``selective_scan``, float32, with B and C as (b, g, n, l); its result is y, (b, d, l).
    """
    graph = FunctionNodes()
    step = "delta"
    if kind.has_delta_bias:
        step = graph.add("Add", step, graph.add("Unsqueeze", "delta_bias", graph.list_of(-1)))
    if kind.delta_softplus:
        step = _softplus(graph, step)
    seen = _by_token(graph, step) if kind.by_token else _at_once(graph, step)  # (l, b, g, 1, k)
    tokens_last = graph.add("Transpose", graph.add("Squeeze", seen, graph.list_of(3)), perm=[1, 2, 3, 0])
    y = graph.add("Reshape", tokens_last, graph.add("Shape", "u"))
    if kind.has_D:
        y = graph.add("Add", y, graph.add("Mul", graph.add("Unsqueeze", "D", graph.list_of(-1)), "u"))
    if kind.has_z:
        y = graph.add("Mul", y, graph.add("Mul", "z", graph.add("Sigmoid", "z")))
    graph.add("Identity", y, result="y")
    return helper.make_function(
        DOMAIN, kind.name, list(kind.operands), ["y"], graph.nodes, [helper.make_opsetid("", OPSET)]
    )


def _softplus(graph: FunctionNodes, x: str) -> str:
    """Add max(x, 0) + log(1 + e) with e = exp(-|x|), in less than half the time of onnxruntime's Softplus.

    Of 1 + e the small digits of e are lost, equally to log(1 + e) and to (1 + e) - 1: their ratio times e has them.
    """
    one, tiny = (graph.constant(np.array(value, np.float32)) for value in (1, 1e-30))
    e = graph.add("Exp", graph.add("Min", x, graph.add("Neg", x)))
    grown = graph.add("Add", e, one)
    # Where 1 + e is 1, tiny / tiny keeps the ratio at 1; elsewhere nothing so small is seen.
    logarithm = graph.add("Add", graph.add("Log", grown), tiny)
    ratio = graph.add("Div", logarithm, graph.add("Add", graph.add("Sub", grown, one), tiny))
    return graph.add("Add", graph.add("Mul", ratio, e), graph.add("Relu", x))


def _operands_by_token(graph: FunctionNodes, step: str) -> dict[str, str]:
    """Add what a scan reads token by token, for g groups of k channels each.

    The channels lie innermost: a state has few numbers, and broadcasting over short runs costs more than arithmetic.

    Returns:
        names: "step" and "update" (l, b, g, 1, k), "B" (l, b, g, n, 1), "C" (l, b, g, 1, n); and "A" (g, n, k).
    """
    groups = graph.add("Shape", "B", start=1, end=2)
    ends = [graph.add("Shape", "u", start=place, end=place + 1) for place in (0, 2)]
    grouped = graph.joined(ends[0], groups, graph.list_of(-1), ends[1])

    def by_token(name: str) -> str:
        split = graph.add("Reshape", name, grouped)  # (b, g, k, l)
        return graph.add("Unsqueeze", graph.add("Transpose", split, perm=[3, 0, 1, 2]), graph.list_of(3))

    states = graph.add("Shape", "A", start=1, end=2)
    B, C = (graph.add("Transpose", name, perm=[3, 0, 1, 2]) for name in ("B", "C"))
    A = graph.add("Reshape", "A", graph.joined(groups, graph.list_of(-1), states))
    return {
        "step": by_token(step),
        "update": by_token(graph.add("Mul", step, "u")),
        "B": graph.add("Unsqueeze", B, graph.list_of(-1)),
        "C": graph.add("Unsqueeze", C, graph.list_of(3)),
        "A": graph.add("Transpose", A, perm=[0, 2, 1]),
    }


def _first_state(graph: FunctionNodes, A: str) -> str:
    """Add a state of zeros, (b, g, n, k)."""
    shape = graph.joined(graph.add("Shape", "u", start=0, end=1), graph.add("Shape", A))
    return graph.add("Expand", graph.constant(np.zeros((), np.float32)), shape)


def _at_once(graph: FunctionNodes, step: str) -> str:
    """Add the recurrence; what does not depend on the state is computed for all tokens at once."""
    by_token = _operands_by_token(graph, step)
    decay = graph.add("Exp", graph.add("Mul", by_token["step"], by_token["A"]))
    update = graph.add("Mul", by_token["update"], by_token["B"])
    state = ("b", "g", "n", "k")
    body = helper.make_graph(
        [
            helper.make_node("Mul", ["decay", "h"], ["decayed"]),
            helper.make_node("Add", ["decayed", "update"], ["h_next"]),
            helper.make_node("Identity", ["h_next"], ["h_seen"]),
        ],
        "token",
        [_value(name, state) for name in ("h", "decay", "update")],
        [_value(name, state) for name in ("h_next", "h_seen")],
    )
    seen = graph.scan(body, _first_state(graph, by_token["A"]), [decay, update])
    return graph.add("MatMul", by_token["C"], seen)


def _by_token(graph: FunctionNodes, step: str) -> str:
    """Add the recurrence with all that belongs to a token computed in its turn."""
    by_token = _operands_by_token(graph, step)
    state, row = ("b", "g", "n", "k"), ("b", "g", "one", "k")
    body = helper.make_graph(
        [
            helper.make_node("Mul", ["step", by_token["A"]], ["exponent"]),
            helper.make_node("Exp", ["exponent"], ["decay"]),
            helper.make_node("Mul", ["decay", "h"], ["decayed"]),
            helper.make_node("Mul", ["update", "B_t"], ["added"]),
            helper.make_node("Add", ["decayed", "added"], ["h_next"]),
            helper.make_node("MatMul", ["C_t", "h_next"], ["y_t"]),
        ],
        "token",
        [
            _value("h", state),
            _value("step", row),
            _value("update", row),
            _value("B_t", ("b", "g", "n", "one")),
            _value("C_t", ("b", "g", "one", "n")),
        ],
        [_value("h_next", state), _value("y_t", row)],
    )
    return graph.scan(
        body, _first_state(graph, by_token["A"]), [by_token[name] for name in ("step", "update", "B", "C")]
    )


def _value(name: str, shape: Sequence[str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, _FLOAT, [1 if size == "one" else size for size in shape])
