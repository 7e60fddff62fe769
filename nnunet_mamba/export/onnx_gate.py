"""The gate of ONNX files: standard operators alone, the scan at its extremes, and the same outputs."""

from collections.abc import Iterable, Iterator

import onnx

from nnunet_mamba.export.gate import WAY_OUT, GateResult, UnequalExportError, passed
from nnunet_mamba.export.scan_function import scan_kinds
from nnunet_mamba.export.scan_trials import scan_difference
from nnunet_mamba.export.subject import ExportSubject
from nnunet_mamba.onnx_models.session import OnnxSession

# Of a scan's largest number, or of 1 where that is less.
_ALLOWED_IN_SCAN = 1e-4


def onnx_passed(model: onnx.ModelProto, subject: ExportSubject) -> GateResult:
    """Compare an exported model with its networks.

    Args:
        model: of ``exported_model``.
        subject: that was exported.

    Raises:
        UnequalExportError: it has an operator that is not standard, does not run, or computes something else.
    """
    _check_operators(model)
    functions = {function.name: function for function in model.functions}
    for kind in sorted(scan_kinds(model), key=lambda kind: kind.name):
        if not (difference := scan_difference(functions[kind.name], kind)) <= _ALLOWED_IN_SCAN:
            raise UnequalExportError(f"the function {kind.name} differs from the scan by {difference:.2g}; {WAY_OUT}")
    try:
        session = OnnxSession(model.SerializeToString())
    except ValueError as error:
        raise UnequalExportError(f"{error}; {WAY_OUT}") from error
    return passed(subject, lambda batches: map(session.run, batches))


def _check_operators(model: onnx.ModelProto) -> None:
    """Refuse operators that are neither standard nor functions of the model's own."""
    functions = {(function.domain, function.name) for function in model.functions}
    called = {(node.domain, node.op_type) for node in _all_nodes(model)}
    if missing := sorted(f"{domain}::{name}" for domain, name in called - functions if domain):
        raise UnequalExportError(f"the model needs {', '.join(missing)}, which is no standard operator; {WAY_OUT}")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise UnequalExportError(f"the model is not valid: {' '.join(str(error).split())}; {WAY_OUT}") from error


def _all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    yield from _with_inner(model.graph.node)
    for function in model.functions:
        yield from _with_inner(function.node)


def _with_inner(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _with_inner(attribute.g.node)
