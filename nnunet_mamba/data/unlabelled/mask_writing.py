"""Write a predicted label map as a mask on the grid, with the values and in the format of its source."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.formats.file_endings import NIFTI_ENDINGS
from nnunet_mamba.data.formats.image_files import write_png
from nnunet_mamba.data.formats.nifti_files import RAS_OF_LPS, Volume, encode_nifti, write_compressed
from nnunet_mamba.data.restoring.source_grid import picture_label_back, volume_label_back
from nnunet_mamba.data.restoring.source_values import in_source_values
from nnunet_mamba.data.unlabelled.cases_of_files import UnlabelledCase
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion
from nnunet_mamba.data.unlabelled.image_reading import ReadImage
from nnunet_mamba.system.atomic import replacing


def mask_files(case: UnlabelledCase, output: Path) -> list[Path]:
    """Return the files of a case's mask: one, or one for each slice of a scan; they need not exist.

    Args:
        case: of ``find_images``.
        output: the folder of all masks.
    """
    return [output / mask for mask in case.masks]


def label_on_source(
    label: npt.NDArray[Any], image: ReadImage, conversion: ImageConversion, *, upright: bool = False
) -> npt.NDArray[Any]:
    """Return a label map on the grid of its source, with the numbers that it has.

    Args:
        label: on the grid of ``image.channels``: (1, y, x) or (z, y, x), whole numbers.
        image: that it was predicted for.
        conversion: of the training data.
        upright: whether a picture's label map is turned as people look at it, see ``ReadImage.upright_picture``;
            otherwise as the file stores its pixels, which is how masks are written.

    Returns:
        (y, x) of a picture, (z, y, x) of a volume.

    Raises:
        ValueError: ``label`` has another shape than the image, or holds a number that is no label.
    """
    _refuse_other_labels(label, image, conversion)
    if conversion.kind.is_resized:
        source = {name: value for name, value in image.source.items() if name != "orientation" or not upright}
        return picture_label_back(label[0], source, conversion.size)
    affine = np.array(image.source.get("affine", np.eye(4)), dtype=np.float64)
    return volume_label_back(Volume(label, affine), image.source).voxels


def write_masks(
    label: npt.NDArray[Any], case: UnlabelledCase, image: ReadImage, *, conversion: ImageConversion, output: Path
) -> list[Path]:
    """Write the mask of a predicted label map; files are whole or absent.

    Args:
        label: see ``label_on_source``.
        case: of ``find_images``.
        image: what ``read_image`` returned for it.
        conversion: of the training data.
        output: the folder of all masks.

    Returns:
        The files, see ``mask_files``.

    Raises:
        ValueError: ``label`` has another shape than the image, or holds a number that is no label.
        OSError: a file cannot be written.
    """
    return write_masks_on_source(
        label_on_source(label, image, conversion), case, image, conversion=conversion, output=output
    )


def write_masks_on_source(
    on_source: npt.NDArray[Any], case: UnlabelledCase, image: ReadImage, *, conversion: ImageConversion, output: Path
) -> list[Path]:
    """Write the mask of a label map that lies on its source's grid already; files are whole or absent.

    Args:
        on_source: of ``label_on_source``, not upright.
        case: of ``find_images``.
        image: what ``read_image`` returned for it.
        conversion: of the training data.
        output: the folder of all masks.

    Returns:
        The files, see ``mask_files``.

    Raises:
        OSError: a file cannot be written.
    """
    values = in_source_values(on_source, conversion)
    files = mask_files(case, output)
    parts = values if "slices" in image.source else [values]
    for target, part in zip(files, parts, strict=True):
        with replacing(target) as temporary:
            if conversion.kind.writes_pictures:
                write_png(temporary, part)
            else:
                _write_volume(temporary, Volume(part, np.array(image.source["affine"], dtype=np.float64)))
    return files


def _refuse_other_labels(label: npt.NDArray[Any], image: ReadImage, conversion: ImageConversion) -> None:
    if label.dtype.kind not in "iu" or label.shape != image.channels.shape[1:]:
        raise ValueError(
            f"a label map of {label.shape} {label.dtype}, expected {image.channels.shape[1:]} whole numbers, the grid "
            f"of {image.files[0].name} as it was read"
        )
    # By slices, which fit into the processor's cache.
    if others := set().union(*map(_values_of, label)) - set(conversion.labels.values()):
        expected = ", ".join(f"{number} ({name})" for name, number in conversion.labels.items())
        raise ValueError(f"a label map that holds {min(others)}, expected {expected}")


def _values_of(label: npt.NDArray[Any]) -> set[int]:
    """Return the numbers in a slice."""
    if label.dtype in (np.uint8, np.uint16):
        # Counting takes a tenth of the time of sorting.
        return set(np.flatnonzero(np.bincount(label.ravel())).tolist())
    return set(np.unique(label).tolist())


def _write_volume(path: Path, mask: Volume) -> None:
    """Write a volume in the format of the file's ending, where the source's header says that it is."""
    if path.name.endswith(NIFTI_ENDINGS):
        content = encode_nifti(mask)
        if path.name.endswith(".gz"):
            write_compressed(path, content)
        else:
            path.write_bytes(content.tobytes())
        return
    import SimpleITK

    image = SimpleITK.GetImageFromArray(mask.voxels)
    affine = RAS_OF_LPS @ mask.affine
    image.SetSpacing(mask.spacing.tolist())
    image.SetDirection((affine[:3, :3] / mask.spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    try:
        SimpleITK.WriteImage(image, str(path), True)
    except RuntimeError as error:
        # SimpleITK tells neither a full disk nor a missing right by a number.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise OSError(f"{path}: SimpleITK cannot write it: {reason}") from error
