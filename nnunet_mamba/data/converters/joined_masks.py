"""Join the masks of one image, one file for each lesion or structure, to one label."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.formats.image_files import ByteImage
from nnunet_mamba.data.formats.label_values import NAME_VALUES
from nnunet_mamba.data.sources.several_masks import SHOWN_FILES

_log = logging.getLogger(__name__)

CUT_VALUES = "take all that is above 0 for the label with `threshold=0`"


class MaskFileError(ValueError):
    """A mask file of a case cannot be used; ``path`` names it, the text does not."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self.path = path


def joined_label(case: Case, label_of: Callable[[Path], ByteImage]) -> ByteImage:
    """Return the label of a case: where masks overlap, the later one counts, unless they must be disjoint.

    Args:
        case: with at least one mask.
        label_of: reads one mask, whose foreground becomes the label that ``case.mask_numbers`` gives it.

    Returns:
        (*spatial), uint8.

    Raises:
        MaskFileError: ``label_of`` refused a file with a ValueError, a mask has another shape than the first, or
            masks that must be disjoint are not, or hold different labels.
    """
    joined: ByteImage | None = None
    for index, path in enumerate(case.masks):
        try:
            label = label_of(path)
        except ValueError as error:
            # The name of a file of one label tells what the file marks.
            text = str(error).replace(NAME_VALUES, CUT_VALUES) if case.mask_numbers else str(error)
            raise MaskFileError(f"{text}{_unless_other(case, index)}", path) from error
        if case.mask_numbers:
            label = (label != 0).astype(np.uint8) * np.uint8(case.mask_numbers[index])
        if joined is None:
            joined = label
        elif joined.shape != label.shape:
            sizes = [" x ".join(map(str, one.shape)) for one in (label, joined)]
            text = f"sizes {sizes[0]}, and {case.masks[0].name} has {sizes[1]}; expected the same"
            raise MaskFileError(f"{text}{_unless_other(case, index)}", path)
        else:
            if case.must_be_disjoint:
                _refuse_unlike(case, index, label, joined)
            joined = np.where(label != 0, label, joined)
    assert joined is not None
    return joined


def log_disjoint(cases: Sequence[Case]) -> None:
    """Log how many images have several masks of one label that are joined because they do not overlap.

    Args:
        cases: that are converted.
    """
    several = [case for case in cases if case.must_be_disjoint]
    if not several:
        return
    images = "1 image has" if len(several) == 1 else f"{len(several)} images have"
    first = several[0]
    _log.info(
        "%s",
        f"{images} several masks that mark different places, which are joined to one label, such as "
        f"{', '.join(path.name for path in first.masks[:SHOWN_FILES])}{', ...' * (len(first.masks) > SHOWN_FILES)} of "
        f"{first.identifier}; `join_masks=False` refuses such images, and `skip_invalid=True` then leaves them out",
    )


def _refuse_unlike(case: Case, index: int, label: ByteImage, joined: ByteImage) -> None:
    """Raise if a mask overlaps an earlier one of its label, or marks labels that the earlier ones do not mark."""
    numbers = case.mask_numbers
    path = case.masks[index]
    # The files of one label follow each other, so that no other label has covered them.
    first = numbers.index(numbers[index]) if numbers else 0
    earlier = joined == numbers[index] if numbers else joined != 0
    others = ", ".join(other.name for other in case.masks[first:index][:SHOWN_FILES])
    if not numbers and len({*np.unique(joined[earlier]), *np.unique(label[label != 0])}) > 1:
        raise MaskFileError(
            f"it and {others} mark different labels, so they are not joined unasked; `join_masks=True` joins them, and "
            "where they overlap, the later name counts",
            path,
        )
    if n_both := np.count_nonzero(earlier & (label != 0)):
        raise MaskFileError(
            f"{n_both} {'pixels' if label.ndim == 2 else 'voxels'} are marked in {others}, too. Masks of several "
            "lesions are joined unasked only where they do not overlap: `join_masks=True` joins these, too; if they "
            "show the same lesion, as several readers drew it, move all but one away",
            path,
        )


def _unless_other(case: Case, index: int) -> str:
    """Return what to do about a further mask; nothing if every file is of a label that the user named."""
    return (
        ""
        if index == 0 or case.mask_numbers
        else f"; if {case.masks[index].name} is no mask of this image, move it away"
    )
