"""Both families learn scikit-learn's handwritten digits: 8×8 pixels, enlarged to 32×32, a stratified fifth held out."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from nnunet_mamba.classification.labelled_images import LabelledImages
from nnunet_mamba.classification.settings import ClassifierSettings
from nnunet_mamba.classification.training import train_classifier

SIDE = 32


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    grey = (found.images * (255 / 16)).astype(np.uint8)
    enlarged = [np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for image in grey]
    return LabelledImages.from_pixels(np.stack(enlarged), found.target, [str(digit) for digit in range(10)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "overrides", "epochs"),
    [
        ("vim_cifar", {"patch_size": 8, "d_model": 64, "depth": 3, "drop_path_rate": 0.0}, 14),
        ("vm_unet_encoder", {"dims": (24, 48, 96), "depths": (1, 1, 1), "drop_path_rate": 0.0}, 4),
    ],
)
def test_more_than_nineteen_of_twenty_digits_are_told_right(digits, tmp_path, network, overrides, epochs):
    training, held_out = digits.split(0.2)
    settings = ClassifierSettings(
        network=network,
        overrides=overrides,
        image_size=(SIDE, SIDE),
        epochs=epochs,
        batch_size=32,
        learning_rate=3e-3,
        crop_padding=2,
        flip=False,
        device="cpu",
    )

    trained = train_classifier(training, held_out, tmp_path, settings=settings)

    assert len(held_out) == 359
    assert trained.last_accuracy > 0.95
