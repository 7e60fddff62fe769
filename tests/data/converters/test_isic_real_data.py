import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.converters.isic import IsicOptions, convert_isic

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("NNUNET_MAMBA_REAL_DATA" not in os.environ, reason="NNUNET_MAMBA_REAL_DATA is not set"),
]


@pytest.fixture
def real_data() -> Path:
    return Path(os.environ["NNUNET_MAMBA_REAL_DATA"])


def labels(folder: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in sorted((folder / "labelsTr").iterdir())]


def test_isic_2016_at_224(real_data, tmp_path):
    done = convert_isic(real_data / "isic2016_224", None, tmp_path / "raw")
    assert done.n_training == 285
    found = labels(tmp_path / "raw")
    assert {label.shape for label in found} == {(256, 256)}
    assert all(np.unique(label).tolist() == [0, 1] for label in found)


def test_isic_2017_photographs_keep_their_size(real_data, tmp_path):
    images, masks = real_data / "ISIC-2017_Test_v2_Data", real_data / "ISIC-2017_Test_v2_Part1_GroundTruth"
    done = convert_isic(images, masks, tmp_path / "raw", options=IsicOptions(size=None))
    assert done.n_training == 3
    for label, source in zip(labels(tmp_path / "raw"), sorted(masks.iterdir()), strict=True):
        assert np.array_equal(label * 255, np.asarray(Image.open(source)))


def test_palette_masks_mark_the_lesion(real_data, tmp_path):
    convert_isic(real_data / "ham10000_palette", None, tmp_path / "raw")
    found = labels(tmp_path / "raw")
    assert len(found) == 6
    for label in found:
        assert 0.01 < label.mean() < 0.6
        assert label[64:192, 64:192].mean() > 2 * label[[0, -1]].mean()
        centre = np.argwhere(label).mean(axis=0)
        assert (np.abs(centre - 127.5) < 50).all()
