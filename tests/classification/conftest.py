"""Images whose class a look at their colour tells, and networks that learn it in seconds."""

import numpy as np
import pytest

from nnunet_mamba.classification.labelled_images import LabelledImages
from nnunet_mamba.classification.settings import ClassifierSettings

SMALL = {"vim_cifar": {"d_model": 12, "depth": 2, "d_state": 4}, "vm_unet_encoder": {"dims": (8, 16), "depths": (1, 1)}}


@pytest.fixture
def coloured():
    """36 pictures of noise that is red, green or blue."""
    rng = np.random.default_rng(0)
    labels = np.arange(36) % 3
    pixels = rng.integers(0, 120, (36, 16, 16, 3))
    pixels[np.arange(36), :, :, labels] += 110
    return LabelledImages.from_pixels(pixels.astype(np.uint8), labels, ("red", "green", "blue"))


@pytest.fixture
def quick():
    """Return settings for small networks and images, with changes."""

    def settings(network="vim_cifar", **changes):
        usual = {
            **{"image_size": (16, 16), "overrides": SMALL[network], "epochs": 3, "batch_size": 8},
            **{"learning_rate": 1e-2, "crop_padding": 1, "device": "cpu"},
        }
        return ClassifierSettings(network=network, **{**usual, **changes})

    return settings
