"""Images with the logits that a network gave for them, small enough to lie beside its file as JSON."""

import base64
import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.onnx_models.agreement import FloatArray
from nnunet_mamba.system.checked_entries import Entry

# Of the pixels of a batch, of its logits, and of the pixels that are made of it: more than is ever written, less than
# fills a memory.
_MOST_BYTES = 1 << 24
_MOST_ENLARGED = 1 << 28


@dataclass(frozen=True, kw_only=True)
class CheckImages:
    """A batch of images, and some of the logits that are expected.

    Args:
        pixels: (b, c, *spatial), uint8.
        enlarged_by: how often every pixel is repeated along each axis.
        subtract: from the pixels, before they are divided.
        divide: the pixels by this.
        every: along each axis, which pixels' logits are kept: the first of every so many.
        logits: (b, heads, *spatial), float32.
    """

    pixels: npt.NDArray[np.uint8]
    enlarged_by: int
    subtract: float
    divide: float
    every: int
    logits: FloatArray

    def images(self) -> FloatArray:
        """Return what the network is given, (b, c, *spatial), ``enlarged_by`` times as long along each axis."""
        large = self.pixels
        for axis in range(2, large.ndim):
            large = large.repeat(self.enlarged_by, axis=axis)
        images: FloatArray = (large.astype(np.float32) - np.float32(self.subtract)) / np.float32(self.divide)
        return images

    def kept(self, logits: FloatArray) -> FloatArray:
        """Return those of all logits that are compared."""
        places = (slice(None), slice(None), *[slice(None, None, self.every)] * (logits.ndim - 2))
        return np.ascontiguousarray(logits[places])

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "shape": list(self.pixels.shape),
            "pixels": base64.b64encode(zlib.compress(self.pixels.tobytes(), 9)).decode("ascii"),
            "enlarged_by": self.enlarged_by,
            "subtract": self.subtract,
            "divide": self.divide,
            "every": self.every,
            "logits_shape": list(self.logits.shape),
            "logits": base64.b64encode(zlib.compress(self.logits.astype("<f4").tobytes(), 9)).decode("ascii"),
        }


def check_images_from(entry: Entry) -> CheckImages:
    """Return check images that JSON holds.

    Raises:
        ValueError: an entry is missing or makes no sense.
    """
    divide = entry.at("divide")
    if divide.number() == 0:
        divide.refuse("a number other than 0")
    pixels, enlarged_by = _array(entry, "pixels", np.dtype(np.uint8)), entry.at("enlarged_by")
    if pixels.size * enlarged_by.whole(least=1) ** 2 > _MOST_ENLARGED:
        enlarged_by.refuse(f"a number that makes {_MOST_ENLARGED} pixels at most")
    return CheckImages(
        pixels=pixels,
        enlarged_by=enlarged_by.whole(),
        subtract=entry.at("subtract").number(),
        divide=divide.number(),
        every=entry.at("every").whole(least=1),
        logits=_array(entry, "logits", np.dtype("<f4")).astype(np.float32),
    )


def _array(entry: Entry, name: str, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    place = entry.at("shape" if name == "pixels" else f"{name}_shape")
    shape = [size.whole(least=1) for size in place.items()]
    if len(shape) not in (4, 5):
        place.refuse("a list of 4 or 5")
    n_bytes = math.prod(shape) * dtype.itemsize
    text = entry.at(name)
    if n_bytes > _MOST_BYTES:
        text.refuse(f"{_MOST_BYTES} bytes at most")
    try:
        packed = base64.b64decode(text.text("compressed numbers"), validate=True)
        # One byte more than is expected shows that there are too many, and is all that a bomb gets.
        found = zlib.decompressobj().decompress(packed, n_bytes + 1)
    except (ValueError, zlib.error):
        text.refuse("numbers, compressed and in base64")
    if len(found) != n_bytes:
        text.refuse(f"{n_bytes} bytes of numbers")
    return np.frombuffer(found, dtype).reshape(shape)
