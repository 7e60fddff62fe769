import json
import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nnunet_mamba.data.converters.synapse import (
    PAPERS_ORGANS,
    RAW_DATA_NUMBERS,
    SynapseOptions,
    convert_synapse,
    prepare_synapse_images,
)
from nnunet_mamba.data.restoring.converted_dataset import read_converted_dataset
from nnunet_mamba.data.restoring.restoration import restore_masks

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("NNUNET_MAMBA_REAL_DATA" not in os.environ, reason="NNUNET_MAMBA_REAL_DATA is not set"),
]

CASES = ("0001", "0002")


@pytest.fixture(scope="module")
def source():
    return Path(os.environ["NNUNET_MAMBA_REAL_DATA"]) / "btcv_like"


def load(path):
    image = nib.load(path)
    return np.asanyarray(image.dataobj), image.affine


@pytest.mark.parametrize("organs", [8, 13])
def test_keeps_every_voxel(source, tmp_path, organs):
    target = tmp_path / "raw"
    done = convert_synapse(source, target, options=SynapseOptions(organs=organs))
    assert done.n_training == 2
    original = source / "RawData" / "Training"
    numbers = RAW_DATA_NUMBERS
    kept = PAPERS_ORGANS if organs == 8 else tuple(numbers)
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


def test_labels_stored_in_other_orientations_give_the_same_files(source, tmp_path):
    original = source / "RawData" / "Training"
    for folder in ("img", "label"):
        (tmp_path / "turned" / folder).mkdir(parents=True)
    for case, orientation in zip(CASES, ([[0, -1], [1, -1], [2, -1]], [[2, 1], [0, -1], [1, 1]]), strict=True):
        (tmp_path / "turned" / "img" / f"img{case}.nii.gz").symlink_to(original / "img" / f"img{case}.nii.gz")
        label = nib.load(original / "label" / f"label{case}.nii.gz").as_reoriented(np.array(orientation))
        nib.save(label, tmp_path / "turned" / "label" / f"label{case}.nii.gz")
    convert_synapse(source, tmp_path / "raw")
    convert_synapse(tmp_path / "turned", tmp_path / "other")
    for path in (tmp_path / "raw").rglob("*.nii.gz"):
        assert path.read_bytes() == (tmp_path / "other" / path.relative_to(tmp_path / "raw")).read_bytes()


@pytest.mark.parametrize("organs", [8, 13])
def test_sigmoid_makes_a_region_of_every_organ_and_each_case_is_held_out_once(source, tmp_path, organs):
    options = SynapseOptions(organs=organs, sigmoid=True)
    convert_synapse(source, tmp_path / "raw", options=options)
    content = json.loads((tmp_path / "raw" / "dataset.json").read_text())
    kept = PAPERS_ORGANS if organs == 8 else tuple(RAW_DATA_NUMBERS)
    assert content["labels"] == {"background": 0, **{organ: [n, n] for n, organ in enumerate(kept, start=1)}}
    assert content["regions_class_order"] == list(range(1, organs + 1))
    assert json.loads((tmp_path / "raw" / "splits_final.json").read_text()) == [
        {"train": ["case0002"], "val": ["case0001"]},
        {"train": ["case0001"], "val": ["case0002"]},
    ]
    label, _ = load(tmp_path / "raw" / "labelsTr" / "case0001.nii.gz")
    assert np.unique(label).max() <= organs


def test_predictions_of_images_alone_come_back_with_the_numbers_of_the_source(source, tmp_path):
    raw, images, predictions = (tmp_path / name for name in ("raw", "images", "predictions"))
    convert_synapse(source, raw, options=SynapseOptions(sigmoid=True))
    prepare_synapse_images(source, images)
    for case in CASES:
        name = f"case{case}_0000.nii.gz"
        assert (images / name).read_bytes() == (raw / "imagesTr" / name).read_bytes()
    (raw / "labelsTr").rename(predictions)
    shutil.copy(raw / "dataset.json", predictions)
    restore_masks(predictions, read_converted_dataset(images, predictions), tmp_path / "restored")
    kept = [RAW_DATA_NUMBERS[organ] for organ in PAPERS_ORGANS]
    for case in CASES:
        restored, affine = load(tmp_path / "restored" / f"case{case}.nii.gz")
        expected, _ = load(source / "RawData" / "Training" / "label" / f"label{case}.nii.gz")
        assert np.array_equal(restored, np.where(np.isin(expected, kept), expected, 0))
        assert np.array_equal(affine, load(source / "RawData" / "Training" / "img" / f"img{case}.nii.gz")[1])
