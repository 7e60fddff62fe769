"""Networks as an ONNX model of standard operators, with the scan as a function of the model's own."""

import json
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import onnx
import torch
import torch._dynamo.config
from onnx import helper

from nnunet_mamba.export.image_network import ImageNetwork
from nnunet_mamba.export.scan_function import DOMAIN, DOMAIN_VERSION, OPSET, scan_function, scan_kinds, translated_scan
from nnunet_mamba.export.subject import ExportSubject
from nnunet_mamba.onnx_models.session import FACTS, IMAGE, LOGITS, PROBABILITIES

# The first that has functions, and what opset 18 came with: older programs refuse what they do not know.
_IR_VERSION = 8
_PRODUCER = "nnunet-mamba"
_LARGEST_BATCH, _LARGEST_SIDE = 1 << 16, 1 << 15
# Multiples of the network's along both axes of the image that is traced. Small, and neither 0 nor 1 nor equal, which
# torch would take for constants.
_TRACED = (3, 4)


def exported_model(subject: ExportSubject) -> onnx.ModelProto:
    """Return networks as an ONNX model that is not checked yet.

    Args:
        subject: what is exported.
    """
    network = subject.networks[0]
    normalizations = subject.plan.normalizations if subject.normalises else ()
    module = ImageNetwork(
        subject.networks, normalizations, has_regions=subject.has_regions, has_fixed_size=subject.has_fixed_size
    ).eval()
    rows, columns = network.size_multiple
    sizes: dict[int, Any] = {0: torch.export.Dim("batch", min=1, max=_LARGEST_BATCH)}
    if subject.has_fixed_size:
        traced = subject.size
    else:
        traced = (_TRACED[0] * rows, _TRACED[1] * columns)
        sizes[2] = rows * torch.export.Dim("rows", min=1, max=_LARGEST_SIDE // rows)
        sizes[3] = columns * torch.export.Dim("columns", min=1, max=_LARGEST_SIDE // columns)
    image = torch.rand(2, network.input_channels, *traced)
    # With sizes that vary, torch's cache of shapes costs more than it saves: a quarter of the time of VM-UNet's export.
    with torch.no_grad(), _quiet(), torch._dynamo.config.patch(fake_tensor_cache_enabled=False):
        program = torch.onnx.export(
            module,
            (image,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[IMAGE],
            output_names=[LOGITS, PROBABILITIES],
            dynamic_shapes=(sizes,),
            custom_translation_table={torch.ops.nnunet_mamba.selective_scan.default: translated_scan()},
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
    model.functions.extend(scan_function(kind) for kind in sorted(scan_kinds(model), key=lambda kind: kind.name))
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", OPSET))
    if model.functions:
        model.opset_import.append(helper.make_opsetid(DOMAIN, DOMAIN_VERSION))
    model.ir_version = _IR_VERSION
    model.producer_name = _PRODUCER
    return model


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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what torch and onnxscript tell of their own insides."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
