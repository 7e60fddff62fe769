"""Label maps with the values or colours that the masks had before conversion."""

from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.formats.label_values import colour_code
from nnunet_mamba.data.restoring.converted_dataset import ConvertedDataset

# Those of NIfTI, the smallest first; all values fit into one of them.
_STORED_TYPES = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32)


def in_source_values(label: npt.NDArray[Any], dataset: ConvertedDataset) -> npt.NDArray[Any]:
    """Return a label map with the values of the source's masks.

    Args:
        label: (*spatial), values of ``dataset.labels``.
        dataset: that it belongs to.

    Returns:
        (*spatial), or (*spatial, 3) where the source's masks are in colour; in the smallest type that holds them all.
    """
    stored = dict(zip(dataset.labels.values(), map(np.asarray, _written_values(dataset)), strict=True))
    numbers = np.ravel(list(stored.values()))
    dtype = next(dtype for dtype in _STORED_TYPES if _holds(dtype, numbers))
    values = np.zeros((*label.shape, *stored[0].shape), dtype=dtype)
    for number, value in stored.items():
        values[label == number] = value
    return values


def _holds(dtype: type[np.integer[Any]], numbers: npt.NDArray[Any]) -> bool:
    limits = np.iinfo(dtype)
    return bool(limits.min <= numbers.min() and numbers.max() <= limits.max)


def _written_values(dataset: ConvertedDataset) -> "list[int] | list[list[int]]":
    """Return the value, or red, green and blue, of every label."""
    if not dataset.source_labels:
        return list(dataset.labels.values())
    values = [dataset.source_labels[name][0] for name in dataset.labels]
    if dataset.is_colour:
        return [list(colour_code(value).to_bytes(3, "big")) for value in values]
    return [int(value) for value in values]
