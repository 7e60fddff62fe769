"""CIFAR's files as Python 2 and numpy wrote them, instruction by instruction."""

import struct
from pathlib import Path

import numpy as np


def text(value):
    """A text of Python 2, which is bytes."""
    content = value if isinstance(value, bytes) else value.encode("latin-1")
    return (
        b"U" + bytes([len(content)]) + content
        if len(content) < 256
        else b"T" + struct.pack("<i", len(content)) + content
    )


def number(value):
    return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)


def texts(values):
    return b"](" + b"".join(map(text, values)) + b"e"


def numbers(values):
    return b"](" + b"".join(map(number, values)) + b"e"


def array(values, *, code="u1", shape=None):
    """An array of uint8 with two axes; ``code`` and ``shape`` may tell otherwise."""
    shape = values.shape if shape is None else shape
    begun = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02"
        + number(0)
        + b"\x85"
        + text("b")
        + b"\x87R"
    )
    kind = b"cnumpy\ndtype\nq\x03" + text(code) + number(0) + number(1) + b"\x87R"
    kind += b"(" + number(3) + text("|") + b"NNN" + 2 * b"J\xff\xff\xff\xff" + number(0) + b"tb"
    sizes = b"".join(map(number, shape)) + b"\x86"
    return begun + b"(" + number(1) + sizes + kind + b"\x89" + text(values.tobytes()) + b"tb"


def dictionary(entries):
    return b"\x80\x02}q\x00(" + b"".join(text(name) + value for name, value in entries.items()) + b"u."


def write_cifar(folder: Path, *, n_each=6, classes=10, fine=False):
    """Write a small CIFAR-10, or CIFAR-100 if ``fine``; return all pixels, (n, 32, 32, 3), and labels by file."""
    rng, written = np.random.default_rng(0), {}
    names = [f"class {label}" for label in range(classes)]
    parts = ("train", "test") if fine else (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
    folder.mkdir(parents=True)
    for name in parts:
        pixels = rng.integers(0, 256, (n_each, 32, 32, 3), dtype=np.uint8)
        labels = [int(label) for label in rng.integers(0, classes, n_each)]
        entries = {
            "batch_label": text("part of a data set"),
            "fine_labels" if fine else "labels": numbers(labels),
            "data": array(pixels.transpose(0, 3, 1, 2).reshape(n_each, -1)),
            "filenames": texts([f"{number}.png" for number in range(n_each)]),
        }
        (folder / name).write_bytes(dictionary(entries))
        written[name] = (pixels, labels)
    meta = (
        {"fine_label_names": texts(names)}
        if fine
        else {"num_cases_per_batch": number(n_each), "label_names": texts(names)}
    )
    (folder / ("meta" if fine else "batches.meta")).write_bytes(dictionary(meta))
    return written
