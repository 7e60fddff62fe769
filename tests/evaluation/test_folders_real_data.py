import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure
from nnunet_mamba.evaluation.distances.mask_distances import mask_distances
from nnunet_mamba.evaluation.folders import evaluate_folders

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("NNUNET_MAMBA_REAL_DATA" not in os.environ, reason="NNUNET_MAMBA_REAL_DATA is not set"),
]

MEASURE = DistanceMeasure()


@pytest.fixture(scope="module")
def real_data():
    return Path(os.environ["NNUNET_MAMBA_REAL_DATA"])


def test_published_masks_of_isic_are_scored_against_masks_of_the_images_names(real_data, tmp_path):
    references = real_data / "isic2017_256" / "ISIC-2017_Validation_Part1_GroundTruth"
    masks = {path.name: np.asarray(Image.open(path)) for path in sorted(references.glob("*_segmentation.png"))}
    (tmp_path / "predictions").mkdir()
    expected = []
    for name, mask in masks.items():
        predicted = np.roll(mask, 3, axis=0)
        Image.fromarray(predicted).save(tmp_path / "predictions" / name.replace("_segmentation", ""))
        one, other = predicted > 0, mask > 0
        expected.append(2 * (one & other).sum() / (one.sum() + other.sum()))
    done = evaluate_folders(tmp_path / "predictions", references, processes=1, distances=MEASURE)
    (row,) = done.scores
    assert row.n_cases == len(masks) > 100
    assert row.mean_case_dice == pytest.approx(np.mean(expected))
    assert (row.distances.unit, row.n_empty) == ("pixel", 0)
    assert np.median([each.hd95 for each in done.distances.of_label("foreground")]) == 3
    assert not any("_segmentation" in case.identifier for case in done.cases)


def test_organs_of_a_scan_are_measured_in_mm(real_data, tmp_path):
    (source, *_) = sorted((real_data / "btcv_like" / "RawData" / "Training" / "label").glob("*.nii.gz"))
    image = nibabel.load(source)
    label = np.asarray(image.dataobj).astype(np.uint8)
    organs = [int(value) for value in np.unique(label) if value]
    for folder, voxels in (("labelsTr", label), ("predictions", np.roll(label, 1, axis=2))):
        (tmp_path / folder).mkdir()
        nibabel.save(nibabel.Nifti1Image(voxels, image.affine), tmp_path / folder / "scan.nii.gz")
    names = {"background": 0, **{f"organ {value}": value for value in range(1, max(organs) + 1)}}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": names, "file_ending": ".nii.gz"}))
    done = evaluate_folders(tmp_path / "predictions", tmp_path / "labelsTr", processes=1, distances=MEASURE)
    assert done.distances.unit == "mm"
    spacing = [float(step) for step in image.header.get_zooms()[:3]]
    organ = organs[-1]
    expected = mask_distances(label == organ, np.roll(label, 1, axis=2) == organ, MEASURE, spacing=spacing)
    found = done.distances.by_case["scan"][f"organ {organ}"]
    assert (found.hd95, found.assd, found.nsd) == pytest.approx((expected.hd95, expected.assd, expected.nsd))
