import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.measure import label, perimeter_crofton, regionprops

from nnunet_mamba.measurements.label_statistics import measure

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("NNUNET_MAMBA_REAL_DATA" not in os.environ, reason="NNUNET_MAMBA_REAL_DATA is not set"),
]


@pytest.mark.parametrize(
    "pattern", ["PH2Dataset/*/*/*_lesion/*_lesion.bmp", "isic2016_224/masks/ISIC_100?_Segmentation.png"]
)
def test_lesions_have_the_sizes_that_scikit_image_finds(pattern):
    masks = sorted(Path(os.environ["NNUNET_MAMBA_REAL_DATA"]).glob(pattern))
    assert masks
    for path in masks:
        with Image.open(path) as image:
            mask = np.asarray(image.convert("L")) > 127
        (lesion,) = measure(mask.astype(np.uint8), labels={"lesion": 1})
        parts = regionprops(label(mask))
        assert lesion.n_parts == len(parts), path
        assert lesion.area_px == sum(part.area for part in parts), path
        # Its estimate is biased by up to 5 % along the axes, and its diameter takes corners of pixels.
        assert lesion.perimeter_px == pytest.approx(perimeter_crofton(np.pad(mask, 2)), rel=0.02), path
        assert lesion.longest_diameter_px == pytest.approx(max(part.feret_diameter_max for part in parts), abs=1), path
