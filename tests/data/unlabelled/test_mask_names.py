from pathlib import Path

import pytest

from nnunet_mamba.data.unlabelled.image_conversion import ImageKind
from nnunet_mamba.data.unlabelled.mask_names import masks_among
from nnunet_mamba.data.unlabelled.named_files import NamedFile


def masks(*names, kind=ImageKind.PHOTOGRAPHS):
    """The masks among files of a folder that the user has named."""
    files = [NamedFile(Path("/data", name), Path(name).parts[:-1]) for name in names]
    return {path.relative_to("/data").as_posix() for path in masks_among(files, kind)}


@pytest.mark.parametrize(
    "mask",
    [
        "ISIC_1_segmentation.png",
        "ISIC_1_Segmentation.png",
        "ISIC_1_superpixels.png",
        "ISIC-2017_Training_Part1_GroundTruth/ISIC_1.png",
        "masks/ISIC_1.png",
        "IMD002_lesion.bmp",
        "IMD002/IMD002_lesion/IMD002_lesion.bmp",
        "IMD002/IMD002_lesion/IMD002_lesion.png",
        "IMD002/IMD002_roi/IMD002_R1_Label4.bmp",
    ],
)
def test_masks_of_the_skin_sets_are_known_by_their_names(mask):
    assert masks("ISIC_1.jpg", "IMD002.bmp", mask) == {mask}


@pytest.mark.parametrize(
    "photograph",
    [
        "ISIC_1.jpg",
        "segmentation.png",
        "superpixels_1.png",
        "my_lesion.jpg",
        "IMD002/IMD002.bmp",
        "face_mask.jpg",
        "roi/x.png",
    ],
)
def test_photographs_stay(photograph):
    assert masks(photograph) == set()


@pytest.mark.parametrize("suffix", ["mask", "seg", "label", "lesion", "segmentation"])
def test_a_name_with_a_suffix_is_a_mask_where_its_image_lies_beside_it(suffix):
    kind = ImageKind.VOLUMES
    assert masks("a.nii.gz", f"a_{suffix}.nii.gz", f"b_{suffix}.nii.gz", kind=kind) == {f"a_{suffix}.nii.gz"}
    assert masks("x/a.nii.gz", f"y/a_{suffix}.nii.gz", kind=kind) == set()


@pytest.mark.parametrize("folder", ["label", "labelsTr", "segmentations"])
def test_volumes_in_folders_of_labels_are_masks(folder):
    assert masks("img/a.nii.gz", f"{folder}/liver.nii.gz", kind=ImageKind.CT_VOLUMES) == {f"{folder}/liver.nii.gz"}


def test_a_folder_of_masks_that_the_user_has_named_is_taken():
    files = [NamedFile(Path("/data/masks/a.png"), ())]
    assert masks_among(files, ImageKind.PHOTOGRAPHS) == set()


@pytest.mark.parametrize("kind", [ImageKind.LGG_SLICES, ImageKind.LGG_VOLUMES])
def test_masks_of_slices_are_known_without_their_slices(kind):
    assert masks("TCGA_1_1_mask.tif", "TCGA_1_2.tif", kind=kind) == {"TCGA_1_1_mask.tif"}
