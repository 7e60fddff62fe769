import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.converters.folder import convert_folder
from nnunet_mamba.data.converters.folder_options import FolderOptions
from nnunet_mamba.data.converters.ph2 import Ph2Options, convert_ph2
from nnunet_mamba.data.formats.label_values import LabelValues
from nnunet_mamba.data.sources.pattern_source import Source

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("NNUNET_MAMBA_REAL_DATA" not in os.environ, reason="NNUNET_MAMBA_REAL_DATA is not set"),
]


@pytest.fixture
def real_data() -> Path:
    return Path(os.environ["NNUNET_MAMBA_REAL_DATA"])


def label(raw, identifier):
    return np.asarray(Image.open(raw / "labelsTr" / f"{identifier}.png"))


def test_ph2_keeps_every_pixel(real_data, tmp_path):
    options = Ph2Options(size=None)
    done = convert_ph2(real_data / "PH2Dataset", tmp_path / "raw", options=options)
    assert done.n_training == 10
    images = real_data / "PH2Dataset" / "PH2 Dataset images"
    for case in done.cases:
        name = case.identifier
        lesion = np.asarray(Image.open(images / name / f"{name}_lesion" / f"{name}_lesion.bmp"))
        assert np.array_equal(label(tmp_path / "raw", name), lesion)
        assert 0.1 < lesion.mean() < 0.5


def test_ph2_is_a_folder_like_any_other(real_data, tmp_path):
    source = Source(
        images=real_data / "PH2Dataset",
        image_pattern="**/{case}/{case}_Dermoscopic_Image/{case}.bmp",
        mask_pattern="**/{case}/{case}_lesion/{case}_lesion.bmp",
    )
    convert_folder(source, tmp_path / "folder")
    options = Ph2Options(size=None)
    convert_ph2(real_data / "PH2Dataset", tmp_path / "ph2", options=options)
    for part in ("imagesTr", "labelsTr"):
        for path in (tmp_path / "ph2" / part).iterdir():
            assert path.read_bytes() == (tmp_path / "folder" / part / path.name).read_bytes()


def test_mask_saved_again_in_colour_is_the_same_mask(real_data, tmp_path):
    images = real_data / "PH2Dataset" / "PH2 Dataset images" / "IMD002"
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    (tmp_path / "images" / "a.bmp").symlink_to(images / "IMD002_Dermoscopic_Image" / "IMD002.bmp")
    (tmp_path / "masks" / "a.bmp").symlink_to(real_data / "quirks" / "PH2_IMD002_lesion_rgb24_topdown.bmp")
    convert_folder(Source(images=tmp_path), tmp_path / "raw")
    lesion = np.asarray(Image.open(images / "IMD002_lesion" / "IMD002_lesion.bmp"))
    assert np.array_equal(label(tmp_path / "raw", "a"), lesion)


def test_palette_masks_mark_the_lesion(real_data, tmp_path):
    root = real_data / "ham10000_palette"
    done = convert_folder(Source(images=root), tmp_path / "raw")
    assert done.n_training == 6
    for case in done.cases:
        found = label(tmp_path / "raw", case.identifier)
        indices = np.asarray(Image.open(case.mask))
        # Index 0 is white.
        assert np.array_equal(found, indices == 0)
        assert 0.01 < found.mean() < 0.6
        assert found[[0, -1]].mean() < found.mean()


def test_masks_with_grey_borders_need_a_threshold(real_data, tmp_path):
    root = real_data / "isic2016_224"
    source = Source(images=root / "images", masks=root / "masks", mask_pattern="{case}_Segmentation.png")
    with pytest.raises(ValueError, match=r"285 problems found[\s\S]*`threshold=127`"):
        convert_folder(source, tmp_path / "raw")
    options = FolderOptions(threshold=127)
    done = convert_folder(source, tmp_path / "raw", options=options)
    assert done.n_training == 285
    for case in done.cases:
        assert np.array_equal(label(tmp_path / "raw", case.identifier), np.asarray(Image.open(case.mask)) > 127)


def test_volumes_keep_the_count_of_every_label(real_data, tmp_path):
    import SimpleITK

    root = real_data / "btcv_like" / "RawData" / "Training"
    source = Source(images=root, image_pattern="img/img{case}.nii.gz", mask_pattern="label/label{case}.nii.gz")
    organs = LabelValues.of({str(number): number for number in range(1, 14)})
    options = FolderOptions(labels=organs, channel_names=("CT",))
    convert_folder(source, tmp_path / "raw", options=options)
    for name in ("0001", "0002"):
        image = SimpleITK.ReadImage(str(root / "img" / f"img{name}.nii.gz"))
        # Through physical space, by a reader that is not ours.
        on_grid = SimpleITK.Resample(
            SimpleITK.ReadImage(str(root / "label" / f"label{name}.nii.gz")),
            image,
            SimpleITK.Transform(),
            SimpleITK.sitkNearestNeighbor,
        )
        written = SimpleITK.ReadImage(str(tmp_path / "raw" / "labelsTr" / f"{name}.nii.gz"))
        copied = SimpleITK.ReadImage(str(tmp_path / "raw" / "imagesTr" / f"{name}_0000.nii.gz"))
        pixels = SimpleITK.GetArrayFromImage
        assert np.array_equal(pixels(written), pixels(on_grid))
        assert np.array_equal(pixels(copied), pixels(image))
        assert np.allclose(copied.GetDirection(), image.GetDirection())
