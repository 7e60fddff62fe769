import importlib.util
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nnunet_mamba.bundled import dataset_conversion_folder

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("NNUNET_MAMBA_REAL_DATA" not in os.environ, reason="NNUNET_MAMBA_REAL_DATA is not set"),
]

CASES = ("0001", "0002")


@pytest.fixture(scope="module")
def synapse():
    path = Path(dataset_conversion_folder()) / "Dataset104_Synapse.py"
    spec = importlib.util.spec_from_file_location("Dataset104_Synapse", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def source():
    return Path(os.environ["NNUNET_MAMBA_REAL_DATA"]) / "btcv_like"


def load(path):
    image = nib.load(path)
    return np.asanyarray(image.dataobj), image.affine


@pytest.mark.parametrize("organs", [8, 13])
def test_keeps_every_voxel(synapse, source, tmp_path, organs):
    target = tmp_path / "raw"
    done = synapse.convert_synapse(source, target, options=synapse.SynapseOptions(organs=organs))
    assert done.n_training == 2
    original = source / "RawData" / "Training"
    numbers = synapse.RAW_DATA_NUMBERS
    kept = synapse.PAPERS_ORGANS if organs == 8 else tuple(numbers)
    for case in CASES:
        voxels, affine = load(target / "imagesTr" / f"case{case}_0000.nii.gz")
        expected, expected_affine = load(original / "img" / f"img{case}.nii.gz")
        assert voxels.dtype == np.int16
        assert np.array_equal(voxels, expected)
        assert np.array_equal(affine, expected_affine)
        label, label_affine = load(target / "labelsTr" / f"case{case}.nii.gz")
        original_label, _ = load(original / "label" / f"label{case}.nii.gz")
        assert np.array_equal(label_affine, affine)
        for number, organ in enumerate(kept, start=1):
            assert np.array_equal(label == number, original_label == numbers[organ]), organ
        assert label.max() <= organs


def test_labels_stored_in_other_orientations_give_the_same_files(synapse, source, tmp_path):
    original = source / "RawData" / "Training"
    for folder in ("img", "label"):
        (tmp_path / "turned" / folder).mkdir(parents=True)
    for case, orientation in zip(CASES, ([[0, -1], [1, -1], [2, -1]], [[2, 1], [0, -1], [1, 1]]), strict=True):
        (tmp_path / "turned" / "img" / f"img{case}.nii.gz").symlink_to(original / "img" / f"img{case}.nii.gz")
        label = nib.load(original / "label" / f"label{case}.nii.gz").as_reoriented(np.array(orientation))
        nib.save(label, tmp_path / "turned" / "label" / f"label{case}.nii.gz")
    synapse.convert_synapse(source, tmp_path / "raw")
    synapse.convert_synapse(tmp_path / "turned", tmp_path / "other")
    for path in (tmp_path / "raw").rglob("*.nii.gz"):
        assert path.read_bytes() == (tmp_path / "other" / path.relative_to(tmp_path / "raw")).read_bytes()
