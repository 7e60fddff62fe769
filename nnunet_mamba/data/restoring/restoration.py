"""Bring predicted masks back to the grid and the values of the images that a data set was converted from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nnunet_mamba.data.converters.binary_mask_photographs import parse_size
from nnunet_mamba.data.formats import image_files
from nnunet_mamba.data.formats.dataset_json import IGNORE, DatasetJson, read_dataset_json
from nnunet_mamba.data.formats.image_files import ImageFileError, Shape
from nnunet_mamba.data.formats.label_map_files import label_map_files, other_forms, refuse_if_no_folder
from nnunet_mamba.data.formats.nifti_files import Volume, VolumeError, encode_nifti, read_nifti, write_compressed
from nnunet_mamba.data.problems import InvalidDatasetError, Problem
from nnunet_mamba.data.restoring.restored_files import restored_files, same_files
from nnunet_mamba.data.restoring.source_grid import OtherGridError, picture_label_back, volume_label_back
from nnunet_mamba.data.restoring.source_records import SourceValue, record_faults
from nnunet_mamba.data.restoring.source_values import in_source_values
from nnunet_mamba.data.writing.conversion_record import RECIPE_FILE, read_recipe
from nnunet_mamba.data.writing.raw_dataset import DATASET_JSON
from nnunet_mamba.system.atomic import remove_partial_files, replacing
from nnunet_mamba.system.folder_lock import only_writer, refuse_if_unwritable
from nnunet_mamba.system.json_files import read_json_file, read_json_object
from nnunet_mamba.system.parallel import map_in_order

RESTORATION_FILE = "nnunet_mamba_restoration.json"
VOLUME_ENDING = ".nii.gz"
SHOWN_VALUES = 8
LARGEST_IN_PICTURES = 65535
_DATASET_FOLDERS = ("imagesTr", "imagesTs", "labelsTr", "labelsTs")


@dataclass(frozen=True, kw_only=True)
class ConvertedDataset:
    """What a conversion remembers for the way back.

    Args:
        folder: of the data set, or of images prepared for prediction.
        file_ending: of label maps, with its dot.
        labels: name to value in a label map; "ignore" too, which is in labels but never predicted.
        source_labels: name to its values in the source's masks, of which the first is written; empty if they are not
            known, then values stay. Of masks with a threshold, which hold many values, those that are written alone.
        threshold: what is above it in the source's masks is the one label; None if values mean labels.
        size: (y, x) to which pictures were resized; None for their own.
        cases: per identifier what the recipe has: part, files, bytes, source, and label_folder if that is known.
        sources: the folders that the source files are in.
    """

    folder: Path
    file_ending: str
    labels: Mapping[str, int]
    source_labels: Mapping[str, tuple[SourceValue, ...]]
    threshold: float | None
    size: Shape | None
    cases: Mapping[str, Mapping[str, Any]]
    sources: Sequence[str]

    @property
    def is_colour(self) -> bool:
        """Whether the source's masks are in colour."""
        return any(isinstance(value, str) for values in self.source_labels.values() for value in values)


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


def read_converted_dataset(folder: Path, predictions: Path) -> ConvertedDataset:
    """Read what a conversion remembers.

    Args:
        folder: a raw data set, or images prepared for prediction.
        predictions: where nnU-Net puts a copy of the training data's dataset.json, which prepared images do not have.

    Raises:
        FileNotFoundError: ``folder`` was not made by a conversion, or there is no dataset.json.
        ValueError: a damaged file, or a conversion of an earlier release.
    """
    refuse_if_no_folder(folder, holds="the converted data set")
    recipe = read_recipe(folder)
    if recipe is None:
        raise FileNotFoundError(
            f"{folder} holds no {RECIPE_FILE}, expected a folder that nnunet-mamba convert has written: that file "
            "knows the way back"
        )
    content = read_json_object(folder / RECIPE_FILE, any_encoding=True, unique_names=True)
    cases = content["cases"]
    if unknown := [identifier for identifier, case in cases.items() if not _tells_shape(case)]:
        raise ValueError(
            f"{folder / RECIPE_FILE} does not tell the size of the source, for {len(unknown)} cases such as "
            f"{unknown[0]}; convert again with this release"
        )
    if faults := record_faults(content):
        more = f", and {len(faults) - 1} more problems" if len(faults) > 1 else ""
        raise ValueError(f"{folder / RECIPE_FILE} is damaged: {faults[0]}{more}; convert again")
    description = next((path for path in (folder / DATASET_JSON, predictions / DATASET_JSON) if path.is_file()), None)
    if description is None:
        raise FileNotFoundError(
            f"no {DATASET_JSON} in {folder} or {predictions}, expected the one of the training data; copy it there"
        )
    try:
        dataset = read_dataset_json(description)
    except ValueError as error:
        raise ValueError(f"{description} is no dataset.json of nnU-Net: {error}; copy the training data's") from error
    labels, file_ending = _label_values(dataset, description), dataset.file_ending
    source_labels = _source_values(recipe.options, labels, file_ending)
    writes_pictures = file_ending != VOLUME_ENDING or any("slices" in case["source"] for case in cases.values())
    for name, values in source_labels.items():
        if writes_pictures and isinstance(values[0], int) and not 0 <= values[0] <= LARGEST_IN_PICTURES:
            raise ValueError(
                f"{folder / RECIPE_FILE}: label {name} is {values[0]} in the source, and pictures hold 0 to "
                f"{LARGEST_IN_PICTURES}; convert again with other values"
            )
    if source_labels and IGNORE not in source_labels:
        labels.pop(IGNORE, None)
    if source_labels and (missing := sorted(labels.keys() - source_labels.keys())):
        raise ValueError(f"{folder} knows no value of the source for {', '.join(missing)}, a label of {description}")
    try:
        size = parse_size(str(recipe.options.get("size", "original")))
    except ValueError as error:
        raise ValueError(f"{folder / RECIPE_FILE} is damaged: {error}; convert again") from error
    return ConvertedDataset(
        folder=folder,
        file_ending=file_ending,
        labels=labels,
        source_labels=source_labels,
        threshold=recipe.options.get("threshold"),
        size=size,
        cases=cases,
        sources=recipe.sources,
    )


def _source_values(
    options: Mapping[str, Any], labels: Mapping[str, int], file_ending: str
) -> dict[str, tuple[SourceValue, ...]]:
    """Return the values of every label in the source's masks."""
    recorded = options.get("source_labels", {})
    if _is_binary_volume(options.get("threshold"), file_ending):
        # Recipes say 255 of pictures and volumes alike; binary volumes hold 0 and 1.
        return {name: (labels[name],) for name in recorded if name in labels}
    return {name: tuple(values) if isinstance(values, list) else (values,) for name, values in recorded.items()}


def _is_binary_volume(threshold: float | None, file_ending: str) -> bool:
    return threshold is not None and file_ending == VOLUME_ENDING


def _tells_shape(case: Any) -> bool:
    return isinstance(case, dict) and isinstance(source := case.get("source"), dict) and bool(source.get("shape"))


def _label_values(dataset: DatasetJson, description: Path) -> dict[str, int]:
    """Return the value that each label or region has in a label map that nnU-Net writes."""
    values = dataset.labels.values
    numbers = {name: value[0] if isinstance(value, tuple) else value for name, value in values.items()}
    if dataset.labels.has_regions:
        numbers |= dict(zip(dataset.labels.foreground, dataset.labels.regions_class_order, strict=True))
    if len(set(numbers.values())) < len(numbers):
        raise ValueError(
            f"{description} gives two regions the same number in regions_class_order, {numbers}; a mask cannot "
            "tell them apart"
        )
    return numbers


def restore_masks(
    predictions: Path, dataset: ConvertedDataset, output: Path, *, jobs: int = 1, progress: bool = False
) -> Restoration:
    """Restore all predicted masks in a folder. A second run after an interruption continues where it stopped.

    Args:
        predictions: folder of label maps, as ``nnUNetv2_predict`` writes them, of training, test or prepared images.
        dataset: the conversion that the predicted images came from.
        output: new or empty, or of an earlier run on the same predictions.
        jobs: worker processes; the result does not depend on it.
        progress: show bars on standard error.

    Raises:
        InvalidDatasetError: some predictions are no label maps of this data set; nothing has been written.
        FileNotFoundError: no predictions.
        FileExistsError: ``output`` holds something else.
        OSError: writing failed; whole files stay, and a second run continues.
    """
    files = label_files(predictions, dataset.file_ending)
    for name in _DATASET_FOLDERS:
        if dataset.folder.resolve() / name in (place := output.resolve(), *place.parents):
            raise FileExistsError(
                f"{output} belongs to {dataset.folder}, nnU-Net would read it; choose another --output"
            )
    refuse_if_unwritable(output, way_out="make room, get the right to write there, or choose another --output")
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
    """Say of an error of the system what was written and how to go on."""
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
    """Refuse a folder that holds anything else than what is to come, and write what is to come."""
    recipe = (dataset.folder / RECIPE_FILE).read_bytes()
    content = {"conversion": blake2b(recipe, digest_size=16).hexdigest(), "predictions": dict(digests)}
    if _is_binary_volume(dataset.threshold, dataset.file_ending):
        # Earlier releases wrote others.
        content["values"] = {name: values[0] for name, values in dataset.source_labels.items()}
    record = output / RESTORATION_FILE
    if record.is_file():
        try:
            stored = read_json_file(record)
        except ValueError:
            stored = None
        if stored != content:
            raise FileExistsError(f"{output} holds masks of other predictions; choose another --output, or delete it")
        for folder in (output, *(path for path in output.iterdir() if path.is_dir())):
            remove_partial_files(folder)
    elif output.exists() and (not output.is_dir() or any(not path.name.startswith(".") for path in output.iterdir())):
        raise FileExistsError(f"{output} is there and not empty, expected a new folder; choose another --output")
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
