"""onnxruntime-web as it lies in the package: packed by gzip, and checked before it is used."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.system.checked_entries import Entry
from nnunet_mamba.system.json_files import read_json_file

RECORD = "onnxruntime-web.json"
# What the page needs of the package: its module, the loader of its code, and the code for one thread or several.
MODULE, LOADER, WASM = "ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"
PARTS = (MODULE, LOADER, WASM)
_WAY_OUT = "reinstall nnunet-mamba; in a checkout, run make vendor"


@dataclass(frozen=True, kw_only=True)
class RuntimeFiles:
    """onnxruntime-web.

    Args:
        version: of the npm package.
        packed: each of ``PARTS``, packed by gzip.
    """

    version: str
    packed: dict[str, bytes]


def vendor_folder() -> Path:
    """Return the folder of what comes from others."""
    return Path(__file__).parent / "vendor"


def read_runtime(folder: Path | None = None) -> RuntimeFiles:
    """Return onnxruntime-web.

    Args:
        folder: that ``make vendor`` has written; None takes the package's.

    Raises:
        FileNotFoundError: a part is missing.
        ValueError: a part is another than the record says.
    """
    folder = folder or vendor_folder()
    record = Entry(read_json_file(folder / RECORD), str(folder / RECORD), _WAY_OUT)
    expected = {name: entry.text() for name, entry in record.at("sha256").entries()}
    packed = {}
    for part in PARTS:
        file = folder / f"{part}.gz"
        packed[part] = file.read_bytes()
        found = hashlib.sha256(packed[part]).hexdigest()
        if found != expected.get(file.name):
            raise ValueError(f"{file} has the SHA-256 {found}, expected {expected.get(file.name)}; {_WAY_OUT}")
    return RuntimeFiles(version=record.at("version").text(), packed=packed)
