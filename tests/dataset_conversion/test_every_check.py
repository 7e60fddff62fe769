"""Every check, in every conversion where its fault can occur, through the command."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.convert import app

SHAPE = (24, 32)  # (y, x)
VOLUME = (8, 7, 6)  # (x, y, z)
ORIENTATION = 0x0112
SCANS = [f"TCGA_CS_494{number}_19960909" for number in (1, 2, 3)]


def photograph(number: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 255, (*SHAPE, 3), dtype=np.uint8))


def lesion(white: int = 255, shape: tuple[int, int] = SHAPE) -> Image.Image:
    mask = np.zeros(shape, np.uint8)
    mask[6:18, 8:20] = white
    return Image.fromarray(mask)


def volume(voxels, affine=None) -> nib.Nifti1Image:
    affine = np.diag([-1, -1, 2, 1.0]) if affine is None else affine
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine, 1)
    return image


def hounsfield(number: int):
    return np.random.default_rng(number).integers(-1024, 900, VOLUME).astype(np.int16)


def organs():
    return np.resize(np.arange(14, dtype=np.uint8), VOLUME)


def save(picture, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(picture, path) if isinstance(picture, nib.Nifti1Image) else picture.save(path)
    return path


def draw_isic(root: Path) -> None:
    for number in (1, 2, 3):
        save(photograph(number), root / "images" / f"ISIC_{number}.jpg")
        save(lesion(), root / "masks" / f"ISIC_{number}_segmentation.png")


def draw_ph2(root: Path) -> None:
    for number in (1, 2, 3):
        case = root / "PH2 Dataset images" / f"IMD00{number}"
        save(photograph(number), case / f"{case.name}_Dermoscopic_Image" / f"{case.name}.bmp")
        save(lesion().convert("1"), case / f"{case.name}_lesion" / f"{case.name}_lesion.bmp")


def draw_pictures(root: Path) -> None:
    for number in (1, 2, 3):
        save(photograph(number), root / "images" / f"p{number}.png")
        save(lesion(), root / "masks" / f"p{number}.png")


def draw_volumes(root: Path) -> None:
    for number in (1, 2, 3):
        save(volume(hounsfield(number)), root / "images" / f"v{number}.nii.gz")
        save(volume((organs() > 9).astype(np.uint8)), root / "masks" / f"v{number}.nii.gz")


def draw_lgg(root: Path) -> None:
    for seed, scan in enumerate(SCANS):
        for number in (1, 2, 3):
            save(photograph(10 * seed + number), root / scan / f"{scan}_{number}.tif")
            save(lesion(), root / scan / f"{scan}_{number}_mask.tif")


def draw_raw_data(root: Path) -> None:
    for number in (1, 2, 3):
        save(volume(hounsfield(number)), root / "img" / f"img000{number}.nii.gz")
        save(volume(organs()), root / "label" / f"label000{number}.nii.gz")


def draw_transunet(root: Path) -> None:
    (root / "train_npz").mkdir(parents=True)
    for number in (1, 2, 3):
        image = np.random.default_rng(number).random(VOLUME, dtype=np.float32)
        for z in range(3):
            np.savez(root / "train_npz" / f"case000{number}_slice00{z}.npz", image=image[z], label=organs()[z] % 9)


@dataclass(frozen=True)
class DataSet:
    """A small data set, and where the files of its second case are."""

    arguments: tuple[str, ...]
    draw: Callable[[Path], None]
    identifier: str
    image: str
    mask: str


SETS = {
    "isic": DataSet(
        ("isic", "--size", "32"), draw_isic, "ISIC_2", "images/ISIC_2.jpg", "masks/ISIC_2_segmentation.png"
    ),
    "ph2": DataSet(
        ("ph2", "--size", "32"),
        draw_ph2,
        "IMD002",
        "PH2 Dataset images/IMD002/IMD002_Dermoscopic_Image/IMD002.bmp",
        "PH2 Dataset images/IMD002/IMD002_lesion/IMD002_lesion.bmp",
    ),
    "pictures": DataSet(("folder",), draw_pictures, "p2", "images/p2.png", "masks/p2.png"),
    "volumes": DataSet(("folder", "--channel-names", "CT"), draw_volumes, "v2", "images/v2.nii.gz", "masks/v2.nii.gz"),
    "lgg": DataSet(("lgg",), draw_lgg, SCANS[1], f"{SCANS[1]}/{SCANS[1]}_2.tif", f"{SCANS[1]}/{SCANS[1]}_2_mask.tif"),
    "slices": DataSet(
        ("lgg", "--as", "slices"),
        draw_lgg,
        f"{SCANS[1]}_002",
        f"{SCANS[1]}/{SCANS[1]}_2.tif",
        f"{SCANS[1]}/{SCANS[1]}_2_mask.tif",
    ),
    "raw data": DataSet(("synapse",), draw_raw_data, "case0002", "img/img0002.nii.gz", "label/label0002.nii.gz"),
    "transunet": DataSet(
        ("synapse", "--label-numbering", "btcv"),
        draw_transunet,
        "case0002",
        "train_npz/case0002_slice001.npz",
        "train_npz/case0002_slice001.npz",
    ),
}


# Faults. Each function does harm to the image or the mask of the second case.


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replace_by_a_web_page(path: Path) -> None:
    path.write_bytes(b"<html>404</html>" * 40)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def save_as(picture: Image.Image, ending: str, **options) -> Callable[[Path], None]:
    """Return what overwrites a file whatever its name: readers look at the content."""
    return lambda path: picture.save(path, format=ending, **options)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def transparent(picture: Image.Image) -> Image.Image:
    alpha = Image.new("L", picture.size, 255)
    alpha.putpixel((0, 0), 0)
    picture = picture.convert("RGBA")
    picture.putalpha(alpha)
    return picture


def palette(picture: Image.Image) -> Image.Image:
    return picture.convert("RGB").quantize(8)


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.random.default_rng(2).integers(0, 60000, SHAPE, dtype=np.uint16))


def again_with_ending(ending: str) -> Callable[[Path], None]:
    """Return what puts the same case beside a file once more."""

    def copy(path: Path) -> None:
        path.with_name(path.name.split(".")[0] + ending).write_bytes(path.read_bytes())

    return copy


def is_called(old: str, new: str) -> Callable[[Path], None]:
    """Return what gives a file the name of another case."""
    return lambda path: path.rename(path.with_name(path.name.replace(old, new)))


def is_also(old: str, new: str) -> Callable[[Path], None]:
    """Return what gives a file a second name."""
    return lambda path: path.with_name(path.name.replace(old, new)).write_bytes(path.read_bytes())


def copy_of_the_first(old: str, new: str) -> Callable[[Path], None]:
    """Return what puts the content of the first case into the second, all its files where a case is a folder."""

    def copy(path: Path) -> None:
        for source in sorted(Path(str(path.parent).replace(old, new)).glob(f"*{new}*")):
            (path.parent / source.name.replace(new, old)).write_bytes(source.read_bytes())

    return copy


def no_tumour_anywhere(path: Path) -> None:
    for mask in path.parent.glob("*_mask.tif"):
        lesion(0).save(mask)


def voxels(array, affine=None) -> Callable[[Path], None]:
    return lambda path: nib.save(volume(array, affine), path)


def slices(**arrays) -> Callable[[Path], None]:
    """Return what replaces arrays in a slice of TransUNet's."""

    def write(path: Path) -> None:
        with np.load(path) as content:
            kept = dict(content)
        np.savez(path, **{**kept, **arrays})

    return write


def with_nan(array):
    array = array.astype(np.float32)
    array.flat[5] = np.nan
    return array


FAR_AWAY = np.array([[-1, 0, 0, 500], [0, -1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]])
FLAT = np.diag([-0.15, -0.15, 18, 1.0])
SMALL = np.zeros((3, 4, 5), np.uint8)
RGB = photograph(2)
PICTURES = ("isic", "ph2", "pictures", "lgg", "slices")
MIXED = ("isic", "ph2", "pictures")
LGG = ("lgg", "slices")

# What is wrong, with which data sets, with which of their files, how it comes about, and what is said.
FAULTS = [
    ("unreadable image", PICTURES, "image", replace_by_a_web_page, "not an image, or its start is damaged"),
    ("unreadable mask", PICTURES, "mask", replace_by_a_web_page, "not an image, or its start is damaged"),
    ("unreadable image", ("volumes", "raw data"), "image", replace_by_a_web_page, "unreadable: "),
    ("unreadable mask", ("volumes", "raw data"), "mask", replace_by_a_web_page, "unreadable: "),
    ("unreadable slice", ("transunet",), "image", replace_by_a_web_page, "unreadable, expected arrays"),
    ("empty file", (*PICTURES, "volumes", "raw data"), "image", empty, "the file is empty (0 bytes)"),
    ("empty file", ("transunet",), "image", empty, "unreadable, expected arrays"),
    ("truncated image", (*PICTURES, "volumes", "raw data"), "image", truncate, "unreadable: "),
    ("truncated mask", (*PICTURES, "volumes", "raw data"), "mask", truncate, "unreadable: "),
    ("truncated slice", ("transunet",), "image", truncate, "unreadable, expected arrays"),
    ("wrong size", PICTURES, "mask", save_as(lesion(shape=(24, 30)), "PNG"), "the mask has 30x24 pixels"),
    ("wrong size", ("volumes", "raw data"), "mask", voxels(SMALL + 1), "3 x 4 x 5 voxels, its image 8 x 7 x 6"),
    ("wrong size", ("transunet",), "image", slices(label=SMALL[0]), "label of shape (4, 5), expected (7, 6)"),
    ("wrong size of a slice", ("lgg",), "image", save_as(RGB.resize((30, 24)), "TIFF"), "is it a slice of another"),
    ("empty mask", MIXED, "mask", save_as(lesion(0), "PNG"), "empty mask: every pixel is b"),
    ("empty mask", ("volumes",), "mask", voxels(np.zeros(VOLUME, np.uint8)), "empty mask: every voxel"),
    ("empty mask", ("lgg",), "mask", no_tumour_anywhere, "no tumour in any slice"),
    ("empty mask", ("raw data",), "mask", voxels(np.zeros(VOLUME, np.uint8)), "none of the 8 organs is labelled"),
    ("white all over", LGG, "mask", save_as(lesion().point(lambda _: 255), "TIFF"), "white all over"),
    ("unknown values", ("isic", "ph2"), "mask", save_as(lesion(7), "PNG"), "its brightest value is 7"),
    ("unknown values", ("pictures",), "mask", save_as(lesion(7), "PNG"), "1 unknown value: 7 (144x)"),
    ("unknown values", LGG, "mask", save_as(lesion(7), "TIFF"), "values 7 in the mask, expected 0 and 255"),
    ("unknown values", ("volumes",), "mask", voxels(organs()), "unknown values: 2 (24x)"),
    ("unknown values", ("raw data",), "mask", voxels(organs() * 3), "label values 15 (24 voxels)"),
    ("unknown values", ("transunet",), "image", slices(label=np.full((7, 6), 9)), "label values 9 (42 voxels)"),
    ("coloured mask", ("isic", "ph2"), "mask", save_as(RGB, "PNG"), "coloured mask"),
    ("palette image", LGG, "image", save_as(palette(RGB), "TIFF"), "colour mode P, expected 8-bit RGB"),
    ("palette mask", LGG, "mask", save_as(palette(lesion()), "TIFF"), "colour mode P, expected 8-bit grey"),
    ("transparent image", MIXED, "image", save_as(transparent(RGB), "PNG"), "transparent pixels (alpha down to 0)"),
    ("transparent mask", MIXED, "mask", save_as(transparent(lesion()), "PNG"), "transparent pixels (alpha down to 0)"),
    ("transparent image", LGG, "image", save_as(transparent(RGB), "TIFF"), "colour mode RGBA, expected 8-bit RGB"),
    ("transparent mask", LGG, "mask", save_as(transparent(lesion()), "TIFF"), "colour mode RGBA, expected 8-bit grey"),
    ("16-bit image", PICTURES, "image", save_as(sixteen_bits(), "TIFF"), "16 bits per channel (mode I;16)"),
    ("16-bit mask", PICTURES, "mask", save_as(sixteen_bits(), "TIFF"), "16 bits per channel (mode I;16)"),
    ("CMYK image", PICTURES, "image", save_as(RGB.convert("CMYK"), "JPEG"), "colour mode CMYK"),
    ("CMYK mask", PICTURES, "mask", save_as(RGB.convert("CMYK"), "TIFF"), "colour mode CMYK"),
    ("turned image", MIXED, "image", save_as(RGB, "JPEG", exif=turned(3)), "EXIF orientation 3: the mask may belong"),
    ("turned mask", MIXED, "mask", save_as(lesion(), "PNG", exif=turned(6)), "mask with EXIF orientation 6"),
    ("turned image", LGG, "image", save_as(RGB, "TIFF", exif=turned(3)), "orientation 3; save the slice upright"),
    ("turned mask", LGG, "mask", save_as(lesion(), "TIFF", exif=turned(3)), "orientation 3; save the mask upright"),
    ("duplicate id", MIXED, "image", again_with_ending(".webp"), "2 images for one case, expected one"),
    ("duplicate id", ("isic", "pictures"), "mask", again_with_ending(".webp"), "2 masks for one case, expected one"),
    ("duplicate id", ("volumes",), "image", again_with_ending(".nii"), "2 images for one case, expected one"),
    ("duplicate id", LGG, "image", again_with_ending(".tiff"), "2 images for slice 2, expected one"),
    ("duplicate id", ("raw data",), "image", again_with_ending(".nii"), "twice, as img0002.nii"),
    ("duplicate id", ("transunet",), "image", is_also("slice001", "slice01"), "4 files for 3 slices"),
    ("duplicate content", ("isic",), "image", copy_of_the_first("_2", "_1"), "the same picture as ISIC_1"),
    ("duplicate content", ("ph2",), "image", copy_of_the_first("IMD002", "IMD001"), "the same picture as IMD001"),
    ("duplicate content", ("pictures",), "image", copy_of_the_first("p2", "p1"), "the same picture as p1"),
    ("duplicate content", ("volumes",), "image", copy_of_the_first("v2", "v1"), "the same picture as v1"),
    ("duplicate content", ("lgg",), "image", copy_of_the_first(SCANS[1], SCANS[0]), f"the same picture as {SCANS[0]}"),
    ("duplicate content", ("slices",), "image", save_as(photograph(1), "TIFF"), f"the same picture as {SCANS[0]}_001"),
    ("duplicate content", ("raw data",), "image", copy_of_the_first("0002", "0001"), "the same picture as case0001"),
    ("duplicate content", ("transunet",), "image", copy_of_the_first("0002", "0001"), "the same picture as case0001"),
    ("mask of another image", ("isic",), "mask", is_called("_2", "_9"), "no mask for this image"),
    ("mask of another image", ("ph2",), "mask", is_called("002", "009"), "IMD009_lesion.bmp in its folder"),
    ("mask of another image", ("pictures", "volumes"), "mask", is_called("2", "9"), "no mask for this image"),
    ("mask of another image", ("lgg",), "mask", is_called("4942", "4949"), "is it of another scan?"),
    ("mask of another image", LGG, "mask", is_called("_2_", "_9_"), "no mask for this slice"),
    ("mask of another image", ("raw data",), "mask", is_called("2", "9"), "no label for this image"),
    ("NaN", ("volumes", "raw data"), "image", voxels(with_nan(hounsfield(2))), "1 voxels are NaN or infinite"),
    ("NaN", ("transunet",), "image", slices(image=with_nan(np.ones((7, 6)))), "1 voxels are NaN or infinite"),
    ("NaN in the mask", ("volumes",), "mask", voxels(with_nan(organs() % 2)), "unknown value: nan (1x)"),
    ("NaN in the mask", ("raw data",), "mask", voxels(with_nan(organs())), "nan are no whole numbers"),
    ("anisotropy", ("volumes", "raw data"), "image", voxels(hounsfield(2), FLAT), "a ratio of 120, expected at most"),
    ("no overlap", ("volumes", "raw data"), "mask", voxels(organs() % 2, FAR_AWAY), "does not overlap its image"),
]


@pytest.fixture(params=[(*fault, name) for fault in FAULTS for name in fault[1]], ids=lambda p: f"{p[-1]}-{p[0]}")
def fault(request, tmp_path):
    """A data set with a fault: how to convert it, its identifiers, and the reason."""
    _, _, kind, plant, reason, name = request.param
    data_set = SETS[name]
    data_set.draw(tmp_path / "source")
    plant(tmp_path / "source" / getattr(data_set, kind))
    return data_set, reason


@pytest.fixture
def convert(tmp_path):
    def convert(data_set: DataSet, *options: str):
        run = ("--output", tmp_path / "raw", "--report", tmp_path / "problems.csv", "--no-progress", "--jobs", 1)
        command, *others = data_set.arguments
        return CliRunner().invoke(app, [str(one) for one in (command, tmp_path / "source", *others, *run, *options)])

    return convert


def words(output: str) -> str:
    """Return a table's text without its lines, as if it were not wrapped."""
    return " ".join(output.replace("│", " ").split())


def reported(tmp_path: Path) -> list[tuple[str, str]]:
    with (tmp_path / "problems.csv").open(newline="", encoding="utf-8") as file:
        return [(row["case"], row["problem"]) for row in csv.DictReader(file)]


def test_a_fault_is_refused_with_its_reason_and_left_out_alone_on_request(fault, convert, tmp_path):
    data_set, reason = fault
    refused = convert(data_set)
    assert refused.exit_code == 1, refused.output
    assert isinstance(refused.exception, SystemExit)
    assert data_set.identifier in refused.stderr
    assert reason in words(refused.stderr)
    assert any(case == data_set.identifier and reason in text for case, text in reported(tmp_path))
    assert not (tmp_path / "raw").exists()

    done = convert(data_set, "--skip-invalid")
    assert done.exit_code == 0, done.output
    faulty = {case for case, _ in reported(tmp_path)}
    (folder,) = (tmp_path / "raw").iterdir()
    record = json.loads((folder / "nnunet_mamba_conversion.json").read_text())
    names = {path.name.removesuffix(".nii.gz").removesuffix(".png") for path in (folder / "labelsTr").iterdir()}
    assert set(record["skipped"]) == faulty
    assert names == set(record["cases"])
    assert data_set.identifier not in names
    # A mask that was renamed is a case without an image.
    assert len(names) == (8 if data_set is SETS["slices"] else 2)
    assert f"left out: {len(faulty)}" in done.stdout
    assert reason in words(done.stdout)


def white_as_index_0() -> Image.Image:
    indices = Image.fromarray(np.where(np.asarray(lesion()) > 0, 0, 255).astype(np.uint8), mode="P")
    indices.putpalette([255 - index // 3 for index in range(768)])
    return indices


UNUSUAL_MASKS = {
    "palette": (white_as_index_0(), lesion()),
    "opaque": (lesion().convert("RGBA"), lesion()),
    "grey RGB": (lesion().convert("RGB"), lesion()),
    "white all over": (lesion().point(lambda _: 255), lesion().point(lambda _: 255)),
}


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("mask", UNUSUAL_MASKS)
def test_masks_in_unusual_files_mean_what_they_show(convert, tmp_path, name, mask):
    data_set, (stored, shown) = SETS[name], UNUSUAL_MASKS[mask]
    data_set.draw(tmp_path / "source")
    stored.save(tmp_path / "source" / data_set.mask, format="PNG")
    assert convert(data_set, "--size", "original").exit_code == 0
    (label,) = (tmp_path / "raw").glob(f"*/labelsTr/{data_set.identifier}.png")
    assert np.array_equal(np.asarray(Image.open(label)), np.asarray(shown) // 255)
