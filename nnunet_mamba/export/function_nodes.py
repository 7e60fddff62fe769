"""Functions of an ONNX file's own, composed of standard operators."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

DOMAIN = "nnunet_mamba"
DOMAIN_VERSION = 1
OPSET = 18


def call_of(name: str, operands: Mapping[str, Any], *, like: Any, whole: Collection[str] = ()) -> Any:
    """Return the call of a function of ``DOMAIN``, in what ``torch.onnx.export`` writes for an operator.

    Args:
        name: of the function.
        operands: by their names.
        like: a value whose type and shape the result has.
        whole: which operands are int64; the others are float32.
    """
    from onnxscript import values

    parameter = onnx.defs.OpSchema.FormalParameter
    schema = onnx.defs.OpSchema(
        name,
        DOMAIN,
        DOMAIN_VERSION,
        inputs=[parameter(operand, "I" if operand in whole else "T") for operand in operands],
        outputs=[parameter("y", "T")],
        type_constraints=[("T", ["tensor(float)"], "float32"), ("I", ["tensor(int64)"], "int64")],
    )
    y = values.Op(values.Opset(DOMAIN, DOMAIN_VERSION), name, schema)(*operands.values())
    # torch reads both from what a translation returns.
    y.dtype, y.shape = like.dtype, like.shape
    return y


@dataclass
class FunctionNodes:
    """The nodes of a function, each of which gets a name for its result."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def add(self, kind: str, *operands: str, result: str = "", **attributes: Any) -> str:
        """Add an operator and return the name of its result."""
        name = result or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, operands, [name], **attributes))
        return name

    def constant(self, value: np.ndarray[Any, Any]) -> str:
        """Add an array."""
        return self.add("Constant", value=numpy_helper.from_array(value))

    def list_of(self, *numbers: int) -> str:
        """Add whole numbers, such as axes or a shape."""
        return self.constant(np.array(numbers, np.int64))

    def joined(self, *lists: str) -> str:
        """Add lists behind each other."""
        return self.add("Concat", *lists, axis=0)

    def scan(self, body: onnx.GraphProto, first: str, per_token: Sequence[str]) -> str:
        """Add a scan over the first axis and return the name of what its steps have seen.

        Args:
            body: of a step, from one state to the next one and to what is seen of it.
            first: the state before all steps.
            per_token: what each step reads a slice of.
        """
        number = len(self.nodes)
        results = [f"last_{number}", f"seen_{number}"]
        self.nodes.append(
            helper.make_node("Scan", [first, *per_token], results, body=body, num_scan_inputs=len(per_token))
        )
        return results[1]
