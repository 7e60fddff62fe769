"""Small scans in LGG's layout."""

from pathlib import Path

import numpy as np
from PIL import Image

SCANS = {"TCGA_CS_4941_19960909": 12, "TCGA_DU_A5TU_19980312": 3}


def draw_scan(folder: Path, n_slices: int, *, seed: int = 0, copied_channels: tuple[int, ...] = ()) -> None:
    """Write noise with a bright tumour in every third slice; ``copied_channels`` hold FLAIR."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, n_slices])
    for number in range(1, n_slices + 1):
        mask = np.zeros((24, 32), np.uint8)
        if number % 3 == 1:
            mask[5:12, 8 : 15 + number] = 255
        pixels = rng.integers(0, 120, (24, 32, 3), dtype=np.uint8) + mask[..., None] // 2
        for channel in copied_channels:
            pixels[..., channel] = pixels[..., 1]
        Image.fromarray(pixels).save(folder / f"{folder.name}_{number}.tif")
        Image.fromarray(mask).save(folder / f"{folder.name}_{number}_mask.tif")


def draw_tree(root: Path) -> Path:
    """Write two scans, and files that are none, as the archive holds them."""
    tree = root / "kaggle_3m"
    for name, n_slices in SCANS.items():
        draw_scan(tree / name, n_slices)
    (tree / "data.csv").write_text("Patient,RNASeqCluster\n")
    (tree / "README.md").write_text("x")
    (tree / "TCGA_CS_4941_19960909" / "._TCGA_CS_4941_19960909_1.tif").write_bytes(b"Mac OS X")
    return tree
