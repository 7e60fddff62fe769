"""Bring label maps from the grid of a converted image back to that of its source.

A conversion turns a source, then resizes it, and remembers under "source" of each case what undoes both:

- "shape": sizes of the source after turning, (y, x) or (z, y, x);
- "orientation", of a photograph that was turned upright and is to be turned back: its EXIF orientation, 2 to 8;
- "affine", of a volume: (4, 4), from the source's indices (x, y, z) to mm (right, anterior, superior);
- "slices", of a volume that was stacked: the names of its slices, lowest first, for the files of their masks;
- "file", of a picture whose case is called otherwise: its folder and name, for the file of its mask.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nnunet_mamba.data.formats.image_files import ByteImage, Shape, resized_mask
from nnunet_mamba.data.formats.nifti_files import TOLERANCE, Volume

# What undoes each EXIF orientation: two of them are quarter turns, all others undo themselves.
_TURNED_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


class OtherGridError(ValueError):
    """A label map does not lie on the grid of the converted image; the text names neither case nor file."""


def picture_label_back(label: ByteImage, source: Mapping[str, Any], size: Shape | None) -> ByteImage:
    """Return the label map of a picture on the source's pixels; every pixel takes the nearest value.

    Args:
        label: (y, x) of the converted image.
        source: see above.
        size: (y, x) to which the conversion resized; None if it kept the size.

    Returns:
        (y, x) of the source.

    Raises:
        OtherGridError: ``label`` has another size than the converted image.
    """
    shape: Shape = (source["shape"][0], source["shape"][1])
    expected = size or shape
    if label.shape != expected:
        raise OtherGridError(
            f"{_listed(label.shape[::-1])} pixels, its converted image {_listed(expected[::-1])} (width x height); "
            "predict the images of this data set"
        )
    restored = resized_mask(label, shape)
    if "orientation" in source:
        return np.asarray(Image.fromarray(restored).transpose(_TURNED_BACK[source["orientation"]]))
    return restored


def volume_label_back(label: Volume, source: Mapping[str, Any]) -> Volume:
    """Return the label map of a volume on the source's voxels: turned, and with what was cut off as background.

    Without "affine" in ``source`` the conversion has kept the grid.

    Args:
        label: on the converted image's grid.
        source: see above.

    Raises:
        OtherGridError: its voxels are not voxels of the source.
    """
    shape = tuple(source["shape"])
    if "affine" not in source:
        if label.voxels.shape != shape:
            raise OtherGridError(
                f"{_listed(label.voxels.shape)} voxels, its converted image {_listed(shape)} (z, y, x); predict the "
                "images of this data set"
            )
        return label
    affine = np.array(source["affine"], dtype=np.float64)
    to_source = np.linalg.inv(affine) @ label.affine
    axes = np.abs(to_source[:3, :3]).argmax(axis=1)
    turn = np.rint(to_source[:3, :3])
    first = to_source[:3, 3]
    farthest = label.size - 1
    error = np.abs(to_source[:3, :3] - turn) @ farthest + np.abs(first - np.rint(first))
    is_turn = sorted(axes) == [0, 1, 2] and np.abs(turn).sum() == 3
    if not is_turn or error.max() > TOLERANCE:
        raise OtherGridError(
            "is not on the grid of its source, neither turned nor cut out; predict its converted image"
        )
    corners = np.sort([np.rint(first), np.rint(first) + turn @ farthest], axis=0).astype(int)
    source_size = np.array(shape[::-1])
    if (corners[0] < 0).any() or (corners[1] >= source_size).any():
        raise OtherGridError(
            f"reaches from voxel {_listed(corners[0])} to {_listed(corners[1])} of its source, which has "
            f"{_listed(source_size)} (x, y, z); predict the images of this data set"
        )
    is_reversed = tuple(np.flatnonzero(turn[range(3), axes] < 0).tolist())
    restored = np.zeros(source_size, dtype=label.voxels.dtype)
    inside = tuple(slice(low, high + 1) for low, high in zip(*corners, strict=True))
    restored[inside] = np.flip(label.voxels.T.transpose(axes), axis=is_reversed)
    return Volume(restored.T, affine)


def _listed(sizes: "tuple[int, ...] | npt.NDArray[np.int64]") -> str:
    return " x ".join(str(size) for size in sizes)
