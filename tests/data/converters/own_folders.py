"""Small folders of somebody's own pictures, and their conversion."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from nnunet_mamba.data.converters.folder import convert_folder
from nnunet_mamba.data.converters.folder_options import FolderOptions
from nnunet_mamba.data.sources.pattern_source import Source
from nnunet_mamba.data.writing.raw_dataset import Conversion


def draw_folder(root: Path, images: str, masks: str, values=(0, 255), cases="abc", *, mode: str = "RGB") -> Path:
    """Write pictures of noise and masks that repeat some values; every case has another size."""
    for number, name in enumerate(cases):
        shape = (12 + number, 16)
        noise = np.random.default_rng(ord(name)).integers(0, 255, (*shape, 3), dtype=np.uint8)
        mask = np.resize(np.asarray(values, np.uint8), (*shape, *np.shape(values)[1:]))
        for pattern, picture in ((images, Image.fromarray(noise).convert(mode)), (masks, Image.fromarray(mask))):
            path = root / pattern.format(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    return root


def convert(root: Path, target: Path, *, images=None, masks=None, **options) -> Conversion:
    source = Source(images=root, image_pattern=images, mask_pattern=masks)
    return convert_folder(source, target, options=FolderOptions(**options))


def dataset_json(target: Path) -> dict[str, object]:
    return json.loads((target / "dataset.json").read_text())


def label(target: Path, name: str = "a") -> np.ndarray:
    return np.asarray(Image.open(target / "labelsTr" / f"{name}.png"))
