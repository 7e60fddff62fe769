"""Bring predicted label maps back to the grid of the source's images and the values of its masks."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image

from nnunet_mamba.data.formats import image_files
from nnunet_mamba.data.formats.image_files import ImageFileError
from nnunet_mamba.data.formats.label_map_files import label_map_files, other_forms
from nnunet_mamba.data.formats.label_values import SHOWN_VALUES
from nnunet_mamba.data.formats.nifti_files import Volume, VolumeError, encode_nifti, read_nifti, write_compressed
from nnunet_mamba.data.problems import InvalidDatasetError, Problem
from nnunet_mamba.data.restoring.converted_dataset import ConvertedDataset
from nnunet_mamba.data.restoring.restored_files import restored_files, same_files
from nnunet_mamba.data.restoring.source_grid import OtherGridError, picture_label_back, volume_label_back
from nnunet_mamba.data.restoring.source_values import VOLUME_ENDING, in_source_values
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE
from nnunet_mamba.data.writing.target_folder import CASE_FOLDERS
from nnunet_mamba.system.atomic import remove_partial_files, replacing
from nnunet_mamba.system.folder_lock import only_writer, refuse_if_unwritable
from nnunet_mamba.system.json_files import read_json_file
from nnunet_mamba.system.parallel import map_in_order

RESTORATION_FILE = "nnunet_mamba_restoration.json"


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """What a run did.

    Args:
        folder: of the masks.
        identifiers: cases in it.
        n_written: cases that this run wrote.
        keeps_values: whether the values are those of the predictions, for want of the source's.
    """

    folder: Path
    identifiers: tuple[str, ...]
    n_written: int
    keeps_values: bool


def restore_masks(
    predictions: Path, dataset: ConvertedDataset, output: Path, *, jobs: int = 1, progress: bool = False
) -> Restoration:
    """Restore all predicted label maps in a folder. A second run after an interruption continues where it stopped.

    Args:
        predictions: folder of label maps, as ``nnUNetv2_predict`` writes them, of training, test or prepared images.
        dataset: the conversion that the predicted images came from.
        output: new or empty, or of an earlier run on the same predictions.
        jobs: worker processes; the result does not depend on it.
        progress: show it on standard error.

    Raises:
        InvalidDatasetError: some predictions are no label maps of this data set; nothing has been written.
        FileNotFoundError: no predictions.
        FileExistsError: ``output`` holds something else.
        OSError: writing failed; whole files stay, and a second run continues.
    """
    files = label_files(predictions, dataset.file_ending)
    for name in CASE_FOLDERS:
        if dataset.folder.resolve() / name in (place := output.resolve(), *place.parents):
            raise FileExistsError(
                f"{output} belongs to {dataset.folder}, nnU-Net would read it; choose another `output`"
            )
    refuse_if_unwritable(output, way_out="make room, get the right to write there, or choose another `output`")
    with only_writer(output):
        problems, digests = _check(files, dataset, jobs=jobs, progress=progress)
        if problems:
            raise InvalidDatasetError(problems, output)
        with _explained(output):
            _begin(output, dataset, digests)
        items = [
            (identifier, path)
            for identifier, path in files.items()
            if not all(target.is_file() for target in restored_files(identifier, dataset, output))
        ]
        write = partial(_restore, dataset=dataset, output=output)
        with _explained(output):
            for _ in map_in_order(write, items, jobs=jobs, description="restoring", progress=progress):
                pass
    return Restoration(
        folder=output,
        identifiers=tuple(files),
        n_written=len(items),
        keeps_values=not dataset.source_labels,
    )


@contextmanager
def _explained(output: Path) -> Iterator[None]:
    """Add to a system error what was being written and how to go on."""
    try:
        yield
    except OSError as error:
        # Without a number, the error is our own text.
        if error.errno is None:
            raise
        raise OSError(
            error.errno,
            f"{error.strerror or error}, while writing {output}. Put it right (free space, permissions) and run "
            "the same command again: it continues",
        ) from error


def label_files(folder: Path, file_ending: str) -> dict[str, Path]:
    """Return the label maps in a folder by identifier, sorted.

    Args:
        folder: of predictions.
        file_ending: with its dot.

    Raises:
        FileNotFoundError: there are none.
        NotADirectoryError: it is a file.
    """
    return label_map_files(folder, file_ending, holds="predictions")


def _check(
    files: Mapping[str, Path], dataset: ConvertedDataset, *, jobs: int, progress: bool
) -> tuple[list[Problem], dict[str, str]]:
    """Look at every prediction; return what is wrong, and a digest of each file."""
    look = partial(_look_at, dataset=dataset)
    results = map_in_order(look, list(files.items()), jobs=jobs, description="checking", progress=progress)
    problems = []
    digests = {}
    missing = dataset.cases.keys() - files.keys()
    predictions = next(iter(files.values())).parent
    for identifier, name in other_forms(predictions, missing, dataset.file_ending).items():
        expected = f"is called {name}, expected {identifier}{dataset.file_ending}; rename or convert it"
        problems.append(Problem(identifier, expected, predictions / name))
    problems += same_files(files, dataset)
    for (identifier, path), (digest, text) in zip(files.items(), results, strict=True):
        digests[identifier] = digest
        if text is not None:
            problems.append(Problem(identifier, text, path))
    return problems, digests


def _look_at(item: tuple[str, Path], *, dataset: ConvertedDataset) -> tuple[str, str | None]:
    """Return a digest of a prediction, and why it cannot be restored, None if it can."""
    identifier, path = item
    digest = blake2b(path.read_bytes(), digest_size=16).hexdigest()
    if identifier not in dataset.cases:
        n_cases = len(dataset.cases)
        return digest, f"no case of {dataset.folder}, which has {n_cases}; name the data set of these images"
    try:
        label = load_label(path, dataset)
        restored = label_back(identifier, label, dataset).voxels
    except (OtherGridError, VolumeError, ImageFileError) as error:
        return digest, str(error)
    slices = dataset.cases[identifier]["source"].get("slices")
    if slices is not None and (restored.ndim != 3 or len(restored) != len(slices)):
        return digest, f"restores to the shape {restored.shape}, and its source had {len(slices)} slices; convert again"
    values, counts = np.unique(label.voxels, return_counts=True)
    known = set(dataset.labels.values())
    unknown = [f"{value} ({count}x)" for value, count in zip(values, counts, strict=True) if value not in known]
    if not unknown:
        return digest, None
    shown = ", ".join(unknown[:SHOWN_VALUES]) + (" ..." if len(unknown) > SHOWN_VALUES else "")
    expected = ", ".join(f"{value} ({name})" for name, value in dataset.labels.items())
    return digest, f"unknown values {shown}, expected {expected}; is it a label map?"


def load_label(path: Path, dataset: ConvertedDataset) -> Volume:
    """Read a label map.

    Args:
        path: the file.
        dataset: that it belongs to.

    Returns:
        (y, x) with an affine that says nothing, or (z, y, x) with its place.

    Raises:
        ImageFileError: a damaged picture, or one that holds no single numbers.
        VolumeError: a damaged volume.
    """
    if dataset.file_ending == VOLUME_ENDING:
        return read_nifti(path)
    with image_files.opened_image(path) as image:
        if image.mode != "L":
            raise ImageFileError(f"colour mode {image.mode}, expected 8-bit grey, as nnU-Net writes label maps")
        return Volume(np.asarray(image), np.eye(4))


def label_back(identifier: str, label: Volume, dataset: ConvertedDataset) -> Volume:
    """Return a label map on the grid of its source, with the values that it has.

    Args:
        identifier: of a case of the data set.
        label: on the converted grid, see ``load_label``.
        dataset: that it belongs to.

    Raises:
        OtherGridError: it does not lie on the converted image.
    """
    source = dataset.cases[identifier]["source"]
    if label.voxels.ndim == 2:
        return Volume(picture_label_back(label.voxels, source, dataset.size), label.affine)
    return volume_label_back(label, source)


def _begin(output: Path, dataset: ConvertedDataset, digests: Mapping[str, str]) -> None:
    """Refuse a folder with other content than this run's, and write down what this run is."""
    conversion = (dataset.folder / RECORD_FILE).read_bytes()
    content = {"conversion": blake2b(conversion, digest_size=16).hexdigest(), "predictions": dict(digests)}
    record = output / RESTORATION_FILE
    if record.is_file():
        try:
            stored = read_json_file(record)
        except ValueError:
            stored = None
        if stored != content:
            raise FileExistsError(f"{output} holds masks of other predictions; choose another `output`, or delete it")
        remove_partial_files(output, below=True)
    elif output.exists() and (not output.is_dir() or any(not path.name.startswith(".") for path in output.iterdir())):
        raise FileExistsError(f"{output} is there and not empty, expected a new folder; choose another `output`")
    else:
        with replacing(record) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _restore(item: tuple[str, Path], *, dataset: ConvertedDataset, output: Path) -> None:
    identifier, path = item
    label = label_back(identifier, load_label(path, dataset), dataset)
    values = in_source_values(label.voxels, dataset)
    parts = values if "slices" in dataset.cases[identifier]["source"] else [values]
    for target, part in zip(restored_files(identifier, dataset, output), parts, strict=True):
        with replacing(target) as temporary:
            if target.name.endswith(VOLUME_ENDING):
                write_compressed(temporary, encode_nifti(Volume(part, label.affine)))
            else:
                Image.fromarray(part).save(temporary, format="PNG")
