"""Join the masks of one image, one file for each lesion or structure, to one label."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.label_values import ByteImage


class MaskFileError(ValueError):
    """One of a case's mask files cannot be used; ``path`` is that file, the text does not name it."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self.path = path


def joined_label(case: Case, label_of: Callable[[Path], ByteImage]) -> ByteImage:
    """Return the label of a case: where masks overlap, the later one counts.

    Args:
        case: with at least one mask.
        label_of: reads one mask, whose foreground becomes the label that ``case.mask_numbers`` gives it.

    Returns:
        (*spatial), uint8.

    Raises:
        MaskFileError: ``label_of`` refused a file with a ValueError, or a mask has another shape than the first.
    """
    joined: ByteImage | None = None
    for index, path in enumerate(case.masks):
        try:
            label = label_of(path)
        except ValueError as error:
            raise MaskFileError(str(error), path) from error
        if case.mask_numbers:
            label = (label != 0).astype(np.uint8) * np.uint8(case.mask_numbers[index])
        if joined is None:
            joined = label
        elif joined.shape != label.shape:
            sizes = [" x ".join(map(str, one.shape)) for one in (label, joined)]
            raise MaskFileError(f"sizes {sizes[0]}, and {case.masks[0].name} has {sizes[1]}; expected the same", path)
        else:
            joined = np.where(label != 0, label, joined)
    assert joined is not None
    return joined
