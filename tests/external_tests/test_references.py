import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.unlabelled.cases_of_files import UnlabelledCase
from nnunet_mamba.external_tests.references import find_references, referenced_masks


def _case(image, identifier=None, mask=None):
    name = identifier or image.stem
    return UnlabelledCase(identifier=name, channels=(image,), masks=(mask or f"{name}.png",))


@pytest.fixture
def write(tmp_path):
    """Write a black and white picture, and return it."""

    def do(name, values=(0, 255)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.array([values] * 2, np.uint8)).save(path)
        return path

    return do


@pytest.fixture
def pair(tmp_path):
    """Pair masks with references, and return the references' places by identifier."""

    def do(folder, cases, dataset_json=None):
        found = find_references(tmp_path / folder, dataset_json, images=cases, output=tmp_path / "out")
        return {one.identifier: str(one.reference.relative_to(tmp_path)) for one in referenced_masks(cases, found)}

    return do


def test_masks_of_isic_belong_to_the_images_of_their_names(write, pair):
    write("masks/ISIC_1_segmentation.png")
    write("masks/ISIC_2_Segmentation.PNG")
    cases = [_case(Path("x/ISIC_1.jpg")), _case(Path("x/ISIC_2.jpg"))]
    assert pair("masks", cases) == {
        "ISIC_1": "masks/ISIC_1_segmentation.png",
        "ISIC_2": "masks/ISIC_2_Segmentation.PNG",
    }


def test_masks_of_ph2_are_found_among_its_images(write, pair):
    cases = []
    for name in ("IMD002", "IMD003"):
        write(f"ph2/{name}/{name}_lesion/{name}_lesion.bmp")
        write(f"ph2/{name}/{name}_roi/{name}_R1_Label4.bmp")
        image = write(f"ph2/{name}/{name}_Dermoscopic_Image/{name}.bmp", (7, 9))
        cases.append(_case(image, f"{name}/{name}_Dermoscopic_Image/{name}"))
    assert pair("ph2", cases) == {name: f"ph2/{name}/{name}_lesion/{name}_lesion.bmp" for name in ("IMD002", "IMD003")}


def test_masks_of_equal_names_belong_to_the_images_in_folders_of_equal_names(write, pair):
    cases = [_case(Path(f"x/{place}/a.jpg"), f"{place}/a") for place in ("one", "two")]
    for place in ("one", "two"):
        write(f"masks/{place}/a.png")
    assert pair("masks", cases) == {"one/a": "masks/one/a.png", "two/a": "masks/two/a.png"}


def test_label_maps_belong_to_images_with_the_number_of_their_channel(write, pair, tmp_path):
    write("raw/labelsTs/a.png", (0, 1))
    content = {"labels": {"background": 0, "lesion": 1}, "file_ending": ".png", "channel_names": {"0": "R"}}
    (tmp_path / "raw/dataset.json").write_text(json.dumps({**content, "numTraining": 1}))
    assert pair("raw/labelsTs", [_case(Path("x/a_0000.png"))]) == {"a_0000": "raw/labelsTs/a.png"}


def test_all_images_without_reference_and_references_without_image_are_listed(write, pair):
    for name in ("a", "x", "y"):
        write(f"masks/{name}.png")
    with pytest.raises(FileNotFoundError) as error:
        pair("masks", [_case(Path(f"p/{name}.jpg")) for name in "abc"])
    text = str(error.value)
    assert "2 images have no reference" in text
    assert all(name in text for name in ("p/b.jpg", "p/c.jpg", "2 references in", "x.png", "y.png"))
    assert "a.png" not in text


def test_a_name_that_fits_two_references_is_refused(write, pair):
    write("masks/one/a.png")
    write("masks/two/a.png")
    with pytest.raises(ValueError, match="names do not tell which reference belongs to which image"):
        pair("masks", [_case(Path("p/a.jpg"))])


def test_two_images_of_one_reference_are_refused(write, pair):
    write("masks/a.png")
    with pytest.raises(ValueError, match=r"a\.png: p/one/a\.jpg or p/two/a\.jpg"):
        pair("masks", [_case(Path(f"p/{place}/a.jpg"), f"{place}/a") for place in ("one", "two")])


def test_two_masks_of_one_case_are_refused(write, pair):
    write("masks/a.png")
    write("masks/a_mask.png")
    with pytest.raises(ValueError, match="several references of one name"):
        pair("masks", [_case(Path("p/a.jpg"))])


def test_grey_masks_need_a_dataset_json(write, pair):
    write("masks/a.png", (0, 3))
    with pytest.raises(ValueError, match=r"name the dataset\.json that knows their values"):
        pair("masks", [_case(Path("p/a.jpg"))])


def test_volumes_without_dataset_json_are_told_to_need_one(pair, tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/a.nii.gz").touch()
    with pytest.raises(FileNotFoundError, match=r"volumes need the dataset\.json"):
        pair("masks", [_case(Path("p/a.nii.gz"))])


def test_an_output_among_the_references_is_refused(write, tmp_path):
    write("masks/a.png")
    with pytest.raises(ValueError, match="lies in the folder of references"):
        find_references(tmp_path / "masks", None, images=[], output=tmp_path / "masks/out")


@pytest.mark.parametrize("suffix", ["_segmentation", "_lesion", "_mask", "_seg", "_label", "_Mask"])
def test_masks_beside_their_images_are_told_by_their_names(write, pair, suffix):
    cases = [_case(write(f"both/{name}.png", (7, 9))) for name in "ab"]
    for name in "ab":
        write(f"both/{name}{suffix}.png")
    assert pair("both", cases) == {name: f"both/{name}{suffix}.png" for name in "ab"}


def test_masks_in_a_folder_of_masks_below_that_of_the_images_are_told_by_it(write, pair):
    cases = [_case(write(f"both/images/{name}.png", (7, 9)), f"images/{name}") for name in "ab"]
    for name in "ab":
        write(f"both/masks/{name}.png")
        write(f"both/superpixels/{name}.png", (3, 4))
    assert pair("both", cases) == {name: f"both/masks/{name}.png" for name in "ab"}


def test_how_to_name_masks_among_images_is_said(write, pair):
    cases = [_case(write(f"both/{name}.png", (7, 9))) for name in "ab"]
    for name in "ab":
        write(f"both/{name}-annotated.png")
    with pytest.raises(
        FileNotFoundError, match=r"both holds the images, too, .* with _segmentation, .* or put the masks"
    ):
        pair("both", cases)
