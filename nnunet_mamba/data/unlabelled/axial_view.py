"""A volume and its label map, turned as radiologists look at them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.unlabelled.image_reading import ReadImage


def as_radiologists_look(
    volume: npt.NDArray[Any], label_map: npt.NDArray[Any], image: ReadImage
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], tuple[float, ...]]:
    """Return a volume and its label map as axial slices, the patient's front up and the right side on the left.

    A scan whose files tell no place is shown as it is stored.

    Args:
        volume: (z, y, x) as stored.
        label_map: (z, y, x) as stored.
        image: that they belong to.

    Returns:
        Both in the same order of axes, and the spacing along them.
    """
    if "affine" not in image.source:
        return volume, label_map, tuple(image.spacing)
    from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

    # Each axis counts towards left, posterior, superior: to the right, down, and up through the slices.
    turn = ornt_transform(io_orientation(np.array(image.source["affine"])), axcodes2ornt("LPS"))
    turned = [np.asarray(apply_orientation(array.T, turn)).T for array in (volume, label_map)]
    places = np.argsort(turn[:, 0])
    spacing = tuple(float(image.spacing[::-1][place]) for place in places)[::-1]
    return turned[0], turned[1], spacing
