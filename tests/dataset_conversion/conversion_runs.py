"""Small data sets in several layouts, the commands that convert them, and what these commands leave."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

RECORD = "nnunet_mamba_conversion.json"
DATASETS = {"isic": "Dataset101_ISIC", "lgg": "Dataset103_LGG", "folder": "Dataset105_Folder"}


def draw_photographs(root: Path, n_images: int, *, shape=(300, 400), n_plain: int = 0) -> list[Path]:
    """Write photographs of lesions in ISIC's layout; the first ones without noise, so that they become small files."""
    images, masks = root / "photos à trier", root / "masques"
    images.mkdir(parents=True)
    masks.mkdir()
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    for number in range(n_images):
        lesion = (rows - shape[0] / 2) ** 2 + (columns - shape[1] / 2) ** 2 < (5 + number % 20) ** 2
        noise = np.random.default_rng(number).integers(0, 40, (*shape, 3)) * (number >= n_plain)
        pixels = np.where(lesion[..., None], 60, 190) + noise
        pixels[0, 0] = number
        Image.fromarray(pixels.astype(np.uint8)).save(images / f"ISIC_{number:07d}.png")
        Image.fromarray(lesion.astype(np.uint8) * 255).save(masks / f"ISIC_{number:07d}_segmentation.png")
    return [images, masks]


def draw_scans(root: Path, n_scans: int, *, n_slices: int = 12, shape=(128, 128)) -> list[Path]:
    """Write noise with a tumour in every scan, in LGG's layout."""
    tree = root / "kaggle_3m"
    mask = np.zeros(shape, np.uint8)
    mask[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = 255
    for scan in range(n_scans):
        folder = tree / f"TCGA_CS_{scan:04d}_19960909"
        folder.mkdir(parents=True)
        rng = np.random.default_rng(scan)
        for number in range(1, n_slices + 1):
            pixels = rng.integers(0, 120, (*shape, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{folder.name}_{number}.tif")
            Image.fromarray(mask).save(folder / f"{folder.name}_{number}_mask.tif")
    return [tree]


def draw_own_pictures(root: Path, n_images: int, *, shape=(8, 8)) -> list[Path]:
    """Write noise and masks with one foreground in two folders, with the same names."""
    mask = np.zeros(shape, np.uint8)
    mask[:2, :2] = 255
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(n_images):
        pixels = np.random.default_rng(number).integers(0, 255, (*shape, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"images/{number:05d}.png")
        Image.fromarray(mask).save(root / f"masks/{number:05d}.png")
    return [root]


def arguments(kind: str, sources: list[Path], output: Path, *options: str) -> list[str]:
    return ["convert", kind, *map(str, sources), "--output", str(output), "--no-progress", *options]


def command(kind: str, sources: list[Path], output: Path, *options: str) -> list[str]:
    """Return the command for a process of its own, with two workers unless it says something else."""
    jobs = [] if "--jobs" in options else ["--jobs", "2"]
    return [str(Path(sys.executable).parent / "nnunet-mamba"), *arguments(kind, sources, output, *jobs, *options)]


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, hidden ones too, with the record in one order."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name in files:
        if name.endswith(RECORD):
            files[name] = json.dumps(json.loads(files[name]), sort_keys=True).encode()
    return files


def assert_only_whole_files(output: Path, expected: dict[str, bytes], *, n_files: int) -> dict[str, bytes]:
    """Assert that a conversion stopped before its end left nothing but files as they are to be, and return them."""
    left = contents(output)
    assert not any(name.endswith("dataset.json") for name in left)
    assert {name: expected.get(name) for name in left} == left
    assert len(left) >= n_files
    return left
