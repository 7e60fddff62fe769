"""Train a classification network on images; a training that was stopped continues where its last epoch ended."""

import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.classification.batches import (
    epoch_seed,
    held_in_memory,
    normalised,
    plain_batches,
    training_batches,
)
from nnunet_mamba.classification.classifier_files import (
    BEST_FILE,
    LAST_FILE,
    Epoch,
    StoredClassifier,
    read_classifier_file,
    write_classifier_file,
)
from nnunet_mamba.classification.labelled_images import LabelledImages
from nnunet_mamba.classification.settings import ClassifierSettings
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.folder_lock import only_writer
from nnunet_mamba.system.memory_errors import is_lack_of_memory
from nnunet_mamba.system.progress import ShownProgress
from nnunet_mamba.training.device import device_or_cpu
from nnunet_mamba.training.parameter_groups import parameter_groups

HISTORY_FILE = "history.json"
# Of all steps, in which the learning rate rises.
WARM_UP = 0.05
LARGEST_GRADIENT = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ClassifierTraining:
    """A finished training.

    Args:
        folder: with the weights of its last epoch and of its best one, for ``Classifier.load``.
        history: of every epoch.
    """

    folder: Path
    history: tuple[Epoch, ...]

    @property
    def last_accuracy(self) -> float:
        """Share of the held-out images that the last epoch's weights tell right."""
        return self.history[-1].accuracy

    @property
    def best(self) -> Epoch:
        """The epoch that told held-out images best, whose weights ``Classifier.load`` reads."""
        return max(reversed(self.history), key=_merit)

    @property
    def best_accuracy(self) -> float:
        """Such a share of the best epoch; it is chosen on these images, so it flatters."""
        return self.best.accuracy


class OtherTrainingError(ValueError):
    """A folder holds another training than the one that was asked for.

    Args:
        folder: of the training.
        differences: names of what is other.
    """

    def __init__(self, folder: Path, differences: list[str]) -> None:
        self.found = f"{folder} holds a training with other {', '.join(differences)}"
        if "epochs" in differences:
            self.found += " (the learning rate follows the number of epochs, so no training becomes longer or shorter)"
        super().__init__(f"{self.found}; choose another folder, or remove this one")


def train_classifier(
    training: LabelledImages,
    held_out: LabelledImages,
    folder: Path | str,
    *,
    settings: ClassifierSettings,
    weights: Mapping[str, Tensor] | None = None,
    progress: bool = False,
) -> ClassifierTraining:
    """Train a network, and tell after every epoch how many held-out images it gets right.

    Args:
        training: images to learn from.
        held_out: images of the same classes that only measure.
        folder: for the weights and their history; one with a training of the same settings is continued.
        settings: the network, and how it is trained.
        weights: that the network begins with, by name; those of a head for other classes are left out.
        progress: show how far it is.

    Raises:
        OtherTrainingError: the folder holds another training.
        ValueError: images or settings do not fit, the loss is not finite, or the device's memory is too small.
        OSError: nothing can be written there.
    """
    folder = Path(folder)
    _check_images(training, held_out)
    _check_device(settings.device)
    device, notice = device_or_cpu(torch.device(settings.device))
    if notice:
        _log.info(notice)
    with only_writer(folder):
        run = _Run(folder, settings, (training, held_out), device=device)
        run.begin(weights or {})
        if run.n_left:
            training, held_out = (held_in_memory(one, settings, progress=progress) for one in (training, held_out))
        with ShownProgress(run.n_left * len(training), "training", unit="image", is_shown=progress) as shown:
            try:
                while run.n_left:
                    run.train_epoch(training, held_out, shown=shown)
            except (RuntimeError, MemoryError) as error:
                if not is_lack_of_memory(error):
                    raise
                height, width = settings.image_size
                raise ValueError(
                    f"the memory of {device} does not hold a step of `batch_size={settings.batch_size}` images of "
                    f"{height}×{width}; take fewer, or smaller images"
                ) from error
        trained = ClassifierTraining(folder=folder, history=tuple(run.history))
        if trained.history[-1].n_predicted == 1 or trained.best.n_predicted == 1:
            which = "last" if trained.history[-1].n_predicted == 1 else "best"
            _log.warning(
                f"The weights of the {which} epoch give all {len(held_out)} held-out images one class; train longer, "
                f"with another `learning_rate`, or with `balanced_loss=True` if classes differ in size"
            )
        return trained


class _Run:
    """A training with its network and optimiser.

    Args:
        folder: of its files.
        settings: see there.
        images: those to train with and those held out; they are counted here, and not kept.
        device: that trains.
    """

    def __init__(
        self,
        folder: Path,
        settings: ClassifierSettings,
        images: tuple[LabelledImages, LabelledImages],
        *,
        device: torch.device,
    ) -> None:
        self.folder, self.settings, self.device = folder, settings, device
        self.classes, self.n_images = images[0].classes, (len(images[0]), len(images[1]))
        self.digests = (images[0].digest(), images[1].digest())
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(settings.seed)
            self.network = settings.create_network(len(self.classes))
        self.network.to(device)
        groups = parameter_groups(self.network, settings.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
        self.history: list[Epoch] = []

    @property
    def n_left(self) -> int:
        """Epochs that are still to come."""
        return self.settings.epochs - len(self.history)

    def begin(self, weights: Mapping[str, Tensor]) -> None:
        """Take what an earlier process has left, or else the weights to begin with."""
        last = self.folder / LAST_FILE
        if not last.exists():
            self._take(weights)
            return
        stored = read_classifier_file(last)
        differences = self.settings.differences(stored.settings)
        ours, theirs = ((run.classes, run.n_images, run.digests) for run in (self, stored))
        if ours != theirs:
            differences.append("images")
        if differences:
            raise OtherTrainingError(self.folder, differences)
        self.network.load_state_dict(dict(stored.weights))
        own = self.optimizer.state_dict()
        self.optimizer.load_state_dict({**own, "state": {i: dict(state) for i, state in stored.optimizer.items()}})
        self.history = list(stored.history)

    def _take(self, weights: Mapping[str, Tensor]) -> None:
        shapes = {name: value.shape for name, value in self.network.state_dict().items()}
        fitting = {name: value for name, value in weights.items() if shapes.get(name) == value.shape}
        left_out = {name for name in {*weights, *shapes} if weights and name not in fitting}
        if wrong := sorted(name for name in left_out if not name.startswith("head.")):
            raise ValueError(
                f"weights do not fit {self.settings.network}: {len(wrong)} names or shapes differ, such as {wrong[0]}; "
                f"give the settings the network and the overrides of these weights"
            )
        self.network.load_state_dict(fitting, strict=False)

    def train_epoch(self, training: LabelledImages, held_out: LabelledImages, *, shown: ShownProgress) -> None:
        """Pass over the training images once, look at the held-out ones, and write both down."""
        epoch, began = len(self.history), time.monotonic()
        with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if self.device.type == "cuda" else ()):
            torch.manual_seed(epoch_seed(self.settings.seed, epoch))
            loss = self._pass_over(training, epoch, shown=shown)
        logits = _logits(self.network, held_out, self.settings, device=self.device)
        predicted = logits.argmax(1)
        accuracy, balanced = _accuracies(predicted, held_out)
        made = Epoch(
            loss=loss,
            held_out_loss=self._finite(functional.cross_entropy(logits, torch.from_numpy(held_out.labels)), epoch),
            accuracy=accuracy,
            balanced_accuracy=balanced,
            n_predicted=len(np.unique(predicted.numpy())),
            seconds=time.monotonic() - began,
        )
        is_best = all(_merit(made) >= _merit(before) for before in self.history)
        self.history.append(made)
        if is_best:
            write_classifier_file(self._stored({}), self.folder / BEST_FILE)
        # The last: what is here was whole when the epoch ended, and an epoch without it is done again.
        write_classifier_file(self._stored(self.optimizer.state_dict()["state"]), self.folder / LAST_FILE)
        with replacing(self.folder / HISTORY_FILE) as temporary:
            temporary.write_text(json.dumps(list(map(asdict, self.history)), indent=2) + "\n", encoding="utf-8")
        _log.info("epoch %d of %d: loss %.4f, accuracy %.4f", epoch + 1, self.settings.epochs, loss, accuracy)

    def _pass_over(self, training: LabelledImages, epoch: int, *, shown: ShownProgress) -> float:
        """Take a step for every batch; return the mean loss of the images."""
        batches = training_batches(training, self.settings, epoch=epoch)
        total, n_seen = 0.0, 0
        weights = _class_weights(training, self.settings).to(self.device)
        self.network.train()
        for number, (images, labels) in enumerate(batches):
            rate = learning_rate(epoch + number / len(batches), self.settings)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            images, labels = images.to(self.device), labels.to(self.device)
            with _autocast(self.device):
                logits = self.network(normalised(images, self.settings))
            losses = functional.cross_entropy(
                logits.float(), labels, label_smoothing=self.settings.label_smoothing, reduction="none"
            )
            loss = (losses * weights[labels]).mean()
            total, n_seen = total + self._finite(loss, epoch) * len(labels), n_seen + len(labels)
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
            self.optimizer.step()
            shown.update(len(labels))
        return total / n_seen

    def _finite(self, loss: Tensor, epoch: int) -> float:
        """Return a loss as a number, and refuse to go on with what is none."""
        if not math.isfinite(loss.item()):
            raise ValueError(
                f"the loss of epoch {epoch + 1} is not finite; remove {self.folder} and train again with a "
                f"`learning_rate` below {self.settings.learning_rate:g}"
            )
        return loss.item()

    def _stored(self, optimizer: Mapping[int, Mapping[str, Tensor]]) -> StoredClassifier:
        return StoredClassifier(
            settings=self.settings,
            classes=self.classes,
            n_images=self.n_images,
            digests=self.digests,
            history=tuple(self.history),
            weights=self.network.state_dict(),
            optimizer=optimizer,
        )


def learning_rate(epoch: float, settings: ClassifierSettings) -> float:
    """Return the learning rate at a time of the training: a straight line up, then a cosine down to 0.

    Args:
        epoch: epochs that have passed, in fractions.
        settings: tell the highest rate and the number of epochs.
    """
    passed = epoch / settings.epochs
    if passed < WARM_UP:
        return settings.learning_rate * (passed / WARM_UP * 0.99 + 0.01)
    return settings.learning_rate * (1 + math.cos(math.pi * (passed - WARM_UP) / (1 - WARM_UP))) / 2


def class_probabilities(
    network: nn.Module, images: LabelledImages, settings: ClassifierSettings, *, device: torch.device
) -> Tensor:
    """Return the probability of every class for every image, (n, classes), on the CPU; the network is in evaluation."""
    return _logits(network, images, settings, device=device).softmax(1)


@torch.no_grad()
def _logits(
    network: nn.Module, images: LabelledImages, settings: ClassifierSettings, *, device: torch.device
) -> Tensor:
    network.eval()
    rows = []
    for pictures, _ in plain_batches(images, settings):
        with _autocast(device):
            logits = network(normalised(pictures.to(device), settings))
        rows.append(logits.float().cpu())
    return torch.cat(rows)


def _merit(epoch: Epoch) -> tuple[float, float]:
    """Return what the best epoch has most of; of equal ones the later is taken."""
    # Plain accuracy is high where all images are given the frequent class.
    return epoch.balanced_accuracy, -epoch.held_out_loss


def _class_weights(images: LabelledImages, settings: ClassifierSettings) -> Tensor:
    """Return what an image of each class counts in the loss, (classes,); the mean over the images is 1."""
    if not settings.balanced_loss:
        return torch.ones(len(images.classes))
    counts = np.bincount(images.labels, minlength=len(images.classes))
    return torch.tensor(len(images) / (np.count_nonzero(counts) * counts.clip(min=1)), dtype=torch.float32)


def _accuracies(predicted: Tensor, images: LabelledImages) -> tuple[float, float]:
    """Return the share of images that are told right, and the mean of that share over the classes that there are."""
    is_right = predicted.numpy() == images.labels
    shares = [float(is_right[images.labels == label].mean()) for label in np.unique(images.labels)]
    return float(is_right.mean()), sum(shares) / len(shares)


def _autocast(device: torch.device) -> torch.autocast:
    """Return what lets a CUDA device that has bf16 compute in it; the state spaces stay in float32."""
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_bf16)


def _check_device(name: str) -> None:
    index, n_devices = torch.device(name).index, torch.cuda.device_count()
    if name.startswith("cuda:") and n_devices and index >= n_devices:
        raise ValueError(f"`device={name}`, but this machine has {n_devices}, from cuda:0 to cuda:{n_devices - 1}")


def _check_images(training: LabelledImages, held_out: LabelledImages) -> None:
    if training.classes != held_out.classes:
        raise ValueError(
            f"training images are of {', '.join(training.classes)} and held-out ones of {', '.join(held_out.classes)}, "
            f"expected the same classes; hold a share of all images out"
        )
    if not len(training) or not len(held_out):
        raise ValueError(f"{len(training)} training images and {len(held_out)} held-out ones, expected some of both")
