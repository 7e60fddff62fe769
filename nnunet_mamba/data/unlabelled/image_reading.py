"""Read an image without a mask as the conversion of the training data would have written it for nnU-Net.

Arrays and spacing are those that nnU-Net's reader finds in the converted file, bit for bit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nnunet_mamba.data.converters.image_cases import load_pictures, source_of
from nnunet_mamba.data.converters.labelled_volumes import LOWEST_VALUE_BESIDES_CT, load_volumes
from nnunet_mamba.data.converters.lgg_slices import Spacing, axial_affine, load_slice
from nnunet_mamba.data.formats.image_files import (
    ByteImage,
    ImageFileError,
    Shape,
    is_deep,
    load_upright,
    resized_image,
)
from nnunet_mamba.data.formats.mask_pixels import is_coloured
from nnunet_mamba.data.formats.nifti_files import (
    Volume,
    VolumeError,
    compact_voxels,
    spacing_in_file,
    undefined_problem,
)
from nnunet_mamba.data.formats.volume_files import read_volume, spacing_of
from nnunet_mamba.data.problems import FILE_DAMAGES
from nnunet_mamba.data.sources.unpacked_names import name_as_packed
from nnunet_mamba.data.unlabelled.cases_of_files import UnlabelledCase
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind

# What NaturalImage2DIO, nnU-Net's reader of pictures, says of all of them.
PICTURE_SPACING: Spacing = (999.0, 1.0, 1.0)


class UnreadableImageError(ValueError):
    """An image cannot be read, or is none that the model was made for; the text names the file.

    ``can_be_forced`` tells whether ``read_image`` reads it with ``force``.
    """

    def __init__(self, text: str, *, can_be_forced: bool = False) -> None:
        super().__init__(text)
        self.can_be_forced = can_be_forced


class _OtherImageError(ValueError):
    """An image is none that the model was made for, but can be read; ``path`` is its file."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self.path = path


@dataclass(frozen=True, kw_only=True)
class ReadImage:
    """An image as nnU-Net would read it, and the way back to its source.

    Args:
        channels: (c, 1, y, x) of a picture, (c, z, y, x) of a volume; uint8, int16 or another type that holds the
            values, all of which nnU-Net reads as float32.
        spacing: mm, (z, y, x); (999, 1, 1) of a picture, which has none.
        source: what undoes the conversion, see ``restoring/source_grid.py``.
        files: of the source.
    """

    channels: npt.NDArray[Any]
    spacing: Spacing
    source: Mapping[str, Any]
    files: tuple[Path, ...]

    def upright_picture(self) -> ByteImage:
        """Return the picture at full size, turned as people look at it, (y, x, 3).

        A grey picture has three equal channels, and values other than bytes are stretched to 0 to 255. Of several
        channels in files of their own, the first is shown.

        Raises:
            UnreadableImageError: the file has changed since it was read.
        """
        if tuple(self.source["shape"]) != self.channels.shape[2:]:
            # It was resized for the network.
            try:
                return load_upright(self.files[0])
            except ImageFileError as error:
                raise _unreadable(self.files[0], str(error)) from error
        pixels = np.moveaxis(self.channels[:, 0], 0, -1)
        if len(self.files) > 1 or pixels.shape[-1] != 3:
            pixels = np.repeat(pixels[..., :1], 3, axis=-1)
        return pixels if pixels.dtype == np.uint8 else _stretched(pixels)


def read_image(case: UnlabelledCase, conversion: ImageConversion, *, force: bool = False) -> ReadImage:
    """Read an image.

    Args:
        case: of ``find_images``.
        conversion: of the training data.
        force: read also what the model was not made for, as far as it can be read: a grey picture for a model of
            colour photographs or the other way round, a volume that is no CT, or a CT where none is expected.

    Raises:
        UnreadableImageError: with one sentence for the user.
    """
    read = _READERS[conversion.kind]
    try:
        channels, spacing, source = read(case.channels, conversion, force)
    except _OtherImageError as error:
        raise _unreadable(error.path, str(error), can_be_forced=True) from error
    except MemoryError as error:
        text = "larger than the memory that is left; predict it on a larger machine"
        raise _unreadable(case.channels[0], text) from error
    except FILE_DAMAGES as error:
        # Errors of one of several files know which.
        path = getattr(error, "path", case.channels[0])
        raise _unreadable(path, " ".join(str(error).split()) or type(error).__name__) from error
    return ReadImage(channels=channels, spacing=spacing, source=source, files=case.channels)


# Channels, spacing, and what undoes the conversion.
_Read = tuple[npt.NDArray[Any], Spacing, dict[str, Any]]


def _read_photograph(paths: Sequence[Path], conversion: ImageConversion, force: bool) -> _Read:
    if conversion.is_by_hand and is_deep(paths[0]):
        return _read_as_nnunet(paths, n_channels=len(conversion.channel_names))
    (photograph,) = load_pictures(paths, target=conversion.size, channel_of=lambda picture: picture)
    if photograph.is_grey and not force:
        raise _OtherImageError("a grey picture, and this model was made for colour photographs", paths[0])
    pixels = resized_image(photograph.picture, conversion.size)
    return _of_colours(pixels), PICTURE_SPACING, source_of(photograph, has_mask=False)


def _read_grey_pictures(paths: Sequence[Path], conversion: ImageConversion, force: bool) -> _Read:
    if conversion.is_by_hand and any(map(is_deep, paths)):
        return _read_as_nnunet(paths, n_channels=len(paths))
    pictures = load_pictures(paths, target=conversion.size, channel_of=lambda picture: picture)
    for path, one in zip(paths, pictures, strict=True):
        if not force and is_coloured(np.asarray(one.picture)):
            raise _OtherImageError("a coloured picture, and this model was made for grey pictures", path)
    pixels = [resized_image(one.picture.convert("L"), conversion.size) for one in pictures]
    return np.stack(pixels)[:, None], PICTURE_SPACING, source_of(pictures[0], has_mask=False)


def _read_as_nnunet(paths: Sequence[Path], *, n_channels: int) -> _Read:
    """Read pictures of more than 8 bits, which no conversion makes, with the library that nnU-Net reads them with."""
    from skimage import io

    pictures = [np.asarray(io.imread(path)) for path in paths]
    shapes = {picture.shape[:2] for picture in pictures}
    n_found = sum(1 if picture.ndim == 2 else picture.shape[2] for picture in pictures)
    if len(shapes) > 1 or n_found != n_channels or any(picture.ndim not in (2, 3) for picture in pictures):
        listed = ", ".join(" x ".join(map(str, picture.shape)) for picture in pictures)
        raise ImageFileError(f"arrays of {listed} (y, x, channels), expected {n_channels} channels of one size")
    channels = [picture[None, None] if picture.ndim == 2 else _of_colours(picture) for picture in pictures]
    return np.concatenate(channels), PICTURE_SPACING, {"shape": list(pictures[0].shape[:2])}


def _read_slice(paths: Sequence[Path], conversion: ImageConversion, force: bool) -> _Read:
    pixels = load_slice(paths[0])
    resized = resized_image(Image.fromarray(pixels), conversion.size)
    return _of_colours(resized), PICTURE_SPACING, {"shape": list(pixels.shape[:2])}


def _read_scan(paths: Sequence[Path], conversion: ImageConversion, force: bool) -> _Read:
    assert conversion.spacing is not None
    slices: list[ByteImage] = []
    for path in paths:
        try:
            slices.append(load_slice(path))
        except ImageFileError as error:
            raise ImageFileError(f"{path.name} is {error}") from error
        if slices[-1].shape != slices[0].shape:
            sizes = [_size((pixels.shape[0], pixels.shape[1])) for pixels in (slices[-1], slices[0])]
            raise ImageFileError(
                f"{path.name} has {sizes[0]}, other slices {sizes[1]}; is it a slice of another patient?"
            )
    voxels = np.stack(slices)
    if voxels.min() == voxels.max():
        raise ImageFileError("blank: every voxel of every slice has the same value")
    source = {"shape": list(voxels.shape[:3]), "slices": [path.name for path in paths]}
    channels = np.ascontiguousarray(np.moveaxis(voxels, -1, 0))
    return channels, spacing_in_file(axial_affine(conversion.spacing)), source


def _read_volumes(paths: Sequence[Path], conversion: ImageConversion, force: bool) -> _Read:
    volumes = load_volumes(paths, may_be_ct=True)
    for path, volume in zip(paths, volumes, strict=True):
        lowest = volume.voxels.min()
        if not conversion.may_be_ct and not force and lowest < LOWEST_VALUE_BESIDES_CT:
            text = f"values down to {lowest:g}, as in a CT, and this model was made for other images"
            raise _OtherImageError(text, path)
    channels, spacing, source = _of_volumes(volumes)
    # What is not converted keeps the spacing of its own header, which may have more digits.
    return channels, spacing_of(paths[0]) if conversion.is_by_hand else spacing, source


def _read_ct(paths: Sequence[Path], conversion: ImageConversion, force: bool) -> _Read:
    # Not at the top: what describes data sets brings worker processes with it, and photographs must be read at once.
    from nnunet_mamba.data.converters.synapse_volumes import ct_problems

    image = read_volume(paths[0])
    if problems := list(ct_problems(image)):
        if undefined_problem(image.voxels):
            raise VolumeError(problems[0])
        if not force:
            raise _OtherImageError(problems[0], paths[0])
    return _of_volumes([Volume(compact_voxels(image.voxels), image.affine)])


def _read_transunet(paths: Sequence[Path], conversion: ImageConversion, force: bool) -> _Read:
    from nnunet_mamba.data.converters.synapse_transunet import read_stack, scaled_problems

    assert conversion.spacing is not None
    voxels, _ = read_stack(paths, is_labelled=False)
    if problems := list(scaled_problems(voxels)):
        raise VolumeError(problems[0])
    return _of_volumes([Volume(voxels, axial_affine(conversion.spacing))])


_READERS: Mapping[ImageKind, Callable[[Sequence[Path], ImageConversion, bool], _Read]] = {
    ImageKind.PHOTOGRAPHS: _read_photograph,
    ImageKind.GREY_PICTURES: _read_grey_pictures,
    ImageKind.LGG_SLICES: _read_slice,
    ImageKind.LGG_VOLUMES: _read_scan,
    ImageKind.VOLUMES: _read_volumes,
    ImageKind.CT_VOLUMES: _read_ct,
    ImageKind.TRANSUNET_VOLUMES: _read_transunet,
}


def _of_colours(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return (y, x, c) pixels as (c, 1, y, x), one channel after the other in memory."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))[:, None]


def _of_volumes(volumes: Sequence[Volume]) -> _Read:
    grid = volumes[0]
    source = {"shape": list(grid.voxels.shape), "affine": grid.affine.tolist()}
    # Of int16 and float32, float32 holds the values of both.
    return np.stack([volume.voxels for volume in volumes]), spacing_in_file(grid.affine), source


def _stretched(pixels: npt.NDArray[Any]) -> ByteImage:
    lowest, highest = float(pixels.min()), float(pixels.max())
    scale = 255 / (highest - lowest) if highest > lowest else 0
    return np.rint((pixels - lowest) * scale).astype(np.uint8)


def _size(shape: Shape) -> str:
    return f"{shape[1]}x{shape[0]} pixels"


def _unreadable(path: Path, text: str, *, can_be_forced: bool = False) -> UnreadableImageError:
    return UnreadableImageError(name_as_packed(f"{path}: {text}"), can_be_forced=can_be_forced)
