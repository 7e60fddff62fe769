import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from nnunet_mamba.data.converters.lgg import LggOptions, convert_lgg, missing_sequences, prepare_lgg_images
from nnunet_mamba.data.restoring.converted_dataset import read_converted_dataset
from nnunet_mamba.data.restoring.restoration import restore_masks

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("NNUNET_MAMBA_REAL_DATA" not in os.environ, reason="NNUNET_MAMBA_REAL_DATA is not set"),
]
MISSING = [
    ("TCGA_FG_7634_20000128", "post-contrast"),
    ("TCGA_HT_7877_19980917", "pre-contrast"),
    ("TCGA_HT_7877_19980917", "post-contrast"),
]


@pytest.fixture
def tree():
    return Path(os.environ["NNUNET_MAMBA_REAL_DATA"]) / "kaggle_3m"


def test_volumes_hold_every_pixel_of_the_slices(tree, tmp_path):
    done = convert_lgg(tree, tmp_path / "raw")
    assert done.n_training == 14
    assert missing_sequences(done) == MISSING
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


def test_slices_are_a_third_with_tumour(tree, tmp_path):
    done = convert_lgg(tree, tmp_path / "raw", options=LggOptions(as_volumes=False))
    assert done.n_training == 316
    assert missing_sequences(done) == MISSING
    assert len({case.group for case in done.cases}) == 14
    with_tumour = sum(bool(found.foreground) for found in done.checked.values())
    assert 0.3 < with_tumour / 316 < 0.45


@pytest.mark.parametrize("as_volumes", [True, False], ids=["volumes", "slices"])
def test_folds_keep_patients_apart(tree, tmp_path, as_volumes):
    done = convert_lgg(tree, tmp_path / "raw", options=LggOptions(as_volumes=as_volumes))
    patient_of = {case.identifier: case.group for case in done.cases}
    folds = json.loads((tmp_path / "raw" / "splits_final.json").read_text())
    assert sorted(identifier for fold in folds for identifier in fold["val"]) == sorted(patient_of)
    patients = [{patient_of[identifier] for identifier in fold["val"]} for fold in folds]
    assert sorted(map(len, patients)) == [2, 3, 3, 3, 3]
    assert sum(map(len, patients)) == len(set().union(*patients))


@pytest.mark.parametrize(
    ("options", "n_files", "lowest_share"),
    [({}, 42, 1), ({"as_volumes": False}, 316, 1), ({"as_volumes": False, "size": (128, 128)}, 316, 0.98)],
    ids=["volumes", "slices", "slices of 128"],
)
def test_images_alone_are_those_of_a_training_and_lead_back_to_every_mask(
    tree, tmp_path, options, n_files, lowest_share
):
    raw, images, predictions = (tmp_path / name for name in ("raw", "images", "predictions"))
    convert_lgg(tree, raw, options=LggOptions(**options))
    prepare_lgg_images(tree, images, options=LggOptions(**options))
    files = [path for path in sorted(images.iterdir()) if path.suffix != ".json"]
    assert len(files) == n_files
    for path in files:
        assert path.read_bytes() == (raw / "imagesTr" / path.name).read_bytes()
    (raw / "labelsTr").rename(predictions)
    shutil.copy(raw / "dataset.json", predictions)
    restore_masks(predictions, read_converted_dataset(images, predictions), tmp_path / "restored")
    restored = sorted((tmp_path / "restored").rglob("*.png"))
    assert len(restored) == 316
    for path in restored:
        mask = np.asarray(Image.open(tree / path.parent.name / f"{path.stem}_mask.tif"))
        found = np.asarray(Image.open(path))
        assert found.shape == mask.shape
        assert np.mean(found == mask) >= lowest_share, path.name
