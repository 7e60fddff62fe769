"""What a black margin surrounds: nnU-Net normalises it alone, and shows it in the middle of the network's window.

Every image of a batch has a margin of its own, so all of it is arithmetic on indices, which ONNX has.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# Of the background against all else, where nnU-Net says background without asking the network.
OUTSIDE = 20.0


@dataclass(frozen=True)
class Content:
    """The smallest boxes around all pixels of images that are not 0 in every channel; the whole image if all are.

    Args:
        where: (b, 1, h, w), True inside an image's box.
        by_rows: (b, 1), by how many pixels a box is moved down so that it lies in the middle.
        by_columns: (b, 1), and to the right.
    """

    where: Tensor
    by_rows: Tensor
    by_columns: Tensor

    def moved(self, x: Tensor) -> Tensor:
        """Return images (b, c, h, w) with their boxes in the middle; what leaves on one side enters on the other."""
        return _rolled(x, self.by_rows, self.by_columns)

    def moved_back(self, x: Tensor) -> Tensor:
        """Undo ``moved``."""
        return _rolled(x, -self.by_rows, -self.by_columns)

    def logits(self, logits: Tensor, *, has_regions: bool) -> Tensor:
        """Return the logits (b, heads, h, w) of moved images where their pixels are, and of background around them.

        Args:
            logits: of the network.
            has_regions: whether every head is a region; otherwise the first is the background.
        """
        back = self.moved_back(logits)
        outside = torch.full((1, logits.shape[1], 1, 1), -OUTSIDE)
        if not has_regions:
            outside[:, 0] = 0.0
        return torch.where(self.where, back, outside)


def content_of(images: Tensor) -> Content:
    """Return what black margins surround.

    Args:
        images: (b, c, h, w).
    """
    is_seen = (images != 0).any(dim=1)
    rows, by_rows = _span(is_seen.any(dim=2))
    columns, by_columns = _span(is_seen.any(dim=1))
    where = rows[:, None, :, None] & columns[:, None, None, :]
    return Content(where, by_rows, by_columns)


def _span(is_seen: Tensor) -> tuple[Tensor, Tensor]:
    """Return which places along an axis (b, s) lie between the first and the last seen one, and the way to the middle.

    A span whose margins differ by one place stays where it is. nnU-Net would have the smaller one first; but mirrored
    copies of a window that it has filled have it last, and must not be moved.
    """
    size = is_seen.shape[1]
    places = torch.arange(size)
    is_seen = is_seen | ~is_seen.any(dim=1, keepdim=True)
    first = torch.where(is_seen, places, size).amin(dim=1, keepdim=True)
    last = torch.where(is_seen, places, -1).amax(dim=1, keepdim=True)
    more_behind = (size - 1 - last) - first
    shift = torch.where(more_behind == -1, 0, torch.div(more_behind, 2, rounding_mode="floor"))
    return (places >= first) & (places <= last), shift


def _rolled(x: Tensor, by_rows: Tensor, by_columns: Tensor) -> Tensor:
    """Return images (b, c, h, w), each rolled by its own numbers of pixels (b, 1)."""
    b, c, h, w = x.shape
    rows, columns = _sources(h, by_rows), _sources(w, by_columns)
    pixels = (rows[:, :, None] * w + columns[:, None, :]).reshape(b, 1, h * w)
    return x.reshape(b, c, h * w).gather(2, pixels.expand(b, c, h * w)).reshape(b, c, h, w)


def _sources(size: int, shift: Tensor) -> Tensor:
    """Return from where every place along an axis is taken when it is rolled, (b, size)."""
    places = torch.arange(size) - shift
    # Not remainder, which torch cannot write for an open size.
    places = torch.where(places < 0, places + size, places)
    return torch.where(places >= size, places - size, places)
