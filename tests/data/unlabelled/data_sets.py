"""Small data sets of every kind, with the conversions that their models would be trained on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK
from PIL import Image

from nnunet_mamba.data.converters.folder import convert_folder, prepare_folder_images
from nnunet_mamba.data.converters.folder_options import FolderOptions
from nnunet_mamba.data.converters.isic import IsicOptions, convert_isic, prepare_isic_images
from nnunet_mamba.data.converters.lgg import LggOptions, convert_lgg, prepare_lgg_images
from nnunet_mamba.data.converters.ph2 import Ph2Options, convert_ph2, prepare_ph2_images
from nnunet_mamba.data.converters.synapse import SynapseOptions, convert_synapse, prepare_synapse_images
from nnunet_mamba.data.formats.dataset_json import read_dataset_json
from nnunet_mamba.data.formats.label_values import LabelValues
from nnunet_mamba.data.sources.pattern_source import Source
from nnunet_mamba.data.unlabelled.conversion_of_dataset import image_conversion
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion
from nnunet_mamba.data.writing.conversion_record import read_conversion_record

SHAPES = {"a": (30, 44), "b": (41, 27), "c": (32, 32)}
COS, SIN = np.cos(0.2), np.sin(0.2)
AFFINE = np.array([[-0.7 * COS, 0.9 * SIN, 0, 12.3], [0.7 * SIN, 0.9 * COS, 0, -4.7], [0, 0, 3.3, 7.7], [0, 0, 0, 1]])
CT_AFFINE = np.diag([0.7, -0.7, 2.9, 1.0])
SCANS = {"TCGA_CS_4941_19960909": 11, "TCGA_DU_A5TU_19980312": 3}
CHANNELS = ("flair", "t1")


@dataclass(frozen=True)
class DataSet:
    """A source, its conversion for a training, and its images prepared for a prediction.

    ``source`` is what a user would name for a prediction: images, with the masks beside them.
    """

    source: Path
    raw: Path
    prepare: Callable[[Path], object]
    # A conversion of somebody's folder does not tell the values of masks where it prepares images.
    does_prepared_know_values: bool = True

    @property
    def conversion(self) -> ImageConversion:
        return conversion_of(self.raw)


def conversion_of(raw: Path) -> ImageConversion:
    return image_conversion(read_conversion_record(raw), read_dataset_json(raw / "dataset.json"))


def noise(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)


def blob(shape: tuple[int, ...], value: int = 255) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(size // 4, size // 2) for size in shape)] = value
    return mask


def save_picture(path: Path, pixels: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def draw_photographs(root: Path, **names: str) -> None:
    """A PNG, a JPEG that is decoded at a part of its size, and one that a camera has turned."""
    save_picture(root / "ISIC_1.png", noise(1, (30, 44, 3)))
    y, x = np.mgrid[:600, :800]
    smooth = np.stack([128 + 120 * np.sin(y / 90), 128 + 120 * np.cos(x / 110), (x + y) / 6], axis=-1)
    save_picture(root / "ISIC_2.jpg", smooth.astype(np.uint8), quality=90)
    exif = Image.Exif()
    exif[0x0112] = 6
    save_picture(root / "deep" / "ISIC_3.jpg", smooth[:300, :200].astype(np.uint8), quality=90, exif=exif)


def isic(root: Path, size=(32, 32)) -> DataSet:
    for name, shape in SHAPES.items():
        save_picture(root / "training" / f"{name}.png", noise(ord(name), (*shape, 3)))
        save_picture(root / "training" / f"{name}_Segmentation.png", blob(shape))
    draw_photographs(root / "photographs")
    save_picture(root / "photographs" / "ISIC_1_segmentation.png", blob((30, 44)))
    save_picture(root / "photographs" / "ISIC_2_superpixels.png", blob((30, 44)))
    options = IsicOptions(size=size)
    convert_isic(root / "training", None, root.parent / "raw", options=options)

    def prepare(folder: Path) -> None:
        # The conversion does not look into subfolders.
        flat = root / "flat"
        flat.mkdir()
        for path in (root / "photographs").rglob("ISIC_?.*"):
            (flat / path.name).symlink_to(path)
        prepare_isic_images(flat, folder, options=options)

    return DataSet(root / "photographs", root.parent / "raw", prepare)


def ph2(root: Path) -> DataSet:
    for number, (name, shape) in enumerate(SHAPES.items(), start=1):
        case = f"IMD00{number}"
        folder = root / "PH2 Dataset images" / case
        save_picture(folder / f"{case}_Dermoscopic_Image" / f"{case}.bmp", noise(ord(name), (*shape, 3)))
        (folder / f"{case}_lesion").mkdir()
        Image.fromarray(blob(shape)).convert("1").save(folder / f"{case}_lesion" / f"{case}_lesion.bmp")
        save_picture(folder / f"{case}_roi" / f"{case}_R1_Label4.bmp", blob(shape))
    options = Ph2Options(size=None)
    convert_ph2(root, root.parent / "raw", options=options)

    def prepare(folder: Path) -> None:
        prepare_ph2_images(root, folder, options=options)

    return DataSet(
        root / "PH2 Dataset images",
        root.parent / "raw",
        lambda folder: prepare_ph2_images(root, folder, options=options),
    )


def lgg(root: Path, **options) -> DataSet:
    tree = root / "kaggle_3m"
    for scan, n_slices in SCANS.items():
        for number in range(1, n_slices + 1):
            save_picture(tree / scan / f"{scan}_{number}.tif", noise(100 * n_slices + number, (24, 36, 3)))
            save_picture(tree / scan / f"{scan}_{number}_mask.tif", blob((24, 36)))
    (tree / "data.csv").write_text("Patient\n")
    chosen = LggOptions(**options)
    convert_lgg(tree, root.parent / "raw", options=chosen)
    return DataSet(tree, root.parent / "raw", lambda folder: prepare_lgg_images(tree, folder, options=chosen))


def of_folder(source: Path, raw: Path, images: Source, options: FolderOptions) -> DataSet:
    def prepare(folder: Path) -> None:
        prepare_folder_images(images, folder, options=options)

    return DataSet(source, raw, prepare, does_prepared_know_values=False)


def grey_pictures(root: Path, *, channels: tuple[str, ...] = ("",), size=None) -> DataSet:
    """Grey pictures with masks in colours; of several channels, each is a file."""
    for name, shape in SHAPES.items():
        for number, channel in enumerate(channels):
            save_picture(root / "images" / f"{name}{channel}.png", noise(ord(name) + number, shape))
        mask = np.zeros((*shape, 3), np.uint8)
        mask[5:20, 5:20] = (255, 0, 0)
        mask[22:26, 5:20] = (0, 0, 255)
        save_picture(root / "masks" / f"{name}.png", mask)
    labels = LabelValues.of({"background": "#000000", "lesion": "#ff0000", "hair": "#0000ff"})
    pattern = "{case}_{channel}" if channels[0] else "{case}"
    place = Source(images=root / "images", masks=root / "masks", image_pattern=pattern, mask_pattern="{case}")
    chosen = FolderOptions(labels=labels, size=size)
    convert_folder(place, root.parent / "raw", options=chosen)
    images = Source(images=root / "images", image_pattern=pattern, has_masks=False)
    return of_folder(root, root.parent / "raw", images, chosen)


def volumes(root: Path) -> DataSet:
    """Volumes of two channels, the second with another order of axes and one that needs float32."""
    labels = LabelValues.of({"background": 0, "oedema": 7, "tumour": 300})
    for number, name in enumerate(("p1", "p2")):
        folder = root / "scans" / name
        folder.mkdir(parents=True)
        shape = (6 + number, 7, 5)
        first = np.random.default_rng(number).integers(-400, 3000, shape).astype(np.int16)
        nib.save(nib.Nifti1Image(first, AFFINE), folder / f"{name}_flair.nii.gz")
        second = nib.Nifti1Image(first.astype(np.float32) / 7, AFFINE)
        turned = second.as_reoriented(np.array([[0, -1], [2, 1], [1, 1]]))
        nib.save(turned, folder / f"{name}_t1.nii.gz")
        mask = np.zeros(shape, np.int16)
        mask[1:4, 2:5, 1:3] = 7
        mask[4, 2:5, 1:3] = 300
        nib.save(nib.Nifti1Image(mask, AFFINE), folder / f"{name}_seg.nii.gz")
    pattern = {"image_pattern": "{group}/{case}_{channel}", "mask_pattern": "{group}/{case}_seg"}
    chosen = FolderOptions(labels=labels, channel_names=CHANNELS)
    convert_folder(Source(images=root / "scans", **pattern), root.parent / "raw", options=chosen)
    images = Source(images=root / "scans", image_pattern="*/{case}_{channel}", has_masks=False)
    return of_folder(root / "scans", root.parent / "raw", images, chosen)


def volumes_of_formats(root: Path) -> DataSet:
    """Volumes of one channel in every format."""
    endings = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
    for number, ending in enumerate(endings):
        shape = (6 + number, 7, 5)
        voxels = np.random.default_rng(number).integers(-400, 3000, shape).astype(np.int16)
        mask = blob(shape, 1)
        image = SimpleITK.GetImageFromArray(voxels)
        image.SetSpacing((0.7 + number / 3, 1.1, 2.3))
        image.SetOrigin((-10.3, 5.5, 100.1))
        angle = 0.3 * number
        turn = [np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1]
        image.SetDirection(turn)
        label = SimpleITK.GetImageFromArray(mask)
        label.CopyInformation(image)
        for folder, written in (("images", image), ("masks", label)):
            (root / folder).mkdir(exist_ok=True)
            SimpleITK.WriteImage(written, str(root / folder / f"s{number}{ending}"))
    place = Source(images=root / "images", masks=root / "masks")
    chosen = FolderOptions()
    convert_folder(place, root.parent / "raw", options=chosen)
    images = Source(images=root / "images", has_masks=False)
    return of_folder(root, root.parent / "raw", images, chosen)


def ct(root: Path) -> DataSet:
    for number in (1, 2):
        rng = np.random.default_rng(number)
        image = rng.integers(-1024, 1500, (8, 7, 6 + number)).astype(np.int16)
        label = rng.integers(0, 14, image.shape).astype(np.uint8)
        for kind, voxels in (("img", image), ("label", label)):
            (root / "Training" / kind).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(voxels, CT_AFFINE), root / "Training" / kind / f"{kind}000{number}.nii.gz")
    convert_synapse(root / "Training", root.parent / "raw")
    return DataSet(
        root / "Training", root.parent / "raw", lambda folder: prepare_synapse_images(root / "Training" / "img", folder)
    )


def transunet(root: Path) -> DataSet:
    for case in ("case0005", "case0006"):
        rng = np.random.default_rng(int(case[-1]))
        for number in range(3):
            path = root / "train_npz" / f"{case}_slice{number:03d}.npz"
            path.parent.mkdir(exist_ok=True)
            image = rng.uniform(0, 1, (9, 8)).astype(np.float32)
            np.savez_compressed(path, image=image, label=rng.integers(0, 9, (9, 8)).astype(np.float32))
    options = SynapseOptions(label_numbering="btcv", slice_thickness=2.1, pixel_spacing=0.9)
    convert_synapse(root, root.parent / "raw", options=options)
    return DataSet(
        root / "train_npz", root.parent / "raw", lambda folder: prepare_synapse_images(root, folder, options=options)
    )


DATA_SETS: dict[str, Callable[[Path], DataSet]] = {
    "isic": isic,
    "isic of original size": lambda root: isic(root, size=None),
    "ph2": ph2,
    "lgg slices": lambda root: lgg(root, as_volumes=False),
    "lgg slices resized": lambda root: lgg(root, as_volumes=False, size=(16, 20)),
    "lgg volumes": lambda root: lgg(root, slice_thickness=6.1, pixel_spacing=0.9),
    "grey": grey_pictures,
    "grey of two channels": lambda root: grey_pictures(root, channels=("_flair", "_t1"), size=(16, 20)),
    "volumes": volumes,
    "volumes of formats": volumes_of_formats,
    "ct": ct,
    "transunet": transunet,
}
