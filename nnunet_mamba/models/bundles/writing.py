"""Write a bundle, as a folder or as a zip archive, whole or not at all; equal models give equal bytes."""

import json
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from nnunet_mamba.models.bundles.model_json import CARD_FILE, MODEL_FILE, WEIGHTS_FILE, description_to_json
from nnunet_mamba.models.card import model_card
from nnunet_mamba.models.description import ModelDescription
from nnunet_mamba.system.atomic import new_folder, replacing

ZIP = ".zip"
# The first that the format knows. Its own default is the time of packing.
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = 0o100644 << 16
_UNIX = 3


def write_bundle(
    output: Path,
    description: ModelDescription,
    weights: bytes,
    *,
    card_text: str = "",
    others: Mapping[str, bytes] = MappingProxyType({}),
    overwrite: bool = False,
) -> Path:
    """Write a bundle and return its path.

    Args:
        output: a zip archive if it ends in ".zip", else a folder.
        description: of the model.
        weights: content of the file with the weights of all folds.
        card_text: the author's words for the card, see ``card.model_card``.
        others: files that nothing reads back, by name.
        overwrite: replace an existing archive.

    Raises:
        FileExistsError: ``output`` exists.
        OSError: it cannot be written; nothing is left of it.
        ValueError: a number of the description is not finite.
    """
    described = description_to_json(description, weights_sha256=sha256(weights).hexdigest())
    files = {
        MODEL_FILE: (json.dumps(described, indent=1, ensure_ascii=False) + "\n").encode(),
        CARD_FILE: model_card(description, card_text).encode(),
        WEIGHTS_FILE: weights,
        **others,
    }
    refuse_existing(output, overwrite=overwrite)
    if output.suffix.lower() == ZIP:
        _write_archive(output, files)
    else:
        with new_folder(output) as folder:
            for name, content in files.items():
                (folder / name).write_bytes(content)
    return output


def refuse_existing(output: Path, *, overwrite: bool) -> None:
    """Raise if a bundle must not be written, before anything is read for it.

    Args:
        output: of the bundle.
        overwrite: whether an existing archive may be replaced.

    Raises:
        FileExistsError: there is something else.
    """
    is_archive = output.suffix.lower() == ZIP
    if output.is_dir() or (output.exists() and not is_archive):
        raise FileExistsError(f"{output} exists, and is not replaced; choose another `output`")
    if output.exists() and not overwrite:
        raise FileExistsError(f"{output} exists; choose another `output`, or replace it with `overwrite=True`")


def _write_archive(output: Path, files: Mapping[str, bytes]) -> None:
    # Not compressed: weights hardly shrink, and other versions of zlib give other bytes.
    with replacing(output) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _TIMESTAMP)
            entry.create_system, entry.external_attr = _UNIX, _PLAIN_FILE
            archive.writestr(entry, content)
