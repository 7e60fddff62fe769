"""Weights that a file stores in half precision: half the size, computed with in float32 as before."""

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from nnunet_mamba.export.gate import gate_batches, logits_of
from nnunet_mamba.export.subject import ExportSubject
from nnunet_mamba.networks.state_parameters import is_of_state
from nnunet_mamba.onnx_models.agreement import Agreement, agreement

# Smaller networks are a few hundred kilobytes, whose half is worth no error.
LEAST_PARAMETERS = 1_000_000
# Numbers in a tensor: what is smaller saves nothing.
_LEAST_NUMBERS = 1024
# Of made-up images: what is below was not trained for so few digits.
_LEAST_EQUAL_LABELS = 0.99
_NOTE = "measured with float32 weights"


def refuse_small(subject: ExportSubject) -> None:
    """Raise where half precision would save too little.

    Args:
        subject: that is exported.

    Raises:
        ValueError: its networks have too few parameters.
    """
    n_parameters = subject.n_parameters * len(subject.networks)
    if n_parameters < LEAST_PARAMETERS:
        raise ValueError(
            f"half precision is for files of {LEAST_PARAMETERS:,} parameters and more, and this one has "
            f"{n_parameters:,}: it is small already; store them as float32"
        )


def rounded(subject: ExportSubject) -> ExportSubject:
    """Return what is exported with the weights of layers rounded to half precision, and the cost among its facts.

    Norms, biases and the state space's own parameters stay as they are: they are few, and the state multiplies their
    errors.

    Args:
        subject: that is exported; not changed.

    Raises:
        ValueError: a weight is too large for half precision, or the rounding changes too many labels.
    """
    networks = copy.deepcopy(subject.networks)
    for network in networks:
        round_weights(network)
    halved = replace(subject, networks=networks)
    cost = _cost(subject, halved)
    if cost.equal_labels < _LEAST_EQUAL_LABELS:
        raise ValueError(
            f"half precision would leave only {cost.equal_labels:.2%} of the labels of {subject.facts['name']} as they "
            f"are, expected at least {_LEAST_EQUAL_LABELS:.0%}; nothing was written: store its weights as float32"
        )
    stored = {
        "stored_as": "float16",
        "beside_float32": {
            "largest_logit_difference": cost.error,
            "largest_logit": cost.largest,
            "equal_labels": cost.equal_labels,
        },
    }
    return replace(halved, facts={**_with_foreign_scores(subject.facts), "weights": stored})


def round_weights(network: nn.Module) -> None:
    """Round the large weights of layers to half precision, in place.

    Args:
        network: of which norms, biases and the state space's parameters stay.

    Raises:
        ValueError: a weight is too large for half precision; names it.
    """
    for name, weight in network.named_parameters():
        if weight.ndim < 2 or weight.numel() < _LEAST_NUMBERS or is_of_state(name, weight):
            continue
        found = weight.data.half().float()
        if not found.isfinite().all():
            raise ValueError(
                f"{name} has weights up to {float(weight.detach().abs().max()):.3g}, and half precision ends at 65504; "
                "store them as float32"
            )
        weight.data.copy_(found)


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


def _with_foreign_scores(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts whose scores tell that other weights made them."""
    model = facts.get("model")
    if model is None:
        return dict(facts)
    scores = [
        {**score, "note": "; ".join(part for part in (score["note"], _NOTE) if part)} for score in model["scores"]
    ]
    return {**facts, "model": {**model, "scores": scores}}


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
        n_labels=sum(one.n_labels for one in found),
    )
