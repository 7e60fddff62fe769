"""Draw the pictures of the how-to pages: python docs/generate_pictures.py [NAME ...].

Each is made of drawn source files in the layout of its set: the converter runs on them, and what it wrote is shown. No
patient is in any of them: the photographs are those of the demo, the head and the abdomen are made of ellipsoids.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from PIL import Image
from scipy.ndimage import gaussian_filter

from nnunet_mamba.data.converters.synapse import RAW_DATA_NUMBERS
from nnunet_mamba.demo.lesions import draw_photograph, write_isic_folder

Array = npt.NDArray[np.generic]
Field = npt.NDArray[np.float64]
Triple = tuple[float, float, float]

IMAGES = Path(__file__).parent / "images"
DOTS_PER_INCH = 110
PANEL, TITLE = 2.9, 0.25  # inches
CONTOUR = "#00f0ff"


def convert(*arguments: str | Path, output: Path) -> Path:
    """Run ``nnunet-mamba convert`` and return the folder of the data set that it wrote."""
    command = [Path(sys.executable).parent / "nnunet-mamba", "convert", *arguments, "--output", output, "--no-progress"]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return next(output.glob("Dataset*"))


def read_picture(path: Path) -> Array:
    """Return the pixels of an image or label file."""
    with Image.open(path) as picture:
        return np.asarray(picture)


def read_slice(path: Path, share: float) -> Array:
    """Return an axial slice as radiologists look at it: from the feet, the patient's front on top.

    Args:
        path: a NIfTI volume.
        share: how far up the slice is, 0 to 1.
    """
    volume = nibabel.as_closest_canonical(nibabel.load(path))
    pixels = np.asarray(volume.dataobj)[::-1, ::-1, round(share * (volume.shape[2] - 1))]
    return pixels.T


def new_panels(*aspects: float, height: float = PANEL) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels side by side.

    Args:
        aspects: width / height of each.
        height: of all of them in inches, without their titles.
    """
    figure = Figure(figsize=(sum(aspects) * height, height + TITLE), dpi=DOTS_PER_INCH, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01)
    panels = list(figure.subplots(1, len(aspects), width_ratios=aspects))
    for axes in panels:
        axes.set_axis_off()
    return figure, panels


def show(axes: Axes, pixels: Array, *, title: str, limits: tuple[float, float] = (0, 255)) -> None:
    """Show an image in colour or grey; ``limits`` are what is black and white."""
    axes.imshow(pixels, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="antialiased")
    axes.set_title(title, fontsize=9, pad=3)


def draw_contours(axes: Axes, label: Array, colours: Mapping[int, str]) -> None:
    """Draw the outline of each value in ``colours`` on a dark rim, so that it shows on skin as on bone."""
    for value, colour in colours.items():
        lines = axes.contour(label == value, levels=[0.5], colors=[colour], linewidths=1.4)
        lines.set_path_effects([withStroke(linewidth=2.6, foreground="black")])


def isic_picture(folder: Path) -> Figure:
    """Four photographs of one set, as they come out."""
    images, masks = write_isic_folder(folder, n_cases=4, seed=7, progress=False)
    dataset = convert("isic", images, masks, output=folder / "raw")
    figure, panels = new_panels(1, 1, 1, 1)
    for axes, image in zip(panels, sorted((dataset / "imagesTr").iterdir()), strict=True):
        identifier = image.name.removesuffix("_0000.png")
        show(axes, read_picture(image), title=image.name)
        draw_contours(axes, read_picture(dataset / "labelsTr" / f"{identifier}.png"), {1: CONTOUR})
    return figure


def ph2_picture(folder: Path) -> Figure:
    """A photograph with its mask, and what becomes of them."""
    source = folder / "PH2Dataset"
    # Two, because no fold can be made of one.
    for number in (2, 3):
        name = f"IMD{number:03d}"
        drawn = draw_photograph(seed=2, number=number, shape=(560, 768))
        for suffix, picture in (
            ("Dermoscopic_Image", Image.fromarray(drawn.image)),
            ("lesion", Image.fromarray(drawn.mask)),
        ):
            subfolder = source / "PH2 Dataset images" / name / f"{name}_{suffix}"
            subfolder.mkdir(parents=True)
            picture.save(subfolder / (f"{name}.bmp" if suffix != "lesion" else f"{name}_lesion.bmp"))
    dataset = convert("ph2", source, output=folder / "raw")
    case = source / "PH2 Dataset images" / "IMD002"
    figure, panels = new_panels(768 / 560, 768 / 560, 1)
    show(panels[0], read_picture(case / "IMD002_Dermoscopic_Image" / "IMD002.bmp"), title="IMD002.bmp, 768 × 560")
    show(
        panels[1],
        read_picture(case / "IMD002_lesion" / "IMD002_lesion.bmp"),
        title="IMD002_lesion.bmp, 1 bit",
        limits=(0, 1),
    )
    image = read_picture(dataset / "imagesTr" / "IMD002_0000.png")
    show(panels[2], image, title=f"IMD002_0000.png, {image.shape[1]} × {image.shape[0]}")
    draw_contours(panels[2], read_picture(dataset / "labelsTr" / "IMD002.png"), {1: CONTOUR})
    return figure


FOLDER_LABELS = {"background": 0, "naevus": 128, "melanoma": 255}


def folder_picture(folder: Path) -> Figure:
    """Three photographs whose masks have two labels."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    (folder / "labels.json").write_text(json.dumps(FOLDER_LABELS))
    for number, label in enumerate(("naevus", "melanoma", "naevus"), start=1):
        drawn = draw_photograph(seed=5, number=number)
        Image.fromarray(drawn.image).save(folder / "images" / f"{number}.jpg", quality=92)
        mask = np.where(drawn.mask, FOLDER_LABELS[label], 0).astype(np.uint8)
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    dataset = convert("folder", folder, "--labels", folder / "labels.json", output=folder / "raw")
    numbers = labels_of(dataset)
    colours = {numbers["naevus"]: CONTOUR, numbers["melanoma"]: "#ffd400"}
    figure, panels = new_panels(4 / 3, 4 / 3, 4 / 3)
    for axes, image in zip(panels, sorted((dataset / "imagesTr").iterdir()), strict=True):
        label = read_picture(dataset / "labelsTr" / image.name.replace("_0000", ""))
        show(axes, read_picture(image), title=image.name)
        draw_contours(axes, label, colours)
        found = next(name for name, number in numbers.items() if number and (label == number).any())
        add_legend(axes, {f"{found}, label {numbers[found]}": colours[numbers[found]]})
    return figure


def labels_of(dataset: Path) -> dict[str, int]:
    """Return the numbers of the labels that a data set declares."""
    numbers: dict[str, int] = json.loads((dataset / "dataset.json").read_text())["labels"]
    return numbers


def add_legend(axes: Axes, colours: Mapping[str, str], **placement: object) -> None:
    """Add a legend of coloured squares; ``placement`` as matplotlib's legend takes it."""
    squares = [Patch(color=colour, label=name) for name, colour in colours.items()]
    axes.legend(handles=squares, fontsize=8, handlelength=1, handleheight=1, **{"loc": "lower left", **placement})


def lgg_picture(folder: Path) -> Figure:
    """The three sequences of one slice."""
    for number, name in enumerate(("TCGA_XX_0001_20000101", "TCGA_XX_0002_20000101")):
        write_head(folder / "kaggle_3m" / name, np.random.default_rng(number))
    dataset = convert("lgg", folder / "kaggle_3m", output=folder / "raw")
    case = "TCGA_XX_0001_20000101"
    label = read_slice(dataset / "labelsTr" / f"{case}.nii.gz", LESION_SLICE)
    figure, panels = new_panels(1, 1, 1)
    for index, (axes, sequence) in enumerate(zip(panels, ("pre-contrast", "FLAIR", "post-contrast"), strict=True)):
        image = read_slice(dataset / "imagesTr" / f"{case}_{index:04d}.nii.gz", LESION_SLICE)
        show(axes, image, title=f"_{index:04d}.nii.gz, {sequence}")
        draw_contours(axes, label, {1: "#ffd400"})
    return figure


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], width: float) -> Field:
    """Return noise of unit deviation whose bumps are ``width`` pixels wide."""
    noise = gaussian_filter(rng.standard_normal(shape), width, mode="wrap")
    return np.asarray(noise / noise.std(), np.float64)


def uneven_grid(rng: np.random.Generator, side: int, *, bend: float) -> tuple[Field, Field]:
    """Return y and x of each pixel, -1 to 1, shifted so that ellipses become as uneven as organs are."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    bumps = [smooth_noise(rng, (side, side), side * width) for width in (0.06, 0.06, 0.015, 0.015)]
    return y + bend * (bumps[0] + 0.2 * bumps[2]), x + bend * (bumps[1] + 0.2 * bumps[3])


def ellipse(y: Field, x: Field, centre: tuple[float, float], radii: tuple[float, float], turn: float = 0) -> Field:
    """Return how far each pixel is from the centre, 1 on the ellipse.

    Args:
        y: of each pixel.
        x: of each pixel.
        centre: (y, x).
        radii: (y, x), before it is turned.
        turn: degrees, clockwise in the picture.
    """
    angle = np.deg2rad(turn)
    down, right = y - centre[0], x - centre[1]
    along = np.cos(angle) * right + np.sin(angle) * down
    across = np.cos(angle) * down - np.sin(angle) * right
    return np.hypot(across / radii[0], along / radii[1])


HEAD_SIDE, HEAD_SLICES = 256, 20
LESION_SLICE = 0.55
# Grey levels of pre-contrast, FLAIR and post-contrast.
TISSUES: dict[str, Triple] = {
    "scalp": (190, 130, 200),
    "skull": (18, 14, 20),
    "fluid": (40, 22, 44),
    "grey matter": (98, 122, 112),
    "white matter": (128, 98, 138),
    "lesion": (84, 205, 96),
}


def write_head(folder: Path, rng: np.random.Generator) -> None:
    """Write the slices of a head with a lesion, and their masks, as the set on Kaggle does."""
    folder.mkdir(parents=True)
    shape = (HEAD_SIDE, HEAD_SIDE)
    y, x = uneven_grid(rng, HEAD_SIDE, bend=0.008)
    lesion_y, lesion_x = uneven_grid(rng, HEAD_SIDE, bend=0.03)
    folds, matter = smooth_noise(rng, shape, 4), smooth_noise(rng, shape, 5)
    for number in range(HEAD_SLICES):
        height = 2 * number / (HEAD_SLICES - 1) - 1
        size = np.sqrt(1 - (0.85 * height) ** 2)
        away = ellipse(y, x, (0, 0), (0.92 * size, 0.74 * size))
        layers = [("scalp", away < 1), ("skull", away < 0.94), ("fluid", away < 0.86)]
        brain = (away < 0.83) & ~((np.abs(folds) < 0.22) & (away > 0.5)) & ~((np.abs(x) < 0.012) & (np.abs(y) > 0.3))
        layers += [("grey matter", brain), ("white matter", brain & (away < 0.66 + 0.09 * matter))]
        ventricles = [ellipse(y, x, (-0.02, side * 0.11), (0.30, 0.075), side * 12) < size for side in (-1, 1)]
        layers.append(("fluid", np.logical_or(*ventricles) & (abs(height) < 0.5)))
        reach = 1 - ((height - 2 * LESION_SLICE + 1) / 0.45) ** 2
        lesion = ellipse(lesion_y, lesion_x, (-0.28, 0.33), (0.21, 0.17), 25) < np.sqrt(max(reach, 0))
        layers.append(("lesion", lesion))
        channels = np.zeros((*shape, 3))
        for tissue, where in layers:
            channels[where] = TISSUES[tissue]
        channels = gaussian_filter(channels, (0.8, 0.8, 0)) + rng.normal(0, 4, channels.shape)
        pixels = Image.fromarray(channels.clip(0, 255).astype(np.uint8))
        pixels.save(folder / f"{folder.name}_{number + 1}.tif")
        Image.fromarray(np.where(lesion, 255, 0).astype(np.uint8)).save(folder / f"{folder.name}_{number + 1}_mask.tif")


ABDOMEN_SIDE, ABDOMEN_SLICES = 320, 24
ABDOMEN_SPACING = (1.2, 1.2, 5.0)  # mm, (x, y, z)
ABDOMEN_SLICE = 0.5
CT_WINDOW = (-160, 240)  # HU
ORGAN_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#42d4f4", "#b15928", "#ffe119", "#911eb4", "#f58231")
# Organ or tissue, centre (y, x), radii (y, x), turn in degrees, HU; what comes later lies on top. Picture: -1 to 1.
ABDOMEN: tuple[tuple[str, tuple[float, float], tuple[float, float], float, float], ...] = (
    ("skin", (0, 0), (0.66, 0.90), 0, 20),
    ("fat", (0, 0), (0.64, 0.88), 0, -100),
    ("muscle", (0, 0), (0.57, 0.81), 0, 55),
    ("fat", (-0.03, 0), (0.50, 0.75), 0, -90),
    ("muscle", (0.45, -0.22), (0.12, 0.17), 0, 55),
    ("muscle", (0.45, 0.22), (0.12, 0.17), 0, 55),
    ("bone", (0.29, 0), (0.11, 0.14), 0, 260),
    ("bone", (0.47, 0), (0.14, 0.04), 0, 330),
    ("canal", (0.41, 0), (0.045, 0.06), 0, 30),
    ("liver", (-0.05, -0.44), (0.36, 0.28), 8, 105),
    ("liver", (-0.27, -0.17), (0.14, 0.30), 18, 105),
    ("gallbladder", (-0.08, -0.20), (0.10, 0.065), 30, 12),
    ("stomach", (-0.25, 0.34), (0.16, 0.25), 20, 45),
    ("air", (-0.33, 0.36), (0.05, 0.13), 8, -900),
    ("spleen", (0.12, 0.62), (0.26, 0.095), 12, 120),
    ("right_kidney", (0.24, -0.34), (0.14, 0.115), -25, 170),
    ("left_kidney", (0.24, 0.33), (0.14, 0.115), 25, 170),
    ("fat", (0.22, -0.28), (0.05, 0.04), 0, -60),
    ("fat", (0.22, 0.27), (0.05, 0.04), 0, -60),
    ("pancreas", (0.02, -0.08), (0.085, 0.10), 0, 85),
    ("pancreas", (-0.01, 0.10), (0.05, 0.17), -10, 85),
    ("pancreas", (0.03, 0.30), (0.045, 0.13), 15, 85),
    ("aorta", (0.13, 0.05), (0.055, 0.055), 0, 190),
    ("inferior_vena_cava", (0.13, -0.12), (0.05, 0.065), 0, 150),
)


def write_abdomen(folder: Path, number: int) -> None:
    """Write a CT of an abdomen and its label as the challenge does."""
    rng = np.random.default_rng(number)
    y, x = uneven_grid(rng, ABDOMEN_SIDE, bend=0.007)
    shape = (ABDOMEN_SLICES, ABDOMEN_SIDE, ABDOMEN_SIDE)
    image, label = np.full(shape, -1000.0), np.zeros(shape, np.uint8)
    for index in range(ABDOMEN_SLICES):
        size = 1 - 0.15 * (2 * index / (ABDOMEN_SLICES - 1) - 1) ** 2
        for tissue, centre, radii, turn, hounsfield_units in ABDOMEN:
            where = ellipse(y, x, centre, (radii[0] * size, radii[1] * size), turn) < 1
            image[index][where] = hounsfield_units
            label[index][where] = RAW_DATA_NUMBERS.get(tissue, 0)
    image = gaussian_filter(image, (0, 0.9, 0.9)) + gaussian_filter(rng.normal(0, 28, shape), (0, 0.7, 0.7))
    # Columns run to the patient's left and rows to the back, as in the original files.
    affine = np.diag([-ABDOMEN_SPACING[0], -ABDOMEN_SPACING[1], ABDOMEN_SPACING[2], 1])
    for name, volume in (("img", image.astype(np.int16)), ("label", label)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(volume.T, affine), folder / name / f"{name}{number:04d}.nii.gz")


def synapse_picture(folder: Path) -> Figure:
    """A slice of a CT, and the organs in it."""
    for number in (1, 2):
        write_abdomen(folder / "RawData" / "Training", number)
    dataset = convert("synapse", folder / "RawData", output=folder / "raw")
    image, label = (
        read_slice(dataset / name, ABDOMEN_SLICE)
        for name in ("imagesTr/case0001_0000.nii.gz", "labelsTr/case0001.nii.gz")
    )
    organs = {name.replace("_", " "): number for name, number in labels_of(dataset).items() if number}
    rows = slice(round(0.15 * ABDOMEN_SIDE), round(0.85 * ABDOMEN_SIDE))
    image, label = image[rows], label[rows]
    aspect = label.shape[1] / label.shape[0]
    figure, panels = new_panels(aspect, aspect, 0.5)
    show(panels[0], image, title="case0001_0000.nii.gz", limits=CT_WINDOW)
    show(panels[1], image, title="with case0001.nii.gz of labelsTr", limits=CT_WINDOW)
    covered = np.zeros((*label.shape, 4))
    for number, colour in zip(organs.values(), ORGAN_COLOURS, strict=True):
        covered[label == number] = to_rgba(colour, 0.7)
    panels[1].imshow(covered, interpolation="nearest")
    names = [f"{number}  {organ}" for organ, number in organs.items()]
    add_legend(panels[2], dict(zip(names, ORGAN_COLOURS, strict=True)), loc="center left", frameon=False)
    return figure


PICTURES: dict[str, Callable[[Path], Figure]] = {
    "isic": isic_picture,
    "ph2": ph2_picture,
    "lgg": lgg_picture,
    "synapse": synapse_picture,
    "folder": folder_picture,
}


def generate(names: Sequence[str], output: Path) -> list[Path]:
    """Draw pictures as ``converted-NAME.jpg``.

    Args:
        names: keys of PICTURES.
        output: folder that gets them.

    Returns:
        Their files.
    """
    files = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            figure = PICTURES[name](Path(folder))
        files.append(output / f"converted-{name}.jpg")
        figure.savefig(files[-1], pil_kwargs={"quality": 88, "optimize": True})
    return files


def main() -> None:
    """Draw the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(PICTURES), metavar="NAME", help=", ".join(PICTURES))
    parser.add_argument("--output", type=Path, default=IMAGES, help="folder for them")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(PICTURES)):
        parser.error(f"unknown: {', '.join(unknown)}; expected {', '.join(PICTURES)}")
    generate(arguments.names, arguments.output)


if __name__ == "__main__":
    main()
