"""Read label maps with nnU-Net's readers, as one number for each position, whatever form the file has."""

import contextlib
import io
import struct
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnunet_mamba.data.formats.file_endings import TIFF_ENDINGS
from nnunet_mamba.data.formats.whole_numbers import TOLERANCE, near_whole_numbers
from nnunet_mamba.evaluation.label_pictures import Array, NoLabelMapError, one_channel, read_label_picture
from nnunet_mamba.system.counts import how_many

if TYPE_CHECKING:
    from nnunet_mamba.data.formats.dataset_json import DatasetJson

Properties = dict[str, Any]

_NO_STACK = "is a single picture, expected a stack of grey ones"


class LabelMapReader:
    """Reads one channel of a label map with one of nnU-Net's readers, which would count every channel.

    Values that miss a whole number by a little, as registration leaves them, are read as that number.

    Args:
        reader: an instance of nnU-Net's.
    """

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._n_missed: dict[str, int] = {}

    def take_missed(self) -> dict[str, int]:
        """Return how many values were taken as whole in each file since the last call."""
        taken, self._n_missed = self._n_missed, {}
        return taken

    @property
    def reads_pictures(self) -> bool:
        """Whether label maps are pictures, and so small."""
        from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO

        return isinstance(self._reader, NaturalImage2DIO)

    def read_seg(self, seg_fname: str) -> tuple[Array, Properties]:
        """Return a label map, (1, *spatial), and what the file tells of its place.

        Raises:
            NoLabelMapError: the file does not hold one number at each position.
            OSError: it cannot be read.
            ValueError: it is damaged or of another kind.
        """
        from nibabel.filebasedimages import ImageFileError
        from nibabel.spatialimages import HeaderDataError
        from nibabel.wrapstruct import WrapStructError
        from tifffile import TiffFileError

        try:
            # nnU-Net's readers print warnings about a file, which are no part of a command's results.
            with contextlib.redirect_stdout(io.StringIO()):
                voxels, properties = self._way_to_read()(Path(seg_fname))
        except NoLabelMapError:
            raise
        except (
            RuntimeError,
            AssertionError,
            SyntaxError,
            LookupError,
            TypeError,
            ArithmeticError,
            EOFError,
            MemoryError,
            struct.error,
            zlib.error,
            ImageFileError,
            HeaderDataError,
            WrapStructError,
            TiffFileError,
        ) as error:
            raise ValueError(str(error) or type(error).__name__) from error
        if len(voxels) != 1:
            voxels = one_channel(np.moveaxis(voxels, 0, -1), has_alpha=False, kind=f"{len(voxels)} volumes")[None]
        voxels, n_missed = near_whole_numbers(voxels)
        if n_missed:
            self._n_missed[seg_fname] = n_missed
        return voxels, properties

    def _way_to_read(self) -> Callable[[Path], tuple[Array, Properties]]:
        from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
        from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
        from nnunetv2.imageio.tif_reader_writer import Tiff3DIO

        if self.reads_pictures:
            return _read_picture
        if isinstance(self._reader, Tiff3DIO):
            return self._read_stack
        if isinstance(self._reader, SimpleITKIO):
            return self._read_with_simpleitk
        if isinstance(self._reader, NibabelIO | NibabelIOWithReorient):
            return self._read_with_nibabel
        return self._read

    def _read(self, path: Path) -> tuple[Array, Properties]:
        voxels, properties = self._reader.read_seg(str(path))
        return voxels, properties

    def _read_stack(self, path: Path) -> tuple[Array, Properties]:
        import tifffile

        with tifffile.TiffFile(path) as file:
            is_grey = file.pages[0].aspage().samplesperpixel == 1
            if is_grey and len(file.pages) == 1 and len(file.series[0].shape) == 2:
                raise NoLabelMapError(_NO_STACK)
        if is_grey:
            voxels, properties = self._read(path)
            # nnU-Net takes 1 mm for a spacing that no file tells.
            has_spacing = Path(f"{str(path)[: -len(path.suffix)]}.json").is_file()
            return voxels, properties if has_spacing else {}
        pixels = tifffile.imread(path)
        if pixels.ndim != 4:
            raise NoLabelMapError(_NO_STACK)
        return one_channel(pixels, has_alpha=False)[None].astype(np.float32), {}

    def _read_with_simpleitk(self, path: Path) -> tuple[Array, Properties]:
        import SimpleITK

        header = SimpleITK.ImageFileReader()
        header.SetFileName(str(path))
        header.ReadImageInformation()
        if header.GetPixelID() in (SimpleITK.sitkFloat32, SimpleITK.sitkFloat64) and ".nii" in path.name.lower():
            _refuse_undefined(path)
        if header.GetNumberOfComponents() == 1:
            return self._read(path)
        image = SimpleITK.ReadImage(str(path))
        # nnU-Net would take colours for an axis of space.
        one_channel(SimpleITK.GetArrayViewFromImage(image), has_alpha=False, kind="colours")
        with tempfile.TemporaryDirectory() as folder:
            single = Path(folder, f"single{_ending(path)}")
            SimpleITK.WriteImage(SimpleITK.VectorIndexSelectionCast(image, 0), str(single))
            return self._read(single)

    def _read_with_nibabel(self, path: Path) -> tuple[Array, Properties]:
        import nibabel

        image: Any = nibabel.load(path)
        is_colour = image.get_data_dtype().names is not None
        if image.ndim < 3:
            raise NoLabelMapError(f"has {image.ndim} dimensions, expected 3; save it with one slice")
        if image.ndim == 3 and not is_colour:
            return self._read(path)
        stored = np.asanyarray(image.dataobj)
        if is_colour:
            stored = np.stack([stored[name] for name in stored.dtype.names], -1)
        stored = stored.reshape(*image.shape[:3], -1)
        kind = "colours" if is_colour else f"{stored.shape[-1]} volumes"
        first = one_channel(stored, has_alpha=False, kind=kind)
        with tempfile.TemporaryDirectory() as folder:
            single = Path(folder, "single.nii.gz")
            nibabel.save(nibabel.Nifti1Image(first, image.affine), single)
            return self._read(single)


def missed_text(n_missed: Mapping[str, int]) -> str:
    """Return how many values were taken as whole numbers, "" if none was.

    Args:
        n_missed: values by file.
    """
    if not n_missed:
        return ""
    first = next(iter(n_missed))
    return (
        f"{how_many(sum(n_missed.values()), 'value')} in {how_many(len(n_missed), 'label map')}, such as {first}, "
        f"{'misses' if sum(n_missed.values()) == 1 else 'miss'} a whole number by at most {TOLERANCE:g} and "
        f"{'is' if sum(n_missed.values()) == 1 else 'are'} taken as it"
    )


def spacing_of(properties: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return mm along each axis, (z, y, x), from what a reader tells of a label map; None where the file tells none.

    Args:
        properties: the second result of ``LabelMapReader.read_seg``.
    """
    spacing = properties.get("spacing")
    return None if spacing is None else tuple(map(float, spacing))


def _refuse_undefined(path: Path) -> None:
    """Raise if a NIfTI file holds NaN, which SimpleITK would read as 0, the background."""
    import nibabel

    image: Any = nibabel.load(path)
    if n_undefined := int(np.count_nonzero(~np.isfinite(np.asanyarray(image.dataobj)))):
        raise NoLabelMapError(
            f"holds NaN or infinity in {how_many(n_undefined, 'voxel')}, expected a label number in each"
        )


def _read_picture(path: Path) -> tuple[Array, Properties]:
    return read_label_picture(path)[None, None].astype(np.float32), {}


def _ending(path: Path) -> str:
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix


def label_map_reader(dataset: "DatasetJson", example: Path) -> LabelMapReader:
    """Return the reader that nnU-Net takes for the label maps of a data set.

    Args:
        dataset: its dataset.json.
        example: one of the label maps; nnU-Net tries several readers.

    Raises:
        ValueError: nnU-Net reads no files of this ending.
    """
    from nnunetv2.imageio.reader_writer_registry import LIST_OF_IO_CLASSES
    from nnunetv2.imageio.tif_reader_writer import Tiff3DIO

    if not isinstance(dataset.content.get("overwrite_image_reader_writer", ""), str):
        raise ValueError('"overwrite_image_reader_writer" in dataset.json is no text, expected the name of a reader')
    known = sorted({ending for reader in LIST_OF_IO_CLASSES for ending in reader.supported_file_endings})
    reader = _found_reader(dataset.content, None)
    if reader is None:
        raise ValueError(
            f"nnU-Net reads no {dataset.file_ending} files, the file_ending in dataset.json; expected one of "
            f"{', '.join(known)}"
        )
    if dataset.file_ending.lower() in TIFF_ENDINGS:
        if reader.reads_pictures and "overwrite_image_reader_writer" not in dataset.content and _n_pages(example) > 1:
            return LabelMapReader(Tiff3DIO())
        return reader
    # nnU-Net's second reader may take what its first one refuses.
    return reader if reader.reads_pictures else _found_reader(dataset.content, example) or reader


def _found_reader(content: Mapping[str, Any], example: Path | None) -> LabelMapReader | None:
    from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json

    name = None if example is None else str(example)
    # nnU-Net prints the traceback of every reader that refuses the example.
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            return LabelMapReader(determine_reader_writer_from_dataset_json(dict(content), name, verbose=False)())
        except RuntimeError:
            return None


def _n_pages(path: Path) -> int:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return len(file.pages)
    except (OSError, ValueError, LookupError, struct.error, tifffile.TiffFileError):
        # Reading the file will tell.
        return 1
