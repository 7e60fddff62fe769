import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from nnunet_mamba.cli.convert.shared import load_converter

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("NNUNET_MAMBA_REAL_DATA" not in os.environ, reason="NNUNET_MAMBA_REAL_DATA is not set"),
]
MISSING = [
    ("TCGA_FG_7634_20000128", "post-contrast"),
    ("TCGA_HT_7877_19980917", "pre-contrast"),
    ("TCGA_HT_7877_19980917", "post-contrast"),
]


@pytest.fixture(scope="module")
def lgg():
    return load_converter("Dataset103_LGG")


@pytest.fixture
def tree():
    return Path(os.environ["NNUNET_MAMBA_REAL_DATA"]) / "kaggle_3m"


def test_volumes_hold_every_pixel_of_the_slices(lgg, tree, tmp_path):
    done = lgg.convert_lgg(tree, tmp_path / "raw")
    assert done.n_training == 14
    assert lgg.missing_sequences(done) == MISSING
    shares = {identifier: found.foreground for identifier, found in done.checked.items()}
    assert min(shares, key=shares.get) == "TCGA_CS_5395_19981004"
    assert max(shares, key=shares.get) == "TCGA_DU_A5TU_19980312"
    assert all(0.001 < share < 0.03 for share in shares.values())

    def volume(name):
        return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "raw" / name)))

    n_slices = 0
    for case in done.cases:
        voxels = np.stack([volume(f"imagesTr/{case.identifier}_000{channel}.nii.gz") for channel in range(3)], axis=-1)
        label = volume(f"labelsTr/{case.identifier}.nii.gz")
        for z in range(len(label)):
            file = tree / case.identifier / f"{case.identifier}_{z + 1}.tif"
            assert np.array_equal(voxels[z], np.asarray(Image.open(file)))
            assert np.array_equal(label[z] * 255, np.asarray(Image.open(file.with_name(f"{file.stem}_mask.tif"))))
        n_slices += len(label)
    assert n_slices == 316


def test_slices_are_a_third_with_tumour(lgg, tree, tmp_path):
    done = lgg.convert_lgg(tree, tmp_path / "raw", options=lgg.LggOptions(as_volumes=False))
    assert done.n_training == 316
    assert lgg.missing_sequences(done) == MISSING
    assert len({case.group for case in done.cases}) == 14
    with_tumour = sum(bool(found.foreground) for found in done.checked.values())
    assert 0.3 < with_tumour / 316 < 0.45
