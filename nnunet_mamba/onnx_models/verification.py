"""Whether an ONNX file still computes what its network computed, with onnxruntime alone."""

from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.onnx_models.agreement import Agreement, agreement, probabilities_of, worst_of
from nnunet_mamba.onnx_models.sidecar import WAY_OUT, Sidecar, read_onnx_file


@dataclass(frozen=True, kw_only=True)
class VerifiedFile:
    """An ONNX file that computes what it should.

    Args:
        sidecar: of the file.
        worst: the agreement of the batches that agree least.
    """

    sidecar: Sidecar
    worst: Agreement


def verify_onnx(file: Path) -> VerifiedFile:
    """Compare an ONNX file with its sidecar: hash, facts, and the logits of the check images.

    Args:
        file: the ONNX file, with its sidecar beside it.

    Raises:
        FileNotFoundError: one of the two is missing.
        ModuleNotFoundError: onnxruntime is not installed.
        ValueError: something differs; says what.
    """
    if file.suffix.lower() == ".pt2":
        raise ValueError(f"{file} is a program of PyTorch, expected an ONNX file; export the model anew to verify it")
    found = read_onnx_file(file)
    sidecar, session = found.sidecar, found.session()
    found_agreements = []
    for images in sidecar.check_images:
        logits, probabilities = session.run(images.images())
        one = agreement(images.kept(logits), images.logits, has_regions=sidecar.has_regions)
        if not one.is_within(sidecar.allowed):
            raise ValueError(f"{file}: {one.in_words()}, expected {sidecar.allowed.in_words()}; {WAY_OUT}")
        difference = abs(probabilities - probabilities_of(logits, has_regions=sidecar.has_regions)).max()
        if not difference <= sidecar.allowed.error:
            raise ValueError(f"{file}: the probabilities are not those of the logits, by {difference:.2g}; {WAY_OUT}")
        found_agreements.append(one)
    return VerifiedFile(sidecar=sidecar, worst=worst_of(found_agreements))
