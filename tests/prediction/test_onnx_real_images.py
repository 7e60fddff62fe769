"""An ONNX file gives real photographs the masks that its model gives them in torch."""

import os
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from PIL import Image

from nnunet_mamba.prediction.predictor import Predictor
from nnunet_mamba.web.shipped_page import network_folder

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("NNUNET_MAMBA_REAL_DATA" not in os.environ, reason="NNUNET_MAMBA_REAL_DATA is not set"),
]
N_OF_ISIC, N_OF_PH2 = 45, 20


@pytest.fixture(scope="module")
def photographs():
    folder = Path(os.environ["NNUNET_MAMBA_REAL_DATA"])
    of_isic = sorted((folder / "isic2017_256/ISIC-2017_Validation_Data").glob("*.jpg"))[:N_OF_ISIC]
    of_ph2 = sorted((folder / "PH2Dataset").rglob("*_Dermoscopic_Image/*.bmp"))[:N_OF_PH2]
    found = [np.asarray(Image.open(file).convert("RGB")) for file in chain(of_isic, of_ph2)]
    # Many photographs of dermoscopes have a black frame.
    framed = found[0].copy()
    framed[:, :30] = framed[-17:] = 0
    return [*found, framed]


@pytest.mark.parametrize("mirroring", [False, True])
def test_masks_are_equal_but_for_ties(photographs, mirroring):
    in_torch, ours = (
        Predictor.from_model(model, device="cpu", mirroring=mirroring)
        for model in ("ultralbm-isic", network_folder() / "ultralbm-isic.onnx")
    )
    equal = []
    for found, expected in zip(ours.predict(photographs), in_torch.predict(photographs), strict=True):
        both = int(((found == 1) & (expected == 1)).sum())
        n_inside = int((found == 1).sum() + (expected == 1).sum())
        assert n_inside == 0 or 2 * both / n_inside >= 0.999
        equal.append((found == expected).mean())
    assert np.mean(equal) >= 0.99999
