import json

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.converters.ph2 import Ph2Options, convert_ph2, prepare_ph2_images
from nnunet_mamba.data.problems import InvalidDatasetError

IDENTIFIERS = ("IMD002", "IMD003", "IMD435")
ORIGINAL = Ph2Options(size=None)


@pytest.fixture
def source(tmp_path):
    """PH2's layout: a folder of folders for each case, masks of one bit per pixel, sizes that differ."""
    root = tmp_path / "PH2Dataset"
    for number, identifier in enumerate(IDENTIFIERS):
        case = root / "PH2 Dataset images" / identifier
        shape = (30 + number, 40 + number)
        photograph = np.random.default_rng(number).integers(0, 255, (*shape, 3), dtype=np.uint8)
        lesion = np.zeros(shape, bool)
        lesion[5 : 20 + number, 8:30] = True
        for folder, name, pixels in (
            ("Dermoscopic_Image", identifier, photograph),
            ("lesion", f"{identifier}_lesion", lesion),
            ("roi", f"{identifier}_R1_Label4", ~lesion),
        ):
            (case / f"{identifier}_{folder}").mkdir(parents=True)
            Image.fromarray(pixels).save(case / f"{identifier}_{folder}" / f"{name}.bmp")
    (root / "PH2_dataset.txt").write_text("|| Name ||")
    return root


def mask_of(source, identifier):
    return source / "PH2 Dataset images" / identifier / f"{identifier}_lesion" / f"{identifier}_lesion.bmp"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("named", ["", "PH2Dataset", "PH2Dataset/PH2 Dataset images"])
def test_finds_the_cases_in_every_folder_of_the_archive(source, tmp_path, named):
    done = convert_ph2(source.parent / named, tmp_path / "raw")
    assert done.n_training == 3
    assert names(tmp_path / "raw" / "imagesTr") == [f"{name}_0000.png" for name in IDENTIFIERS]
    assert names(tmp_path / "raw" / "labelsTr") == [f"{name}.png" for name in IDENTIFIERS]


def test_pixels_are_those_of_the_source(source, tmp_path):
    convert_ph2(source, tmp_path / "raw", options=ORIGINAL)
    for identifier in IDENTIFIERS:
        mask = np.asarray(Image.open(mask_of(source, identifier)))
        assert mask.dtype == bool
        assert np.array_equal(np.asarray(Image.open(tmp_path / "raw" / "labelsTr" / f"{identifier}.png")), mask)
        photograph = mask_of(source, identifier).parents[1] / f"{identifier}_Dermoscopic_Image" / f"{identifier}.bmp"
        image = np.asarray(Image.open(tmp_path / "raw" / "imagesTr" / f"{identifier}_0000.png"))
        assert np.array_equal(image, np.asarray(Image.open(photograph)))


def test_default_size_is_that_of_the_papers(source, tmp_path):
    convert_ph2(source, tmp_path / "raw")
    assert Image.open(tmp_path / "raw" / "imagesTr" / "IMD002_0000.png").size == (256, 256)
    assert json.loads((tmp_path / "raw" / "dataset.json").read_text())["labels"] == {"background": 0, "lesion": 1}


def test_as_test_sends_all_cases_to_images_and_labels_ts(source, tmp_path):
    done = convert_ph2(source, tmp_path / "raw", as_test=True)
    assert (done.n_training, done.n_test, done.n_test_labels) == (0, 3, 3)
    assert names(tmp_path / "raw" / "imagesTs") == [f"{name}_0000.png" for name in IDENTIFIERS]
    assert names(tmp_path / "raw" / "labelsTs") == [f"{name}.png" for name in IDENTIFIERS]
    assert not (tmp_path / "raw" / "imagesTr").exists()
    assert json.loads((tmp_path / "raw" / "dataset.json").read_text())["numTraining"] == 0


def test_missing_mask_and_missing_image_are_reported_together(source, tmp_path):
    mask_of(source, "IMD002").unlink()
    (mask_of(source, "IMD003").parents[1] / "IMD003_Dermoscopic_Image" / "IMD003.bmp").unlink()
    with pytest.raises(InvalidDatasetError, match="2 problems") as caught:
        convert_ph2(source, tmp_path / "raw")
    assert "IMD002: no mask for this image" in str(caught.value)
    assert "IMD003: no image for this mask" in str(caught.value)
    assert not (tmp_path / "raw").exists()


def test_folders_that_are_not_ph2_are_refused(source, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"PH2 is not in .*empty: no file \{case\}/\{case\}_Dermoscopic_Image"):
        convert_ph2(tmp_path / "empty", tmp_path / "raw")
    with pytest.raises(NotADirectoryError, match="nowhere is not a folder"):
        convert_ph2(tmp_path / "nowhere", tmp_path / "raw")
    for identifier in IDENTIFIERS:
        mask_of(source, identifier).unlink()
    with pytest.raises(ValueError, match=r"no file \{case\}/\{case\}_lesion/\{case\}_lesion.bmp in .*PH2 Dataset"):
        convert_ph2(source, tmp_path / "raw")


def test_images_only_prepares_photographs_as_for_training(source, tmp_path):
    convert_ph2(source, tmp_path / "raw")
    done = prepare_ph2_images(source, tmp_path / "out")
    assert (done.n_test, done.n_test_labels) == (3, 0)
    for identifier in IDENTIFIERS:
        prepared = (tmp_path / "out" / f"{identifier}_0000.png").read_bytes()
        assert prepared == (tmp_path / "raw" / "imagesTr" / f"{identifier}_0000.png").read_bytes()
