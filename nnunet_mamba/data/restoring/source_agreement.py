"""Compare label maps, brought back to the grid of their source, with the source's own masks."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.formats.dataset_json import BACKGROUND, IGNORE
from nnunet_mamba.data.formats.image_files import ImageFileError, load_binary_mask
from nnunet_mamba.data.formats.label_values import colour_code, colour_codes
from nnunet_mamba.data.formats.mask_pixels import grey_levels, load_mask_pixels, mask_bytes
from nnunet_mamba.data.formats.nifti_files import Volume, VolumeError, turned_onto
from nnunet_mamba.data.formats.volume_files import read_volume
from nnunet_mamba.data.formats.whole_numbers import near_whole_numbers
from nnunet_mamba.data.restoring.converted_dataset import ConvertedDataset
from nnunet_mamba.data.restoring.restoration import label_back, label_files, load_label
from nnunet_mamba.system.parallel import map_in_order

_BLACK_AND_WHITE = [(0,), (255,)]
_WHITE = 0xFFFFFF


@dataclass(frozen=True)
class Agreement:
    """How a restored label map agrees with the mask of its source.

    Args:
        identifier: of the case.
        dice: per foreground label, NaN where neither has it, without what the source's mask says to ignore; empty if
            the source has no mask that can be compared.
        reason: why it could not be compared, None if it could.
    """

    identifier: str
    dice: Mapping[str, float]
    reason: str | None = None


def compare_with_source(
    predictions: Path, dataset: ConvertedDataset, *, jobs: int = 1, progress: bool = False
) -> list[Agreement]:
    """Compare label maps with the masks that the data set was converted from, on the grid of the masks.

    For the data set's own labels, this is what the conversion costs: 1 at the original size.

    Args:
        predictions: folder of label maps, all of them fit to be restored.
        dataset: that they belong to.
        jobs: worker processes.
        progress: show it on standard error.
    """
    items = list(label_files(predictions, dataset.file_ending).items())
    compare = partial(_compare, dataset=dataset)
    return list(map_in_order(compare, items, jobs=jobs, description="comparing", progress=progress))


def _compare(item: tuple[str, Path], *, dataset: ConvertedDataset) -> Agreement:
    identifier, path = item
    if not dataset.source_labels:
        return Agreement(identifier, {}, f"{dataset.folder} does not tell which values the source's masks have")
    source = dataset.cases[identifier]["source"]
    if "slices" in source or "masks" in source:
        return Agreement(identifier, {}, "its mask is in several files")
    mask_file = _source_mask(identifier, dataset)
    if isinstance(mask_file, str):
        return Agreement(identifier, {}, mask_file)
    label = label_back(identifier, load_label(path, dataset), dataset)
    try:
        regions = dict(_regions(mask_file, label, dataset))
    except (ImageFileError, VolumeError) as error:
        return Agreement(identifier, {}, f"{error} ({mask_file})")
    shape = next(iter(regions.values())).shape
    if shape != label.voxels.shape:
        return Agreement(identifier, {}, f"the source's mask has the shape {shape}, the restored {label.voxels.shape}")
    counted = ~regions.pop(IGNORE) if IGNORE in regions else np.True_
    dice = {
        name: _dice((label.voxels == dataset.labels[name]) & counted, region & counted)
        for name, region in regions.items()
    }
    return Agreement(identifier, dice)


def _source_mask(identifier: str, dataset: ConvertedDataset) -> Path | str:
    """Return the file of the mask that a case was converted from, or why there is none."""
    case = dataset.cases[identifier]
    if "label_folder" not in case:
        return "the source has no mask"
    # A case's label is the last of its files.
    name, size = case["files"][-1], case["bytes"][-1]
    file = Path(dataset.sources[case["label_folder"]], name)
    if not file.is_file() or file.stat().st_size != size:
        return f"{name} ({size} bytes) is no longer in the folders that were converted"
    return file


def _regions(mask_file: Path, label: Volume, dataset: ConvertedDataset) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Yield for each label but the background where the source's mask has it."""
    is_volume = label.voxels.ndim == 3
    values: npt.NDArray[Any]
    if is_volume:
        values, _ = near_whole_numbers(turned_onto(read_volume(mask_file), label))
    elif dataset.threshold is not None:
        values = grey_levels(load_mask_pixels(mask_file))
    elif list(dataset.source_labels.values()) == _BLACK_AND_WHITE:
        # Grey borders of resized masks belong to the side that they are nearer to.
        values = load_binary_mask(mask_file, allow_empty=True).astype(np.int32) * _WHITE
    else:
        values = colour_codes(mask_bytes(load_mask_pixels(mask_file)))
    for name in dataset.labels:
        if name == BACKGROUND:
            continue
        if dataset.threshold is not None:
            yield name, values > dataset.threshold
        else:
            wanted = dataset.source_labels[name]
            yield name, np.isin(values, [int(value) if is_volume else colour_code(value) for value in wanted])


def _dice(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * np.count_nonzero(one & other) / total if total else math.nan
