"""Real images: found, read as nnU-Net reads them after a conversion, and given masks of their own size and name."""

import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from nnunet_mamba.data.converters.isic import IsicOptions, prepare_isic_images
from nnunet_mamba.data.converters.lgg import LggOptions, prepare_lgg_images
from nnunet_mamba.data.converters.ph2 import prepare_ph2_images
from nnunet_mamba.data.converters.synapse import RAW_DATA_NUMBERS, prepare_synapse_images
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion, ImageKind
from nnunet_mamba.data.unlabelled.image_reading import read_image
from nnunet_mamba.data.unlabelled.mask_writing import write_masks

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("NNUNET_MAMBA_REAL_DATA" not in os.environ, reason="NNUNET_MAMBA_REAL_DATA is not set"),
]

BLACK_AND_WHITE = {"background": (0,), "lesion": (255,)}
SKIN = ImageConversion(
    kind=ImageKind.PHOTOGRAPHS,
    channel_names=("R", "G", "B"),
    labels={"background": 0, "lesion": 1},
    source_labels=BLACK_AND_WHITE,
    size=(256, 256),
)
SEQUENCES = ("pre-contrast", "FLAIR", "post-contrast")
SCANS = ImageConversion(
    kind=ImageKind.LGG_VOLUMES,
    channel_names=SEQUENCES,
    labels=SKIN.labels,
    source_labels=BLACK_AND_WHITE,
    spacing=(5.0, 1.0, 1.0),
)
SLICES = ImageConversion(
    kind=ImageKind.LGG_SLICES,
    channel_names=SEQUENCES,
    labels=SKIN.labels,
    source_labels=BLACK_AND_WHITE,
    size=(128, 96),
)
CT = ImageConversion(
    kind=ImageKind.CT_VOLUMES,
    channel_names=("CT",),
    labels={"background": 0, "spleen": 1, "liver": 2},
    source_labels={"background": (0,), "spleen": (1,), "liver": (RAW_DATA_NUMBERS["liver"],)},
)


@pytest.fixture(scope="module")
def real_data():
    return Path(os.environ["NNUNET_MAMBA_REAL_DATA"])


@pytest.fixture(scope="module")
def dozen(real_data, tmp_path_factory):
    """Twelve photographs of ISIC 2017 with their masks beside them."""
    folder = tmp_path_factory.mktemp("dozen")
    source = real_data / "isic2017_256"
    for path in sorted((source / "ISIC-2017_Training_Data").iterdir())[:12]:
        shutil.copy(path, folder)
        shutil.copy(source / "ISIC-2017_Training_Part1_GroundTruth" / f"{path.stem}_segmentation.png", folder)
    return folder


def box(image, number=1):
    """A label map that is zero all over but for a box."""
    label = np.zeros(image.channels.shape[1:], np.uint8)
    label[tuple(slice(size // 4, -(-size // 2)) for size in label.shape)] = number
    return label


def places(folder, pattern):
    """The pictures below a folder as their masks are to be called."""
    return sorted(path.relative_to(folder).with_suffix(".png").as_posix() for path in folder.glob(pattern))


@pytest.mark.parametrize(
    ("name", "images", "n_images"),
    [
        ("isic2016_224", "images/*.jpg", 285),
        ("PH2Dataset", "*/*/*_Dermoscopic_Image/*.bmp", 10),
        ("ISIC-2017_Test_v2_Data", "*.jpg", 3),
        ("ham10000_palette", "images/*.jpg", 6),
        ("dozen", "*.jpg", 12),
    ],
)
def test_every_skin_image_gets_a_mask_of_its_own_size_and_name(
    real_data, dozen, find, tmp_path, name, images, n_images
):
    source = dozen if name == "dozen" else real_data / name
    cases = find(source, SKIN)
    written = []
    for case in cases:
        image = read_image(case, SKIN)
        assert image.channels.shape == (3, 1, 256, 256)
        (file,) = write_masks(box(image), case, image, conversion=SKIN, output=tmp_path / "out")
        written.append(file.relative_to(tmp_path / "out").as_posix())
        with Image.open(file) as mask, Image.open(case.channels[0]) as photograph:
            assert mask.size == photograph.size
            assert sorted(value for _, value in mask.getcolors()) == [0, 255]
            assert image.upright_picture().shape == (*mask.size[::-1], 3)
    assert sorted(written) == places(source, images)
    assert len(written) == n_images


def test_every_scan_and_slice_gets_masks(real_data, find, tmp_path):
    source = real_data / "kaggle_3m"
    slices = [name for name in places(source, "*/*.tif") if not name.endswith("_mask.png")]
    for conversion in (SCANS, SLICES):
        output = tmp_path / conversion.kind.value
        for case in find(source, conversion):
            image = read_image(case, conversion)
            for file in write_masks(box(image), case, image, conversion=conversion, output=output):
                assert Image.open(file).size == Image.open(source / file.relative_to(output).with_suffix(".tif")).size
        assert places(output, "*/*.png") == slices


def test_every_ct_gets_a_mask_where_it_lies(real_data, find, tmp_path):
    source = real_data / "btcv_like" / "RawData" / "Training"
    cases = find(source, CT)
    assert [case.masks for case in cases] == [("img/img0001.nii.gz",), ("img/img0002.nii.gz",)]
    for case in cases:
        image = read_image(case, CT)
        (file,) = write_masks(box(image, 2), case, image, conversion=CT, output=tmp_path / "out")
        mask, ct = nib.load(file), nib.load(case.channels[0])
        assert mask.shape == ct.shape
        assert np.allclose(mask.affine, ct.affine, atol=1e-5)
        assert np.unique(np.asanyarray(mask.dataobj)).tolist() == [0, RAW_DATA_NUMBERS["liver"]]
        one, other = (SimpleITK.ReadImage(str(path)) for path in (file, case.channels[0]))
        assert np.allclose(one.GetDirection(), other.GetDirection(), atol=1e-5)
        assert np.allclose(one.GetOrigin(), other.GetOrigin(), atol=1e-4)


def prepare_skin(source, folder):
    prepare_isic_images(source, folder, options=IsicOptions())


def prepare_scans(source, folder):
    prepare_lgg_images(source, folder)


def prepare_slices(source, folder):
    prepare_lgg_images(source, folder, options=LggOptions(as_volumes=False, size=(128, 96)))


@pytest.mark.parametrize(
    ("name", "conversion", "prepare"),
    [
        ("isic2016_224", SKIN, prepare_skin),
        ("ISIC-2017_Test_v2_Data", SKIN, prepare_skin),
        ("ham10000_palette", SKIN, prepare_skin),
        ("dozen", SKIN, prepare_skin),
        ("PH2Dataset", SKIN, prepare_ph2_images),
        ("kaggle_3m", SCANS, prepare_scans),
        ("kaggle_3m", SLICES, prepare_slices),
        ("btcv_like/RawData/Training", CT, prepare_synapse_images),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_real_images_are_what_nnunet_reads_of_the_converted_files(
    real_data, dozen, find, read_converted, tmp_path, name, conversion, prepare
):
    source = dozen if name == "dozen" else real_data / name
    prepare(source, tmp_path / "prepared")
    cases = find(source, conversion)
    n_files = len([path for path in (tmp_path / "prepared").iterdir() if path.suffix != ".json"])
    assert n_files == len(cases) * (3 if conversion is SCANS else 1)
    for case in cases:
        image = read_image(case, conversion)
        _, channels, properties = read_converted(tmp_path / "prepared", case.channels[0], conversion)
        assert np.array_equal(image.channels.astype(np.float32), channels)
        assert image.spacing == tuple(map(float, properties["spacing"]))
