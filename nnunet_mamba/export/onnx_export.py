"""Write a trained model as an ONNX file with its sidecar, if it computes what the model computes."""

from pathlib import Path

from nnunet_mamba.export.exported_file import ExportedFile, write_exported
from nnunet_mamba.export.graph import exported_model, with_facts
from nnunet_mamba.export.half_weights import halve, refuse_small, rounded
from nnunet_mamba.export.onnx_gate import onnx_passed
from nnunet_mamba.export.subject import ExportSubject


def write_onnx(subject: ExportSubject, file: Path, *, half_weights: bool = False) -> ExportedFile:
    """Export networks, compare them with torch, and only then write the file and its sidecar.

    Args:
        subject: what is exported.
        file: to write or replace.
        half_weights: whether to store the weights of layers in half precision. The gate then compares with networks
            whose weights are rounded, and what that costs stands among the facts.

    Raises:
        ValueError: torch cannot export the networks, or half precision does not suit them; nothing is written.
        UnequalExportError: the exported model computes something else; nothing is written.
        OSError: the file cannot be written; nothing is written.
    """
    if half_weights:
        refuse_small(subject)
        subject = rounded(subject)
    model = exported_model(subject)
    if half_weights:
        halve(model)
    return write_exported(
        subject,
        file,
        lambda facts: with_facts(model, facts).SerializeToString(),
        gate=onnx_passed(model, subject),
        packages=("onnx", "onnxscript", "onnxruntime"),
    )
