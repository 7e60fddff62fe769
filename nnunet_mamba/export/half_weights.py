"""Weights that a file stores in half precision: half the size, computed with in float32 as before."""

import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from nnunet_mamba.export.gate import gate_batches, logits_of
from nnunet_mamba.export.subject import ExportSubject
from nnunet_mamba.onnx_models.agreement import Agreement, agreement

# Smaller networks are a few hundred kilobytes, whose half is worth no error.
LEAST_PARAMETERS = 1_000_000
# Numbers in a tensor: what is smaller saves nothing.
_LEAST_NUMBERS = 1024


def refuse_small(subject: ExportSubject) -> None:
    """Raise where half precision would save too little.

    Args:
        subject: that is exported.

    Raises:
        ValueError: its network has too few parameters.
    """
    if subject.n_parameters < LEAST_PARAMETERS:
        raise ValueError(
            f"--weights float16 is for networks of {LEAST_PARAMETERS:,} parameters and more, and this one has "
            f"{subject.n_parameters:,}: its file is small already; leave --weights out"
        )


def rounded(subject: ExportSubject) -> ExportSubject:
    """Return what is exported with the weights of layers rounded to half precision, and the cost among its facts.

    Norms, biases and the state space's own parameters stay as they are: they are few, and the state multiplies their
    errors.

    Args:
        subject: that is exported; not changed.

    Raises:
        ValueError: a weight is too large for half precision; names it.
    """
    networks = copy.deepcopy(subject.networks)
    for network in networks:
        for name, weight in _large_weights(network):
            found = weight.data.half().float()
            if not found.isfinite().all():
                raise ValueError(
                    f"{name} of {subject.facts['name']} has weights up to {float(weight.abs().max()):.3g}, and half "
                    "precision ends at 65504; leave --weights out"
                )
            weight.data.copy_(found)
    halved = replace(subject, networks=networks)
    cost = _cost(subject, halved)
    stored = {
        "stored_as": "float16",
        "beside_float32": {
            "largest_logit_difference": cost.error,
            "largest_logit": cost.largest,
            "equal_labels": cost.equal_labels,
        },
    }
    return replace(halved, facts={**subject.facts, "weights": stored})


def halve(model: onnx.ModelProto) -> None:
    """Store tensors in half precision that lose nothing by it, in place.

    Args:
        model: of networks whose weights are rounded.
    """
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or math.prod(tensor.dims) < _LEAST_NUMBERS:
            continue
        values = numpy_helper.to_array(tensor)
        # Numbers beyond half precision become infinite here, which are not equal.
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"Cast_{name}", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _large_weights(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    for name, parameter in network.named_parameters():
        is_of_state: Any = getattr(parameter, "_no_weight_decay", False)
        if parameter.ndim > 1 and parameter.numel() >= _LEAST_NUMBERS and not is_of_state:
            yield name, parameter


def _cost(subject: ExportSubject, halved: ExportSubject) -> Agreement:
    """Return how the rounded networks agree with those of all digits, on the gate's images."""
    found = [
        agreement(logits_of(halved, images), logits_of(subject, images), has_regions=subject.has_regions)
        for images in gate_batches(subject)
    ]
    return Agreement(
        error=max(one.error for one in found),
        largest=max(one.largest for one in found),
        equal_labels=min(one.equal_labels for one in found),
    )
