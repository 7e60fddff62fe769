"""An exported file gives real photographs the masks and probabilities that the library gives them."""

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from PIL import Image

from nnunet_mamba import Predictor
from nnunet_mamba.onnx_models.session import OnnxSession

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("NNUNET_MAMBA_REAL_DATA" not in os.environ, reason="NNUNET_MAMBA_REAL_DATA is not set"),
]
N_IMAGES = 20


@pytest.fixture(scope="module")
def photographs():
    folder = Path(os.environ["NNUNET_MAMBA_REAL_DATA"]) / "isic2017_256/ISIC-2017_Validation_Data"
    return [np.asarray(Image.open(file).convert("RGB")) for file in sorted(folder.glob("*.jpg"))[:N_IMAGES]]


@pytest.fixture(scope="module")
def predictor():
    return Predictor.from_model("isic", device="cpu", mirroring=False)


def test_probabilities_and_masks_are_those_of_the_library(model, predictor, photographs):
    session = OnnxSession(model.SerializeToString())
    assert len(photographs) == N_IMAGES
    expected = np.stack(predictor.predict_probabilities(photographs))
    images = np.stack(photographs).transpose(0, 3, 1, 2).astype(np.float32)
    found = np.concatenate([session.run(image[None])[1] for image in images])
    # Like nnU-Net, the library weighs logits in half precision, most coarsely in the corners of its window.
    np.testing.assert_allclose(found, expected, atol=1e-2)
    assert np.mean((found > 0.5) == (expected > 0.5)) >= 0.9999


# Above, below, left and right.
@pytest.mark.parametrize("frame", [(0, 0, 30, 31), (0, 0, 40, 0), (17, 60, 0, 9)])
def test_black_margins_make_no_difference(model, predictor, photographs, frame):
    above, below, left, right = frame
    framed = [np.zeros_like(photograph) for photograph in photographs]
    for image, photograph in zip(framed, photographs, strict=True):
        place = slice(above, 256 - below), slice(left, 256 - right)
        image[place] = np.maximum(photograph, 1)[place]
    expected = np.stack(predictor.predict_probabilities(framed))
    batch = np.stack(framed).transpose(0, 3, 1, 2).astype(np.float32)
    _, found = OnnxSession(model.SerializeToString()).run(batch)
    np.testing.assert_allclose(found, expected, atol=1e-2)
    assert np.mean((found > 0.5) == (expected > 0.5)) >= 0.9999
