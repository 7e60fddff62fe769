"""The files of a training: safetensors, whose metadata tell all else as JSON; whole or not at all, and free of code."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from nnunet_mamba.classification.settings import ClassifierSettings, settings_from_json
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.checked_entries import Entry
from nnunet_mamba.system.json_files import parse_json

LAST_FILE, BEST_FILE = "last.safetensors", "best.safetensors"
_METADATA, _WEIGHTS, _OPTIMIZER = "classifier", "weights/", "optimizer/"
_FORMAT = 1
_WAY_OUT = "it is damaged, or another program's; remove it, and train again"


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What an epoch has given.

    Args:
        loss: mean of cross entropy over the training images.
        held_out_loss: the same over the held-out ones, without weights of classes or smoothed labels.
        accuracy: share of the held-out images whose class is told right.
        balanced_accuracy: mean over classes of the share of each class, which a frequent class does not lift.
        n_predicted: classes that are given to any held-out image; 1 tells of a network that learned nothing.
        seconds: it took.
    """

    loss: float
    held_out_loss: float
    accuracy: float
    balanced_accuracy: float
    n_predicted: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class StoredClassifier:
    """What a file holds.

    Args:
        settings: of the training.
        classes: names, in the order of the network's outputs.
        n_images: training images and held-out ones.
        digests: ``LabelledImages.digest`` of both.
        history: of all epochs so far.
        weights: of the network, by name.
        optimizer: index of a parameter to its state by name; empty in files that only predict.
    """

    settings: ClassifierSettings
    classes: tuple[str, ...]
    n_images: tuple[int, int]
    digests: tuple[str, str]
    history: tuple[Epoch, ...]
    weights: Mapping[str, Tensor]
    optimizer: Mapping[int, Mapping[str, Tensor]]


def write_classifier_file(stored: StoredClassifier, path: Path) -> None:
    """Write a file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    described = {
        "format": _FORMAT,
        "settings": stored.settings.as_json(),
        "classes": list(stored.classes),
        "n_images": list(stored.n_images),
        "digests": list(stored.digests),
        "history": [asdict(epoch) for epoch in stored.history],
    }
    tensors = {f"{_WEIGHTS}{name}": value.detach().cpu().contiguous() for name, value in stored.weights.items()}
    for index, state in stored.optimizer.items():
        tensors |= {f"{_OPTIMIZER}{index}/{name}": value.detach().cpu().contiguous() for name, value in state.items()}
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={_METADATA: json.dumps(described)})
        except SafetensorError as error:
            raise OSError(f"{path} cannot be written; make room, or train elsewhere ({error})") from error


def read_classifier_file(path: Path) -> StoredClassifier:
    """Return what ``write_classifier_file`` has written.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected the file of a trained classification network")
    try:
        with safe_open(path, framework="pt") as opened:
            text = (opened.metadata() or {}).get(_METADATA)
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} is no file of safetensors ({error}); {_WAY_OUT}") from error
    if text is None:
        raise ValueError(f"{path} does not tell which classifier it is of; {_WAY_OUT}")
    entry = Entry(parse_json(text, str(path)), str(path), _WAY_OUT)
    if entry.at("format").whole() != _FORMAT:
        entry.at("format").refuse(f"{_FORMAT}, which this version reads")
    optimizer: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(_OPTIMIZER):
            _, index, part = name.split("/", 2)
            optimizer.setdefault(int(index), {})[part] = value
    training, held_out = entry.at("n_images").items(n=2)
    of_training, of_held_out = entry.at("digests").items(n=2)
    return StoredClassifier(
        settings=_settings(entry.at("settings")),
        classes=tuple(item.text() for item in entry.at("classes").items()),
        n_images=(training.whole(), held_out.whole()),
        digests=(of_training.text(), of_held_out.text()),
        history=tuple(map(_epoch, entry.at("history").items())),
        weights={name.removeprefix(_WEIGHTS): value for name, value in tensors.items() if name.startswith(_WEIGHTS)},
        optimizer=optimizer,
    )


def _settings(entry: Entry) -> ClassifierSettings:
    try:
        return settings_from_json(entry.object())
    except (ValueError, TypeError) as error:
        raise ValueError(f"{entry.place}: {error}; {_WAY_OUT}") from error


def _epoch(entry: Entry) -> Epoch:
    numbers: dict[str, Any] = {
        name: value.whole() if name == "n_predicted" else value.number() for name, value in entry.entries()
    }
    try:
        return Epoch(**numbers)
    except TypeError as error:
        raise ValueError(f"{entry.place}: {error}; {_WAY_OUT}") from error
