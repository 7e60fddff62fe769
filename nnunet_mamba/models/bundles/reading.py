"""A bundle, as a folder or as a zip archive: what model.json says at once, the weights when they are asked for."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from nnunet_mamba.models.bundles.archive_files import files_in, read_file_in, refuse_size
from nnunet_mamba.models.bundles.model_json import MODEL_FILE, WEIGHTS_FILE, StoredDescription, description_from_json
from nnunet_mamba.models.model import Model
from nnunet_mamba.system.json_files import parse_json

if TYPE_CHECKING:
    from torch import Tensor

# The largest network here has 190 MB a fold, and a description some ten thousand bytes.
_LARGEST_WEIGHTS = 4 * 2**30
_LARGEST_TEXT = 16 * 2**20

# Reads a file of a bundle by its name, and at most so many bytes.
_Reader: TypeAlias = Callable[[str, int], bytes]


def is_bundle(path: Path) -> bool:
    """Return whether a folder or a file is a bundle, be it damaged or not.

    Args:
        path: need not exist.
    """
    if not path.is_file():
        return (path / MODEL_FILE).is_file()
    try:
        return holds_bundle(files_in(path))
    except ValueError:
        return False


def holds_bundle(files: Sequence[PurePosixPath]) -> bool:
    """Return whether an archive holds a bundle, be it damaged or not.

    Args:
        files: in the archive.
    """
    return bool(_descriptions(files))


def read_bundle(path: Path) -> Model:
    """Read the description of a bundle.

    Args:
        path: of a folder, or of a zip archive whose top or only folder it is.

    Raises:
        FileNotFoundError: a part of it is missing.
        OSError: it cannot be read.
        ValueError: it is damaged, foreign, harmful, or for a newer nnunet-mamba; names the place and the way out.
    """
    read = _reader(path)
    stored = _stored(read, path)

    @cache
    def all_weights() -> "dict[str, dict[str, Tensor]]":
        from nnunet_mamba.models.bundles.weights_file import unpack_weights

        return unpack_weights(
            read(WEIGHTS_FILE, _LARGEST_WEIGHTS),
            place=f"{path}: {WEIGHTS_FILE}",
            expected_sha256=stored.weights_sha256,
            folds=stored.description.fold_names,
        )

    return Model(
        description=stored.description,
        weights=lambda fold: dict(all_weights()[fold]),
        place=str(path),
        stored_card=lambda: _text(read(stored.card, _LARGEST_TEXT), f"{path}: {stored.card}"),
    )


def _stored(read: _Reader, path: Path) -> StoredDescription:
    place = f"{path}: {MODEL_FILE}"
    content = parse_json(_text(read(MODEL_FILE, _LARGEST_TEXT), place), place, unique_names=True)
    return description_from_json(content, place)


def _text(content: bytes, place: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{place} is not UTF-8 text (byte {error.start}); get the model again") from error


def _reader(path: Path) -> _Reader:
    if path.is_dir():
        return lambda name, most: _read_in_folder(path, name, most)
    files = files_in(path)
    descriptions = _descriptions(files)
    if len(descriptions) != 1:
        what = f"{len(descriptions)} times a" if descriptions else "no"
        raise ValueError(f"{path} holds {what} {MODEL_FILE}, expected one; give a file of nnunet-mamba pack-model")
    root = descriptions[0].parent

    def read(name: str, most: int) -> bytes:
        if root / name not in files:
            raise _missing(path, name)
        return read_file_in(path, root / name, most=most)

    return read


def _read_in_folder(folder: Path, name: str, most: int) -> bytes:
    file = folder / name
    if not file.is_file():
        raise _missing(folder, name)
    refuse_size(str(file), file.stat().st_size, most)
    return file.read_bytes()


def _missing(path: Path, name: str) -> FileNotFoundError:
    return FileNotFoundError(f"{path} has no {name}, which every model has; get the model again")


def _descriptions(files: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    return [file for file in files if file.name == MODEL_FILE and len(file.parts) <= 2]
