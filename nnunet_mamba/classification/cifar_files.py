"""CIFAR-10 and CIFAR-100 from their python files, as Krizhevsky published them; nothing in them is run.

Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images".
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnunet_mamba.classification.array_pickles import read_array_pickle
from nnunet_mamba.classification.labelled_images import LabelledImages

SIDE = 32  # pixels


class _Layout(NamedTuple):
    """The names in one of the two data sets."""

    folder: str
    training: tuple[str, ...]
    test: str
    names: str
    labels_entry: str
    names_entry: str


_LAYOUTS = (
    _Layout(
        folder="cifar-10-batches-py",
        training=tuple(f"data_batch_{number}" for number in range(1, 6)),
        test="test_batch",
        names="batches.meta",
        labels_entry="labels",
        names_entry="label_names",
    ),
    _Layout(
        folder="cifar-100-python",
        training=("train",),
        test="test",
        names="meta",
        labels_entry="fine_labels",
        names_entry="fine_label_names",
    ),
)


def is_cifar_folder(folder: Path) -> bool:
    """Return whether ``folder`` is one of CIFAR's, by its files, or holds one by its name."""
    return _found(folder) is not None


def read_cifar(folder: Path | str) -> tuple[LabelledImages, LabelledImages]:
    """Return CIFAR's training and test images.

    Args:
        folder: the unpacked ``cifar-10-batches-py`` or ``cifar-100-python``, or what holds it.

    Raises:
        ValueError: there is no such folder, a file is missing, damaged, or asks for more than arrays of bytes, texts
            and numbers.
        OSError: unreadable.
    """
    found = _found(Path(folder))
    if found is None:
        raise ValueError(
            f"{folder} holds none of CIFAR's folders, expected the unpacked python version of CIFAR-10 or CIFAR-100, "
            f"{_LAYOUTS[0].folder} or {_LAYOUTS[1].folder}"
        )
    here, layout = found
    if missing := [name for name in (*layout.training, layout.test) if not (here / name).is_file()]:
        raise ValueError(f"{here} lacks {', '.join(missing)}; unpack the archive again")
    names = _entry(here / layout.names, read_array_pickle(here / layout.names), layout.names_entry)
    if not isinstance(names, list) or not all(isinstance(name, bytes | str) for name in names):
        raise ValueError(f"{here / layout.names}: {layout.names_entry} holds no texts; unpack the archive again")
    classes = tuple(_text(name) for name in names)
    parts = [_read_part(here / name, layout, classes) for name in (*layout.training, layout.test)]
    training = LabelledImages.from_pixels(
        np.concatenate([np.asarray(part.pictures) for part in parts[:-1]]),
        np.concatenate([part.labels for part in parts[:-1]]),
        classes,
    )
    return training, parts[-1]


def _found(folder: Path) -> tuple[Path, _Layout] | None:
    for layout in _LAYOUTS:
        for here in (folder, folder / layout.folder):
            if (here / layout.names).is_file() and (here / layout.training[0]).is_file():
                return here, layout
    return None


def _read_part(file: Path, layout: _Layout, classes: tuple[str, ...]) -> LabelledImages:
    content = read_array_pickle(file)
    pixels, labels = _entry(file, content, "data"), _entry(file, content, layout.labels_entry)
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != 3 * SIDE * SIDE:
        raise ValueError(f"{file}: data are no images of 32×32 pixels in three colours; unpack the archive again")
    # isinstance would take True for a number.
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise ValueError(f"{file}: {layout.labels_entry} holds no whole numbers; unpack the archive again")
    images = pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    try:
        return LabelledImages.from_pixels(np.ascontiguousarray(images), labels, classes)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{file}: {error}; unpack the archive again") from error


def _entry(file: Path, content: Mapping[str, Any], name: str) -> Any:
    if name not in content:
        raise ValueError(f"{file} has no entry {name!r}, only {', '.join(content)}; unpack the archive again")
    return content[name]


def _text(name: bytes | str) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name
