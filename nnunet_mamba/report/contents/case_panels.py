"""Pictures of cases with the outlines of the reference and of every model, for the page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nnunet_mamba.evaluation.label_pictures import NoLabelMapError, read_label_picture
from nnunet_mamba.overlays.grey_levels import find_window, grey_levels
from nnunet_mamba.report.contents.chosen_cases import ChosenCase
from nnunet_mamba.report.figures import encode_photograph, outline

Array = npt.NDArray[Any]

# What Pillow reads; the rest is read by SimpleITK, as volumes are.
_PICTURES = (".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")
_FIRST_CHANNEL = "_0000"


class UndrawableCaseError(ValueError):
    """A case cannot be shown; the text says which file is missing or damaged."""


@dataclass(frozen=True, kw_only=True)
class CaseFolders:
    """Where the files of cases are.

    Args:
        images: ``imagesTr`` of the raw data set.
        references: label maps of the same cases.
        predictions: for each model's name, the folder of the validation that holds each case.
        file_ending: of all of them, with its dot.
    """

    images: Path
    references: Path
    predictions: Mapping[str, Mapping[str, Path]]
    file_ending: str


@dataclass(frozen=True, kw_only=True)
class CasePanel:
    """A case, ready for the page.

    Args:
        case: identifier, why it is shown, and the Dice of each model.
        image: the picture as a data URI.
        width: of the label map in pixels, the unit of the outlines.
        height: of the label map in pixels.
        aspect: width / height as the picture is to be shown.
        reference: SVG path of its outline.
        predictions: SVG path of each model's outline.
        slice_text: which slice of a volume is shown; empty for a picture.
    """

    case: ChosenCase
    image: str
    width: int
    height: int
    aspect: float
    reference: str
    predictions: Sequence[str]
    slice_text: str = ""


def draw_case(case: ChosenCase, folders: CaseFolders) -> CasePanel:
    """Lay the outlines of all models over a case's image, of a volume over the slice with most of its labels.

    Args:
        case: which one.
        folders: where its files are.

    Raises:
        UndrawableCaseError: a file is missing, damaged, or of another size than the others.
    """
    name, ending = case.identifier, folders.file_ending
    image_file = folders.images / f"{name}{_FIRST_CHANNEL}{ending}"
    picture, spacing = _read_image(image_file)
    reference = _read_label_map(folders.references / f"{name}{ending}")
    predictions = [_read_label_map(of_case[name] / f"{name}{ending}") for of_case in folders.predictions.values()]
    for each in (reference, *predictions):
        if each.shape != picture.shape[: each.ndim]:
            raise UndrawableCaseError(f"{image_file} has the shape {picture.shape}, and a label map of it {each.shape}")
    slice_text = ""
    if reference.ndim == 3:
        index = _fullest_slice(reference, predictions)
        window = find_window(picture)
        picture, reference = grey_levels(picture[index], window), reference[index]
        predictions = [each[index] for each in predictions]
        slice_text = f"slice {index}"
    elif picture.dtype != np.uint8:
        picture = grey_levels(picture, find_window(picture))
    height, width = reference.shape
    return CasePanel(
        case=case,
        image=encode_photograph(Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")),
        width=width,
        height=height,
        aspect=width * spacing[1] / (height * spacing[0]),
        reference=outline(reference),
        predictions=[outline(each) for each in predictions],
        slice_text=slice_text,
    )


def _fullest_slice(reference: Array, predictions: Sequence[Array]) -> int:
    """Return the slice with most of the reference; where it is empty, with most of all predictions."""
    areas = np.count_nonzero(reference, axis=(1, 2))
    if not areas.any():
        areas = sum((np.count_nonzero(each, axis=(1, 2)) for each in predictions), areas)
    return int(areas.argmax()) if areas.any() else len(reference) // 2


def _read_image(file: Path) -> tuple[Array, tuple[float, float]]:
    """Return an image, (y, x), (y, x, 3) or (z, y, x), and the spacing of y and x."""
    if file.name.lower().endswith(_PICTURES):
        try:
            with Image.open(file) as opened:
                is_grey = opened.mode in ("1", "L", "I", "F", "I;16")
                return np.asarray(opened if is_grey and opened.mode != "1" else opened.convert("RGB")), (1.0, 1.0)
        except (OSError, SyntaxError, ValueError) as error:
            raise UndrawableCaseError(f"{file} cannot be read: {error}") from error
    return _read_volume(file)


def _read_label_map(file: Path) -> Array:
    if not file.name.lower().endswith(_PICTURES):
        return _read_volume(file)[0]
    try:
        return read_label_picture(file)
    except (NoLabelMapError, OSError, SyntaxError, ValueError) as error:
        raise UndrawableCaseError(f"{file} cannot be read: {error}") from error


def _read_volume(file: Path) -> tuple[Array, tuple[float, float]]:
    # Not at the top: photographs do not need it.
    import SimpleITK

    try:
        image = SimpleITK.ReadImage(str(file))
    except RuntimeError as error:
        told = "it is not there" if not file.is_file() else str(error).strip().splitlines()[-1]
        raise UndrawableCaseError(f"{file} cannot be read: {told}") from error
    spacing = image.GetSpacing()
    steps = (float(spacing[1]), float(spacing[0]))
    voxels: Array = SimpleITK.GetArrayFromImage(image)
    is_usable = voxels.ndim == 3 and all(math.isfinite(step) and step > 0 for step in steps)
    if not is_usable:
        raise UndrawableCaseError(f"{file} has the shape {voxels.shape}, expected one volume with a spacing")
    return voxels, steps
