"""An exported file and its sidecar, written together or not at all."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nnunet_mamba.export.gate import GateResult
from nnunet_mamba.export.subject import ExportSubject
from nnunet_mamba.onnx_models.agreement import Agreement
from nnunet_mamba.onnx_models.sidecar import sidecar_path, sidecar_text
from nnunet_mamba.system.atomic import replacing


@dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """A file that was written.

    Args:
        file: of the model.
        sidecar: beside it.
        n_bytes: of the file.
        worst: the agreement of the batch that agrees least.
        facts: that are in both, JSON values.
    """

    file: Path
    sidecar: Path
    n_bytes: int
    worst: Agreement
    facts: Mapping[str, Any]


def write_exported(
    subject: ExportSubject,
    file: Path,
    packed: Callable[[Mapping[str, Any]], bytes],
    *,
    gate: GateResult,
    packages: tuple[str, ...] = (),
) -> ExportedFile:
    """Write what has passed the gate.

    Args:
        subject: that was exported.
        file: to write or replace.
        packed: returns the content of the file with the facts in it, JSON values.
        gate: what it found.
        packages: that made the file besides torch.

    Raises:
        OSError: the file cannot be written; nothing is written.
    """
    facts = {
        **subject.facts,
        "versions": {**subject.facts["versions"], **{name: version(name) for name in packages}},
        "n_parameters": subject.n_parameters,
        "gate": gate.to_json(),
    }
    content = packed(facts)
    text = sidecar_text(facts, sha256=hashlib.sha256(content).hexdigest(), check_images=gate.check_images)
    with replacing(sidecar_path(file)) as sidecar, replacing(file) as temporary:
        temporary.write_bytes(content)
        sidecar.write_text(text, encoding="utf-8")
    return ExportedFile(file=file, sidecar=sidecar_path(file), n_bytes=len(content), worst=gate.worst, facts=facts)
