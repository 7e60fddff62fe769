import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.converters.binary_mask_photographs import PhotographConverter, photograph_description
from nnunet_mamba.data.formats.image_files import load_binary_mask
from nnunet_mamba.data.restoring.converted_dataset import read_converted_dataset
from nnunet_mamba.data.restoring.restoration import restore_masks
from nnunet_mamba.data.restoring.source_agreement import compare_with_source
from nnunet_mamba.data.sources.pairing import list_images, pair_images_with_masks
from nnunet_mamba.data.writing.conversion_record import ConversionRecord
from nnunet_mamba.data.writing.raw_dataset import write_raw_dataset

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("NNUNET_MAMBA_REAL_DATA" not in os.environ, reason="NNUNET_MAMBA_REAL_DATA is not set"),
]


@pytest.fixture(params=["ISIC-2017", "ham10000_palette"])
def cases(request):
    real_data = Path(os.environ["NNUNET_MAMBA_REAL_DATA"])
    folders = {
        "ISIC-2017": ("ISIC-2017_Test_v2_Data", "ISIC-2017_Test_v2_Part1_GroundTruth"),
        "ham10000_palette": ("ham10000_palette/images", "ham10000_palette/masks"),
    }
    images, masks = (list_images(real_data / name) for name in folders[request.param])
    found, problems = pair_images_with_masks(images, masks, mask_suffix="_segmentation", is_training=True)
    assert not problems
    return found


@pytest.mark.parametrize(("size", "lowest_dice"), [(None, 1), ((256, 256), 0.97)], ids=["original", "256"])
def test_real_masks_come_back(cases, tmp_path, size, lowest_dice):
    raw, restored = tmp_path / "raw", tmp_path / "restored"
    recorded = {"size": "original" if size is None else "256x256", "source_labels": {"background": 0, "lesion": 255}}
    description = photograph_description("lesion", sigmoid=False)
    record = ConversionRecord.of("test", recorded, cases)
    write_raw_dataset(cases, raw, description, converter=PhotographConverter(size=size), record=record)
    dataset = read_converted_dataset(raw, raw / "labelsTr")
    restore_masks(raw / "labelsTr", dataset, restored)
    for case in cases:
        mask = load_binary_mask(case.mask) * np.uint8(255)
        found = np.asarray(Image.open(restored / f"{case.identifier}.png"))
        assert found.shape == mask.shape
        assert size is not None or np.array_equal(found, mask)
    assert min(one.dice["lesion"] for one in compare_with_source(raw / "labelsTr", dataset)) >= lowest_dice
