"""Tell what images show, with a network that was trained here."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from nnunet_mamba.classification.classifier_files import BEST_FILE, StoredClassifier, read_classifier_file
from nnunet_mamba.classification.labelled_images import LabelledImages, Pixels
from nnunet_mamba.classification.settings import require_device
from nnunet_mamba.classification.training import class_probabilities
from nnunet_mamba.training.device import device_or_cpu


class Classifier:
    """A trained network.

    Args:
        stored: the content of a file of a training.
        device: that computes; a CPU stands in for a device that is not there.

    Raises:
        ValueError: weights and settings do not fit together, or there is no such kind of device.
    """

    def __init__(self, stored: StoredClassifier, *, device: str = "cuda") -> None:
        self.classes, self.settings = stored.classes, stored.settings
        require_device(device)
        self.device, _ = device_or_cpu(torch.device(device))
        self.network = stored.settings.create_network(len(stored.classes))
        try:
            self.network.load_state_dict(dict(stored.weights))
        except RuntimeError as error:
            raise ValueError(
                f"weights and settings of {stored.settings.network} do not fit together "
                f"({' '.join(str(error).split())}); train again"
            ) from error
        self.network.to(self.device).eval()

    @classmethod
    def load(cls, path: Path | str, *, device: str = "cuda") -> "Classifier":
        """Read the best weights of a training's folder, or one of its files.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no file of a training.
        """
        path = Path(path)
        return cls(read_classifier_file(path / BEST_FILE if path.is_dir() else path), device=device)

    def probabilities(self, pictures: Sequence[Path | str] | Pixels) -> npt.NDArray[np.float32]:
        """Return the probability of every class for every picture, (n, classes).

        Args:
            pictures: image files, or pixels, uint8, (n, h, w) or (n, h, w, 3).

        Raises:
            ValueError: a file is no image that can be read.
        """
        none = np.zeros(len(pictures), np.int64)
        if not len(pictures):
            return np.zeros((0, len(self.classes)), np.float32)
        if isinstance(pictures, np.ndarray):
            images = LabelledImages.from_pixels(pictures, none, self.classes)
        else:
            images = LabelledImages(classes=self.classes, labels=none, pictures=[Path(one) for one in pictures])
        try:
            return class_probabilities(self.network, images, self.settings, device=self.device).numpy()
        except ValueError:
            # Reads all of them, and names those that are wrong.
            images.check_files(self.settings.image_size)
            raise

    def predict(self, pictures: Sequence[Path | str] | Pixels) -> list[tuple[str, float]]:
        """Return the likeliest class of every picture and its probability; arguments are those of ``probabilities``."""
        rows = self.probabilities(pictures)
        return [(self.classes[int(row.argmax())], float(row.max())) for row in rows]
