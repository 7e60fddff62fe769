"""``FILE.onnx.json``, what stands beside an ONNX file: the facts inside it, its hash, and images to check it with."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_mamba.onnx_models.agreement import Tolerance
from nnunet_mamba.onnx_models.check_images import CheckImages, check_images_from
from nnunet_mamba.onnx_models.session import OnnxSession
from nnunet_mamba.system.checked_entries import Entry
from nnunet_mamba.system.json_files import read_json_object

# Raise it when an entry gets another meaning.
FORMAT = 1
WAY_OUT = "it was damaged or changed by hand: export the model anew"


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """What a sidecar says, as far as checking and running its file need it.

    Args:
        sha256: of the ONNX file.
        facts: JSON values, the same that are inside the ONNX file.
        allowed: how far its logits may be from those of the check images.
        has_regions: whether every head is a region.
        check_images: at least one batch.
    """

    sha256: str
    facts: Mapping[str, Any]
    allowed: Tolerance
    has_regions: bool
    check_images: tuple[CheckImages, ...]


@dataclass(frozen=True, kw_only=True)
class OnnxFile:
    """An ONNX file that is the one of its sidecar.

    Args:
        path: of the file.
        sidecar: that stands beside it.
    """

    path: Path
    sidecar: Sidecar

    @property
    def facts(self) -> Entry:
        """What is known of its model, to be checked entry by entry."""
        return Entry(self.sidecar.facts, str(sidecar_path(self.path)), WAY_OUT)

    def session(self, *, n_threads: int | None = None) -> OnnxSession:
        """Return the file ready to run.

        Args:
            n_threads: see ``OnnxSession``.

        Raises:
            ModuleNotFoundError: onnxruntime is not installed.
            ValueError: onnxruntime cannot run the file, or the sidecar tells something else than the file itself.
        """
        session = OnnxSession(self.path, n_threads=n_threads)
        if session.facts is None or json.loads(session.facts) != self.sidecar.facts:
            raise ValueError(f"{self.path} and its sidecar do not tell the same of the model; {WAY_OUT}")
        return session


def sidecar_path(file: Path) -> Path:
    """Return where the sidecar of an ONNX file lies."""
    return file.with_name(f"{file.name}.json")


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sidecar_text(facts: Mapping[str, Any], *, sha256: str, check_images: Sequence[CheckImages]) -> str:
    """Return the content of a sidecar.

    Args:
        facts: that are inside the ONNX file, too.
        sha256: of that file.
        check_images: with the logits of the network itself.
    """
    content = {**facts, "sha256": sha256, "check_images": [images.to_json() for images in check_images]}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_onnx_file(file: Path) -> OnnxFile:
    """Read the sidecar of an ONNX file, whose hash must be that of the file.

    Args:
        file: the ONNX file.

    Raises:
        FileNotFoundError: one of the two is missing.
        ValueError: one of the two is damaged, or the sidecar is of a newer nnunet-mamba.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist, or is no file; expected an ONNX file of nnunet-mamba export")
    sidecar = read_sidecar(file)
    if (found := sha256_of(file)) != sidecar.sha256:
        raise ValueError(f"{file} has the SHA-256 {found}, and its sidecar expects {sidecar.sha256}; {WAY_OUT}")
    return OnnxFile(path=file, sidecar=sidecar)


def read_sidecar(file: Path) -> Sidecar:
    """Read the sidecar of an ONNX file.

    Args:
        file: the ONNX file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or of a newer nnunet-mamba.
    """
    path = sidecar_path(file)
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist; nnunet-mamba export writes it beside {file.name}: copy both, or export the model "
            "anew"
        )
    content = read_json_object(path)
    entry = Entry(content, str(path), WAY_OUT)
    if (number := entry.at("format").whole(least=1)) > FORMAT:
        raise ValueError(f"{path}: format is {number}, expected {FORMAT} at most; install a newer nnunet-mamba")
    images = tuple(check_images_from(one) for one in entry.at("check_images").items())
    return Sidecar(
        sha256=entry.at("sha256").text("a SHA-256"),
        facts={name: value for name, value in content.items() if name not in ("sha256", "check_images")},
        allowed=Tolerance.from_entry(entry.at("gate")),
        has_regions=entry.at("outputs").at("has_regions").flag(),
        check_images=images or entry.at("check_images").refuse("at least one batch"),
    )
