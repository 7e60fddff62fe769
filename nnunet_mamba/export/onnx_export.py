"""Write a trained model as an ONNX file with its sidecar, if it computes what the model computes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.export.gate import GateResult, passed
from nnunet_mamba.export.graph import exported_model, with_facts
from nnunet_mamba.export.subject import ExportSubject
from nnunet_mamba.onnx_models.agreement import Agreement
from nnunet_mamba.onnx_models.sidecar import sidecar_path, sidecar_text
from nnunet_mamba.system.atomic import replacing


@dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """An ONNX file that was written.

    Args:
        file: of the model.
        sidecar: beside it.
        n_bytes: of the file.
        worst: the agreement of the batch that agrees least.
    """

    file: Path
    sidecar: Path
    n_bytes: int
    worst: Agreement


def write_onnx(subject: ExportSubject, file: Path) -> ExportedFile:
    """Export networks, compare them with torch, and only then write the file and its sidecar.

    Args:
        subject: what is exported.
        file: to write or replace.

    Raises:
        UnequalExportError: the exported model computes something else; nothing is written.
        OSError: the file cannot be written; nothing is written.
    """
    model = exported_model(subject)
    gate = passed(model, subject)
    facts = {**subject.facts, "n_parameters": subject.n_parameters, "gate": _in_json(gate, subject)}
    content = with_facts(model, facts).SerializeToString()
    text = sidecar_text(facts, sha256=hashlib.sha256(content).hexdigest(), check_images=gate.check_images)
    with replacing(sidecar_path(file)) as sidecar, replacing(file) as temporary:
        temporary.write_bytes(content)
        sidecar.write_text(text, encoding="utf-8")
    return ExportedFile(file=file, sidecar=sidecar_path(file), n_bytes=len(content), worst=gate.worst)


def _in_json(gate: GateResult, subject: ExportSubject) -> dict[str, float]:
    return {
        "allowed_error": subject.allowed_error,
        "largest_logit_error": gate.worst.error,
        "largest_logit": gate.worst.largest,
        "equal_labels": gate.worst.equal_labels,
        "batches": gate.n_batches,
    }
