"""Somebody's own folder with formats that programs of microscopy, surgery and the nineties write."""

import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from nnunet_mamba.data.converters.folder import convert_folder
from nnunet_mamba.data.converters.folder_options import FolderOptions
from nnunet_mamba.data.converters.mask_hints import mask_hints
from nnunet_mamba.data.formats.label_values import LabelValues
from nnunet_mamba.data.problems import InvalidDatasetError
from nnunet_mamba.data.restoring.converted_dataset import read_converted_dataset
from nnunet_mamba.data.restoring.restoration import restore_masks
from nnunet_mamba.data.restoring.source_agreement import compare_with_source
from nnunet_mamba.data.sources.pattern_source import Source


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def root(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / "source" / kind).mkdir(parents=True)
    return tmp_path / "source"


def convert(root, target, **options):
    source = Source(images=root)
    return convert_folder(source, target, options=FolderOptions(**options))


def test_pictures_of_every_format_become_png(root, tmp_path, rng):
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 5:20] = 255
    pairs = ((".jfif", ".gif"), (".jpe", ".pgm"), (".ppm", ".pbm"), (".JPEG", ".tif"))
    for number, (image_ending, mask_ending) in enumerate(pairs):
        image = Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8))
        image.save(root / "images" / f"c{number}{image_ending}", format="PPM" if image_ending == ".ppm" else "JPEG")
        # A TIFF of floating point, as ImageJ saves masks.
        picture = Image.fromarray(mask if mask_ending != ".tif" else mask + np.float32(1e-5))
        (picture.convert("1") if mask_ending == ".pbm" else picture).save(root / "masks" / f"c{number}{mask_ending}")

    done = convert(root, tmp_path / "raw")

    assert done.n_training == 4
    for number in range(4):
        label = np.asarray(Image.open(tmp_path / "raw" / "labelsTr" / f"c{number}.png"))
        assert np.array_equal(label, mask > 127)
    (hint,) = mask_hints(done.checked)
    assert hint.startswith("the masks of 1 case (c3) hold 600 values that miss a whole number")


def test_volumes_of_other_formats_lie_where_they_lay_and_come_back(root, tmp_path, rng):
    pairs = (("mha", "nrrd"), ("mhd", "nii.gz"), ("nhdr", "hdr"), ("hdr", "mha"), ("nii.gz", "mha"))
    for number, (image_ending, mask_ending) in enumerate(pairs):
        angle = np.deg2rad(10 * number)
        turn = [np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, -1]
        image = SimpleITK.GetImageFromArray(rng.integers(-400, 900, (7, 6, 5)).astype(np.int16))
        image.SetSpacing((0.7, 0.8, 2.5))
        image.SetOrigin((-100, 20, 300))
        image.SetDirection(turn)
        voxels = rng.integers(0, 3, (7, 6, 5)).astype(np.uint8)
        mask = SimpleITK.GetImageFromArray(voxels)
        mask.CopyInformation(image)
        SimpleITK.WriteImage(image, str(root / "images" / f"v{number}.{image_ending}"))
        SimpleITK.WriteImage(mask, str(root / "masks" / f"v{number}.{mask_ending}"))
        # What nnU-Net's reader finds must be what SimpleITK finds in the source.
        SimpleITK.WriteImage(image, str(tmp_path / f"expected{number}.nii.gz"))
    labels = LabelValues.of({"organ": 1, "vessel": 2})

    convert(root, tmp_path / "raw", labels=labels)

    for number in range(len(pairs)):
        expected = SimpleITK.ReadImage(str(tmp_path / f"expected{number}.nii.gz"))
        found = SimpleITK.ReadImage(str(tmp_path / "raw" / "imagesTr" / f"v{number}_0000.nii.gz"))
        assert np.array_equal(SimpleITK.GetArrayFromImage(found), SimpleITK.GetArrayFromImage(expected))
        for name in ("GetOrigin", "GetSpacing", "GetDirection"):
            assert np.allclose(getattr(found, name)(), getattr(expected, name)(), atol=1e-4), name
    predictions = tmp_path / "raw" / "labelsTr"
    dataset = read_converted_dataset(tmp_path / "raw", predictions)
    restored = restore_masks(predictions, dataset, tmp_path / "restored")
    assert sorted(path.name for path in restored.folder.glob("*.nii.gz")) == [f"v{n}.nii.gz" for n in range(5)]
    agreements = compare_with_source(predictions, dataset)
    assert [agreement.reason for agreement in agreements] == [None] * 5
    assert all(agreement.dice == {"organ": 1, "vessel": 1} for agreement in agreements)


def test_a_mask_of_another_format_on_another_grid_is_a_problem(root, tmp_path, rng):
    image = SimpleITK.GetImageFromArray(rng.integers(0, 900, (7, 6, 5)).astype(np.int16))
    image.SetSpacing((0.7, 0.8, 2.5))
    SimpleITK.WriteImage(image, str(root / "images" / "v.mha"))
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.ones((7, 6, 5), np.uint8)), str(root / "masks" / "v.nrrd"))
    with pytest.raises(InvalidDatasetError, match="copy the header of the image to it"):
        convert(root, tmp_path / "raw")


def test_labels_that_miss_whole_numbers_need_no_word_where_masks_are_binary(root, tmp_path, rng):
    for number in range(2):
        mask = (np.arange(210).reshape(5, 6, 7) % 3 == 0).astype(np.float64) * (1 + 2e-10)
        for kind, voxels in (("images", rng.random((5, 6, 7))), ("masks", mask)):
            nib.save(nib.Nifti1Image(voxels.astype(np.float64), np.eye(4)), root / kind / f"v{number}.nii.gz")
    done = convert(root, tmp_path / "raw")
    assert json.loads((tmp_path / "raw" / "dataset.json").read_text())["labels"] == {"background": 0, "foreground": 1}
    assert sum(checked.n_rounded for checked in done.checked.values()) == 2 * 70
    label = np.asanyarray(nib.load(tmp_path / "raw" / "labelsTr" / "v0.nii.gz").dataobj)
    assert np.array_equal(label, np.arange(210).reshape(5, 6, 7) % 3 == 0)
