"""Networks as an ONNX model of standard operators, with the scan as a function of the model's own."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import onnx
import torch
from onnx import helper

from nnunet_mamba.export.function_nodes import DOMAIN, DOMAIN_VERSION, OPSET
from nnunet_mamba.export.norm_function import GROUP_NORM, norm_function, translated_norms
from nnunet_mamba.export.scan_function import scan_function, scan_kinds, translated_scan
from nnunet_mamba.export.subject import ExportSubject
from nnunet_mamba.export.tracing import traced, tracing
from nnunet_mamba.onnx_models.session import FACTS, IMAGE, LOGITS, PROBABILITIES

# The first that has functions, and what opset 18 came with: older programs refuse what they do not know.
_IR_VERSION = 8
_PRODUCER = "nnunet-mamba"
_LARGEST_SIDE = 1 << 15


def exported_model(subject: ExportSubject) -> onnx.ModelProto:
    """Return networks as an ONNX model that is not checked yet.

    Args:
        subject: what is exported.

    Raises:
        ValueError: torch cannot export them.
    """
    given = traced(subject, largest_side=_LARGEST_SIDE)
    with tracing():
        program = torch.onnx.export(
            given.module,
            (given.image,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[IMAGE],
            output_names=[LOGITS, PROBABILITIES],
            dynamic_shapes=(given.open_sizes,),
            custom_translation_table={
                torch.ops.nnunet_mamba.selective_scan.default: translated_scan(),
                **translated_norms(),
            },
            optimize=False,
            verbose=False,
        )
        assert program is not None
        _simplify(program.model)
    return _finished(program.model_proto)


def _simplify(model: Any) -> None:
    """Compute what is constant and keep one of equal operators, in place.

    torch's own way tries every pattern of its rewriter on every operator before it joins equal ones, which takes
    minutes for thousands of them; onnxruntime rewrites them itself when it opens the file.

    Args:
        model: of onnx_ir.
    """
    from onnx_ir.passes import common
    from onnxscript import optimizer

    optimizer.inline(model)
    optimizer.fold_constants(model, onnx_shape_inference=False)
    optimizer.remove_unused_nodes(model)
    common.DeduplicateInitializersPass()(model)
    common.CommonSubexpressionEliminationPass()(model)
    common.IdentityEliminationPass()(model)
    optimizer.remove_unused_nodes(model)


def _finished(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model of torch's with the scan's functions and without torch's remarks."""
    strip(model)
    _drop_foreign_biases(model)
    model.functions.extend(scan_function(kind) for kind in sorted(scan_kinds(model), key=lambda kind: kind.name))
    if any((node.domain, node.op_type) == (DOMAIN, GROUP_NORM) for node in model.graph.node):
        model.functions.append(norm_function())
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))
    if model.functions:
        model.opset_import.append(helper.make_opsetid(DOMAIN, DOMAIN_VERSION))
    model.ir_version = _IR_VERSION
    model.producer_name = _PRODUCER
    return model


def _drop_foreign_biases(model: onnx.ModelProto) -> None:
    """Take out biases that no convolution can have, in place.

    onnxscript (0.7.2) gives convolutions of volumes that have none zeros of the shape (channels, 2).
    """
    axes = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Conv" and len(node.input) == 3 and axes.get(node.input[2], 1) != 1:
            del node.input[2:]


def with_facts(model: onnx.ModelProto, facts: Mapping[str, Any]) -> onnx.ModelProto:
    """Write what is known of the model into it; return the same model.

    Args:
        model: changed in place.
        facts: JSON values.
    """
    helper.set_model_props(model, {FACTS: json.dumps(facts, ensure_ascii=False, allow_nan=False)})
    model.producer_version = str(facts["versions"][_PRODUCER])
    return model


def strip(model: onnx.ModelProto) -> None:
    """Take out what tells of torch's code and of this machine, and shapes between operators, in place."""
    for graph in (model.graph, *_graphs_in(model.graph.node)):
        del graph.value_info[:]
        graph.doc_string = ""
        values = (*graph.input, *graph.output, *graph.initializer)
        for part in (graph, *graph.node, *values):
            del part.metadata_props[:]
            part.doc_string = ""
        for number, node in enumerate(graph.node):
            node.name = f"{node.op_type}_{number}"
    del model.metadata_props[:]
    model.doc_string = ""
    model.graph.name = _PRODUCER


def _graphs_in(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield attribute.g
                yield from _graphs_in(attribute.g.node)
