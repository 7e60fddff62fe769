import json
import math

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.formats.nifti_files import Volume, encode_nifti, write_compressed
from nnunet_mamba.data.restoring.converted_dataset import read_converted_dataset
from nnunet_mamba.data.restoring.source_agreement import compare_with_source
from nnunet_mamba.data.writing.conversion_record import ConversionRecord


@pytest.fixture
def make(tmp_path):
    """Write a raw data set of one labelled case "a", as far as the comparison looks at it."""

    def write(label, save_mask, *, ending=".png", source_labels, labels, **options):
        for folder in ("images", "masks", "raw/labelsTr"):
            (tmp_path / folder).mkdir(parents=True)
        image, mask = tmp_path / "images" / f"a{ending}", tmp_path / "masks" / f"a{ending}"
        image.write_bytes(b"not looked at")
        save_mask(mask)
        raw = tmp_path / "raw"
        (raw / "dataset.json").write_text(json.dumps({"labels": labels, "file_ending": ending}))
        case = Case(identifier="a", channels=(image,), mask=mask)
        if source_labels:
            options["source_labels"] = source_labels
        ConversionRecord.of("test", options, [case]).write(raw, {"a": {"shape": list(label.shape)}})
        if label.ndim == 3:
            write_compressed(raw / "labelsTr" / f"a{ending}", encode_nifti(Volume(label, np.eye(4))))
        else:
            Image.fromarray(label).save(raw / "labelsTr" / f"a{ending}")
        return raw

    return write


def compare(raw):
    (found,) = compare_with_source(raw / "labelsTr", read_converted_dataset(raw, raw / "labelsTr"))
    return found


LESION = {"background": 0, "lesion": 255}


def picture():
    label = np.zeros((10, 12), np.uint8)
    label[2:6, 3:8] = 1
    return label


def test_grey_borders_count_by_the_side_that_they_are_nearer_to(make):
    label = picture()
    mask = label * np.uint8(200)
    mask[0] = 100
    raw = make(label, Image.fromarray(mask).save, source_labels=LESION, labels={"background": 0, "lesion": 1})
    assert compare(raw).dice == {"lesion": 1}


def test_dice_is_that_of_the_formula(make):
    label = picture()
    mask = np.roll(label, 1, axis=0) * np.uint8(255)
    raw = make(label, Image.fromarray(mask).save, source_labels=LESION, labels={"background": 0, "lesion": 1})
    assert compare(raw).dice == {"lesion": pytest.approx(2 * 15 / 40)}


def test_colours_and_several_values_are_told_apart(make):
    label = picture()
    label[8:] = 2
    mask = np.zeros((10, 12, 3), np.uint8)
    mask[label == 1] = (255, 0, 0)
    mask[8], mask[9] = 40, 50
    mask[0, 0] = (0, 255, 0)
    raw = make(
        label,
        Image.fromarray(mask).save,
        source_labels={"background": [0], "red": ["#ff0000"], "grey": [40, 50], "blue": ["#0000ff"]},
        labels={"background": 0, "red": 1, "grey": 2, "blue": 3},
    )
    found = compare(raw).dice
    assert (found["red"], found["grey"]) == (1, 1)
    assert math.isnan(found["blue"])


@pytest.mark.parametrize(("shape", "ending"), [((10, 12), ".png"), ((3, 10, 12), ".nii.gz")])
def test_a_threshold_decides_where_the_conversion_had_one(make, shape, ending):
    label = np.broadcast_to(picture(), shape).copy()
    mask = np.where(label, np.uint8(31), np.uint8(30))

    def save(path):
        if label.ndim == 2:
            Image.fromarray(mask).save(path)
        else:
            write_compressed(path, encode_nifti(Volume(mask, np.eye(4))))

    labels = {"background": 0, "lesion": 1}
    raw = make(label, save, ending=ending, source_labels=LESION, labels=labels, threshold=30)
    assert compare(raw).dice == {"lesion": 1}


def test_volumes_are_compared_by_the_place_of_their_voxels(make):
    label = np.random.default_rng(0).integers(0, 3, (3, 4, 5), dtype=np.uint8)
    stored = np.array([0, 8, 6], np.uint8)[label][:, :, ::-1]
    turned = np.array([[-1, 0, 0, 4], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])

    def save(path):
        write_compressed(path, encode_nifti(Volume(stored, turned)))

    organs = {"background": 0, "aorta": 8, "liver": 6}
    raw = make(label, save, ending=".nii.gz", source_labels=organs, labels={"background": 0, "aorta": 1, "liver": 2})
    assert compare(raw).dice == {"aorta": 1, "liver": 1}


@pytest.mark.parametrize("obstacle", ["values", "mask moved", "no mask", "mask changed", "several files", "damaged"])
def test_what_cannot_be_compared_says_why(make, tmp_path, obstacle):
    label = picture()
    source_labels = None if obstacle == "values" else LESION
    raw = make(
        label, Image.fromarray(label * 255).save, source_labels=source_labels, labels={"background": 0, "lesion": 1}
    )
    mask = tmp_path / "masks" / "a.png"
    record = raw / "nnunet_mamba_conversion.json"
    if obstacle == "mask moved":
        mask.rename(tmp_path / "a.png")
    elif obstacle == "mask changed":
        Image.fromarray(np.zeros((11, 12), np.uint8) + 255).save(mask)
        content = json.loads(record.read_text())
        content["cases"]["a"]["bytes"][-1] = mask.stat().st_size
        record.write_text(json.dumps(content))
    elif obstacle == "damaged":
        mask.write_bytes(b"x" * mask.stat().st_size)
    elif obstacle == "several files":
        record.write_text(record.read_text().replace('"shape"', '"slices": ["a.png"], "shape"'))
    elif obstacle == "no mask":
        # As of a test case without one.
        content = json.loads(record.read_text())
        del content["cases"]["a"]["label_folder"]
        record.write_text(json.dumps(content))
    found = compare(raw)
    reasons = {
        "values": "does not tell which values",
        "mask moved": "a.png .* is no longer in the folders",
        "no mask": "the source has no mask",
        "mask changed": r"has the shape \(11, 12\), the restored \(10, 12\)",
        "several files": "in several files",
        "damaged": "not an image.*masks/a.png",
    }
    assert found.dice == {}
    with pytest.raises(AssertionError, match=reasons[obstacle]):
        raise AssertionError(found.reason)


@pytest.fixture
def alike(tmp_path):
    """Write a raw data set of two cases whose images and masks are called the same and have the same size."""
    raw = tmp_path / "raw"
    (raw / "labelsTr").mkdir(parents=True)
    (raw / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "lesion": 1}, "file_ending": ".png"}))
    cases = []
    for number, name in enumerate("ab"):
        label = np.roll(picture(), 4 * number, axis=1)
        image, mask = (tmp_path / name / kind / "1.bmp" for kind in ("images", "masks"))
        for path, pixels in ((image, picture().T.reshape(10, 12)), (mask, label)):
            path.parent.mkdir(parents=True)
            Image.fromarray(pixels * 255).save(path)
        Image.fromarray(label).save(raw / "labelsTr" / f"{name}.png")
        cases.append(Case(identifier=name, channels=(image,), mask=mask))
    options = {"source_labels": LESION}
    ConversionRecord.of("test", options, cases).write(raw, {case.identifier: {"shape": [10, 12]} for case in cases})
    return raw


def test_every_case_is_compared_with_its_own_mask(alike):
    found = compare_with_source(alike / "labelsTr", read_converted_dataset(alike, alike / "labelsTr"))
    assert [one.dice for one in found] == [{"lesion": 1}, {"lesion": 1}]
