"""Small photographs and masks in ISIC's layouts, and nnU-Net's own check of a raw data set."""

import multiprocessing.dummy
from pathlib import Path
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def draw_part():
    def draw(
        images: Path,
        masks: Path | None,
        identifiers=("ISIC_0000001", "ISIC_0000002", "ISIC_0000003"),
        *,
        suffix: str = "_segmentation",
        shape: tuple[int, int] = (30, 40),
    ) -> None:
        images.mkdir(parents=True, exist_ok=True)
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        for number, identifier in enumerate(identifiers):
            lesion = (rows - shape[0] / 2) ** 2 + (columns - shape[1] / 2) ** 2 < (5 + number) ** 2
            noise = np.random.default_rng(crc32(identifier.encode())).integers(0, 40, (*shape, 3))
            photograph = np.where(lesion[..., None], 60, 190) + noise
            Image.fromarray(photograph.astype(np.uint8)).save(images / f"{identifier}.jpg", quality=95)
            if masks is not None:
                masks.mkdir(parents=True, exist_ok=True)
                Image.fromarray(lesion.astype(np.uint8) * 255).save(masks / f"{identifier}{suffix}.png")

    return draw


@pytest.fixture
def verify_integrity(monkeypatch):
    """nnU-Net's own check of a raw data set, in a thread: every process that it starts would import torch first."""
    from nnunetv2.experiment_planning import verify_dataset_integrity

    threads = SimpleNamespace(get_context=lambda method: multiprocessing.dummy)
    monkeypatch.setattr(verify_dataset_integrity, "multiprocessing", threads)
    return lambda folder: verify_dataset_integrity.verify_dataset_integrity(str(folder), num_processes=1)
